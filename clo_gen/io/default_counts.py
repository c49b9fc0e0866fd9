"""Default counts by year and rating, as rating agencies publish them."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from clo_gen.io.cohort_counts import CohortHistory
from clo_gen.io.table import Column, read_judged
from clo_gen.states import StateSpace

_COLUMNS = (
    Column("year", "integer", low=1900, high=2200),
    Column("rating"),
    Column("firms", "integer", low=0.0),
    Column("defaults", "integer", low=0.0),
)


@dataclasses.dataclass(frozen=True)
class DefaultCounts:
    """Obligors at the start of each period and those of them that defaulted within it."""

    periods: tuple[str, ...]  # T
    groups: tuple[str, ...]  # R ratings or cohorts
    obligors: np.ndarray  # [T, R]
    defaults: np.ndarray  # [T, R]
    source: str

    def only(self, groups: Sequence[str]) -> "DefaultCounts":
        """The counts of `groups` (names)."""
        column = [self.groups.index(g) for g in groups]
        return dataclasses.replace(self, groups=tuple(groups), obligors=self.obligors[:, column],
                                   defaults=self.defaults[:, column])


def read_default_counts(path: pathlib.Path | str) -> DefaultCounts:
    """DefaultCounts of a CSV or Parquet file with the columns year, rating, firms, defaults.

    A year without a row of a rating has none of its obligors. Raises InputError with every problem:
    missing columns or values, more defaults than firms, repeated rows, years left out.
    """
    table, problems = read_judged(path, _COLUMNS, filled=[c.name for c in _COLUMNS])
    for row in np.flatnonzero((table["defaults"] > table["firms"]).to_numpy()):
        problems.add(f"row {row + 2}, defaults", table["defaults"].iloc[row],
                     f"at most the {table['firms'].iloc[row]:g} firms")
    for row in np.flatnonzero(table.duplicated(["year", "rating"]).to_numpy()):
        problems.say(f"row {row + 2}: repeats the year and rating of an earlier row")
    problems.raise_if_any()
    years = np.arange(int(table["year"].min()), int(table["year"].max()) + 1)
    missing = sorted(set(years) - set(table["year"].astype(int)))
    if missing:
        problems.say(f"year: {', '.join(map(str, missing[:5]))} left out; want every year between "
                     "the first and the last")
    problems.raise_if_any()
    groups = tuple(dict.fromkeys(table["rating"]))
    wide = {name: table.pivot(index="year", columns="rating", values=name).reindex(
        columns=list(groups)).fillna(0.0).to_numpy() for name in ("firms", "defaults")}
    return DefaultCounts(tuple(map(str, years)), groups, wide["firms"], wide["defaults"],
                         str(path))


def of_cohorts(history: CohortHistory) -> DefaultCounts:
    """DefaultCounts by month of an io.cohort_counts.CohortHistory."""
    counts = history.counts
    live = len(counts.space.live)
    moves = counts.counts[:, :, :live].sum(2)
    return DefaultCounts(tuple(map(str, counts.months)), counts.cohorts, moves.sum(-1),
                         moves[..., counts.space.default], counts.source)


def panel_outcomes(panel: pd.DataFrame, origin: pd.Period, horizon: int,
                   space: StateSpace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(obligor [N], state [N] int before the month `origin`, defaulted [N] bool within `horizon`
    months) of the obligors then rated; `panel` as io.panel.read_rating_events gives it."""
    before = panel[(panel["month"] == origin - 1) & panel["state"].isin(space.live)]
    lost = panel[(panel["state"] == "default") & (panel["month"] >= origin)
                 & (panel["month"] < origin + horizon)]
    state = before["state"].map(space.index).to_numpy(int)
    obligor = before["obligor_id"].to_numpy()
    return obligor, state, before["obligor_id"].isin(lost["obligor_id"]).to_numpy()


def withdrawal_rate(panel: pd.DataFrame, until: pd.Period) -> float:
    """Monthly share of obligors whose rating is withdrawn, up to and with month `until`."""
    known = panel[panel["month"] <= until]
    withdrawn = (known["state"] == "NR").sum()
    return float(withdrawn / max(len(known) - withdrawn, 1))


def last_origin(panel: pd.DataFrame, horizon: int) -> pd.Period:
    """Last month from which `horizon` months are seen."""
    return pd.Period(panel["month"].max(), "M") - horizon + 1

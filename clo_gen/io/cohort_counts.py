"""Counts of current, defaulted and prepaid loans by trust, risk band and month.

The layout is that of published auto-loan cohort counts: bond, risk_cat, month, n_current (loans at
the start of the month), n_default and n_prepaid (of those, within the month).
"""

import dataclasses
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from clo_gen.io.panel import CountHistory
from clo_gen.io.table import Column, read_judged
from clo_gen.states import StateSpace

SURVIVAL = StateSpace(name="survival", live=("current",), moves=(("current",),),
                      can_default=("current",))
BANDS = ("super_prime", "prime", "near_prime", "subprime", "deep_subprime")  # best first

_COLUMNS = (
    Column("bond"),
    Column("risk_cat", "choice", choices=BANDS),
    Column("month", "month"),
    Column("n_current", "integer", low=0.0),
    Column("n_default", "integer", low=0.0),
    Column("n_prepaid", "integer", low=0.0),
)


@dataclasses.dataclass(frozen=True)
class CohortHistory:
    """Counts with what is known of each cohort."""

    counts: CountHistory  # cohorts are named trust/band
    trusts: tuple[str, ...]  # [C]
    bands: tuple[int, ...]  # [C] position in BANDS
    first: pd.PeriodIndex  # [C] first month of the cohort's trust

    def ages(self, months: Any) -> np.ndarray:
        """Months [T, C] since the trust's first month, which has age 1; at least 0."""
        return np.maximum(months.asi8[:, None] - self.first.asi8 + 1.0, 0.0)

    def only(self, keep: np.ndarray) -> "CohortHistory":
        """The cohorts where `keep` [C] bool."""
        index = np.flatnonzero(keep)
        c = self.counts
        counts = dataclasses.replace(c, counts=c.counts[:, index],
                                     cohorts=tuple(c.cohorts[i] for i in index))
        return CohortHistory(counts, tuple(self.trusts[i] for i in index),
                             tuple(self.bands[i] for i in index), self.first[index])


def read_cohort_counts(path: str | pathlib.Path, *,
                       leave_out: Iterable[str] = ()) -> CohortHistory:
    """CohortHistory of a CSV or Parquet file.

    A trust's first month lacks prepayments and gathers earlier defaults, its last has no month
    after it: both are dropped, and so are the months named in `leave_out` (texts such as 2020-03).
    Raises InputError with every problem.
    """
    table, problems = read_judged(path, _COLUMNS, filled=[c.name for c in _COLUMNS])
    problems.raise_if_any()
    for row in np.flatnonzero(table["n_default"] + table["n_prepaid"] > table["n_current"]):
        problems.add(f"row {row + 2}, n_current", table["n_current"].iloc[row],
                     "at least n_default + n_prepaid")
    for row in np.flatnonzero(table.duplicated(["bond", "risk_cat", "month"])):
        problems.say(f"row {row + 2}: repeats the trust, band and month of an earlier row")
    problems.raise_if_any()
    table["month"] = table["month"].dt.to_period("M")
    return _history(table, leave_out, str(path))


def _history(table, leave_out, source):
    table["band"] = table["risk_cat"].map(BANDS.index)
    spans = table.groupby("bond")["month"].agg(["min", "max"])
    first, last = table["bond"].map(spans["min"]), table["bond"].map(spans["max"])
    inside = (table["month"] > first) & (table["month"] < last)
    inside &= ~table["month"].isin(pd.PeriodIndex(list(leave_out), freq="M"))
    cohorts = table[["bond", "band"]].drop_duplicates().sort_values(["bond", "band"])
    months = pd.period_range(table["month"].min(), table["month"].max(), freq="M")
    names = tuple(f"{trust}/{BANDS[band]}" for trust, band in cohorts.itertuples(index=False))
    counts = np.zeros((len(months), len(names), SURVIVAL.size, SURVIVAL.size))
    kept = table[inside]
    column = {name: i for i, name in enumerate(names)}
    t = kept["month"].array.asi8 - months[0].ordinal
    c = (kept["bond"] + "/" + kept["risk_cat"]).map(column).to_numpy(int)
    counts[t, c, 0, SURVIVAL.default] = kept["n_default"]
    counts[t, c, 0, SURVIVAL.prepaid] = kept["n_prepaid"]
    counts[t, c, 0, 0] = kept["n_current"] - kept["n_default"] - kept["n_prepaid"]
    trusts = tuple(cohorts["bond"])
    return CohortHistory(CountHistory(counts, months, names, SURVIVAL, source), trusts,
                         tuple(int(b) for b in cohorts["band"]),
                         pd.PeriodIndex([spans.loc[trust, "min"] for trust in trusts], freq="M"))

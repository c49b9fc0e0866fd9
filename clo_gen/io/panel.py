"""Loan-month panels and rating events -> monthly states -> cohort transition counts n_ij(t)."""

import dataclasses
import pathlib

import numpy as np
import pandas as pd

from clo_gen.io.problems import InputError, Problems
from clo_gen.io.table import (
    Column,
    judge,
    need_cells,
    need_columns,
    read_judged,
    read_table,
    row_label,
)
from clo_gen.states import StateSpace

WITHDRAWN = "NR"  # rating no longer published: the obligor is lost from sight, not prepaid

PANEL_COLUMNS = (
    Column("loan_id"),
    Column("reporting_month", "month"),
    Column("current_balance", "number", low=0.0),
    Column("scheduled_payment", "number", low=0.0),
    Column("actual_payment", "number"),
    Column("principal_paid", "number"),
    Column("interest_paid", "number"),
    Column("prepayment_amount", "number"),
    Column("days_past_due", "number", low=0.0),
    Column("loan_state"),
    Column("loss_amount", "number"),
    Column("recovery_amount", "number"),
    Column("cohort"),
)


@dataclasses.dataclass(frozen=True)
class CountHistory:
    """Transition counts by month and cohort; `months[t]` is the month of the state left."""

    counts: np.ndarray  # [T, C, S, S]
    months: pd.PeriodIndex
    cohorts: tuple[str, ...]
    space: StateSpace
    source: str

    def between(self, first: pd.Period | str, last: pd.Period) -> "CountHistory":
        """The part with months in [first, last] (Period or text)."""
        keep = (self.months >= pd.Period(first, "M")) & (self.months <= pd.Period(last, "M"))
        return dataclasses.replace(self, counts=self.counts[keep], months=self.months[keep])


def read_rating_events(path: str | pathlib.Path, space: StateSpace) -> pd.DataFrame:
    """Rating actions (obligor_id, date, rating) -> frame with obligor_id, month, state.

    Months have the last action of the month and carry forward to the last month of the file; a
    default or withdrawal ends the obligor's history. Raises InputError with every problem.
    """
    ratings = (*space.live, "D", WITHDRAWN)
    columns = (Column("obligor_id"), Column("date", "date"),
               Column("rating", "choice", choices=ratings))
    events, problems = read_judged(path, columns, filled=[c.name for c in columns])
    problems.raise_if_any()
    events["month"] = events["date"].dt.to_period("M")
    events = events.sort_values(["obligor_id", "date"], kind="stable")
    monthly = events.groupby(["obligor_id", "month"], sort=True)["rating"].last().reset_index()
    return _carry_forward(monthly)


def _carry_forward(monthly):
    """Monthly panel from (obligor_id, month, rating) in order, one row a month with an action."""
    end = monthly["month"].max().ordinal
    first = monthly["month"].array.asi8
    obligor = monthly["obligor_id"].to_numpy()
    last_of_obligor = np.append(obligor[1:] != obligor[:-1], True)
    until = np.where(last_of_obligor, end + 1, np.append(first[1:], 0))
    over = monthly["rating"].isin(("D", WITHDRAWN)).to_numpy()
    ended = pd.Series(over).groupby(obligor).cumsum().to_numpy() - over
    until = np.where(over, first + 1, until)
    length = np.where(ended > 0, 0, until - first)
    row = np.repeat(np.arange(len(monthly)), length)
    offset = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    return pd.DataFrame({
        "obligor_id": obligor[row],
        "month": pd.PeriodIndex.from_ordinals(first[row] + offset, freq="M"),  # type: ignore[attr-defined]
        "state": monthly["rating"].replace({"D": "default"}).to_numpy()[row],
    })


def read_panel(path: str | pathlib.Path, space: StateSpace) -> pd.DataFrame:
    """Loan-month panel (CSV or Parquet) with typed columns, `month`, `state` and `cohort`.

    The state is loan_state where given, else it follows from days_past_due (30-day buckets, 120
    days and more is default) and a zero balance (prepaid). Unknown extra columns are dropped.
    Raises InputError with every problem.
    """
    frame = read_table(path)
    problems = Problems(path)
    need_columns(frame, ("loan_id", "reporting_month"), problems)
    if "loan_state" not in frame and "days_past_due" not in frame:
        problems.say("want a column loan_state or days_past_due")
    problems.raise_if_any()
    panel = judge(frame, PANEL_COLUMNS, problems, row_label)
    need_cells(frame, [c for c in ("loan_id", "reporting_month", "cohort") if c in frame], problems)
    panel["state"] = _panel_states(panel, space)
    for row in np.flatnonzero(~panel["state"].isin(space.states)):
        problems.add(f"row {row + 2}, loan_state", panel["state"].iloc[row],
                     "one of " + ", ".join(space.states))
    panel["month"] = panel["reporting_month"].dt.to_period("M")
    repeated = panel.duplicated(["loan_id", "month"]) & panel["month"].notna()
    for row in np.flatnonzero(repeated.to_numpy()):
        problems.add(f"row {row + 2}, reporting_month", str(panel["month"].iloc[row]),
                     f"each month of loan {panel['loan_id'].iloc[row]} once")
    problems.raise_if_any()
    if "cohort" not in panel:
        panel["cohort"] = "all"
    return panel


def _panel_states(panel, space):
    if "loan_state" in panel and panel["loan_state"].notna().all():
        return panel["loan_state"]
    days = panel.get("days_past_due", pd.Series(0.0, index=panel.index)).fillna(0.0)
    bucket = np.minimum((days // 30).astype(int), len(space.live))
    derived = bucket.map(dict(enumerate((*space.live, "default"))))
    if "current_balance" in panel:
        paid = (panel["current_balance"] == 0) & (bucket == 0)
        derived = derived.mask(paid, "prepaid")
    if "loan_state" in panel:
        return panel["loan_state"].fillna(derived)
    return derived


def transition_counts(panel: pd.DataFrame, space: StateSpace, source: pathlib.Path | str, *,
                      unit: str = "obligor_id") -> CountHistory:
    """CountHistory of a monthly panel with `unit`, month, state and optionally cohort.

    A move counts in the month it leaves, and only between consecutive months. A move to a withdrawn
    rating is not counted (censored). A move the space forbids raises InputError.
    """
    panel = panel.sort_values([unit, "month"], kind="stable")
    if "cohort" not in panel:
        panel = panel.assign(cohort="all")
    if panel["month"].nunique() < 2:
        raise InputError(f"{source}: {panel['month'].nunique()} months; want at least two, between "
                         "which states move")
    following = panel.groupby(unit, sort=False)[["month", "state"]].shift(-1)
    month = panel["month"].array.asi8
    after = pd.PeriodIndex(following["month"], freq="M").asi8
    moves = panel.assign(to=following["state"])[after == month + 1]
    moves = moves[(moves["to"] != WITHDRAWN) & (moves["state"] != WITHDRAWN)]
    months = pd.period_range(panel["month"].min(), panel["month"].max() - 1, freq="M")
    cohorts = tuple(sorted(panel["cohort"].unique()))
    counts = np.zeros((len(months), len(cohorts), space.size, space.size))
    index = {state: i for i, state in enumerate(space.states)}
    where = ((moves["month"].array.asi8 - months[0].ordinal),
             moves["cohort"].map(cohorts.index), moves["state"].map(index), moves["to"].map(index))
    np.add.at(counts, tuple(np.asarray(w, int) for w in where), 1.0)
    problems = Problems(source)
    forbidden = counts.sum((0, 1)) * ~space.mask
    for i, j in np.argwhere(forbidden > 0):
        problems.say(f"{int(forbidden[i, j])} moves {space.states[i]} -> {space.states[j]}, which "
                     f"the state space {space.name} does not allow")
    problems.raise_if_any()
    return CountHistory(counts, months, cohorts, space, str(source))

"""Loan panels as training data of level 3: observed histories, split by loan and by time."""

import dataclasses
import functools
from typing import Annotated

import jax
import numpy as np
import pandas as pd
from pydantic import Field

from clo_gen.io.auto_panel import BANDS, LoanPanel
from clo_gen.io.config import Month, Positive, Share
from clo_gen.io.macro import read_macro
from clo_gen.io.problems import InputError
from clo_gen.io.tables import data_path
from clo_gen.io.toml import Record
from clo_gen.models import loan_cash
from clo_gen.models.loan_cash import NONE, OTHER, SAME, SCHEDULE, Debt, Terms
from clo_gen.models.trajectory_network import Before
from clo_gen.models.trajectory_records import History, Loans, Trajectory

COHORTS = (*BANDS, "all")  # the last one serves loans of no known band
_SAME_WITHIN = 0.5  # dollars: payments this near are the same


class TrajectoryTraining(Record):
    """Where level 3's loans are, how they are split, and how large the model is."""

    # "embedded": the shipped rating histories; "synthetic": a stand-in with payments; or a file
    # (Parquet or CSV) with one row a loan, and one with a row a loan and month.
    loans: str = "embedded"
    months: str = ""
    trust: str | None = None  # None: all of the file's
    held_out_loans: Share = 0.2  # never trained on
    train_until: Month = "2002-12"
    stop_until: Month = "2003-12"  # the months since train_until decide when to stop
    test_until: Month = "2005-12"  # the months since stop_until are scored
    series: tuple[str, ...] = ("unemployment_rate", "gdp_growth_yoy", "policy_rate")
    macro_reference: tuple[Month, Month] = ("1985-01", "2002-12")  # years of mean and spread
    prior_months: Annotated[float, Field(gt=0)] = 300.0  # weight of the pooled matrix in a band's
    width: Positive = 32
    heads: Positive = 4
    layers: Positive = 1
    window: Positive = 12
    head_hidden: Positive = 32
    head_layers: Positive = 1
    steps: Annotated[int, Field(ge=2, le=64)] = 8
    seed: Annotated[int, Field(ge=0)] = 0


@dataclasses.dataclass(frozen=True)
class TrajectoryData:
    """A panel ready for training: histories by split, and the model's fixed parts."""

    panel: LoanPanel
    seen: np.ndarray  # [L] bool, loans that are trained on
    history: History  # every loan-month, counted wherever the loan is live (NumPy)
    model: Trajectory  # without params
    config: TrajectoryTraining

    def split(self, loans, first, last):
        """History of `loans` [L] bool, counted in the months first to last (text) only."""
        first, last = (pd.Period(m, "M").ordinal for m in (first, last))
        kept = jax.tree.map(lambda x: x[loans], self.history)
        inside = (kept.month >= first) & (kept.month <= last)
        counted = kept.counted & inside
        if not counted.any():
            raise InputError(f"{self.panel.source}: no loan-month in the months asked for")
        width = int(np.flatnonzero(counted.any(0)).max()) + 1

        def cut(x):
            return x[:, :width]

        return kept.replace(
            before=jax.tree.map(cut, kept.before), counted=cut(counted),
            **{name: cut(getattr(kept, name))
               for name in ("macro", "month", "state", "kind", "share", "recovery")})

    def after(self, month):
        return str(pd.Period(month, "M") + 1)

    @property
    def kind(self):
        return {"synthetic": "synthetic", "embedded": "real"}.get(self.config.loans, "user")

    @property
    def source(self):
        return self.panel.source + ("; payments follow the contract" if self.panel.contract else "")

    @property
    def train(self):
        return self.split(self.seen, "1970-01", self.config.train_until)

    @property
    def stop(self):
        """The loans trained on, in the months that decide when to stop."""
        return self.split(self.seen, self.after(self.config.train_until), self.config.stop_until)

    @functools.cached_property
    def tests(self):
        """{description: (loans [L] bool, first month, last month)} of what is scored."""
        c, first = self.config, self.after(self.config.stop_until)
        year = min(str(pd.Period(first, "M") + 11), c.test_until)
        return {f"held-out loans, {first} to {year}": (~self.seen, first, year),
                f"all loans, {first} to {c.test_until}":
                    (np.ones_like(self.seen), first, c.test_until)}


def payment_kinds(panel):
    """Kinds [L, T] of the payments of a LoanPanel; see models.loan_cash."""
    share = panel.payment / panel.due[:, None]
    schedule = np.abs(share - 1.0) < loan_cash.SCHEDULE_WIDTH
    kind = np.where(panel.payment <= 0, NONE, np.where(schedule, SCHEDULE, OTHER))
    odd = kind == OTHER
    again = np.abs(np.diff(panel.payment, axis=1)) < _SAME_WITHIN
    kind[:, 1:][odd[:, 1:] & odd[:, :-1] & again] = SAME
    return kind


def histories(panel, cohort, macro):
    """History of a LoanPanel (NumPy), from each loan's second month on; all live months counted.

    `macro` is a frame of the series by month (Period), `cohort` [L] int.
    """
    months = panel.months[:, 1:]
    wanted = months[panel.state[:, 1:] >= 0]
    index = pd.PeriodIndex(macro.index, freq="M").asi8
    if wanted.min() < index[0] or wanted.max() > index[-1]:
        raise InputError(f"{panel.source}: loan months outside the macro history "
                         f"({macro.index[0]} to {macro.index[-1]})")
    rows = np.clip(months - index[0], 0, len(index) - 1)
    live = len(panel.space.live)
    share, kind = panel.payment / panel.due[:, None], payment_kinds(panel)
    age = panel.age[:, None] + np.arange(1, panel.state.shape[1])
    left = panel.balance[:, 1:] / panel.due[:, None]
    terms = Terms(panel.due[:, None], panel.rate[:, None], panel.term[:, None])
    plan = np.asarray(loan_cash.annuity(terms, age))
    state = panel.state
    was_live = (state[:, :-1] >= 0) & (state[:, :-1] < live) & (state[:, 1:] >= 0)
    before = Before(
        state=np.clip(state[:, :-1], 0, live - 1), kind=kind[:, :-1], share=share[:, :-1],
        missed=panel.missed[:, :-1], age=age, left=left,
        ahead=np.log(np.maximum(left, 0.1) / plan))
    recovery = np.where(state[:, 1:] == panel.space.default, panel.recovery[:, None], np.nan)
    history = History(
        facts=panel.features, cohort=cohort,
        terms=Terms(panel.due, panel.rate, panel.term), before=before, macro=macro.to_numpy()[rows],
        month=months, state=state[:, 1:], kind=kind[:, 1:], share=share[:, 1:],
        recovery=recovery, counted=was_live)
    return jax.tree.map(_plain, history)


def _plain(x):
    x = np.asarray(x)
    return x.astype({"f": np.float32, "i": np.int32}.get(x.dtype.kind, x.dtype))


def cohort_matrices(space, history, cohort, cohorts, prior_months):
    """Monthly matrices [C, S, S]: counts of the counted months, shrunk to those of all cohorts.

    `cohort` [L, T] int. A move that the space lists has at least half a count in the pooled matrix;
    live loans mature by paying, never by chance, so that column is 0. The last of the `cohorts` is
    the pool itself.
    """
    possible = np.zeros((space.size, space.size))
    for i, moves in enumerate(space.moves):
        possible[i, [space.index(j) for j in moves]] = 1.0
        possible[i, space.default] = space.live[i] in space.can_default
        possible[i, space.prepaid] = 1.0
    counts = np.zeros((cohorts, space.size, space.size))
    keep = history.counted
    np.add.at(counts, (cohort[keep], history.before.state[keep], history.state[keep]), 1.0)
    live = len(space.live)
    pooled = counts.sum(0) * possible + 0.5 * possible
    pooled[:live] /= pooled[:live].sum(1, keepdims=True)
    matrix = counts * possible + prior_months * pooled
    matrix[-1] = pooled
    matrix[:, :live] /= matrix[:, :live].sum(2, keepdims=True)
    matrix[:, live:] = np.eye(space.size)[live:]
    return matrix


def by_month(history):
    """The cohorts [L, T] of a history's loan-months."""
    return np.broadcast_to(history.cohort[:, None], history.state.shape)


def loans_of(panel, cohort, dtype=np.float32):
    """Loans of a LoanPanel after its first month (NumPy)."""
    live = len(panel.space.live)
    share = panel.payment[:, 0] / panel.due
    balance = np.where(panel.state[:, 0] < live, panel.balance[:, 1], 0.0).astype(dtype)
    return Loans(
        facts=panel.features.astype(dtype), cohort=cohort.astype(np.int32),
        state=panel.state[:, 0].astype(np.int32), kind=payment_kinds(panel)[:, 0].astype(np.int32),
        share=share.astype(dtype), missed=panel.missed[:, 0].astype(dtype),
        age=(panel.age + 1).astype(dtype),
        terms=Terms(panel.due.astype(dtype), panel.rate.astype(dtype), panel.term.astype(dtype)),
        debt=Debt(balance, np.zeros_like(balance)))


def macro_of(series):
    """Frame of the macro series by month, from the embedded history."""
    history = read_macro(data_path("macro_monthly_1959_2026.csv"))
    return history.until(history.frame.index[-1], series)

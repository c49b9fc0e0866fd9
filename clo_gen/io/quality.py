"""A loan tape as quality tests read it: positions by obligor and industry, notches, lives, groups.

Defaulted loans do not count: collateral quality tests and concentration limits are on the
collateral that is not defaulted (indenture terms Collateral Quality Test, Defaulted Obligation).
They keep their rows, with share 0.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd

from clo_gen.cash.schedule import outstanding
from clo_gen.io.problems import Problems
from clo_gen.io.quality_limits import GroupTerms, notches
from clo_gen.io.tape import LoadedTape
from clo_gen.records import Tape

WORST = 21  # notch of C; what a defaulted loan, which counts nowhere, is given
_ROWS_SHOWN = 4  # of one complaint
_DERIVED = ("maturity_date", "obligor_id", "floor", "amortization_type", "payment_frequency",
            "lien", "recovery_rate")  # what a tape may leave out and the tests read
_WANTED_RATING = "a notch of Moody's (B1), S&P (B+) or DBRS (B (high)), or a default_date"
_CRITERIA = {  # key of a group -> (column of the tape, test of that column)
    "rating_below": ("notch", lambda column, name: column > notches()[name]),
    "cov_lite": ("cov_lite", lambda column, flag: column == float(flag)),
    "countries_outside": ("geography_country", lambda column, names: ~column.isin(names)),
    "liens": ("lien", lambda column, names: column.isin(names)),
    "rate_type": ("rate_type", lambda column, name: column == name),
    "payment_frequencies": ("payment_frequency", lambda column, names: column.isin(names)),
    "matures_after": ("maturity_date", lambda column, date: column > pd.Timestamp(date)),
}


@dataclasses.dataclass(frozen=True)
class Holdings:
    """L loans in the order of the tape, NumPy; see hypo.records.Positions."""

    share: np.ndarray  # [L] of the basis; 0 for defaulted loans
    obligor: np.ndarray  # [L] int, place in `obligors`
    industry: np.ndarray  # [L] int, place in `industries`
    rating: np.ndarray  # [L] int, notch 1..21
    spread: np.ndarray  # [L] yearly fraction over the index, benefit of the floor included
    recovery: np.ndarray  # [L]
    life: np.ndarray  # [L] years
    obligors: tuple[str, ...]
    industries: tuple[str, ...]
    frame: pd.DataFrame  # the tape's, with the column `notch`
    notes: tuple[str, ...]  # what was chosen or left out
    source: str


def holdings(loaded: LoadedTape, index_now: np.ndarray, basis: float | None = None) -> Any:
    """Holdings of a tape; shares are of `basis` (currency), else of the par that counts.

    `index_now` [I]: yearly rates of the indices at the cut-off, in the order read_tape was given;
    the first one is what a fixed coupon is measured against. Raises InputError for ratings that no
    agency has and for a tape without a loan that counts.
    """
    frame, problems = loaded.frame, Problems(loaded.source)
    counts = frame["default_date"].isna().to_numpy()
    balance = np.where(counts, frame["current_balance"].to_numpy(float), 0.0)
    rating = _rating_notches(frame, counts, problems)
    if balance.sum() <= 0:
        problems.say("current_balance: no loan that is not defaulted has one; quality tests are "
                     "on collateral that is not defaulted")
    problems.raise_if_any()
    obligor, obligors = pd.factorize(_first_of(frame, "obligor_id", "loan_id"), sort=True)
    sector = _first_of(frame, "industry_moodys", "industry_sector")
    industry, industries = pd.factorize(sector, sort=True)
    return Holdings(
        share=balance / (balance.sum() if basis is None else basis),
        obligor=obligor, industry=industry, rating=rating,
        spread=spreads(loaded.tape, index_now),
        recovery=frame["recovery_rate"].to_numpy(float),
        life=lives(loaded.tape, index_now),
        obligors=tuple(obligors), industries=tuple(industries),
        frame=frame.assign(notch=rating), source=loaded.source,
        notes=(*_notes(frame, counts, obligor, industry),
               *(text for text in loaded.derived if text.split(":")[0] in _DERIVED)))


def spreads(tape: Tape, index_now: np.ndarray) -> np.ndarray:
    """Spreads [L] over the index: a floor above it adds what it is above; a fixed loan has its
    coupon less the index."""
    level = np.asarray(index_now)[tape.index]
    floating = tape.spread + np.maximum(tape.floor - level, 0.0)
    return np.where(tape.floating > 0, floating, tape.coupon - level)


def lives(tape: Tape, index_now: np.ndarray) -> np.ndarray:
    """Weighted average lives [L] in years of the contracts' principal, without prepayment or
    default, in whole months as the simulation counts them."""
    months = int(tape.maturity.max())
    left = np.asarray(jax.jit(outstanding, static_argnums=1)(tape, months, np.asarray(index_now)))
    opening = np.where(np.arange(1, months + 1)[:, None] < tape.maturity, left, 0.0)
    return (1.0 + opening.sum(0)) / 12.0


def _first_of(frame, *columns):
    """Text [L] of the first of the columns that has one."""
    found = frame[columns[0]].astype(object)
    for column in columns[1:]:
        found = found.where(found.notna(), frame[column])
    return found


def _rating_notches(frame, counts, problems):
    """Notches [L] of rating_moodys, where it is blank of rating_sp, then of rating."""
    name = _first_of(frame, "rating_moodys", "rating_sp", "rating")
    notch = name.map(notches())
    rows = np.flatnonzero(notch.isna() & counts)
    _complain(problems, frame, rows, "rating", name, _WANTED_RATING)
    return notch.where(counts).fillna(WORST).to_numpy(int)


def _complain(problems, frame, rows, what, values, want):
    for row in rows[:_ROWS_SHOWN]:
        place, value = f"row {row + 2} ({frame['loan_id'].iloc[row]}), {what}", values.iloc[row]
        if pd.isna(value):
            problems.say(f"{place}: missing; want {want}")
        else:
            problems.add(place, value, want)
    if len(rows) > _ROWS_SHOWN:
        problems.say(f"{what}: the same in {len(rows) - _ROWS_SHOWN} more rows")


def _notes(frame, counts, obligor, industry):
    """What a reader of the results must know about the tape."""
    if not counts.all():
        par = frame.loc[~counts, "current_balance"].sum()
        yield (f"{(~counts).sum()} defaulted loans ({par:,.0f}) do not count: the tests are on "
               "collateral that is not defaulted")
    moodys = frame["industry_moodys"].notna() & counts
    if moodys.any() and not moodys[counts].all():
        yield (f"industry: industry_moodys for {moodys.sum()} loans, industry_sector for the "
               f"other {(counts & ~moodys).sum()}")
    unknown = (frame["industry_sector"] == "unknown") & frame["industry_moodys"].isna() & counts
    if unknown.any():
        yield f"industry: {unknown.sum()} loans of unknown industry count as one industry"
    pairs = pd.DataFrame({"obligor": obligor, "industry": industry})[counts].drop_duplicates()
    split = int((pairs["obligor"].value_counts() > 1).sum())
    if split:
        yield (f"industry: {split} obligors are in more than one industry; their diversity units "
               "are shared by par")


def members(held: Holdings, groups: Sequence[GroupTerms]) -> Any:
    """Membership [G, L] (1 or 0) of the groups (quality_limits.GroupTerms) of a deal's limits.

    Raises InputError where a loan that counts has a blank in a column that a group needs.
    """
    problems, rows = Problems(held.source), []
    counts = held.share > 0
    for group in groups:
        member = np.ones(len(held.share), bool)
        for key, value in group.criteria().items():
            column, meets = _CRITERIA[key]
            _require(held.frame, column, counts, group.name, problems)
            member &= np.asarray(meets(held.frame[column], value), bool)
        rows.append(member)
    problems.raise_if_any()
    return np.array(rows, float).reshape(len(groups), len(held.share))


def _require(frame, column, counts, group, problems):
    blank = np.flatnonzero(frame[column].isna().to_numpy() & counts)
    if len(blank) == counts.sum():
        problems.say(f"column {column}: missing; group {group!r} of the limits needs it")
    else:
        _complain(problems, frame, blank, column, frame[column],
                  f"a value, which group {group!r} of the limits needs")


def largest_names(held: Holdings, of: str, rungs: int) -> list[str]:
    """Names of the `rungs` largest obligors (`of` "obligor") or industries ("industry"), or of as
    many as there are."""
    code, names = {"obligor": (held.obligor, held.obligors),
                   "industry": (held.industry, held.industries)}[of]
    share = np.bincount(code, held.share, minlength=len(names))
    order = np.argsort(-share, kind="stable")[:rungs]
    return [names[i] for i in order]

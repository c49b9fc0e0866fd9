"""Loan tape (CSV or Parquet) -> Tape. All user data about loans is judged here, once.

Units: money in the tape's currency; rates and prices as fractions (or percent, by a column map);
spreads and floors in basis points; dates as 2025-10-15. Required: loan_id, current_balance,
rate_type, a maturity (maturity_date, or origination_date and term_months), interest_rate for fixed
and spread_bps for floating loans, and in the rating space a rating (rating, rating_moodys or
rating_sp). The rest is derived (listed in LoadedTape.derived) or kept as it is.
"""

import dataclasses
import datetime
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

from clo_gen.io import dates
from clo_gen.io.config import RecoveryConfig
from clo_gen.io.problems import InputError, Problems
from clo_gen.io.table import Column, as_text, complain_of_rows, judge, need_columns, read_table
from clo_gen.io.tape_arrays import FREQUENCIES, initial_states, to_tape
from clo_gen.io.tape_completion import complete
from clo_gen.io.toml import Record, load_toml, parse
from clo_gen.records import Tape
from clo_gen.states import RATING, StateSpace

_FRACTION = "a fraction in [0, 1] (or percent, if the column map says so)"
_PRICE = "a fraction of par in [0, 2] (or percent, if the column map says so)"

COLUMNS = (
    Column("loan_id"),
    Column("obligor_id"),
    Column("origination_date", "date"),
    Column("maturity_date", "date"),
    Column("original_balance", "number", low=0.0),
    Column("current_balance", "number", low=0.0),
    Column("interest_rate", "number", 0.0, 1.0, want=_FRACTION),
    Column("rate_type", "choice", choices=("fixed", "float")),
    Column("spread_bps", "number", 0.0, 5000.0),
    Column("benchmark"),
    Column("floor", "number", -500.0, 2000.0, want="basis points in [-500, 2000]"),
    Column("payment_frequency", "choice", choices=tuple(FREQUENCIES)),
    Column("amortization_type", "choice",
           choices=("amortizing", "straight_line", "bullet", "balloon", "interest_only")),
    Column("asset_class", "choice", choices=("corporate", "consumer", "realestate", "receivables")),
    Column("rating"),
    Column("recovery_rate", "number", 0.0, 1.0, want=_FRACTION),
    Column("market_price", "number", 0.0, 2.0, want=_PRICE),
    Column("purchase_price", "number", 0.0, 2.0, want=_PRICE),
    Column("default_at_maturity", "number", 0.0, 1.0, want=_FRACTION),
    Column("default_date", "date"),
    Column("lien", "choice", choices=("first", "second", "unsecured")),
    Column("cov_lite", "flag"),
    Column("industry_sector"),
    Column("geography_country"),
    Column("geography_region"),
    Column("borrower_type"),
    Column("ltv_origination", "number", low=0.0),
    Column("dti_dscr_origination", "number"),
    Column("internal_score_origination", "number"),
    Column("external_score_origination", "number"),
    Column("collateral_type"),
    Column("collateral_value_origination", "number", low=0.0),
    Column("originator_id"),
    Column("vintage_cohort"),
    Column("underwriting_standard_version"),
    Column("term_months", "integer", 1, 600),
    Column("day_count", "choice", choices=dates.DAY_COUNTS),
    Column("rating_moodys"),
    Column("rating_sp"),
    Column("industry_moodys"),
    Column("industry_sp"),
    Column("recovery_sp"),
    Column("unfunded_commitment", "number", low=0.0),
    Column("days_past_due", "number", low=0.0),
)
_NAMES = tuple(column.name for column in COLUMNS)
_NUMERIC = tuple(c.name for c in COLUMNS if c.kind in ("number", "integer", "flag"))
_REQUIRED = ("loan_id", "current_balance", "rate_type")
_FRACTIONS = ("interest_rate", "recovery_rate", "market_price", "purchase_price",
              "default_at_maturity")
_SCALES = {**{name: {"percent": 0.01, "fraction": 1.0} for name in _FRACTIONS},
           **{name: {"percent": 100.0, "basis points": 1.0} for name in ("spread_bps", "floor")}}
_DATES = {"YYYY-MM-DD": "%Y-%m-%d", "MM/DD/YYYY": "%m/%d/%Y", "DD/MM/YYYY": "%d/%m/%Y",
          "DD-Mon-YYYY": "%d-%b-%Y"}
_DATE_COLUMNS = tuple(c.name for c in COLUMNS if c.kind == "date")


class ColumnMap(Record):
    """How a file with other headers, units or words is to be read."""

    columns: dict[str, str] = {}  # header in the file -> our name
    # Whether headers that the file lacks are passed over; then the first one that it has counts
    # where several mean the same column.
    skip_missing: bool = False
    dates: Literal[tuple(_DATES)] = "YYYY-MM-DD"  # type: ignore[valid-type]
    units: dict[str, str] = {}  # our name -> "percent", "fraction" or "basis points"
    values: dict[str, dict[str, str]] = {}  # our name -> {word in the file -> our word}


@dataclasses.dataclass(frozen=True)
class LoadedTape:
    """A judged tape: `tape` for the graph, `frame` for people (currency, our column names)."""

    tape: Tape
    frame: pd.DataFrame
    par: float  # currency; unit of money in the graph
    cohorts: tuple[str, ...]
    industries: tuple[str, ...]
    regions: tuple[str, ...]
    derived: tuple[str, ...]  # "column: how, for how many loans"
    extra: tuple[str, ...]  # unknown columns, kept in frame
    source: str


def read_column_map(path: str | pathlib.Path) -> ColumnMap:
    """ColumnMap from TOML. Raises InputError for unknown names, units or keys."""
    given = parse(load_toml(path), ColumnMap, path)
    problems = Problems(path)
    for header, name in given.columns.items():
        if name not in _NAMES:
            problems.add(f"columns.{header!r}", name, "a tape column: " + ", ".join(_NAMES))
    for name, unit in given.units.items():
        if name not in _SCALES:
            problems.add("units", name, "one of " + ", ".join(_SCALES))
        elif unit not in _SCALES[name]:
            problems.add(f"units.{name}", unit, "one of " + ", ".join(_SCALES[name]))
    for name in given.values:
        if name not in _NAMES:
            problems.add("values", name, "a tape column: " + ", ".join(_NAMES))
    problems.raise_if_any()
    return given


def read_tape(tape: str | pathlib.Path | pd.DataFrame, *, cutoff: datetime.date | str,
              space: StateSpace = RATING, indices: Iterable[str] = ("SOFR",),
              recovery_by_lien: Mapping[Any, float] | None = None,
              columns: ColumnMap | None = None) -> LoadedTape:
    """LoadedTape from a CSV or Parquet file, or from a DataFrame of the same columns.

    `cutoff` (a date, or text such as "2025-10-15") is when the simulation starts, `indices` the
    benchmark names in the order of the index paths, `recovery_by_lien` {lien: rate} fills a missing
    recovery_rate (None: a run config's), `columns` a ColumnMap; units of the columns: the module.
    Raises InputError with file, row, field, value and what is accepted, all at once.

    >>> tape = cg.read_tape(pd.DataFrame({
    ...     "loan_id": ["L1", "L2"], "current_balance": [3e6, 1e6], "rate_type": "float",
    ...     "spread_bps": [350, 425], "maturity_date": ["2030-06-30", "2031-03-31"],
    ...     "rating": ["B", "B-"]}), cutoff="2025-10-15")
    >>> tape.par, tape.tape.balance, tape.tape.maturity  # currency, [L] share of par, [L] months
    (4000000.0, array([0.75, 0.25]), array([57, 66], dtype=int32))
    >>> tape.frame["rating"].tolist(), tape.derived[0]
    (['B', 'B-'], 'origination_date: the cut-off date, 2 loans')
    """
    given = isinstance(tape, pd.DataFrame)
    source = "given tape" if given else str(tape)
    frame = _rename(as_text(tape) if given else read_table(tape), columns or ColumnMap(), source)
    return judge_tape(frame, cutoff=_day(cutoff), space=space, indices=tuple(indices),
                      recovery_by_lien=recovery_by_lien or RecoveryConfig().by_lien, source=source)


def _day(date):
    """The date itself, or that of a text."""
    if isinstance(date, datetime.date):
        return date
    try:
        return datetime.date.fromisoformat(date)
    except (TypeError, ValueError):
        raise InputError(f"cutoff: {date!r}; want a date such as 2025-10-15") from None


def _rename(frame, column_map, path):
    absent = [h for h in column_map.columns if h not in frame]
    if absent and not column_map.skip_missing:
        raise InputError(f"{path}: the column map names {', '.join(map(repr, absent))}, which the "
                         f"file does not have; it has {', '.join(map(repr, frame.columns))}")
    used: dict = {}
    for header, name in column_map.columns.items():
        if header in frame and not (column_map.skip_missing and name in used.values()):
            used[header] = name
    frame = frame.rename(columns=used)
    for name in frame.columns[frame.columns.duplicated()].unique():
        raise InputError(f"{path}: the column map renames a column to {name}, and the file has "
                         "another column that becomes the same; want one of them")
    for name, words in column_map.values.items():
        if name in frame:
            frame[name] = frame[name].replace(words)
    for name, unit in column_map.units.items():
        scale = _SCALES[name][unit]
        if name in frame and scale != 1.0:
            numbers = pd.to_numeric(frame[name], errors="coerce")
            scaled = numbers / 100.0 if scale < 1.0 else numbers * scale
            frame[name] = frame[name].where(numbers.isna(), scaled.astype(str))
    if column_map.dates != "YYYY-MM-DD":
        for name in (n for n in _DATE_COLUMNS if n in frame):
            found = pd.to_datetime(frame[name].str.strip(), errors="coerce",
                                    format=_DATES[column_map.dates])
            frame[name] = frame[name].where(found.isna(), found.dt.strftime("%Y-%m-%d"))
    return frame


def judge_tape(frame: pd.DataFrame, *, cutoff: datetime.date, space: StateSpace,
               indices: tuple[str, ...], recovery_by_lien: Mapping[Any, float],
               source: str) -> LoadedTape:
    """LoadedTape from a text frame with our column names; see read_tape."""
    problems = Problems(source)
    need_columns(frame, _REQUIRED, problems)
    problems.raise_if_any()

    def label(row):
        return f"row {row + 2} ({frame['loan_id'].iloc[row] or 'no loan_id'})"

    loans = judge(frame, COLUMNS, problems, label).reindex(columns=list(_NAMES))
    derived = complete(loans, frame, cutoff, recovery_by_lien, _NUMERIC)
    _require(loans, frame, problems, label, cutoff, indices)
    state, effect = initial_states(loans, space, cutoff, problems, label)
    problems.raise_if_any()
    extra = tuple(str(c) for c in frame if c not in _NAMES)
    tape, groups = to_tape(loans, state, effect, cutoff, indices)
    return LoadedTape(
        tape=tape,
        frame=pd.concat([loans, frame[list(extra)]], axis=1),
        par=float(loans["current_balance"].sum()),
        cohorts=groups[0], industries=groups[1], regions=groups[2],
        derived=tuple(f"{name}: {how}, {count} loans" for name, (how, count) in derived.items()),
        extra=extra,
        source=source,
    )


def _require(loans, given, problems, label, cutoff, indices):
    """Complaints that need more than one column, or a value that could not be derived."""
    ids = loans["loan_id"]
    for row in np.flatnonzero(ids.isna()):
        problems.say(f"{label(row)}, loan_id: missing")
    for row in np.flatnonzero(ids.duplicated() & ids.notna()):
        problems.add(f"{label(row)}, loan_id", ids.iloc[row], "an id that no other row has")
    fixed, floating = loans["rate_type"] == "fixed", loans["rate_type"] == "float"
    needs = {"current_balance": True, "rate_type": True, "maturity_date": True,
             "recovery_rate": True, "interest_rate": fixed, "spread_bps": floating}
    for name, where in needs.items():
        reason = {"interest_rate": " (a fixed loan needs it)",
                  "spread_bps": " (a floating loan needs it)",
                  "maturity_date": " (or origination_date and term_months)"}.get(name, "")
        blank = (given[name].str.strip() == "") if name in given else pd.Series(True, loans.index)
        rows = np.flatnonzero(loans[name].isna() & blank & where)
        if name not in given and len(rows):
            problems.say(f"column {name}: missing{reason}, {len(rows)} rows need it")
            continue
        complain_of_rows(rows, name, problems, lambda row: problems.say(
            f"{label(row)}, {name}: missing{reason}"))  # noqa: B023
    slip = floating & (loans["spread_bps"] > 0) & (loans["spread_bps"] < 1)
    complain_of_rows(np.flatnonzero(slip), "spread_bps", problems, lambda row: problems.add(
        f"{label(row)}, spread_bps", loans["spread_bps"].iloc[row], "basis points (350 is 3.5 %)"))
    live = ~(loans["default_date"] <= pd.Timestamp(cutoff))
    late = live & (loans["maturity_date"] <= pd.Timestamp(cutoff))
    complain_of_rows(np.flatnonzero(late), "maturity_date", problems, lambda row: problems.add(
        f"{label(row)}, maturity_date", str(loans["maturity_date"].iloc[row].date()),
        f"a date after the cut-off {cutoff}"))
    unknown = floating & ~loans["benchmark"].isin(indices)
    for row in np.flatnonzero(unknown):
        problems.add(f"{label(row)}, benchmark", loans["benchmark"].iloc[row],
                     f"one of {', '.join(indices)} (run config, [indices])")
    balloon = loans["amortization_type"] == "balloon"
    life = np.array([dates.months_between(o.date(), m.date()) if pd.notna(o) and pd.notna(m) else 0
                     for o, m in zip(loans["origination_date"], loans["maturity_date"],
                                     strict=True)])
    for row in np.flatnonzero(balloon & ~(loans["term_months"] > life)):
        problems.add(f"{label(row)}, term_months", loans["term_months"].iloc[row],
                     "for a balloon loan its amortisation term, longer than the months from "
                     f"origination to maturity ({life[row]})")
    future = loans["default_date"] > pd.Timestamp(cutoff)
    for row in np.flatnonzero(future):
        problems.add(f"{label(row)}, default_date", str(loans["default_date"].iloc[row].date()),
                     f"a date up to the cut-off {cutoff}, or blank")
    if loans["current_balance"].sum() <= 0 and not problems.found:
        problems.say("current_balance: every balance is 0; want at least one loan with a balance")

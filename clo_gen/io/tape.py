"""Loan tape (CSV or Parquet) -> Tape. All user data about loans is judged here, once.

Units: money in the tape's currency; rates and prices as fractions (or percent, by a column map);
spreads and floors in basis points; dates as 2025-10-15. Required: loan_id, current_balance,
rate_type, a maturity (maturity_date, or origination_date and term_months), interest_rate for fixed
and spread_bps for floating loans, and in the rating space a rating (rating, rating_moodys or
rating_sp). The rest is derived (listed in LoadedTape.derived) or kept as it is.
"""

import dataclasses

import numpy as np
import pandas as pd

from clo_gen.io import dates
from clo_gen.io.problems import InputError, Problems
from clo_gen.io.table import Column, judge, read_table
from clo_gen.io.tables import rating_notches
from clo_gen.io.toml import Record, load_toml, parse
from clo_gen.records import Tape
from clo_gen.states import StateSpace

FREQUENCIES = {"monthly": 1, "quarterly": 3, "semiannual": 6, "annual": 12}

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
_REQUIRED = ("loan_id", "current_balance", "rate_type")
_SCALES = {"percent": 0.01, "fraction": 1.0}
_SCALED = ("interest_rate", "recovery_rate", "market_price", "purchase_price",
           "default_at_maturity")


class ColumnMap(Record):
    """How a file with other headers, units or words is to be read."""

    columns: dict[str, str] = {}  # header in the file -> our name
    units: dict[str, str] = {}  # our name -> "percent" or "fraction"
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


def read_column_map(path):
    """ColumnMap from TOML. Raises InputError for unknown names, units or keys."""
    given = parse(load_toml(path), ColumnMap, path)
    problems = Problems(path)
    for header, name in given.columns.items():
        if name not in _NAMES:
            problems.add(f"columns.{header!r}", name, "a tape column: " + ", ".join(_NAMES))
    for name, unit in given.units.items():
        if name not in _SCALED or unit not in _SCALES:
            problems.add(f"units.{name}", unit, f"percent or fraction, for {', '.join(_SCALED)}")
    for name in given.values:
        if name not in _NAMES:
            problems.add("values", name, "a tape column: " + ", ".join(_NAMES))
    problems.raise_if_any()
    return given


def read_tape(path, *, cutoff, space: StateSpace, indices, recovery_by_lien, columns=None):
    """LoadedTape from a CSV or Parquet file.

    `cutoff` (date) is when the simulation starts, `indices` the benchmark names in the order of the
    index paths, `recovery_by_lien` {lien: rate} fills a missing recovery_rate, `columns` a
    ColumnMap. Raises InputError with file, row, field, value and what is accepted, all at once.
    """
    frame = _rename(read_table(path), columns or ColumnMap(), path)
    return judge_tape(frame, cutoff=cutoff, space=space, indices=indices,
                      recovery_by_lien=recovery_by_lien, source=str(path))


def _rename(frame, column_map, path):
    absent = [h for h in column_map.columns if h not in frame]
    if absent:
        raise InputError(f"{path}: the column map names {', '.join(map(repr, absent))}, which the "
                         f"file does not have; it has {', '.join(map(repr, frame.columns))}")
    frame = frame.rename(columns=column_map.columns)
    for name in frame.columns[frame.columns.duplicated()].unique():
        raise InputError(f"{path}: the column map renames a column to {name}, and the file has "
                         "another column that becomes the same; want one of them")
    for name, words in column_map.values.items():
        if name in frame:
            frame[name] = frame[name].replace(words)
    for name, unit in column_map.units.items():
        if name in frame and unit == "percent":
            numbers = pd.to_numeric(frame[name], errors="coerce")
            frame[name] = frame[name].where(numbers.isna(), (numbers / 100.0).astype(str))
    return frame


def judge_tape(frame, *, cutoff, space, indices, recovery_by_lien, source):
    """LoadedTape from a text frame with our column names; see read_tape."""
    problems = Problems(source)
    for name in _REQUIRED:
        if name not in frame:
            problems.say(f"column {name}: missing; it is required")
    problems.raise_if_any()

    def label(row):
        return f"row {row + 2} ({frame['loan_id'].iloc[row] or 'no loan_id'})"

    loans = judge(frame, COLUMNS, problems, label).reindex(columns=list(_NAMES))
    derived = {}
    _complete(loans, frame, cutoff, derived, recovery_by_lien)
    _require(loans, frame, problems, label, cutoff, indices)
    state, effect = _states(loans, space, cutoff, problems, label)
    problems.raise_if_any()
    extra = tuple(c for c in frame if c not in _NAMES)
    tape, groups = _to_tape(loans, state, effect, cutoff, indices)
    return LoadedTape(
        tape=tape,
        frame=pd.concat([loans, frame[list(extra)]], axis=1),
        par=float(loans["current_balance"].sum()),
        cohorts=groups[0], industries=groups[1], regions=groups[2],
        derived=tuple(f"{name}: {how}, {count} loans" for name, (how, count) in derived.items()),
        extra=extra,
        source=source,
    )


def _complete(loans, frame, cutoff, derived, recovery_by_lien):
    """Fills what can be derived, in place; `derived` gets column -> (how, count)."""

    def fill(name, value, how):
        hole = loans[name].isna()
        value = value if isinstance(value, pd.Series) else pd.Series(value, index=loans.index)
        hole &= value.notna()
        if frame.get(name) is not None:  # a value that was given but is wrong stays a complaint
            hole &= (frame[name].astype(str).str.strip() == "").to_numpy()
        if hole.any():
            loans[name] = loans[name].astype(object).where(~hole, value).infer_objects()
            derived[name] = (how, int(hole.sum()))

    for name in ("origination_date", "maturity_date", "default_date"):
        loans[name] = pd.to_datetime(loans[name])
    for name in [c.name for c in COLUMNS if c.kind in ("number", "integer", "flag")]:
        loans[name] = loans[name].astype(float)
    term = loans["term_months"].where(loans["amortization_type"] != "balloon")
    both = loans["origination_date"].notna() & term.notna()
    matures = pd.Series([dates.add_months(o, int(t)) if b else pd.NaT for o, t, b in
                         zip(loans["origination_date"], term, both, strict=True)],
                        index=loans.index)
    fill("maturity_date", pd.to_datetime(matures), "origination_date + term_months")
    both = loans["maturity_date"].notna() & term.notna()
    starts = pd.Series([dates.add_months(m, -int(t)) if b else pd.NaT for m, t, b in
                        zip(loans["maturity_date"], term, both, strict=True)], index=loans.index)
    fill("origination_date", pd.to_datetime(starts), "maturity_date - term_months")
    fill("origination_date", pd.Timestamp(cutoff), "the cut-off date")
    loans["origination_date"] = pd.to_datetime(loans["origination_date"])
    loans["maturity_date"] = pd.to_datetime(loans["maturity_date"])
    terms = [dates.months_between(o.date(), m.date()) if pd.notna(m) else np.nan for o, m in
             zip(loans["origination_date"], loans["maturity_date"], strict=True)]
    fill("term_months", pd.Series(terms, index=loans.index, dtype=float), "maturity - origination")
    is_float = loans["rate_type"] == "float"
    for source in ("rating_sp", "rating_moodys"):
        fill("rating", loans[source], source)
    is_default = loans["rating"].isin(("D", "SD"))
    fill("default_date", pd.Series(pd.Timestamp(cutoff), loans.index).where(is_default),
         "the cut-off date, for a loan rated D")
    loans["default_date"] = pd.to_datetime(loans["default_date"])
    fill("obligor_id", loans["loan_id"], "loan_id")
    fill("original_balance", loans["current_balance"], "current_balance")
    fill("benchmark", pd.Series("SOFR", index=loans.index).where(is_float), "SOFR")
    fill("floor", 0.0, "0 bp")
    fill("payment_frequency", "quarterly", "quarterly")
    fill("amortization_type", "bullet", "bullet")
    fill("asset_class", "corporate", "corporate")
    fill("lien", "first", "first")
    fill("recovery_rate", loans["lien"].map(recovery_by_lien), "by lien (run config)")
    fill("market_price", 1.0, "par")
    fill("purchase_price", 1.0, "par")
    fill("day_count", pd.Series("30/360", index=loans.index).mask(is_float, "ACT/360"),
         "ACT/360 floating, 30/360 fixed")
    for source in ("industry_moodys", "industry_sp"):
        fill("industry_sector", loans[source], source)
    fill("industry_sector", "unknown", "unknown")
    fill("geography_region", loans["geography_country"], "geography_country")
    fill("geography_region", "unknown", "unknown")
    fill("vintage_cohort", loans["origination_date"].dt.year.astype(str), "year of origination")


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
        for row in rows:
            problems.say(f"{label(row)}, {name}: missing{reason}")
    slip = floating & (loans["spread_bps"] > 0) & (loans["spread_bps"] < 1)
    for row in np.flatnonzero(slip):
        problems.add(f"{label(row)}, spread_bps", loans["spread_bps"].iloc[row],
                     "basis points (350 is 3.5 %)")
    live = ~(loans["default_date"] <= pd.Timestamp(cutoff))
    late = live & (loans["maturity_date"] <= pd.Timestamp(cutoff))
    for row in np.flatnonzero(late):
        problems.add(f"{label(row)}, maturity_date", str(loans["maturity_date"].iloc[row].date()),
                     f"a date after the cut-off {cutoff}")
    unknown = floating & ~loans["benchmark"].isin(indices)
    for row in np.flatnonzero(unknown):
        problems.add(f"{label(row)}, benchmark", loans["benchmark"].iloc[row],
                     f"one of {', '.join(indices)} (run config, [indices])")
    balloon = loans["amortization_type"] == "balloon"
    life = np.array([dates.months_between(o.date(), m.date()) if pd.notna(m) else 0 for o, m in
                     zip(loans["origination_date"], loans["maturity_date"], strict=True)])
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


def _states(loans, space, cutoff, problems, label):
    """Initial state numbers and log-odds effects, from ratings or days past due."""
    n = len(loans)
    state, effect = np.zeros(n, int), np.zeros(n)
    if space.name == "rating":
        notches = rating_notches()
        for row, rating in enumerate(loans["rating"]):
            if rating in ("D", "SD"):
                state[row] = space.default
            elif rating in notches:
                letter, effect[row] = notches[rating]
                state[row] = space.index(letter)
            elif pd.isna(loans["default_date"].iloc[row]):
                shown = "missing" if pd.isna(rating) else rating
                problems.add(f"{label(row)}, rating", shown,
                             "a notch of S&P (B+), Moody's (B1) or DBRS (B (high)), or D")
    else:
        days = loans["days_past_due"].fillna(0.0).to_numpy(float)
        state = np.minimum((days // 30).astype(int), space.default)  # 120 days and more
    defaulted = loans["default_date"] <= pd.Timestamp(cutoff)
    state[defaulted.to_numpy()] = space.default
    return state, effect


def _to_tape(loans, state, effect, cutoff, indices):
    """Tape arrays and the group names (cohorts, industries, regions)."""
    cohort = loans["vintage_cohort"] + " " + loans["asset_class"]
    codes, groups = [], []
    for column in (cohort, loans["industry_sector"], loans["geography_region"]):
        code, names = pd.factorize(column, sort=True)
        codes.append(code)
        groups.append(tuple(names))
    floating = (loans["rate_type"] == "float").to_numpy(float)
    maturity = np.array([max(dates.months_between(cutoff, d.date()), 1) if d.date() > cutoff else 1
                         for d in loans["maturity_date"]])
    frequency = loans["payment_frequency"].map(FREQUENCIES).to_numpy(int)
    kind = loans["amortization_type"]
    # A balloon loan's level payments run over term_months from origination, beyond its maturity.
    since = [dates.months_between(o.date(), cutoff) if o.date() < cutoff else 0
             for o in loans["origination_date"]]
    left = np.maximum(loans["term_months"].to_numpy(float) - since, maturity)
    straight = (kind == "straight_line").to_numpy()
    level = np.select([(kind == "amortizing") | straight, kind == "balloon"], [maturity, left], 0)
    age = np.array([0 if pd.isna(d) else dates.months_between(d.date(), cutoff)
                    for d in loans["default_date"]])
    number = lambda name: loans[name].to_numpy(float)  # noqa: E731
    par = number("current_balance").sum()
    index = [indices.index(b) if f else 0 for b, f in
             zip(loans["benchmark"], floating, strict=True)]
    tape = Tape(
        balance=number("current_balance") / par,
        state=state.astype(np.int32),
        cohort=codes[0].astype(np.int32),
        industry=codes[1].astype(np.int32),
        region=codes[2].astype(np.int32),
        loan_effect=effect,
        maturity=maturity.astype(np.int32),
        amortization_months=level.astype(np.int32),
        straight_line=straight.astype(float),
        coupon=np.where(floating > 0, 0.0, loans["interest_rate"].fillna(0.0).to_numpy(float)),
        spread=np.where(floating > 0, loans["spread_bps"].fillna(0.0).to_numpy(float), 0.0) / 1e4,
        floor=number("floor") / 1e4,
        floating=floating,
        index=np.array(index, np.int32),
        payment_months=frequency.astype(np.int32),
        payment_offset=((-maturity) % frequency).astype(np.int32),
        day_count=loans["day_count"].map(dates.DAY_COUNTS.index).to_numpy(np.int32),
        recovery_rate=number("recovery_rate"),
        default_at_maturity=loans["default_at_maturity"].fillna(0.0).to_numpy(float),
        market_price=number("market_price"),
        purchase_price=number("purchase_price"),
        default_age=age.astype(np.int32),
    )
    return tape, groups

"""Judged loans into the arrays of the graph."""

import datetime
from collections.abc import Callable

import numpy as np
import pandas as pd

from clo_gen.io import dates
from clo_gen.io.problems import Problems
from clo_gen.io.table import complain_of_rows
from clo_gen.io.tables import rating_notches
from clo_gen.records import Tape
from clo_gen.states import StateSpace

FREQUENCIES = {"monthly": 1, "quarterly": 3, "semiannual": 6, "annual": 12}


def initial_states(loans: pd.DataFrame, space: StateSpace, cutoff: datetime.date,
                   problems: Problems, label: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Initial state numbers and log-odds effects, from ratings or days past due."""
    n = len(loans)
    state, effect = np.zeros(n, int), np.zeros(n)
    if space.name == "rating":
        notches, unknown = rating_notches(), []
        for row, rating in enumerate(loans["rating"]):
            if rating in ("D", "SD"):
                state[row] = space.default
            elif rating in notches:
                letter, effect[row] = notches[rating]
                state[row] = space.index(letter)
            elif pd.isna(loans["default_date"].iloc[row]):
                unknown.append(row)
        want = "want a notch of S&P (B+), Moody's (B1) or DBRS (B (high)), or D"
        if len(unknown) == n and loans["rating"].isna().all():
            problems.say(f"rating: missing in all {n} rows; {want}")
        else:
            complain_of_rows(unknown, "rating", problems, lambda row: problems.say(
                f"{label(row)}, rating: " + ("missing" if pd.isna(loans["rating"].iloc[row])
                                             else repr(loans["rating"].iloc[row])) + f"; {want}"))
    else:
        days = loans["days_past_due"].fillna(0.0).to_numpy(float)
        state = np.minimum((days // 30).astype(int), space.default)  # 120 days and more
    defaulted = loans["default_date"] <= pd.Timestamp(cutoff)
    state[defaulted.to_numpy()] = space.default
    return state, effect


def to_tape(loans: pd.DataFrame, state: np.ndarray, effect: np.ndarray, cutoff: datetime.date,
            indices: tuple[str, ...]) -> tuple[Tape, list[tuple[str, ...]]]:
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

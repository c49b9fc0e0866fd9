"""Assumption vectors, loans and day counts against numbers published by an independent engine."""

import datetime
import functools
import json
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_cash import deal, record

from clo_gen.cash import vectors
from clo_gen.cash.schedule import amortised_balance, outstanding, schedule
from clo_gen.io import dates
from clo_gen.records import Calendar, Tape, Vectors
from clo_gen.states import RATING

FOLDERS = [pathlib.Path(__file__).parent / "golden",
           *(pathlib.Path(p) for p in [os.environ.get("CLO_GEN_ORACLES")] if p)]
CASHFLOW = pathlib.Path(__file__).parents[2] / "shared" / "oracles" / "cashflow"


def published_periods():
    """Oracle files by name that tell the loans behind their periods."""
    files = {path.name: json.loads(path.read_text()) for folder in FOLDERS
             for path in sorted(folder.glob("*.json"))}
    return {name: x for name, x in files.items() if isinstance(x, dict)
            and x.get("schema") == "clo_waterfall_oracle_v1"
            and "collateral_of_origin" in x["deal"]}


PERIODS = published_periods()


def fixed_loans(balance, coupon, maturity, **given):
    """Tape of fixed loans that pay each period, without repayment plan or discount."""
    n = len(balance)
    zero, one, none = jnp.zeros(n), jnp.ones(n), jnp.zeros(n, int)
    return record(Tape, **dict(
        balance=jnp.asarray(balance, float), coupon=jnp.asarray(coupon, float),
        maturity=jnp.asarray(maturity), state=none, day_count=none, spread=zero, floor=zero,
        floating=zero, index=none, amortization_months=none, straight_line=zero,
        payment_months=jnp.ones(n, int), payment_offset=none, recovery_rate=zero,
        default_at_maturity=zero, market_price=one, purchase_price=one, default_age=none) | given)


@functools.partial(jax.jit, static_argnames=("lag", "write_off"))
def in_engine_order(t, fraction, v, *, lag, write_off=36):
    """Default, prepayment, interest; `fraction` [B, T] of each period by day count."""
    plan = schedule(t, record(Calendar, month_fraction=fraction), jnp.zeros(1))
    return vectors.collections(t, plan, v, deal(), jnp.zeros((fraction.shape[1], 1)), space=RATING,
                               lag=lag, prepay_first=True, write_off=write_off)


@pytest.mark.parametrize("name", sorted(PERIODS))
def test_published_periods_are_rebuilt_from_their_loans(name):
    """Five bullets under constant CDR and CPR, from an independent engine that truncates cents.

    Reference: Hastructure 0.50.2; order default, prepayment, interest on what is left of both.
    """
    file = PERIODS[name]
    rows, source = file["period_inputs"], file["deal"]["collateral_of_origin"]
    ends = [datetime.date.fromisoformat(x) for x in
            (source["loans"][0]["start"], *(row["collection_end"] for row in rows))]
    assert all(x["type"] == "interest-only bullet" and x["start"] == str(ends[0])
               for x in source["loans"])
    columns = ([x[name] for x in source["loans"]] for name in
               ("balance", "rate", "remaining_quarters"))
    t = fixed_loans(*columns, day_count=jnp.asarray(
        [dates.DAY_COUNTS.index(x["day_count"]) for x in source["loans"]]))
    fraction = jnp.asarray(np.array([dates.fractions(ends, c) for c in dates.DAY_COUNTS]))
    a = source["assumption"] or {"CDR": 0.0, "CPR": 0.0, "recovery": 0.5, "lag_quarters": 4}
    n = len(rows)
    v = Vectors(jnp.asarray(dates.fractions(ends, "ACT/365F")), jnp.full(n, float(a["CDR"])),
                jnp.full(n, float(a["CPR"])), jnp.full(n, 1.0 - a["recovery"]), jnp.asarray(0.0))
    got = in_engine_order(t, fraction, v, lag=a["lag_quarters"], write_off=12)
    found = {name: getattr(got, name) for name in (
        "interest", "scheduled_principal", "prepayment", "default", "recovery", "loss")}
    found["end_performing"] = got.performing
    found["begin_performing"] = jnp.concatenate([t.balance.sum()[None], got.performing[:-1]])
    for field, value in found.items():
        np.testing.assert_allclose(value, [row[field] for row in rows], atol=1.0, rtol=0,
                                   err_msg=field)


def cases(name):
    path = CASHFLOW / name
    if not path.exists():
        pytest.skip(f"no {name}")
    return json.loads(path.read_text())["cases"]


def test_published_day_counts():
    """Not offered: ACT/365A, ACT/365L, NL/365, 30E/360, 30E+/360, 30/360 German and US."""
    ours = {"DC_ACT_360": "ACT/360", "DC_ACT_365F": "ACT/365F", "DC_30_360_ISDA": "30/360",
            "DC_ACT_ACT": "ACT/ACT"}
    for case in cases("daycount_cases.json"):
        start, end = (datetime.date.fromisoformat(case[x]) for x in ("start", "end"))
        for name, day_count in ours.items():
            np.testing.assert_allclose(dates.year_fraction(start, end, day_count),
                                       case["expected"][name]["value"], rtol=1e-14, err_msg=name)


def balloon(case, start, term, *, cdr=0.0, cpr=0.0, at_maturity=0.0):
    """Collections of one monthly balloon loan of `term` left to its amortisation."""
    n = case["n_left"]
    ends = [dates.add_months(start, i) for i in range(n + 1)]
    t = fixed_loans([case["balance"]], [case["rate"]], [n], amortization_months=jnp.asarray([term]))
    cdr = jnp.full(n, cdr).at[-1].multiply(at_maturity == 0)
    v = Vectors(jnp.asarray(dates.fractions(ends, "ACT/365F")), cdr, jnp.full(n, cpr), jnp.ones(n),
                jnp.asarray(at_maturity))
    return in_engine_order(t, jnp.full((1, n), 1 / 12), v, lag=0)


def test_published_loan_amortisation():
    """The engine truncates to cents, every month: up to a cent of par stays per month.

    Its projections have a row before the first payment. Its rate of default at the end is yearly
    and runs over the whole life.
    """
    near = functools.partial(np.testing.assert_allclose, atol=0.01, rtol=0)
    found = {}
    for case in cases("loan_amortisation_cases.json"):
        kind, start = case["kind"], datetime.date(2021, 1, 1)
        if kind == "level_payment":
            rate, n = case["rate_per_period"], case["n_periods"]
            paid = 1.0 - amortised_balance(jnp.asarray(rate), n, 1, per_year=1)
            near(case["balance"] * (paid + rate), case["expected"])
        elif kind == "even_principal":
            t = fixed_loans([1.0], [0.08], [case["n_left"]], straight_line=jnp.ones(1),
                            amortization_months=jnp.asarray([case["n_left"]]))
            first = 1.0 - outstanding(t, 1, jnp.zeros(1))[0, 0]
            near(case["balance"] * first, case["expected_first_principal"])
        elif kind == "balloon":
            found[kind] = balloon(case, start, case["amortised_over"]), case["expected"], 1
        elif kind == "balloon_cpr":
            found[kind] = (balloon(case, start, case["amortised_over"], cpr=case["cpr"]),
                           case["expected"], 0)
        elif kind == "balloon_default_at_end":
            # 24 of 36 months are left: the second and third year of the loan.
            start = datetime.date(2022, 1, 1)
            fails = 1.0 - (1.0 - case["default_at_end"]) ** 2
            found[kind] = (balloon(case, start, case["amortised_over"] - 12,
                                   cdr=case["default_rate"], at_maturity=fails),
                           case["expected"], 0)
    assert len(found) == 3
    names = {"principal": "scheduled_principal", "prepay": "prepayment"}
    for got, expected, second in found.values():
        for name, value in expected.items():
            place, field = name.split("_")
            row = {"last": len(got.interest) - 1, "second": second}[place]
            cash = getattr(got, names.get(field, field))[row]
            if place == "last" and field != "interest":
                assert -0.01 < value - cash < 0.01 * row, name
            else:
                near(cash, value, err_msg=name)

"""The waterfall against a slow oracle in plain Python and against an independent engine."""

import functools
import json
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_waterfall
from random_deals import case
from random_draws import N, drawn, paid

from clo_gen.cash.new_collateral import from_rates
from clo_gen.deal.dates import dates_of
from clo_gen.deal.waterfall import run_waterfall
from clo_gen.io.deal_arrays import purchases
from clo_gen.io.oracle import SCHEMA, read_oracle
from clo_gen.io.payment_calendar import lag_periods, scheduled_dates, term_periods

GOLDEN = pathlib.Path(__file__).parent / "golden"
DEFAULT = (3, 11, 13)
seeds = pytest.mark.parametrize("seed", [
    pytest.param(s, marks=() if s in DEFAULT else pytest.mark.slow)
    for s in (2, 3, 4, 7, 9, 11, 13, 16, 19)])


def plain_terms(loaded, deal):
    """What reference_waterfall reads of a deal: structure from the file, numbers from the draw."""
    terms, names = loaded.terms, [n.name for n in loaded.terms.notes]
    groups = [n.group or n.name for n in terms.notes]

    def through(t):
        """Classes down to the one named, its equals included."""
        equal = groups[names.index(t.through)]
        return [k for k in range(len(names)) if equal in groups[k:]]

    tests = {t.name: {"kind": getattr(t, "kind", "oc"), "notes": through(t),
                      "trigger": float(deal.trigger[q]),
                      "first_date": sum(d < (getattr(t, "applies_from", None) or d)
                                        for d in scheduled_dates(terms))}
             for q, t in enumerate((*terms.tests, *terms.diversions))}
    for v, t in enumerate(terms.diversions):
        tests[t.name] |= {"share": float(deal.diversion[v]), "to": t.to, "number": v}
    fees = [{"name": f.name, "rate": float(deal.fee_rate[i]), "amount": float(deal.fee_amount[i]),
             "closing": {"opening": 0.0, "average": 0.5, "closing": 1.0}[f.basis],
             "cap": float(deal.fee_cap[i]), "carried": f.carried, "interest": f.interest}
            for i, f in enumerate(terms.fees)]
    event = terms.event_of_default and {
        "covers": through(terms.event_of_default), "trigger": float(deal.event_of_default.trigger),
        "same_date": terms.event_of_default.effective == "same",
        "on_missed_interest": [k for k in through(terms.event_of_default)
                               if terms.event_of_default.missed_interest
                               and not terms.notes[k].deferrable]}
    reserves = {r.name: {"initial": float(deal.reserves.initial[i]), "rate": r.rate,
                         "amount": float(deal.reserves.amount[i]),
                         "of_notes": np.asarray(deal.reserves.of_notes[i]).tolist()}
                for i, r in enumerate(terms.reserves)}
    numbers = {n: float(getattr(deal, n)) for n in (
        "ccc_limit", "hurdle", "incentive", "equity_price", "discount_threshold",
        "defaulted_price", "reinvest_after")}
    return numbers | {
        "balance": np.asarray(deal.balance).tolist(), "notes": names, "groups": groups,
        "fees": fees, "tests": tests,
        "deferrable": [n.deferrable for n in terms.notes], "event": event, "reserves": reserves,
        "call": terms.call and terms.call.model_dump(), "lists": loaded.lists,
        "hedges": [h.name for h in terms.hedges],
        "reinvestment_tests": [t.name for t in terms.tests if t.kind == "oc"]}


def plain_dates(draw):
    """What reference_waterfall reads of the payment dates, from the monthly collections."""
    cal, deal = draw["calendar"], draw["deal"]
    x = jax.tree.map(np.asarray, dates_of(deal, cal, draw["collections"], draw["index"]))
    same = ("interest", "principal", "unscheduled", "opening", "rate", "note_fraction", "hedge_in",
            "fee_fraction", "carried_fraction", "hedge_due", "new_year", "diverting",
            "reinvesting", "can_call",
            "after_reinvesting", "call_date", "is_last")
    steps = np.diff(np.asarray(cal.years), prepend=0.0)
    c = x.collateral
    return [{name: getattr(x, name)[p].tolist() for name in same} | {
        name: float(getattr(c, name)[p]) for name in (
            "performing", "defaulted", "defaulted_value", "carrying_haircut")} | {
        "ccc": [list(zip(par, value, strict=True)) for par, value in zip(
            c.ccc_par[p].tolist(), c.ccc_value[p].tolist(), strict=True)],
        "step_years": steps[p]} for p in range(len(steps))]


def plain_purchases(loaded, draw):
    bought = purchases(loaded.terms)
    if bought is None:
        return None
    new = jax.tree.map(np.asarray, from_rates(bought, draw["cdr"], draw["cpr"], draw["index"],
                                              draw["calendar"]))
    return {"price": float(bought.price * draw["price"]), "term": term_periods(loaded.terms),
            "recovery": float(new.recovery_rate), "lag": lag_periods(loaded.terms),
            "default": new.default[:, 0], "prepay": new.prepay[:, 0], "interest": new.interest}


@seeds
def test_agrees_with_the_slow_oracle(seed):
    loaded, given, cash = case(seed).loaded, drawn(seed), paid(seed, 0.0)
    given = jax.tree.map(np.asarray, given)
    for n in range(0, N, 4):
        one = jax.tree.map(lambda x: x[n], given)  # noqa: B023
        rows = reference_waterfall.run(plain_terms(loaded, one["deal"]), plain_dates(one),
                                       plain_purchases(loaded, one))
        for name in ("interest", "principal", "balance", "unpaid", "fees", "fee_unpaid",
                     "incentive", "called", "reinvested", "reserve"):
            want = np.array([row[name] for row in rows])
            np.testing.assert_allclose(getattr(cash, name)[n], want.reshape(
                getattr(cash, name)[n].shape), atol=1e-11, err_msg=f"{name} of draw {n}")
        for p, row in enumerate(rows):
            for q, name in enumerate(loaded.tests):
                if 0.01 < row["ratio"].get(name, 0) < 50:  # else nearly paid off
                    np.testing.assert_allclose(cash.ratio[n, p, q], row["ratio"][name], rtol=1e-7)


def oracle_files():
    """The golden files, and those of the folder CLO_GEN_ORACLES."""
    more = pathlib.Path(os.environ.get("CLO_GEN_ORACLES") or GOLDEN).rglob("*.json")
    found = sorted(GOLDEN.glob("H*.json")) + sorted(more)
    return list({path.name: path for path in found if SCHEMA in path.read_text()[:4000]}.values())


@functools.cache
def run_oracle(path):
    one = read_oracle(path)
    deal = one.deal
    cash = jax.jit(lambda d, c, i, calendar: run_waterfall(
        d, deal.waterfall, c, i, 0.0, calendar=calendar))(
            deal.deal, one.collections.collections, jnp.asarray(one.collections.index),
            deal.calendar)
    return one, jax.tree.map(lambda x: np.asarray(x) * deal.par, cash)


@pytest.mark.parametrize("path", oracle_files(), ids=lambda p: p.stem)
def test_agrees_with_an_independent_engine(path):
    """Every amount within 1.00, as run through the engine that the file names."""
    one, cash = run_oracle(path)
    at = {str(date): p for p, date in enumerate(one.deal.payment_dates)}
    expected = json.loads(path.read_text())["expected"]
    worst, compared = 0.0, 0

    def compare(x, row, name, place):
        nonlocal worst, compared
        if row.get(name) is not None:
            compared += 1
            worst = max(worst, abs(x - row[name]))
            assert abs(x - row[name]) <= 1.0, (place, name, row["date"], x, row[name])

    for k, name in enumerate(one.deal.classes):
        for row in expected["notes"].get(name, []):
            p = at[row["date"]]
            for field in ("interest", "principal", "balance"):
                compare(getattr(cash, field)[p, k], row, field, name)
            compare(cash.unpaid[p, k], row, "unpaid_interest", name)
    for f, name in enumerate(one.deal.fees):
        for row in expected.get("fees", {}).get(name, []):
            compare(cash.fees[at[row["date"]], f], row, "paid", name)
            compare(cash.fee_unpaid[at[row["date"]], f], row, "unpaid", name)
    assert compared > 100
    print(f"{path.stem}: {compared} amounts, largest difference {worst:.4f}")

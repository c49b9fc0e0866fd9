"""How much a step may spend: tests with their cures, diversions, purchases, shares, reserves."""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.deal import coverage, steps
from clo_gen.deal.claims import ACCOUNTS, Claims, claims_of_step, tests_of_step
from clo_gen.deal.steps import Waterfall
from clo_gen.numerics import gate, greater, lesser, occurs


class Ledger(struct.PyTreeNode):
    """What is owed and held as the steps of a date are paid."""

    owed: tuple  # C scalars, by claims.Claims
    cash: tuple  # A scalars, by account
    ratio: tuple  # Q scalars: each test when first made; None before
    cure: tuple  # Q scalars: repaid or diverted for the test


class Today(struct.PyTreeNode):
    """What a date's steps read: fixed once its cash and events are known."""

    billed: tuple  # C scalars
    adjusted: jax.Array  # [] adjusted par of all collateral, without principal cash and purchases
    interest: jax.Array  # [] interest proceeds, for the IC tests
    target: tuple  # A scalars: of reserves, each list's share; 0 for other accounts
    per_par: tuple  # K scalars: interest billed on a unit of the class's balance
    counted: jax.Array | None  # [] what a unit spent on purchases adds to the OC numerator
    trigger: tuple  # Q scalars
    tested: tuple  # Q scalars: 1 once the test applies; before, it is made but nothing follows
    diverted: tuple  # V scalars: share of the account that a diversion takes today
    incentive: jax.Array  # [] the manager's share
    reinvesting: jax.Array  # [] 1 in the reinvestment period
    allowance: jax.Array  # [] unscheduled principal that may be reinvested after the period
    temperature: jax.Array  # []


def senior_fees(waterfall: steps.Waterfall, claims: Claims) -> dict[int, tuple[int, ...]]:
    """{test: fee claims that are paid, in order of the ordinary list, before it is first made}."""
    seen: list = []
    out: dict = {}
    for step in waterfall.steps:
        for q in tests_of_step(step):
            out.setdefault(q, tuple(seen))
        if isinstance(step, steps.PayFee | steps.PayHedge):
            wanted = [c for g in claims_of_step(step, claims, waterfall, 0) for c in g]
            seen += [c for c in wanted if c not in seen]
    return out


def _numerator(ledger, today: Today, claims):
    """OC numerator as the cash and the purchases of the date stand."""
    adjusted = sum(ledger.cash[1 :: claims.accounts_of_list], today.adjusted)
    if today.counted is not None:
        spent = today.billed[claims.purchase] - ledger.owed[claims.purchase]
        adjusted = adjusted + spent * today.counted
    return adjusted


def _interest_due(ledger, today: Today, notes, claims, deferrable):
    """Interest due today on what is still outstanding of `notes`, with what those that may not
    defer missed before; interest deferred before is debt in the OC test instead."""
    due = [ledger.owed[claims.principal(k)] * today.per_par[k] for k in notes]
    return _total(due + [today.billed[claims.unpaid(k)] for k in notes if not deferrable[k]])


def _total(parts):
    """Sum that does not begin with a 0 to be traced."""
    return functools.reduce(operator.add, parts)


def _test(q, ledger, today: Today, claims, waterfall, senior):
    """(ratio, adjusted par, debt, note balance) of test q, with the claims as they stand."""
    test = waterfall.tests[q]
    notes = _total([ledger.owed[claims.principal(k)] for k in test.notes])
    debt = notes + _total([ledger.owed[claims.unpaid(k)] for k in test.notes])
    adjusted = _numerator(ledger, today, claims)
    if test.kind == "oc":
        return coverage.oc_ratio(adjusted, debt), adjusted, debt, notes
    net = today.interest
    if senior:
        net = net - (_total([today.billed[c] for c in senior])
                     - _total([ledger.owed[c] for c in senior]))
    due = _interest_due(ledger, today, test.notes, claims, waterfall.deferrable)
    return coverage.ic_ratio(net, due), adjusted, debt, notes


def _required(q, step, measured, today: Today, waterfall):
    """What restores test q: par to buy, or notes to repay from the step's account."""
    ratio, adjusted, debt, notes = measured
    trigger = today.trigger[q]
    if isinstance(step, steps.Divert) and step.to is not None:
        return coverage.diversion_need(adjusted, debt, trigger)
    if waterfall.tests[q].kind == "ic":
        return coverage.ic_cure(ratio, notes, trigger)
    if step.account == "principal":
        return coverage.oc_cure_from_principal(adjusted, debt, trigger)
    return coverage.oc_cure(adjusted, debt, trigger)


def _fails(step, ratio, trigger, temperature):
    """Weight of a failed test. A ratio just cured stands on its trigger, where a sigmoid would see
    half a failure at any temperature; purchases that follow a cure count its shortfall instead."""
    if isinstance(step, steps.Reinvest):
        return occurs(trigger - ratio, temperature)
    return 1.0 - gate(ratio, trigger, temperature)


def limit_of(step: Any, ledger: Ledger, today: Today, account: int, claims: Claims,
             waterfall: Waterfall, senior: dict) -> tuple[Any, dict]:
    """(what the step may spend, {test: (ratio, what it alone would take)})."""
    cash = ledger.cash[account]
    match step:
        case steps.PayIncentive():
            return today.incentive * cash, {}
        case steps.ReleaseReserve():
            return greater(cash - today.target[account], 0.0), {}
        case steps.FundReserve(reserve=r):
            to = account - account % claims.accounts_of_list + len(ACCOUNTS) + r
            return lesser(cash, greater(today.target[to] - ledger.cash[to], 0.0)), {}
        case steps.Divert(diversion=v):
            cash = today.diverted[v] * cash
    tests, passed = {}, 1.0
    for q in tests_of_step(step):
        measured = _test(q, ledger, today, claims, waterfall, senior.get(q, ()))
        failed = today.tested[q] * _fails(step, measured[0], today.trigger[q], today.temperature)
        required = _required(q, step, measured, today, waterfall)
        tests[q] = measured[0], failed * lesser(cash, required)
        passed = passed * (1.0 - failed)
    if isinstance(step, steps.Reinvest):
        if today.counted is None:
            return jnp.zeros_like(cash), tests
        return passed * lesser(cash, today.reinvesting * cash + today.allowance), tests
    if not tests:
        return cash, {}
    limit = tests[tests_of_step(step)[0]][1]
    for _, take in list(tests.values())[1:]:
        limit = greater(limit, take)
    return limit, tests

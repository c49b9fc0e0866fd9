"""Pays a list of steps on one date, in order: the interpreter of a waterfall.

Written for one path with one scalar a claim, so that a batch of paths is plain vector arithmetic.
Cash only moves from an account to a claim or to another account.
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.deal import coverage, reinvestment, steps
from clo_gen.deal.claims import ACCOUNTS, account_number, claims_of_step, tests_of_step
from clo_gen.deal.dates import Date
from clo_gen.numerics import gate, greater, lesser, occurs, safe_ratio
from clo_gen.records import Deal, NewCollateral


@struct.dataclass
class Ledger:
    """What is owed and held as the steps of a date are paid."""

    owed: tuple  # C scalars, by claims.Claims
    cash: tuple  # A scalars, by account
    ratio: tuple  # Q scalars: each test when first made; None before
    cure: tuple  # Q scalars: repaid or diverted for the test


@struct.dataclass
class Today:
    """What a date's steps read: fixed once its cash and events are known."""

    date: Date
    deal: Deal
    new: NewCollateral | None
    billed: tuple  # C scalars
    collateral: coverage.Collateral  # of the whole deal, bought collateral included
    adjusted: jax.Array  # [] its adjusted par, before principal cash and today's purchases
    interest: jax.Array  # [] interest proceeds, for the IC tests
    target: jax.Array  # [A] of reserves, each list's share; 0 for other accounts
    allowance: jax.Array  # [] unscheduled principal that may be reinvested after the period
    temperature: jax.Array  # []


def _put(values, place, value):
    return (*values[:place], value, *values[place + 1:])


def _pay(ledger: Ledger, groups, account, limit, claims):
    """(Ledger, paid): `groups` of claims in order, up to `limit`; a group shares pro rata."""
    owed, equity, before = list(ledger.owed), 0.0, 0.0
    for group in groups:
        due = sum(owed[c] for c in group)
        # Not a running rest: each payment then hangs on sums only, which is cheap to differentiate.
        paid = lesser(greater(limit - before, 0.0), due)
        before = before + due
        if len(group) == 1:
            owed[group[0]] = due - paid
        else:
            share = 1.0 - safe_ratio(paid, due, 0.0)
            for c in group:
                owed[c] = owed[c] * share
        if group == [claims.hurdle]:  # the hurdle is paid as a part of the residual
            owed[claims.residual] = owed[claims.residual] - paid
        elif group[0] in (claims.residual, claims.principal(claims.classes - 1)):
            equity = equity + paid
    if isinstance(equity, jax.Array):
        owed[claims.hurdle] = greater(owed[claims.hurdle] - equity, 0.0)
    paid = lesser(limit, before)
    cash = _put(ledger.cash, account, ledger.cash[account] - paid)
    return ledger.replace(owed=tuple(owed), cash=cash), paid


def _numerator(ledger, today: Today, claims):
    """OC numerator as the cash and the purchases of the date stand."""
    adjusted = today.adjusted + sum(ledger.cash[1 :: claims.accounts_of_list])
    if today.new is not None:
        bought = (today.billed[claims.purchase] - ledger.owed[claims.purchase]) / today.new.price
        haircut = reinvestment.purchase_haircut(today.new, today.deal.discount_threshold)
        adjusted = adjusted + bought * (1.0 - haircut)
    return adjusted


def _interest_due(ledger, today: Today, notes, claims, deferrable):
    """Interest due today on what is still outstanding of `notes`, with what those that may not
    defer missed before; interest deferred before is debt in the OC test instead."""
    due = 0.0
    for k in notes:
        opening = today.billed[claims.principal(k)]
        outstanding = safe_ratio(ledger.owed[claims.principal(k)], opening, 0.0)
        due = due + today.billed[claims.interest(k)] * outstanding
        due = due if deferrable[k] else due + today.billed[claims.unpaid(k)]
    return due


def _test(q, ledger, today: Today, claims, waterfall, senior):
    """(ratio, adjusted par, debt, note balance) of test q, with the claims as they stand."""
    test = waterfall.tests[q]
    notes = sum(ledger.owed[claims.principal(k)] for k in test.notes)
    debt = notes + sum(ledger.owed[claims.unpaid(k)] for k in test.notes)
    adjusted = _numerator(ledger, today, claims)
    if test.kind == "oc":
        return coverage.oc_ratio(adjusted, debt), adjusted, debt, notes
    fees = sum(today.billed[c] - ledger.owed[c] for c in senior)
    due = _interest_due(ledger, today, test.notes, claims, waterfall.deferrable)
    return coverage.ic_ratio(today.interest - fees, due), adjusted, debt, notes


def _required(q, step, measured, today: Today, waterfall):
    """What restores test q: par to buy, or notes to repay from the step's account."""
    ratio, adjusted, debt, notes = measured
    trigger = today.deal.trigger[q]
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


def _limit(step, ledger, today: Today, account, claims, waterfall, senior):
    """(what the step may spend, {test: (ratio, what it alone would take)})."""
    cash, deal = ledger.cash[account], today.deal
    match step:
        case steps.PayIncentive():
            return deal.incentive * cash, {}
        case steps.ReleaseReserve():
            return greater(cash - today.target[account], 0.0), {}
        case steps.FundReserve(reserve=r):
            to = account - account % claims.accounts_of_list + len(ACCOUNTS) + r
            return lesser(cash, greater(today.target[to] - ledger.cash[to], 0.0)), {}
        case steps.Divert(diversion=v):
            cash = deal.diversion[v] * today.date.diverting[v] * cash
    tests, passed = {}, 1.0
    for q in tests_of_step(step):
        measured = _test(q, ledger, today, claims, waterfall, senior.get(q, ()))
        failed = _fails(step, measured[0], deal.trigger[q], today.temperature)
        required = _required(q, step, measured, today, waterfall)
        tests[q] = measured[0], failed * lesser(cash, required)
        passed = passed * (1.0 - failed)
    if isinstance(step, steps.Reinvest):
        if today.new is None:
            return jnp.zeros_like(cash), tests
        return passed * lesser(cash, today.date.reinvesting * cash + today.allowance), tests
    if not tests:
        return cash, {}
    limit = tests[tests_of_step(step)[0]][1]
    for _, take in list(tests.values())[1:]:
        limit = greater(limit, take)
    return limit, tests


def pay_step(step, ledger, measured, which, claims, waterfall):
    """The Ledger after one step of list number `which`; `measured` is what `_limit` returned."""
    groups = claims_of_step(step, claims, waterfall, which)
    account = account_number(waterfall, which, step.account)
    limit, tests = measured
    ledger, paid = _pay(ledger, groups, account, limit, claims)
    if groups[0][0] >= claims.account(0):
        to = groups[0][0] - claims.account(0)
        ledger = ledger.replace(cash=_put(ledger.cash, to, ledger.cash[to] + paid))
    unclaimed = jnp.ones_like(paid)
    for q, (ratio, take) in tests.items():
        if ledger.ratio[q] is None:
            ledger = ledger.replace(ratio=_put(ledger.ratio, q, ratio))
        if not isinstance(step, steps.Reinvest):
            binding = unclaimed * (take == limit)  # the largest cure; the first of equal ones
            unclaimed = unclaimed - binding
            cure = _put(ledger.cure, q, ledger.cure[q] + binding * paid)
            ledger = ledger.replace(cure=cure)
    return ledger


def senior_fees(waterfall, claims):
    """{test: fee claims that are paid, in order of the ordinary list, before it is first made}."""
    seen, out = [], {}
    for step in waterfall.steps:
        for q in tests_of_step(step):
            out.setdefault(q, tuple(seen))
        if isinstance(step, steps.PayFee | steps.PayHedge):
            wanted = [c for g in claims_of_step(step, claims, waterfall, 0) for c in g]
            seen += [c for c in wanted if c not in seen]
    return out


def _segments(listed, length=6):
    """The list cut before and after every test, and every `length` steps."""
    out = [[]]
    for step in listed:
        if out[-1] and (tests_of_step(step) or len(out[-1]) == length):
            out.append([])
        out[-1].append(step)
        if tests_of_step(step):
            out.append([])
    return [s for s in out if s]


def _touched(segment, which, claims, waterfall):
    """(claims, accounts) that the steps of a segment change."""
    owed, cash = set(), set()
    for step in segment:
        wanted = {c for g in claims_of_step(step, claims, waterfall, which) for c in g}
        if wanted & {claims.hurdle, claims.residual, claims.principal(claims.classes - 1)}:
            wanted |= {claims.hurdle, claims.residual}
        owed |= wanted
        cash |= {c - claims.account(0) for c in wanted if c >= claims.account(0)}
        cash.add(account_number(waterfall, which, step.account))
    return sorted(owed), sorted(cash)


def in_branch(runs, f, like):
    """f() if `runs` [] (always true, the same for every path), else `like`.

    The branch keeps XLA on the CPU from computing all of f anew for everything that is read from
    it later (measured: a hundred times slower).
    """
    return jax.lax.cond(runs, f, lambda: jax.tree.map(jnp.zeros_like, like))


def _pay_segment(segment, ledger, today: Today, which, claims, waterfall, senior, runs):
    """The Ledger after a few plain steps, or after one step with tests."""
    none, tests, measured = jnp.zeros_like(ledger.cash[0]), tests_of_step(segment[0]), None
    owed, cash = _touched(segment, which, claims, waterfall)

    def limit_of(step, ledger):
        account = account_number(waterfall, which, step.account)
        return _limit(step, ledger, today, account, claims, waterfall, senior)

    if tests:  # what was measured is kept, as every payment of the step reads it
        measured = in_branch(runs, lambda: limit_of(segment[0], ledger),
                             (none, {q: (none, none) for q in tests}))

    def pay():
        after = ledger
        for step in segment:
            limit = limit_of(step, after) if measured is None else measured
            after = pay_step(step, after, limit, which, claims, waterfall)
        return ([after.owed[c] for c in owed], [after.cash[a] for a in cash],
                [after.ratio[q] for q in tests], [after.cure[q] for q in tests])

    like = tuple([none] * len(x) for x in (owed, cash, tests, tests))
    changed = in_branch(runs, pay, like)
    return Ledger(*(_replaced(old, places, new) for old, places, new in zip(
        (ledger.owed, ledger.cash, ledger.ratio, ledger.cure), (owed, cash, tests, tests),
        changed, strict=True)))


def pay_list(listed, ledger, today: Today, which, claims, waterfall, runs):
    """The Ledger after all steps of list number `which`; `runs` as for in_branch."""
    senior = senior_fees(waterfall, claims)
    for segment in _segments(listed):
        ledger = _pay_segment(segment, ledger, today, which, claims, waterfall, senior, runs)
    return ledger


def _replaced(values, places, new):
    values = list(values)
    for place, value in zip(places, new, strict=True):
        values[place] = value
    return tuple(values)

"""Pays a list of steps on one date, in order: the interpreter of a waterfall.

Written for one path with one scalar a claim, so that a batch of paths is plain vector arithmetic.
Cash only moves from an account to a claim or to another account.
"""

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from clo_gen.deal import steps
from clo_gen.deal.claims import Claims, account_number, claims_of_step, tests_of_step
from clo_gen.deal.limits import Ledger, Today, limit_of, senior_fees
from clo_gen.numerics import greater, lesser, safe_ratio


def _put(values, place, value):
    return (*values[:place], value, *values[place + 1:])


def _pay(ledger: Ledger, groups, account, limit, claims):
    """(Ledger, paid): `groups` of claims in order, up to `limit`; a group shares pro rata."""
    owed, equity, rest = list(ledger.owed), None, limit
    for group in groups:
        due = functools.reduce(operator.add, [owed[c] for c in group])
        paid = lesser(rest, due)
        rest = rest - paid
        if len(group) == 1:
            owed[group[0]] = due - paid
        else:
            share = 1.0 - safe_ratio(paid, due, 0.0)
            for c in group:
                owed[c] = owed[c] * share
        if group == [claims.hurdle]:  # the hurdle is paid as a part of the residual
            owed[claims.residual] = owed[claims.residual] - paid
        elif group[0] in (claims.residual, claims.principal(claims.classes - 1)):
            equity = paid
    if equity is not None:
        owed[claims.hurdle] = greater(owed[claims.hurdle] - equity, 0.0)
    paid = paid if len(groups) == 1 else limit - rest
    left = rest if limit is ledger.cash[account] else ledger.cash[account] - paid
    return ledger.replace(owed=tuple(owed), cash=_put(ledger.cash, account, left)), paid


def pay_step(step: Any, ledger: Ledger,
             measured: tuple[jax.Array, dict[int, tuple[jax.Array, jax.Array]]], which: int,
             claims: Claims, waterfall: steps.Waterfall) -> Ledger:
    """The Ledger after one step of list number `which`; `measured` is what
    limits.limit_of returned."""
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


def _segments(listed, length=6):
    """The list cut before and after every test, and every `length` steps."""
    out: list[list] = [[]]
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


def in_branch(runs: jax.Array, f: Callable[[], Any], like: Any = None) -> Any:
    """f() if `runs` [] (always true, the same for every path), else zeros as in `like`.

    The branch keeps XLA on the CPU from computing all of f anew for everything that is read from
    it later, and its derivative for every sum of cotangents before it (BENCHMARKS.md).
    """
    like = jax.eval_shape(f) if like is None else like
    return jax.lax.cond(runs, f, lambda: jax.tree.map(
        lambda x: jnp.zeros(x.shape, x.dtype), like))


def _pay_segment(segment, ledger, today: Today, which, claims, waterfall, senior, runs):
    """The Ledger after a few plain steps, or after one step with tests."""
    none, tests, measured = jnp.zeros_like(ledger.cash[0]), tests_of_step(segment[0]), None
    owed, cash = _touched(segment, which, claims, waterfall)

    def limit(step, ledger):
        account = account_number(waterfall, which, step.account)
        return limit_of(step, ledger, today, account, claims, waterfall, senior)

    if tests:  # what was measured is kept, as every payment of the step reads it
        measured = in_branch(runs, lambda: limit(segment[0], ledger),
                             (none, {q: (none, none) for q in tests}))

    def pay():
        after = ledger
        for step in segment:
            allowed = limit(step, after) if measured is None else measured
            after = pay_step(step, after, allowed, which, claims, waterfall)
        return ([after.owed[c] for c in owed], [after.cash[a] for a in cash],
                [after.ratio[q] for q in tests], [after.cure[q] for q in tests])

    like = tuple([none] * len(x) for x in (owed, cash, tests, tests))
    changed = in_branch(runs, pay, like)
    return Ledger(*(_replaced(old, places, new) for old, places, new in zip(
        (ledger.owed, ledger.cash, ledger.ratio, ledger.cure), (owed, cash, tests, tests),
        changed, strict=True)))


def pay_list(listed: tuple[Any, ...], ledger: Ledger, today: Today, which: int, claims: Claims,
             waterfall: steps.Waterfall, runs: jax.Array) -> Ledger:
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

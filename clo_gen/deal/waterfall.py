"""Runs a waterfall: one scan over payment dates, in each a scan over the rows of its program.

Cash only moves from an account to a claim: what comes in is what is paid.
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.deal import coverage
from clo_gen.deal.program import Claims, Program
from clo_gen.numerics import gate, safe_ratio
from clo_gen.records import Calendar, Collections, Deal, TrancheCash


@struct.dataclass
class Standing:
    """What the deal remembers between payment dates."""

    balance: jax.Array  # [K]
    unpaid: jax.Array  # [K] deferred or missed interest
    fee_unpaid: jax.Array  # [F]
    fee_used: jax.Array  # [F] paid under the cap in this deal year
    hurdle: jax.Array  # [] what equity still needs to reach its hurdle IRR; negative beyond it


@struct.dataclass
class Date:
    """One payment date: what was collected for it, and its terms."""

    cash: jax.Array  # [2] interest and principal proceeds
    opening: jax.Array  # [] performing par at the start of the collection period
    collateral: coverage.Collateral
    rate: jax.Array  # [K] note rates of the period
    note_fraction: jax.Array  # [K]
    fee_fraction: jax.Array  # [F]
    new_year: jax.Array  # []
    growth: jax.Array  # [] of the equity hurdle since the previous date


def _bill(standing, deal, date):
    """All claims [claims.size] at the start of a date: interest and fees fall due."""
    s = standing
    interest = (s.balance + s.unpaid) * date.rate * date.note_fraction
    fee = s.fee_unpaid + (deal.fee_rate * date.opening + deal.fee_amount) * date.fee_fraction
    room = jnp.maximum(deal.fee_cap - s.fee_used * (1.0 - date.new_year), 0.0)
    capped = jnp.minimum(fee, room)
    hurdle = jnp.maximum(s.hurdle * date.growth, 0.0)
    everything = date.cash.sum()  # what the residual claims ask for
    rest = jnp.stack([hurdle, everything, everything, jnp.zeros_like(hurdle)])
    # The equity class bears no interest and its balance is no claim.
    principal = s.balance.at[-1].set(0.0)
    return jnp.concatenate([interest, s.unpaid, principal, capped, fee - capped, rest])


def _test(row, j, owed, billed, cash, deal, date, claims):
    """Ratio and cure of the row's test `j`, with the claims as they stand.

    Interest due in an IC test is this date's, of the notes still outstanding at this step, with
    what non-deferrable notes missed before; interest deferred before is debt in the OC test.
    """
    k, covers, trigger = claims.classes, row.covers[j], deal.trigger[row.test[j]]
    interest, unpaid, notes = slice(0, k), slice(k, 2 * k), slice(2 * k, 3 * k)
    principal = covers @ owed[notes]
    debt = principal + covers @ owed[unpaid]
    outstanding = safe_ratio(owed[notes], billed[notes], 0.0)
    due = covers @ (billed[interest] * outstanding + (1.0 - row.defers) * billed[unpaid])
    fees = slice(claims.capped_fee(0), claims.hurdle)
    senior = row.senior_fees[j] @ (billed - owed)[fees]
    adjusted = coverage.adjusted_par(date.collateral, cash[1], deal.ccc_limit)
    oc, ic = coverage.oc_ratio(adjusted, debt), coverage.ic_ratio(date.cash[0] - senior, due)
    is_oc, from_principal = row.is_oc[j], row.account == 1
    above_one = jnp.where(is_oc & from_principal, trigger, 2.0)
    oc_cure = jnp.where(from_principal, coverage.oc_cure_from_principal(adjusted, debt, above_one),
                        coverage.oc_cure(adjusted, debt, trigger))
    return (jnp.where(is_oc, oc, ic),
            jnp.where(is_oc, oc_cure, coverage.ic_cure(ic, principal, trigger)), trigger)


def _limit(row, owed, billed, cash, deal, date, claims, temperature):
    """(what the row may spend [], ratios [J], what each test alone would repay [J])."""
    available = cash[row.account]
    limit = jnp.where(row.is_incentive, deal.incentive * available, available)
    if row.test.shape[0] == 0:
        return limit, jnp.zeros(0), jnp.zeros(0)
    ratios, cures = [], []
    for j in range(row.test.shape[0]):
        ratio, cure, trigger = _test(row, j, owed, billed, cash, deal, date, claims)
        failed = row.has_test[j] * (1.0 - gate(ratio, trigger, temperature))
        ratios.append(ratio)
        cures.append(failed * jnp.minimum(available, cure))
    ratios, cures = jnp.stack(ratios), jnp.stack(cures)
    return jnp.where(row.is_cure, cures.max(), limit), ratios, cures


def _pay_row(row, owed, limit):
    """Payments [n] to the row's slots, in order, pro rata within a group."""
    claim = owed[row.slots]
    before, total = claim @ row.earlier, claim @ row.together
    return jnp.clip(limit - before, 0.0, total) * safe_ratio(claim, total, 0.0)


def _pay_date(standing, date, deal, program, claims, temperature):
    """Runs all rows of one date; returns the next Standing and what was paid."""
    billed = _bill(standing, deal, date)

    def one_row(carry, row):
        owed, cash, equity = carry
        limit, ratios, cures = _limit(row, owed, billed, cash, deal, date, claims, temperature)
        paid = _pay_row(row, owed, limit)
        owed = owed.at[row.slots].add(-paid)
        cash = cash.at[row.account].add(-paid.sum())
        equity = equity.at[row.account].add(paid @ row.to_equity)
        binding = (jnp.cumsum(cures == limit) == 1) & (cures == limit) & row.is_cure
        return (owed, cash, equity), (ratios, jnp.where(binding, paid.sum(), 0.0))

    rows = program.replace(first_row=None)
    start = (billed, date.cash, jnp.zeros_like(date.cash))
    (owed, cash, equity), (ratios, cures) = jax.lax.scan(one_row, start, rows)
    paid = billed - owed
    return _close(standing, date, claims, owed, paid, cash, equity,
                  ratios[program.first_row[:, 0], program.first_row[:, 1]],
                  jax.ops.segment_sum(cures.reshape(-1),
                                      program.test.reshape(-1), deal.trigger.shape[0]))


def _close(standing, date, claims, owed, paid, cash, equity, ratio, cure):
    k, f, s = claims.classes, claims.fees, standing
    fee, capped = slice(claims.fee(0), claims.fee(f)), slice(claims.capped_fee(0), claims.fee(0))
    after = Standing(
        balance=owed[2 * k: 3 * k].at[-1].set(s.balance[-1]),
        unpaid=owed[:k] + owed[k: 2 * k],
        fee_unpaid=owed[fee] + owed[capped],
        fee_used=s.fee_used * (1.0 - date.new_year) + paid[capped],
        hurdle=s.hurdle * date.growth - equity.sum(),
    )
    return after, TrancheCash(
        interest=(paid[:k] + paid[k: 2 * k]).at[-1].set(equity[0]),
        principal=paid[2 * k: 3 * k].at[-1].set(equity[1]),
        balance=after.balance,
        unpaid=after.unpaid,
        rate=date.rate,
        ratio=ratio,
        cure=cure,
        fees=paid[fee] + paid[capped],
        incentive=paid[claims.incentive],
        left=cash.sum(),
    )


def note_rates(deal, index):
    """Note rates [P, K] from the fixed index [P]; the equity class has none."""
    floating = jnp.maximum(index[:, None], deal.floor) + deal.spread
    return (deal.coupon + deal.floating * floating).at[:, -1].set(0.0)


def _dates(deal, calendar: Calendar, collections: Collections, index):
    """Date records, stacked over P."""
    c, last = collections, calendar.last_month
    opening = c.performing + c.scheduled_principal + c.prepayment + c.default
    first = jnp.concatenate([jnp.zeros(1, last.dtype), last[:-1] + 1])
    proceeds = jnp.stack([c.interest, c.scheduled_principal + c.prepayment + c.recovery], axis=1)
    return Date(
        cash=jax.ops.segment_sum(proceeds, calendar.period, last.shape[0]),
        opening=opening[first],
        collateral=coverage.Collateral(c.performing[last], c.defaulted_value[last],
                                       c.ccc_par[last], c.ccc_value[last]),
        rate=note_rates(deal, index),
        note_fraction=calendar.note_fraction,
        fee_fraction=calendar.fee_fraction,
        new_year=calendar.new_year,
        growth=(1.0 + deal.hurdle) ** jnp.diff(calendar.years, prepend=0.0),
    )


def run_waterfall(deal: Deal, program: Program, collections, index, temperature, *, calendar):
    """TrancheCash [P, K] of one path.

    `index` [P] fixes the floating notes for each period, `temperature` [] softens the tests (0 is
    hard). Differentiable in the deal, the collections and the index.
    """
    claims = Claims(deal.balance.shape[0], deal.fee_rate.shape[0])
    start = Standing(
        balance=deal.balance,
        unpaid=jnp.zeros_like(deal.balance),
        fee_unpaid=jnp.zeros_like(deal.fee_rate),
        fee_used=jnp.zeros_like(deal.fee_rate),
        hurdle=deal.balance[-1] * deal.equity_price,
    )

    def one_date(standing, date):
        return _pay_date(standing, date, deal, program, claims, temperature)

    return jax.lax.scan(one_date, start, _dates(deal, calendar, collections, index))[1]


def conservation_error(deal: Deal, cash: TrancheCash, collections: Collections):
    """Largest breach [] over the life of the deal of: collections = interest + principal + fees +
    incentive; opening balance - principal = closing balance; nothing paid or owed is negative."""
    c = collections
    paid = cash.interest.sum() + cash.principal.sum() + cash.fees.sum() + cash.incentive.sum()
    came = (c.interest + c.scheduled_principal + c.prepayment + c.recovery).sum()
    notes = (deal.balance - cash.principal.sum(0) - cash.balance[-1])[:-1]
    negative = -jnp.minimum(cash.balance.min(), jnp.minimum(
        jnp.minimum(cash.unpaid.min(), cash.interest.min()), cash.principal.min()))
    unbalanced = jnp.maximum(jnp.abs(came - paid - cash.left.sum()), jnp.abs(notes).max())
    return jnp.maximum(unbalanced, negative)

"""What each payment date brings, before the deal decides anything: collections, rates, hedges."""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.deal import coverage
from clo_gen.records import Calendar, Collections, Deal, Hedges


class Date(struct.PyTreeNode):
    """One payment date: what was collected for it, and its terms."""

    interest: jax.Array  # [] interest proceeds
    principal: jax.Array  # [] principal proceeds: scheduled, unscheduled, recoveries
    unscheduled: jax.Array  # [] prepayments among them
    opening: jax.Array  # [] performing par at the start of the collection period
    collateral: coverage.Collateral  # at its end
    rate: jax.Array  # [K] note rates of the period
    hedge_in: jax.Array  # [] received from swaps and caps
    hedge_due: jax.Array  # [H] owed on them
    growth: jax.Array  # [] of the equity hurdle since the previous date
    call_growth: jax.Array  # [] of what equity needs to call
    note_fraction: jax.Array  # [K]
    fee_fraction: jax.Array  # [F]
    carried_fraction: jax.Array  # [F]
    new_year: jax.Array  # []
    tested: jax.Array  # [Q]
    diverting: jax.Array  # [V]
    reinvesting: jax.Array  # []
    after_reinvesting: jax.Array  # []
    can_call: jax.Array  # []
    call_date: jax.Array  # []
    is_last: jax.Array  # []


def note_rates(deal: Deal, index: jax.Array, refinanced: jax.Array) -> jax.Array:
    """Note rates [P, K] from the fixed index [P]; the equity class has none."""
    floating = jnp.maximum(index[:, None], deal.floor)
    coupon = jnp.where(refinanced > 0, deal.new_coupon, deal.coupon)
    spread = jnp.where(refinanced > 0, deal.new_spread, deal.spread)
    return (coupon + deal.floating * (floating + spread)).at[:, -1].set(0.0)


def hedge_legs(hedges: Hedges | None, index: jax.Array,
               fraction: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(received [P], owed [P, H]) on swaps and caps at the fixed index [P].

    A swap pays the deal index - rate when that is positive, and is paid the rest; a cap pays what
    the index exceeds its rate by, for a premium.
    """
    if hedges is None:
        return jnp.zeros_like(index), jnp.zeros((*index.shape, 0), index.dtype)
    size = hedges.notional * fraction[:, None]
    payoff = index[:, None] - hedges.rate
    received = (size * jnp.maximum(payoff, 0.0)).sum(1)
    return received, size * (hedges.is_swap * jnp.maximum(-payoff, 0.0) + hedges.premium)


def dates_of(deal: Deal, calendar: Calendar, collections: Collections, index: jax.Array) -> Date:
    """Date records, stacked over P."""
    c, cal, last = collections, calendar, calendar.last_month
    opening = c.performing + c.scheduled_principal + c.prepayment + c.default
    first = jnp.concatenate([jnp.zeros(1, last.dtype), last[:-1] + 1])
    count = last.shape[0]
    flow = jax.ops.segment_sum(jnp.stack([
        c.interest, c.scheduled_principal + c.prepayment + c.recovery, c.prepayment], axis=1),
        cal.period, count)
    steps = jnp.diff(cal.years, prepend=0.0)
    equity_irr = 0.0 if deal.call is None or deal.call.equity_irr is None else deal.call.equity_irr
    received, due = hedge_legs(deal.hedges, index, steps)
    stock = coverage.Collateral(c.performing, c.defaulted, c.defaulted_value, c.carrying_haircut,
                                c.ccc_par, c.ccc_value)
    return Date(
        interest=flow[:, 0], principal=flow[:, 1], unscheduled=flow[:, 2],
        opening=opening[first], collateral=jax.tree.map(lambda x: x[last], stock),
        rate=note_rates(deal, index, cal.refinanced), hedge_in=received, hedge_due=due,
        growth=(1.0 + deal.hurdle) ** steps, call_growth=(1.0 + equity_irr) ** steps,
        note_fraction=cal.note_fraction, fee_fraction=cal.fee_fraction,
        carried_fraction=cal.carried_fraction, new_year=cal.new_year,
        tested=cal.tested, diverting=cal.diverting, reinvesting=cal.reinvesting,
        after_reinvesting=cal.after_reinvesting, can_call=cal.can_call, call_date=cal.call_date,
        is_last=cal.is_last,
    )

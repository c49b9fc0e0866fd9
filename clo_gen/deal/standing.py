"""What the deal remembers between payment dates, and what falls due on the next one."""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.deal import reinvestment
from clo_gen.deal.claims import ACCOUNTS
from clo_gen.deal.coverage import Collateral
from clo_gen.deal.dates import Date
from clo_gen.numerics import greater, lesser, scalars
from clo_gen.records import Deal, NewCollateral


class Standing(struct.PyTreeNode):
    """What the deal remembers between payment dates."""

    balance: jax.Array  # [K]
    unpaid: jax.Array  # [K] deferred or missed interest
    fee_unpaid: jax.Array  # [F + H]
    fee_used: jax.Array  # [F + H] paid under the cap in this deal year
    hurdle: jax.Array  # [] what equity still needs to reach its hurdle IRR; negative beyond it
    call_need: jax.Array  # [] the same for the IRR at which equity calls the deal
    accounts: jax.Array  # [2 + R] cash held: interest, principal, reserves
    alive: jax.Array  # [] share of the deal not called
    accelerated: jax.Array  # [] weight of an event of default so far
    bought: reinvestment.Bought | None


def at_closing(deal: Deal, new: NewCollateral | None) -> Standing:
    """Standing at closing."""
    dtype = deal.balance.dtype
    one, fees = jnp.ones((), dtype), with_hedges(deal, jnp.zeros_like(deal.fee_rate))
    reserves = jnp.zeros(0, dtype) if deal.reserves is None else deal.reserves.initial
    cost = deal.balance[-1] * deal.equity_price
    return Standing(
        balance=deal.balance, unpaid=jnp.zeros_like(deal.balance), fee_unpaid=fees, fee_used=fees,
        hurdle=cost, call_need=cost,
        accounts=jnp.concatenate([jnp.zeros(len(ACCOUNTS), dtype), reserves]),
        alive=one, accelerated=0.0 * one,
        bought=None if new is None else reinvestment.nothing_bought(new),
    )


def with_hedges(deal: Deal, of_fees: jax.Array, hedges: float = 0.0) -> jax.Array:
    """[F] as [F + H], with one number for the hedges."""
    if deal.hedges is None:
        return of_fees
    return jnp.concatenate([of_fees, jnp.full_like(deal.hedges.rate, hedges)])


def targets(deal: Deal, balance: jax.Array, collateral: Collateral, date: Date) -> jax.Array:
    """[2 + R]: targets of the accounts; nothing is held back on the last date."""
    none, r = jnp.zeros(len(ACCOUNTS), balance.dtype), deal.reserves
    if r is None:
        return none
    wanted = r.amount + r.rate * collateral.performing + r.of_notes @ balance
    return jnp.concatenate([none, (1.0 - date.is_last) * wanted])


def bill(s: Standing, deal: Deal, date: Date, fee: jax.Array,
         cash: jax.Array) -> tuple[jax.Array, ...]:
    """All claims (C scalars) at the start of a date; `fee` [F + H] accrued in the period."""
    accrues = (s.alive > 0).astype(s.balance.dtype)  # nothing does once the deal was called
    interest = (s.balance + s.unpaid) * date.rate * date.note_fraction * accrues
    fee = fee + s.fee_unpaid * (1.0 + with_hedges(deal, deal.fee_interest * date.carried_fraction))
    used = s.fee_used * (1.0 - date.new_year)
    capped = lesser(fee, greater(with_hedges(deal, deal.fee_cap) - used, 0.0))
    everything = cash.sum()  # what residual claims and transfers ask for
    hurdle = greater(s.hurdle * date.growth, 0.0)
    rest = (hurdle, *[everything] * (3 + cash.shape[0]))
    # Not one array: a claim's place in it would be a stride for every path.
    claims = (interest, s.unpaid, s.balance, capped, fee - capped)
    return tuple(claim for part in claims for claim in scalars(part)) + rest


def accrued_fees(deal: Deal, date: Date, opening: jax.Array, closing: jax.Array) -> jax.Array:
    """Fees and hedge payments [F + H] of the period."""
    basis = opening * (1.0 - deal.fee_closing) + closing * deal.fee_closing
    fee = (deal.fee_rate * basis + deal.fee_amount) * date.fee_fraction
    return jnp.concatenate([fee, date.hedge_due])

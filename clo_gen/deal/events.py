"""Events that change which waterfall runs: optional redemption, event of default.

Each is a weight between 0 and 1: 0 or 1 when the temperature is 0. Where an event has weight w,
the share w of the date's cash goes through the waterfall of the event.
"""

import jax
import jax.numpy as jnp

from clo_gen.deal import coverage
from clo_gen.deal.dates import Date
from clo_gen.numerics import gate, greater, occurs, safe_ratio
from clo_gen.records import Call, Deal, EventOfDefault


def sale_proceeds(call: Call, collateral: coverage.Collateral) -> jax.Array:
    """Cash from selling all collateral at the call's prices."""
    return (call.price_performing * collateral.performing
            + call.price_defaulted * collateral.defaulted)


def call_weight(deal: Deal, sale: jax.Array, cash: jax.Array, owed: jax.Array, need: jax.Array,
                collateral: coverage.Collateral, date: Date, temperature: jax.Array) -> jax.Array:
    """Weight of a call: certain on its date; else once a condition holds and the sale repays all.

    `sale` and `cash` come in, `owed` is due to notes and fees, `need` is what equity lacks of the
    IRR that makes it call.
    """
    call = deal.call
    assert call is not None
    surplus = sale + cash - owed
    fails = jnp.ones_like(surplus)
    if call.collateral_below is not None:
        fails *= gate(collateral.performing, call.collateral_below, temperature)
    if call.equity_irr is not None:
        fails *= 1.0 - gate(safe_ratio(surplus, deal.balance[-1], 0.0),
                            safe_ratio(need, deal.balance[-1], 0.0), temperature)
    repays = gate(surplus, 0.0, temperature)
    return greater(date.call_date, date.can_call * repays * (1.0 - fails))


def breach(event: EventOfDefault, collateral: coverage.Collateral, principal_cash: jax.Array,
           balance: jax.Array, unpaid: jax.Array, temperature: jax.Array) -> jax.Array:
    """Weight of a par breach: the senior ratio, without CCC haircut, below its trigger."""
    debt = event.covers @ (balance + unpaid)
    ratio = coverage.oc_ratio(coverage.unhaircut_par(collateral, principal_cash), debt)
    return 1.0 - gate(ratio, event.trigger, temperature)


def missed_interest(event: EventOfDefault, unpaid: jax.Array, due: jax.Array,
                    temperature: jax.Array) -> jax.Array:
    """Weight of a payment default: interest of a non-deferrable class left unpaid on a date."""
    short = safe_ratio(unpaid, due, 0.0)
    return (event.on_missed_interest * occurs(short, temperature)).max()

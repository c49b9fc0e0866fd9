"""Cash of the pool in one month, from each loan's contract and what became of the loan.

Order within the month: default, interest, scheduled principal, prepayment. A defaulted loan pays
nothing else (its accrued interest is lost); a prepaid loan pays its accrued interest.
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.records import Flows, Schedule, Tape


@struct.dataclass
class MonthCash:
    """Sums over loans, share of initial par; see records.Collections."""

    interest: jax.Array
    scheduled_principal: jax.Array
    prepayment: jax.Array
    default: jax.Array
    recoverable: jax.Array  # recovery that this month's defaults will bring
    carried: jax.Array  # their carrying value until then
    performing: jax.Array
    ccc_par: jax.Array
    ccc_value: jax.Array


def accrue(tape: Tape, month: Schedule, index, accrued):
    """Accrued interest [L] of a living loan at the end of the month.

    `month` holds one month's row of the schedule, `index` [I] the indices of the month; floating
    loans reset monthly, and the floor applies to the index.
    """
    floating = jnp.maximum(index[tape.index], tape.floor) + tape.spread
    rate = tape.coupon + tape.floating * floating
    return accrued + month.opening * rate * month.year_fraction


def month_cash(tape: Tape, month: Schedule, accrued, flows: Flows, prices):
    """MonthCash and the interest, principal [L] that each loan paid.

    `prices` = (defaulted, distressed): market values that cap the carrying values.
    """
    defaulted_price, distressed_price = prices
    dtype = month.opening.dtype
    survive, prepay = flows.survive.astype(dtype), flows.prepay.astype(dtype)
    default, distressed = flows.default.astype(dtype), flows.distressed.astype(dtype)
    alive = survive + prepay
    closing = month.opening - month.principal
    interest = accrued * jnp.where(month.pays, alive, prepay)
    scheduled = alive * month.principal
    prepaid = prepay * closing
    value = jnp.minimum(tape.market_price, distressed_price)
    default_par = default * month.opening
    sums = MonthCash(
        interest=interest.sum(),
        scheduled_principal=scheduled.sum(),
        prepayment=prepaid.sum(),
        default=default_par.sum(),
        recoverable=(default_par * tape.recovery_rate).sum(),
        carried=(default_par * jnp.minimum(tape.recovery_rate, defaulted_price)).sum(),
        performing=(survive * closing).sum(),
        ccc_par=(distressed * closing).sum(),
        ccc_value=(distressed * closing * value).sum(),
    )
    return sums, interest + scheduled + prepaid

"""Cash of the pool in one month, from each loan's contract and what became of the loan.

Order within the month: default, interest, scheduled principal, prepayment; or (`prepay_first`)
default, prepayment, interest and scheduled principal on what is left. A defaulted loan pays nothing
else (its accrued interest is lost); a prepaid loan pays the interest accrued until it prepays. Of a
bullet or balloon that falls due, a share defaults instead (Tape.default_at_maturity), as if it had
done so at the start of the month.
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.records import Deal, Flows, Schedule, Tape

BUCKET_EDGES = (0.5, 0.6, 0.7, 0.8)  # market values of CCC par, of par: B = 5 buckets


class Carrying(struct.PyTreeNode):
    """What the coverage tests count each loan at, of par; the same on every path."""

    defaulted_price: jax.Array  # [] cap of a defaulted loan's recovery
    haircut: jax.Array  # [L] of a live loan, before any CCC excess
    ccc_value: jax.Array  # [L] par less the further haircut of a CCC loan in excess
    bucket: jax.Array  # [L, B] 1 in the bucket of its market value as a CCC loan


class MonthCash(struct.PyTreeNode):
    """Sums over loans, share of initial par; see records.Collections."""

    interest: jax.Array
    scheduled_principal: jax.Array
    prepayment: jax.Array
    default: jax.Array
    recoverable: jax.Array  # recovery that this month's defaults will bring
    carried: jax.Array  # their carrying value until then
    performing: jax.Array
    ccc_par: jax.Array  # [B]
    ccc_value: jax.Array  # [B]
    carrying_haircut: jax.Array
    par_by_state: jax.Array  # [S]; S = 0 until the caller fills it


def carrying(tape: Tape, deal: Deal, months: int) -> Carrying:
    """Carrying values of the loans in a deal of `months`.

    A loan in several categories counts once, in that of the lowest value: discount obligation at
    its purchase price, long-dated loan at the deal's value, CCC loan in excess at market value.
    Reference: indenture term Adjusted Collateral Principal Amount.
    """
    discount = jnp.where(tape.purchase_price < deal.discount_threshold, tape.purchase_price, 1.0)
    long_dated = jnp.where(tape.maturity > months, deal.long_dated_value, 1.0)
    value = jnp.minimum(discount, long_dated)
    market = jnp.minimum(tape.market_price, deal.ccc_price)
    number = jnp.stack([market >= edge for edge in BUCKET_EDGES]).sum(0)
    bucket = number[:, None] == jnp.arange(len(BUCKET_EDGES) + 1)
    return Carrying(
        defaulted_price=deal.defaulted_price,
        haircut=1.0 - value,
        ccc_value=1.0 - (value - jnp.minimum(market, value)),
        bucket=bucket.astype(market.dtype),
    )


def accrue(tape: Tape, month: Schedule, index: jax.Array, accrued: jax.Array) -> jax.Array:
    """Accrued interest [L] of a living loan at the end of the month.

    `month` holds one month's row of the schedule, `index` [I] the indices of the month; floating
    loans reset monthly, and the floor applies to the index.
    """
    floating = jnp.maximum(index[tape.index], tape.floor) + tape.spread
    rate = tape.coupon + tape.floating * floating
    return accrued + month.opening * rate * month.year_fraction


def month_cash(tape: Tape, month: Schedule, accrued: tuple[jax.Array, jax.Array], flows: Flows,
               values: Carrying, *, prepay_first: bool = False) -> tuple[MonthCash, jax.Array]:
    """MonthCash and the interest, principal [L] that each loan paid.

    `accrued` = interest [L] accrued of a living loan at the (start, end) of the month.
    """
    dtype = month.opening.dtype
    survive, prepay = flows.survive.astype(dtype), flows.prepay.astype(dtype)
    default, distressed = flows.default.astype(dtype), flows.distressed.astype(dtype)
    fails = jnp.where(month.balloon, tape.default_at_maturity, 0.0)
    pays = jnp.where(month.pays, 1.0 - fails, 0.0)
    closing = month.opening - month.principal
    owing = survive if prepay_first else survive + prepay
    if prepay_first:
        interest = prepay * accrued[0] + survive * pays * accrued[1]
        prepaid = prepay * month.opening
    else:
        interest = accrued[1] * jnp.where(month.pays, owing * pays, prepay)
        prepaid = prepay * closing
    scheduled = owing * ((1.0 - fails) * month.principal)
    default_par = default * month.opening + owing * (fails * month.opening)
    live_par = survive * closing
    ccc_par = distressed * closing
    sums = MonthCash(
        interest=interest.sum(),
        scheduled_principal=scheduled.sum(),
        prepayment=prepaid.sum(),
        default=default_par.sum(),
        recoverable=(default_par * tape.recovery_rate).sum(),
        carried=(default_par * jnp.minimum(tape.recovery_rate, values.defaulted_price)).sum(),
        performing=live_par.sum(),
        ccc_par=ccc_par @ values.bucket,
        ccc_value=ccc_par @ (values.bucket * values.ccc_value[:, None]),
        carrying_haircut=(live_par * values.haircut).sum(),
        par_by_state=jnp.zeros(0, dtype),
    )
    return sums, interest + scheduled + prepaid

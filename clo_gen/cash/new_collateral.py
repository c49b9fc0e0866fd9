"""What collateral bought with principal proceeds becomes, per unit of par, by payment period.

Bought loans follow the path's transition matrices (or yearly rates) and the index, by expectation:
a manager buys many small positions. Latent industry and region factors do not touch them.
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.cash.vectors import period_rate
from clo_gen.records import Calendar, NewCollateral
from clo_gen.states import StateSpace


class Purchases(struct.PyTreeNode):
    """Assumptions about what is bought."""

    mix: jax.Array  # [D] shares of the live states
    price: jax.Array  # [] of par
    spread: jax.Array  # [] over the index
    floor: jax.Array  # [] of the index
    recovery_rate: jax.Array  # [] of par
    term: int = struct.field(pytree_node=False)  # payment periods to maturity
    lag: int = struct.field(pytree_node=False)  # payment periods from default to recovery


def period_matrices(matrix: jax.Array, calendar: Calendar) -> jax.Array:
    """Transition matrices [P, S, S] over payment periods from monthly ones [T, S, S]."""
    before = jnp.concatenate([calendar.period[:1] - 1, calendar.period[:-1]])

    def month(product, x):
        matrix, starts = x
        product = jnp.where(starts, matrix, product @ matrix)
        return product, product

    starts = calendar.period != before
    products = jax.lax.scan(month, jnp.eye(matrix.shape[-1], dtype=matrix.dtype),
                            (matrix, starts))[1]
    return products[calendar.last_month]


def states_at_maturity(stay: jax.Array, mix: jax.Array, term: int) -> jax.Array:
    """States [P, D], on date p, of what is left of a unit bought `term` periods before."""
    count = stay.shape[0]

    def period(vintages, x):
        p, stay = x
        vintages = vintages @ stay
        matured = jax.lax.dynamic_index_in_dim(vintages, jnp.maximum(p - term, 0), keepdims=False)
        bought = jax.lax.dynamic_update_index_in_dim(vintages, mix, p, 0)
        return bought, jnp.where(p >= term, matured, 0.0)

    start = jnp.zeros((count, mix.shape[0]), mix.dtype)
    return jax.lax.scan(period, start, (jnp.arange(count), stay))[1]


def _of_periods(stay, default, prepay, interest, is_ccc, purchases):
    return NewCollateral(
        stay=stay, default=default, prepay=prepay, interest=interest,
        matured=states_at_maturity(stay, purchases.mix, purchases.term), mix=purchases.mix,
        is_ccc=is_ccc, price=purchases.price, recovery_rate=purchases.recovery_rate,
        term=purchases.term, lag=purchases.lag)


def from_transitions(purchases: Purchases, matrix: jax.Array, index: jax.Array, space: StateSpace,
                     calendar: Calendar) -> NewCollateral:
    """NewCollateral of a path with monthly transition matrices [T, S, S] (prepayment included) and
    the index [T] of the bought loans; interest accrues ACT/360."""
    moves = period_matrices(matrix, calendar)
    live = len(space.live)
    coupon = jnp.maximum(index, purchases.floor) + purchases.spread
    interest = jax.ops.segment_sum(coupon * calendar.month_fraction[0], calendar.period,
                                   calendar.last_month.shape[0])
    is_ccc = (jnp.arange(live) == space.distressed_index).astype(moves.dtype)
    return _of_periods(moves[:, :live, :live], moves[:, :live, space.default],
                       moves[:, :live, space.prepaid], interest, is_ccc, purchases)


def from_rates(purchases: Purchases, cdr: jax.Array | float, cpr: jax.Array | float,
               index: jax.Array, calendar: Calendar) -> NewCollateral:
    """NewCollateral at yearly default and prepayment rates [], with the index [P] of each period;
    `purchases.mix` has one state. Interest accrues ACT/360."""
    years = jnp.diff(calendar.years, prepend=0.0)
    default = period_rate(cdr, years)[:, None]
    prepay = (1.0 - default) * period_rate(cpr, years)[:, None]
    coupon = jnp.maximum(index, purchases.floor) + purchases.spread
    return _of_periods((1.0 - default - prepay)[:, :, None], default, prepay,
                       coupon * years * 365.0 / 360.0, jnp.zeros(1), purchases)

"""What a stream of payments is worth: value, margins, yield, durations, WAL of one class.

Every function sees one class on one path: flows [P] at years [P] (ACT/365 from the valuation
date, positive), in any one unit of money. vmap over classes and paths. Rates, margins and spreads
are yearly fractions; a rate compounds once a year, a margin over an index once a payment period.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.numerics import safe_ratio
from clo_gen.solve.root import Root, bisect

SPREAD_RANGE = (-0.5, 10.0)  # where margins and spreads are searched for


def discount_factors(rate: jax.Array | float, years: jax.Array) -> jax.Array:
    """Factors [P] = (1 + rate)^-years; `rate` is flat [] or a zero curve read at the dates [P].

    A curve given at knots is read with jnp.interp(years, knot_years, knot_rates).
    """
    return (1.0 + rate) ** -years


def floating_discount(margin: jax.Array | float, index: jax.Array,
                      fraction: jax.Array) -> jax.Array:
    """Factors [P] at index + margin, compounded each payment period.

    `index` [P] is the rate fixed for each period, `fraction` [P] its accrual; the first period
    starts on the valuation date.
    """
    return 1.0 / jnp.cumprod(1.0 + (index + margin) * fraction)


def present_value(flows: jax.Array, discount: jax.Array) -> jax.Array:
    """Value [] today of flows [P] under discount factors [P]."""
    return jnp.sum(flows * discount)


def clean_price(value: jax.Array | float, balance: jax.Array | float, accrued: float) -> jax.Array:
    """Price as a share of `balance`, without interest `accrued`; dirty with accrued = 0."""
    return safe_ratio(value - accrued, balance, 0.0)


def _relative_root(value_of, args, value):
    """Root over SPREAD_RANGE of value_of(spread, args) = value, to a relative 1e-13."""
    def excess(spread, both):
        args, value = both
        return value_of(spread, args) / jnp.where(value > 0, value, 1.0) - (value > 0)

    root = bisect(excess, (args, value), *SPREAD_RANGE, tol=1e-13, max_steps=50)
    return Root(root.x, root.converged & (value > 0))


def discount_margin(flows: jax.Array, value: jax.Array | float, index: jax.Array,
                    fraction: jax.Array) -> Root:
    """Root with the margin over the index at which the flows are worth `value` (dirty, money).

    `index`, `fraction` [P] as in floating_discount. Not converged when no margin from -50 % to
    1000 % does it, as when nothing comes back; x is meaningless then.
    """
    def value_of(margin, args):
        flows, index, fraction = args
        return present_value(flows, floating_discount(margin, index, fraction))

    return _relative_root(value_of, (flows, index, fraction), value)


def z_spread(flows: jax.Array, value: jax.Array | float, zero_rate: jax.Array,
             years: jax.Array) -> Root:
    """Root with the spread over the zero curve [P] at which the flows are worth `value`.

    The spread is added to the yearly compounded zero rates. Converged as in discount_margin.
    """
    def value_of(spread, args):
        flows, zero_rate, years = args
        return present_value(flows, discount_factors(zero_rate + spread, years))

    return _relative_root(value_of, (flows, zero_rate, years), value)


def internal_rate(flows: jax.Array, years: jax.Array, price: Any) -> tuple[jax.Array, jax.Array]:
    """Effective yearly yield of `flows` [P] at `years` [P], bought at `price` on day 0.

    Returns (irr, converged). -1 when nothing, or next to nothing, comes back; yields above 1000 %
    are not searched for and count as not converged. Flows below 1e-12 count as none.
    """
    flows = jnp.where(flows > 1e-12, flows, 0.0)

    def value(log_growth, args):
        flows, years, price = args
        return jnp.sum(flows * jnp.exp(-log_growth * years)) - price

    low, high = math.log(1e-6), math.log(11.0)  # floats: the solver takes no traced bracket
    nothing = value(low, (flows, years, price)) <= 0
    # A stream of ones in the place of nothing: the solver's gradient stays finite.
    safe = jnp.where(nothing, 1.0, flows)
    root = bisect(value, (safe, years, jnp.where(nothing, 1.0 * years.shape[0], price)), low, high,
                  max_steps=45, tol=1e-11)
    return jnp.where(nothing, -1.0, jnp.exp(root.x) - 1.0), root.converged | nothing


def macaulay_duration(flows: jax.Array, years: jax.Array, discount: jax.Array) -> jax.Array:
    """Mean time in years of the discounted flows; nan without flows."""
    return safe_ratio(jnp.sum(years * flows * discount), jnp.sum(flows * discount), jnp.nan)


def modified_duration(flows: jax.Array, years: jax.Array, rate: jax.Array | float) -> jax.Array:
    """-dV/d(rate) / V in years, for a parallel shift of `rate` ([] or zero curve [P]).

    Macaulay duration / (1 + rate) when the rate is flat. With rate = zero curve + z-spread it is
    the duration to that spread.
    """
    discount = discount_factors(rate, years)
    slope = jnp.sum(years * flows * discount / (1.0 + rate))
    return safe_ratio(slope, present_value(flows, discount), jnp.nan)


def convexity(flows: jax.Array, years: jax.Array, rate: jax.Array | float) -> jax.Array:
    """d2V/d(rate)2 / V in years squared, for a parallel shift of `rate` ([] or [P]).

    = sum years (years + 1) flow (1 + rate)^-(years + 2) / V: not divided by 100, nor by 2.
    """
    discount = discount_factors(rate, years)
    second = jnp.sum(years * (years + 1.0) * flows * discount / (1.0 + rate) ** 2)
    return safe_ratio(second, present_value(flows, discount), jnp.nan)


def spread_duration(flows: jax.Array, margin: float, index: jax.Array,
                    fraction: jax.Array) -> jax.Array:
    """-dV/d(margin) / V in years at a discount margin, the flows held; nan without flows."""
    value = flows * floating_discount(margin, index, fraction)
    slope = jnp.cumsum(fraction / (1.0 + (index + margin) * fraction))
    return safe_ratio(jnp.sum(value * slope), jnp.sum(value), jnp.nan)


def wal_years(principal: jax.Array, years: jax.Array) -> jax.Array:
    """Mean time in years of the principal repaid [P]; nan when none is. Twelve times it: months.

    What is never repaid has no date and does not count: read it beside the loss.
    """
    return safe_ratio(jnp.sum(years * principal), jnp.sum(principal), jnp.nan)


class EquityReturn(struct.PyTreeNode):
    irr: jax.Array  # [] effective yearly; -1 when nothing comes back
    irr_converged: jax.Array  # [] bool
    cash_on_cash: jax.Array  # [P] payment over cost, each date; not annualised
    multiple: jax.Array  # [] all payments over cost


def equity_return(flows: jax.Array, years: jax.Array, cost: float) -> EquityReturn:
    """EquityReturn of distributions [P] bought for `cost` on day 0; ratios are 0 without a cost."""
    irr, converged = internal_rate(flows, years, cost)
    paid = safe_ratio(flows, cost, 0.0)
    return EquityReturn(irr, converged, paid, jnp.sum(paid))

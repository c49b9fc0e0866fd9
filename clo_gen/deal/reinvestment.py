"""Collateral bought with principal proceeds: how it pays, defaults and matures.

The pool model does not wait for the deal: it says what a unit of par bought becomes on the path
(records.NewCollateral), and the waterfall carries how much was bought. Amounts here are per unit
of the deal that has not been called.
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.deal.coverage import Collateral
from clo_gen.numerics import greater, lesser, safe_ratio
from clo_gen.records import Deal, NewCollateral


class Bought(struct.PyTreeNode):
    """Stock of bought collateral, and what the dates to come still need to know."""

    par: jax.Array  # [D] performing, by state
    outstanding: jax.Array  # [] defaulted, not yet recovered
    bought: jax.Array  # [P] par bought on each date
    defaulted: jax.Array  # [P] par that defaulted in each period


class Period(struct.PyTreeNode):
    """One period of NewCollateral."""

    stay: jax.Array  # [D, D]
    default: jax.Array  # [D]
    prepay: jax.Array  # [D]
    interest: jax.Array  # []
    matured: jax.Array  # [D]


class Cash(struct.PyTreeNode):
    """What bought collateral paid in a period."""

    interest: jax.Array
    scheduled: jax.Array
    prepayment: jax.Array
    recovery: jax.Array

    @property
    def principal(self) -> jax.Array:
        return self.scheduled + self.prepayment + self.recovery


def no_cash(like: jax.Array) -> Cash:
    none = jnp.zeros_like(like)
    return Cash(none, none, none, none)


def periods(new: NewCollateral) -> Period:
    """Period records stacked over P."""
    return Period(new.stay, new.default, new.prepay, new.interest, new.matured)


def nothing_bought(new: NewCollateral) -> Bought:
    none = jnp.zeros_like(new.interest)  # [P], with the path axes
    return Bought(jnp.zeros_like(new.default[0]), none[0], none, none)


def _earlier(x, p, periods):
    """x [P] `periods` dates before date p; 0 before the first."""
    value = jax.lax.dynamic_index_in_dim(x, jnp.maximum(p - periods, 0), keepdims=False)
    return jnp.where(p >= periods, value, 0.0)


def live_a_period(new: NewCollateral, stock: Bought, period: Period,
                  p: jax.Array) -> tuple[Bought, Cash]:
    """(Bought, Cash) after period p: defaults, then interest, moves, maturity."""
    default = stock.par @ period.default
    stay = stock.par @ period.stay
    matured = _earlier(stock.bought, p, new.term) * period.matured
    defaulted = jax.lax.dynamic_update_index_in_dim(stock.defaulted, default, p, 0)
    recovered = _earlier(defaulted, p, new.lag)
    cash = Cash(
        interest=(stock.par.sum() - default) * period.interest,
        scheduled=matured.sum(),
        prepayment=stock.par @ period.prepay,
        recovery=recovered * new.recovery_rate,
    )
    return stock.replace(
        par=stay - matured,
        outstanding=stock.outstanding + default - recovered,
        defaulted=defaulted,
    ), cash


def buy(new: NewCollateral, stock: Bought, spent: jax.Array, alive: jax.Array,
        p: jax.Array) -> Bought:
    """Bought after spending `spent` on date p, in a deal of which the share `alive` is left."""
    par = safe_ratio(spent, alive, 0.0) / new.price
    return stock.replace(
        par=stock.par + par * new.mix,
        bought=jax.lax.dynamic_update_index_in_dim(stock.bought, par, p, 0),
    )


def purchase_haircut(new: NewCollateral, threshold: jax.Array) -> jax.Array:
    """Par less carrying value of a unit bought: a discount obligation counts at its price."""
    return jnp.where(new.price < threshold, 1.0 - new.price, 0.0)


def counted_per_spent(new: NewCollateral, threshold: jax.Array) -> jax.Array:
    """What a unit of cash spent on purchases adds to the OC numerator on the same date."""
    return (1.0 - purchase_haircut(new, threshold)) / new.price


def whole_collateral(own: Collateral, stock: Bought | None, alive: jax.Array, deal: Deal,
                     new: NewCollateral | None) -> Collateral:
    """Collateral of the part of the deal that is not called, bought collateral included."""
    c = own
    if new is not None and stock is not None:
        par, ccc = stock.par.sum(), stock.par @ new.is_ccc
        worth = lesser(new.recovery_rate, deal.defaulted_price)
        haircut = purchase_haircut(new, deal.discount_threshold)
        # No CCC loan is worth more than those bought at par, so they are in the last bucket.
        c = c.replace(
            performing=c.performing + par,
            defaulted=c.defaulted + stock.outstanding,
            defaulted_value=c.defaulted_value + stock.outstanding * worth,
            carrying_haircut=c.carrying_haircut + par * haircut,
            ccc_par=c.ccc_par.at[:, -1].add(ccc),
            ccc_value=c.ccc_value.at[:, -1].add(
                ccc * (1.0 - greater(1.0 - deal.ccc_price - haircut, 0.0))))
    return jax.tree.map(lambda x: alive * x, c)

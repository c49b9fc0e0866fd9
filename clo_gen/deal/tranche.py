"""Numbers of a class on one path: loss, WAL, yield, price, credit enhancement."""

import jax
import jax.numpy as jnp

from clo_gen.numerics import safe_ratio
from clo_gen.records import Calendar, Deal, TrancheCash, TrancheMetrics
from clo_gen.solve.root import bisect


def credit_enhancement(deal: Deal):
    """Share [K] of initial par that loses before each class does (par subordination).

    Zero for equity, whose balance may exceed what the pool's par leaves it.
    """
    return jnp.maximum(1.0 - jnp.cumsum(deal.balance), 0.0)


def closing_oc_ratios(deal: Deal):
    """Initial par over each debt class and everything senior to it [K-1]."""
    return 1.0 / jnp.cumsum(deal.balance[:-1])


def internal_rate(flows, years, price):
    """Effective yearly yield of `flows` [P] at `years` [P], bought at `price` on day 0.

    Returns (irr, converged). -1 when nothing, or next to nothing, comes back; yields above 1000 %
    are not searched for and count as not converged. Flows below 1e-12 count as none.
    """
    flows = jnp.where(flows > 1e-12, flows, 0.0)

    def value(log_growth, args):
        flows, price = args
        return jnp.sum(flows * jnp.exp(-log_growth * years)) - price

    low, high = jnp.log(1e-6), jnp.log(11.0)
    root = bisect(value, (flows, price), low, high, max_steps=45, tol=1e-11)
    nothing = value(low, (flows, price)) <= 0
    return jnp.where(nothing, -1.0, jnp.exp(root.x) - 1.0), root.converged | nothing


def metrics(deal: Deal, cash: TrancheCash, calendar: Calendar):
    """TrancheMetrics of one path; the loss of equity is what it never got back of its balance.

    The price discounts at the class's own realised index + spread (the curve at which an
    undamaged note is worth par); equity is discounted at its hurdle rate.
    """
    flows = cash.interest + cash.principal
    years = calendar.years[:, None]
    equity_unpaid = jnp.maximum(deal.balance[-1] - flows[:, -1].sum(), 0.0)
    unpaid = cash.balance[-1].at[-1].set(equity_unpaid)
    repaid = cash.principal.sum(0)
    wal = safe_ratio((years * cash.principal).sum(0), repaid, jnp.nan)
    growth = 1.0 + cash.rate * calendar.note_fraction
    steps = jnp.diff(calendar.years, prepend=0.0)
    growth = growth.at[:, -1].set((1.0 + deal.hurdle) ** steps)
    price = (flows / jnp.cumprod(growth, axis=0)).sum(0)
    cost = deal.balance.at[-1].multiply(deal.equity_price)
    irr, converged = jax.vmap(internal_rate, in_axes=(1, None, 0))(flows, calendar.years, cost)
    return TrancheMetrics(
        loss=safe_ratio(unpaid, deal.balance, 0.0),
        unpaid_interest=safe_ratio(cash.unpaid[-1], deal.balance, 0.0),
        wal_years=wal,
        irr=irr,
        irr_converged=converged,
        price=safe_ratio(price, deal.balance, 0.0),
    )

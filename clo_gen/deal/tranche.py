"""Numbers of a class: its place in the capital structure, its test cushions, its path's results."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from clo_gen.deal.analytics import (
    clean_price,
    discount_factors,
    floating_discount,
    internal_rate,
    present_value,
    wal_years,
)
from clo_gen.deal.coverage import PAID_OFF
from clo_gen.numerics import safe_ratio
from clo_gen.records import Calendar, Deal, TrancheCash, TrancheMetrics


def _debt_down_to(deal: Deal, group):
    """Balance [K] of each class, its equals and its seniors, and of its seniors alone.

    `group` [K] int is the priority, smaller first; classes with equal numbers are pari passu.
    None: list order.
    """
    group = jnp.arange(deal.balance.shape[0]) if group is None else jnp.asarray(group)
    through = jnp.where(group[None, :] <= group[:, None], deal.balance, 0.0).sum(1)
    above = jnp.where(group[None, :] < group[:, None], deal.balance, 0.0).sum(1)
    return through, above


def credit_enhancement(
        deal: Deal, group: jax.Array | np.ndarray | list[int] | None = None) -> jax.Array:
    """Share [K] of initial par that loses before each class does (par subordination).

    Pari passu classes (`group` [K], see attachment_points) share it. Zero for equity, whose
    balance may exceed what the pool's par leaves it.
    """
    return attachment_points(deal, group)[0]


def attachment_points(
        deal: Deal,
        group: jax.Array | np.ndarray | list[int] | None = None) -> tuple[jax.Array, jax.Array]:
    """Losses, as shares of initial par, at which each class is first hit and is wiped out.

    Returns (attachment [K], detachment [K]), counted from the equity side: equity attaches at 0,
    the most senior class detaches at 1. `group` [K] int: priority, smaller is senior, classes
    with equal numbers are pari passu and share both points; None is list order.

    >>> from clo_gen.deal import tranche
    >>> loaded = cg.read_deal("configs/deals/static_amortising.toml")
    >>> attach, detach = tranche.attachment_points(loaded.deal)
    >>> dict(zip(loaded.classes, attach.round(3).tolist()))
    {'A': 0.26, 'B': 0.16, 'C': 0.09, 'junior': 0.0}
    """
    through, above = _debt_down_to(deal, group)
    attachment = jnp.maximum(1.0 - through, 0.0).at[-1].set(0.0)
    return attachment, jnp.maximum(1.0 - above, 0.0)


def closing_oc_ratios(
        deal: Deal, group: jax.Array | np.ndarray | list[int] | None = None) -> jax.Array:
    """Initial par over each debt class, its equals and everything senior to it [K-1]."""
    return 1.0 / _debt_down_to(deal, group)[0][:-1]


class Cushion(struct.PyTreeNode):
    """Room of a coverage test; nan where it was not tested or the classes are paid off."""

    points: jax.Array  # [P, Q] ratio less trigger
    share: jax.Array  # [P, Q] of the numerator (OC: adjusted par, IC: interest) that may be lost


def cushion(ratio: jax.Array, trigger: jax.Array) -> Cushion:
    """Cushion of ratios [P, Q] (TrancheCash.ratio) over triggers [Q]; negative when failing."""
    tested = (ratio > 0) & (ratio < PAID_OFF)
    ratio = jnp.where(tested, ratio, 1.0)
    return Cushion(points=jnp.where(tested, ratio - trigger, jnp.nan),
                   share=jnp.where(tested, 1.0 - trigger / ratio, jnp.nan))


def metrics(deal: Deal, cash: TrancheCash, calendar: Calendar) -> TrancheMetrics:
    """TrancheMetrics of one path; the loss of equity is what it never got back of its balance.

    The price discounts at the class's own realised index + spread (the curve at which an
    undamaged note is worth par); equity is discounted at its hurdle rate.
    """
    flows = cash.interest + cash.principal
    years = calendar.years
    equity_unpaid = jnp.maximum(deal.balance[-1] - flows[:, -1].sum(), 0.0)
    unpaid = cash.balance[-1].at[-1].set(equity_unpaid)
    per_class = partial(jax.vmap, in_axes=1)
    discount = per_class(partial(floating_discount, 0.0), out_axes=1)(
        cash.rate, calendar.note_fraction)
    discount = discount.at[:, -1].set(discount_factors(deal.hurdle, years))
    value = per_class(present_value)(flows, discount)
    cost = deal.balance.at[-1].multiply(deal.equity_price)
    irr, converged = jax.vmap(internal_rate, in_axes=(1, None, 0))(flows, years, cost)
    return TrancheMetrics(
        loss=safe_ratio(unpaid, deal.balance, 0.0),
        unpaid_interest=safe_ratio(cash.unpaid[-1], deal.balance, 0.0),
        wal_years=per_class(lambda principal: wal_years(principal, years))(cash.principal),
        irr=irr,
        irr_converged=converged,
        price=clean_price(value, deal.balance, 0.0),
    )

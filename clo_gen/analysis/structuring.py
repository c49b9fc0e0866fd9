"""Sizes of classes at which equity earns most while each class keeps to its rating's loss rate.

The pool does not know the deal, so it is lived once, by sampling (`markov`), and only the waterfall
is run and differentiated for every structure: loss probabilities are those of drawn defaults, with
no mean-field bias. What is drawn is held fixed while sizes move (common random numbers).

A probability over N paths is a step function. Its limit is therefore stated on the slack of a class
- cash that reaches classes junior to it after it is repaid, less what it is owed at the end; its
sign is that of "repaid", and it has a slope on every path: the slack of rank N x limit must not be
negative. Reference: Rockafellar and Uryasev (2000), whose quantile form of chance constraints this
is, without the average over the tail.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen import pipeline, rng
from clo_gen.cash import new_collateral
from clo_gen.deal.analytics import internal_rate
from clo_gen.deal.tranche import credit_enhancement
from clo_gen.deal.waterfall import run_waterfall
from clo_gen.numerics import safe_ratio
from clo_gen.records import Deal
from clo_gen.risk.losses import UNPAID

MOST_MOVE = 0.25  # share by which a spread may leave the quoted one
REPAID = 1e-9  # share of par below which a class is repaid


class Pools(struct.PyTreeNode):
    """Sampled lives of the pool, leading axis N: all the waterfall asks for."""

    collections: Any  # records.Collections
    fixings: jax.Array  # [N, P] index of the floating notes
    new: Any  # records.NewCollateral, or None


class Market(struct.PyTreeNode):
    """How spreads and triggers follow sizes; what stands at the start keeps its terms."""

    start: Any  # records.Deal
    slope: jax.Array  # [] relative rise of a spread per unit of enhancement lost
    oc_class: jax.Array  # [Q] int: class that OC test q ends at; -1: another kind of test
    rank: jax.Array  # [K] int: pari passu classes share one


class Outcome(struct.PyTreeNode):
    """A structure over N paths."""

    irr: jax.Array  # [] of the mean cash of equity at its price
    slack: jax.Array  # [N, K-1] share of par; negative where the class is not repaid
    lost: jax.Array  # [N, K-1] bool: principal or interest unpaid at maturity
    wal_years: jax.Array  # [K-1] of principal repaid, all paths together
    equity: jax.Array  # [N, P] cash of equity, share of par


def live_pools(params, inputs, scenario, key, numbers, *, setup):
    """Pools of paths `numbers` [N] of `key`, in the mode of `setup` (jobs: `markov`)."""
    i = inputs

    def one(n):
        sources = rng.sources(rng.path_key(key, n))
        lived, transitions, index = pipeline.live_pool(params, i, scenario, sources, setup=setup)
        new = None if i.purchases is None else new_collateral.from_transitions(
            i.purchases, transitions.matrix.mean(0), index[:, setup.note_index], setup.space,
            i.calendar)
        return Pools(lived.collections, pipeline.note_fixings(i, index, setup), new)

    return jax.vmap(one)(numbers)


def structured(sizes: jax.Array, market: Market) -> Deal:
    """Deal whose K-1 debt classes have `sizes` [K-1]; equity is what is left of the total.

    A class's spread rises by `slope` of itself per unit of enhancement it loses, and saturates at
    MOST_MOVE of what it was; the trigger of an OC test moves with the closing ratio it tests, so
    its cushion at closing stays.
    """
    start = market.start
    balance = jnp.append(sizes, start.balance.sum() - sizes.sum())
    deal = start.replace(balance=balance)
    before = credit_enhancement(start, market.rank)
    lost = before - credit_enhancement(deal, market.rank)
    junior = market.rank[None, :-1] <= market.rank[market.oc_class][:, None]
    debt, debt_before = junior @ sizes, junior @ start.balance[:-1]
    trigger = jnp.where(market.oc_class >= 0, start.trigger * safe_ratio(debt_before, debt, 1.0),
                        start.trigger)
    factor = 1.0 + MOST_MOVE * jnp.tanh(market.slope * lost / MOST_MOVE)
    spread = start.spread * factor.at[-1].set(1.0)
    return deal.replace(spread=spread, trigger=trigger)


def _slack(cash):
    """[K-1] of one path; see the module."""
    repaid = jax.lax.stop_gradient(cash.balance[:, :-1] <= REPAID)
    flows = cash.interest + cash.principal
    junior = flows.sum(1, keepdims=True) - jnp.cumsum(flows, axis=1)
    return (jnp.where(repaid, junior[:, :-1], 0.0).sum(0)
            - cash.balance[-1, :-1] - cash.unpaid[-1, :-1])


def _polished_rate(flows, years, price):
    """internal_rate, differentiable forward: one Newton step whose slope is held fixed."""
    rate = internal_rate(jax.lax.stop_gradient(flows), years, jax.lax.stop_gradient(price))[0]
    discount = (1.0 + rate) ** -years
    falls = jax.lax.stop_gradient((flows * discount * years).sum() / (1.0 + rate))
    return rate + ((flows * discount).sum() - price) / jnp.where(falls != 0, falls, 1.0)


def outcome(deal, pools: Pools, calendar, temperature, *, waterfall):
    """Outcome of `deal` over the pools."""
    def one(pool):
        cash = run_waterfall(deal, waterfall, pool.collections, pool.fixings, temperature,
                             calendar=calendar, new=pool.new)
        equity = cash.interest[:, -1] + cash.principal[:, -1]
        owed = (cash.balance[-1] + cash.unpaid[-1])[:-1] / deal.balance[:-1]
        return _slack(cash), owed > UNPAID, cash.principal[:, :-1], equity

    slack, lost, principal, equity = jax.vmap(one)(pools)
    repaid = principal.mean(0)
    wal = safe_ratio(calendar.years @ repaid, repaid.sum(0), jnp.nan)
    price = deal.balance[-1] * deal.equity_price
    return Outcome(_polished_rate(equity.mean(0), calendar.years, price), slack, lost, wal, equity)


def margins(slack: jax.Array, allowed: jax.Array) -> jax.Array:
    """Margins [K-1]: the slack of rank `allowed` [K-1] (paths that may lose), smoothed over its
    neighbours to sqrt(allowed) ranks either side."""
    ordered = jnp.sort(slack, axis=0)
    rank = jnp.arange(slack.shape[0])[:, None]
    width = jnp.sqrt(allowed.astype(float))
    weight = (jnp.abs(rank - allowed) <= width).astype(float)
    return (weight * ordered).sum(0) / weight.sum(0)


def compile_structure(waterfall):
    """Compiled (sizes, market, pools, calendar, allowed, temperature) ->
    ((irr, margins [K-1]), their derivatives in sizes, Outcome)."""
    def assess(sizes, market, pools, calendar, allowed, temperature):
        found = outcome(structured(sizes, market), pools, calendar, temperature,
                        waterfall=waterfall)
        values = found.irr, margins(found.slack, allowed)
        return values, (values, found)

    def both(sizes, *rest):
        slopes, (values, found) = jax.jacfwd(assess, has_aux=True)(sizes, *rest)
        return values, slopes, found

    return jax.jit(both)


def irr_error(outcome_, years):
    """Standard error of the IRR of mean equity cash, by the delta method (NPV at that rate)."""
    discount = (1.0 + outcome_.irr) ** -years
    values = outcome_.equity @ discount
    falls = (outcome_.equity.mean(0) * discount * years).sum() / (1.0 + outcome_.irr)
    return values.std() / jnp.sqrt(values.shape[0]) / jnp.abs(falls)

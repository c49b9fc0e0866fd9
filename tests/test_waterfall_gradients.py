"""Gradients of the waterfall on random deals: finite everywhere, equal to finite differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_deals import case, run_draw
from random_draws import draws

N = 6
STEP = 1e-5
FIXED = ("calendar", ".floating", ".fee_carried", ".fee_closing", ".covers", ".on_missed_interest",
         ".same_date", ".fee_accrual", ".is_swap", ".default", ".loss", ".par_by_state")
seeds = pytest.mark.parametrize("seed", [
    3, *(pytest.param(s, marks=pytest.mark.slow) for s in (4, 13))])


def weighted(cash):
    """One number [] that every payment moves."""
    out = 0.0
    for i, x in enumerate(jax.tree.leaves(cash)):
        weights = jnp.cos(jnp.arange(x.size, dtype=float) + i).reshape(x.shape)
        out = out + (weights * jnp.arctan(x)).sum()  # ratios of classes almost paid off are huge
    return out


@functools.cache
def functions(seed):
    """(draws [N] with their temperature, compiled values and gradients [N] of such draws)."""
    loaded = case(seed).loaded
    given = draws(seed, loaded, N) | {"temperature": jnp.linspace(0.01, 0.05, N)}

    def value(d):
        return weighted(run_draw(loaded, d, d["temperature"]))

    return given, jax.jit(jax.vmap(jax.value_and_grad(value, allow_int=True)))


def directions(given, seed):
    """{name: one leaf's relative move [N, ...]} for every number that may move."""
    r, out = np.random.default_rng(seed), {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(given):
        name = jax.tree_util.keystr(path)
        if not any(word in name for word in FIXED) and leaf.dtype == float and leaf.size:
            move = np.where(np.isfinite(leaf), leaf, 0.0) * r.uniform(0.5, 1.0, leaf.shape)
            if (move != 0).any():
                out[name] = jnp.asarray(move)
    return out


def moved(given, name, move, size):
    return jax.tree_util.tree_map_with_path(
        lambda path, x: x + size * move if jax.tree_util.keystr(path) == name else x, given)


@seeds
def test_soft_gradients_match_central_differences(seed):
    """Relative error below 1e-5 away from the kinks of min and max, where two step sizes agree."""
    given, both = functions(seed)
    named = {jax.tree_util.keystr(p): x
             for p, x in jax.tree_util.tree_leaves_with_path(both(given)[1])}
    worst, smooth, total = 0.0, 0, 0
    for name, move in directions(given, seed).items():
        got = np.asarray((named[name] * move).reshape(N, -1).sum(1))
        wide, narrow = (np.asarray(both(moved(given, name, move, h))[0]
                                   - both(moved(given, name, move, -h))[0]) / (2 * h)
                        for h in (STEP, STEP / 2))
        scale = np.maximum(np.abs(narrow), 1e-2)
        away = np.abs(wide - narrow) < 1e-5 * scale
        error = np.abs(got - (4 * narrow - wide) / 3) / scale
        smooth, total = smooth + away.sum(), total + N
        worst = max(worst, error[away].max(initial=0.0))
        assert (error[away] < 1e-5).all(), (name, got, narrow, wide)
    assert total > 20 * N and smooth > 0.8 * total, (smooth, total)
    print(f"structure {seed}: worst relative error {worst:.1e}, {smooth} of {total} points")


def ties(given, seed):
    """Draws at the corners: no notes, no cash, no collections, triggers met exactly."""
    deal, c = given["deal"], given["collections"]
    none = jax.tree.map(jnp.zeros_like, c)
    return {
        "no temperature": given,
        "zero balances": given | {"deal": deal.replace(balance=0.0 * deal.balance)},
        "one class paid": given | {"deal": deal.replace(balance=deal.balance.at[:, 1].set(0.0))},
        "no collections": given | {"collections": none},
        "no cash": given | {"collections": c.replace(
            interest=none.interest, scheduled_principal=none.interest, prepayment=none.interest,
            recovery=none.interest)},
        "no collateral": given | {"collections": c.replace(performing=none.interest)},
        "exact ties": given | {
            "collections": jax.tree.map(lambda x: jnp.round(x * 64) / 64, c),
            "deal": deal.replace(
                balance=jnp.round(deal.balance * 64) / 64, coupon=jnp.zeros_like(deal.coupon),
                spread=0.0 * deal.spread, trigger=jnp.floor(deal.trigger * 8 + 1) / 8)},
    }


@seeds
def test_gradients_are_finite_hard_and_soft_at_every_corner(seed):
    given, both = functions(seed)
    for temperature in (0.0, 0.02):
        for name, corner in ties(given, seed).items():
            value, gradient = both(corner | {"temperature": jnp.full(N, temperature, float)})
            assert np.isfinite(value).all(), name
            for path, x in jax.tree_util.tree_leaves_with_path(gradient):
                assert x.dtype != float or np.isfinite(x).all(), (name, temperature, path)

"""How far conditions lie from what a macro model expects, before any path is drawn.

A path is `path(noise)` with noise ~ N(0, I_D). The likeliest noise that meets the conditions says
by its length how many standard deviations they ask for, and the linear model there says what the
conditions leave to each other.

Reference: Hasofer and Lind (1974), Exact and invariant second-moment code format, for the
likeliest point; exact for a linear Gaussian model, first order otherwise.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax.scipy.special import ndtr

from clo_gen.models import truncated_normal

STEPS = 40  # Gauss-Newton steps at most; a linear model takes one
HELD = 1e-6  # a value this near its condition meets it, here
SWEEPS = 40  # of the likeliest point of a box
EVER = 8.0  # standard deviations of noise that no path goes beyond: one in 1e15 does
ARRIVED = 0.01  # standard deviations of noise: a step this short is the last


class Rows(struct.PyTreeNode):
    """K conditions on one path; rows that are not used let one program serve fewer."""

    month: jax.Array  # [K] int from 0
    series: jax.Array  # [K] int
    low: jax.Array  # [K] lowest value allowed, -inf for none
    high: jax.Array  # [K] highest value allowed; equal to `low` for a point
    used: jax.Array  # [K] bool


class Point(struct.PyTreeNode):
    """A point of noise, and the linear model of the conditions there."""

    noise: jax.Array  # [D]
    value: jax.Array  # [K] what the conditions look at; 0 in rows not used
    jacobian: jax.Array  # [K, D] of `value`
    miss: jax.Array  # [] largest distance of a value to its condition


class Prospect(struct.PyTreeNode):
    """What conditions ask of a model."""

    likeliest: Point  # the likeliest noise that meets all of them
    quantile: jax.Array  # [K, 2] prior quantile of each condition's low and high
    distance: jax.Array  # [K] standard deviations to each condition alone
    miss: jax.Array  # [K] of each condition alone
    alone: jax.Array  # [K, 2] lowest and highest value within the reach, one condition alone
    ever: jax.Array  # [K, 2] the same within EVER standard deviations
    together: jax.Array  # [K, 2] the same where the other conditions hold


def read(rows: Rows, values: jax.Array) -> jax.Array:
    """What the conditions look at [K] in a path [T, M]."""
    return jnp.where(rows.used, values[rows.month, rows.series], 0.0)


def box(rows: Rows) -> Any:
    """Low [K] and high [K]; 0 in rows not used."""
    return tuple(jnp.where(rows.used, bound, 0.0) for bound in (rows.low, rows.high))


def _look(observe, noise, low, high):
    value, pull = jax.vjp(observe, noise)
    jacobian = jax.vmap(lambda row: pull(row)[0])(jnp.eye(len(low), dtype=noise.dtype))
    missed = jnp.maximum(jnp.maximum(low - value, value - high), 0.0).max()
    return Point(noise, value, jacobian, missed)


def nearest(observe: Callable, size: int, low: jax.Array, high: jax.Array,
            sweeps: jax.Array | int) -> Point:
    """Point nearest to the origin of noise [size] with `observe(noise)` [K] in the box.

    Steps go to the box first, then along it towards the origin; one that would not come nearer
    (natural monotonicity) is halved. `sweeps` of the box's likeliest point; 0 where it is a point.
    """

    def step(point, homewards):
        origin = jnp.where(homewards, 0.0, point.noise)
        spread = truncated_normal.spread_of(point.jacobian)
        mean = point.value - point.jacobian @ (point.noise - origin)
        aim = truncated_normal.likeliest(mean, spread, low, high, sweeps)
        return origin + truncated_normal.solve(spread, aim - mean) @ point.jacobian - point.noise

    def search(carry):
        here, share, n, _ = carry
        homewards = (here.miss <= 1e-4) & (n < STEPS - 8)
        move = jnp.where(n == 0, 0.0, step(here, homewards))
        there = _look(observe, here.noise + share * move, low, high)
        length = jnp.linalg.norm(move)
        better = (n == 0) | (jnp.linalg.norm(step(there, homewards)) < length)
        arrived = (here.miss <= HELD) & (length <= ARRIVED)
        kept = jax.tree.map(lambda a, b: jnp.where(better & ~arrived, a, b), there, here)
        share = jnp.where(better, jnp.minimum(2.0 * share, 1.0), share / 2.0)
        return kept, share, n + 1, arrived

    # The first round looks at the origin: one copy of `observe` compiles, not two.
    nothing = Point(jnp.zeros(size, low.dtype), jnp.zeros_like(low),
                    jnp.zeros((len(low), size), low.dtype), jnp.full((), jnp.inf, low.dtype))
    first = (nothing, jnp.ones((), low.dtype), 0, False)
    return jax.lax.while_loop(lambda c: ~c[3] & (c[2] <= STEPS), search, first)[0]


def _extremes(observe, size, reach):
    """Lowest and highest value [2, 2] of one condition over noise within `reach` and EVER sd."""

    def climb(radius):
        def step(noise, _):
            value, pull = jax.vjp(lambda n: observe(n)[0], noise)
            slope = pull(jnp.ones_like(value))[0]
            length = jnp.linalg.norm(slope)
            return radius * slope / jnp.where(length > 0.0, length, 1.0), value

        # The value is that of the step before; after a few they agree.
        return jax.lax.scan(step, jnp.zeros(size, reach.dtype), length=9)[1][-1]

    return jax.vmap(climb)(jnp.stack([-reach, reach, -EVER, EVER])).reshape(2, 2)


def _one_condition(path, size, reach, row):
    """(quantile [2], distance [], miss [], extremes [2, 2]) of a single row alone."""
    one = jax.tree.map(lambda x: x[None], row)
    observe = lambda noise: read(one, path(noise))  # noqa: E731
    bounds = jnp.stack(box(row))
    centre = observe(jnp.zeros(size, bounds.dtype))[0]
    finite = jnp.isfinite(bounds)

    def at(bound):
        point = nearest(observe, size, bound[None], bound[None], 0)
        return jnp.sign(point.jacobian[0] @ point.noise) * jnp.linalg.norm(point.noise), point.miss

    score, missed = jax.vmap(at)(jnp.where(finite, bounds, centre))
    score = jnp.where(finite, score, jnp.sign(bounds) * jnp.inf)
    inside = (bounds[0] <= centre) & (centre <= bounds[1])
    side = jnp.where(centre < bounds[0], 0, 1)
    distance = jnp.where(inside, 0.0, jnp.abs(score[side]))
    return (ndtr(score), distance, jnp.where(inside, 0.0, missed[side]),
            _extremes(observe, size, reach))


def _given_the_rest(point: Point, limit):
    """Lowest and highest value [K, 2] of each condition within `limit`, the others holding."""
    spread = truncated_normal.spread_of(point.jacobian)
    precision, scale = truncated_normal.unit_precision(spread), spread.scale
    off = (point.jacobian @ point.noise) / scale
    variance = 1.0 / jnp.diagonal(precision)
    own = (precision @ off) * variance
    others = off @ (precision @ off) - own**2 / variance
    half = jnp.sqrt(jnp.maximum(limit**2 - others, 0.0) * variance) * scale
    centre = point.value - own * scale
    return jnp.stack([centre - half, centre + half], axis=1)


def prospect(path: Callable, size: int, rows: Rows, limits: jax.Array) -> Prospect:
    """Prospect of `rows` on `path(noise [size]) -> [T, M]`.

    `limits` [2]: the standard deviations of noise that one condition may ask for, and that all
    may ask for together.
    """
    low, high = box(rows)
    sweeps = jnp.where((low < high).any(), SWEEPS, 0)
    best = nearest(lambda noise: read(rows, path(noise)), size, low, high, sweeps)
    quantile, distance, missed, extremes = jax.lax.map(
        lambda row: _one_condition(path, size, limits[0], row), rows)
    return Prospect(best, quantile, distance, missed, extremes[:, 0], extremes[:, 1],
                    _given_the_rest(best, limits[1]))


def narrowed(rows: Rows, found: Prospect) -> Rows:
    """Rows whose ranges end where no path of the model ever gets; points stay."""
    wide = rows.low < rows.high
    return rows.replace(low=jnp.where(wide, jnp.maximum(rows.low, found.ever[:, 0]), rows.low),
                        high=jnp.where(wide, jnp.minimum(rows.high, found.ever[:, 1]), rows.high))

"""Interior point method for linear and separable quadratic programs scaled to size 1.

Mehrotra's predictor-corrector on dense normal equations: shapes do not depend on data, so programs
of equal shape batch under vmap. Reference: Mehrotra (1992); Nocedal and Wright, Numerical
Optimization, algorithm 14.3 (with upper bounds) and section 16.6.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

MAX_STEPS = 60
MAX_STALE = 20  # steps without progress: penalties show up in the products first
TOLERANCE = 1e-10  # aim of the iteration; what counts as converged is the caller's
LEAST_PRODUCT = 1e-16  # aimed at: smaller ones end in subnormal numbers, which are slow
RIDGE = 1e-14  # on the diagonal, 1, of the normal equations


class Scaled(struct.PyTreeNode):
    """The program in z = (x / size, slack, excess) [n + 2m]: rows and cost of size 1."""

    rows: jax.Array  # [m, n]
    unit: jax.Array  # [2m] 1 for slack, -1 for excess, 0 where the row has none
    rhs: jax.Array  # [m]
    cost: jax.Array  # [n + 2m]
    curvature: jax.Array  # [n + 2m]
    high: jax.Array  # [n + 2m], 1 where not bounded
    bounded: jax.Array  # [n + 2m] bool
    size: jax.Array  # [n] unit of x
    row_size: jax.Array  # [m] unit of a row
    cost_size: jax.Array  # [] unit of the objective


class Point(struct.PyTreeNode):
    """Primal and dual variables, all but y positive; also a direction, and residuals."""

    z: jax.Array  # [n + 2m]
    gap: jax.Array  # [n + 2m] high - z
    y: jax.Array  # [m] multiplier of the rows
    low_dual: jax.Array  # [n + 2m]
    high_dual: jax.Array  # [n + 2m] 0 where not bounded


def _times(p: Scaled, z):
    """Rows [m] times z."""
    n, m = p.rows.shape[1], p.rows.shape[0]
    ends = p.unit * z[n:]
    return p.rows @ z[:n] + ends[:m] + ends[m:]


def _transposed(p: Scaled, y):
    """[n + 2m]: transposed rows times y [m]."""
    return jnp.concatenate([y @ p.rows, p.unit * jnp.tile(y, 2)])


def residuals(p: Scaled, v: Point) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(rows [m], bounds, stationarity [n + 2m]): what is missing."""
    bounds = jnp.where(p.bounded, p.high - v.z - v.gap, 0.0)
    slope = p.cost + p.curvature * v.z - _transposed(p, v.y) - v.low_dual + v.high_dual
    return p.rhs - _times(p, v.z), bounds, slope


def error(p: Scaled, v: Point) -> jax.Array:
    """Largest residual [], of slopes relative to costs above 1, and the sum of all products: the
    gap to the dual objective."""
    rows, bounds, slope = residuals(p, v)
    worst = [jnp.abs(r).max() for r in (rows, bounds, slope / jnp.maximum(1.0, jnp.abs(p.cost)))]
    return jnp.stack([*worst, (v.z * v.low_dual).sum() + (v.gap * v.high_dual).sum()]).max()


def factor(p: Scaled, v: Point) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(weights d [n + 2m], diagonal scale [m], Cholesky factor [m, m]) of rows d rows'."""
    n, m = p.rows.shape[1], p.rows.shape[0]
    d = 1.0 / (p.curvature + v.low_dual / v.z + v.high_dual / v.gap)
    ends = p.unit**2 * d[n:]
    normal = (p.rows * d[:n]) @ p.rows.T + jnp.diag(ends[:m] + ends[m:])
    diagonal = jnp.diagonal(normal)
    scale = 1.0 / jnp.sqrt(jnp.where(diagonal > 0, diagonal, 1.0))
    unit_diagonal = normal * scale[:, None] * scale
    # A row without a variable has diagonal 0; it stays out of the way with 1.
    ridge = jnp.diag(jnp.where(diagonal > 0, RIDGE, 1.0))
    return d, scale, jnp.linalg.cholesky(unit_diagonal + ridge)


def direction(p: Scaled, v: Point, factored: tuple[jax.Array, jax.Array, jax.Array],
              missing: tuple[jax.Array, jax.Array, jax.Array], low_aim: jax.Array,
              high_aim: jax.Array) -> Point:
    """Newton direction that fills `missing` (residuals) and moves the products z low_dual and
    gap high_dual by the aims [n + 2m]. Linear in the last three arguments."""
    d, scale, chol = factored
    rows, bounds, slope = missing
    g = slope - low_aim / v.z + (high_aim - v.high_dual * bounds) / v.gap

    def solve(r):
        return scale * jax.scipy.linalg.cho_solve((chol, True), scale * r)

    dy = solve(rows + _times(p, d * g))
    dz = d * (_transposed(p, dy) - g)
    again = solve(rows - _times(p, dz))  # refinement: the last steps are badly conditioned
    dy, dz = dy + again, dz + d * _transposed(p, again)
    dgap = bounds - dz
    return Point(z=dz, gap=jnp.where(p.bounded, dgap, 0.0), y=dy,
                 low_dual=(low_aim - v.low_dual * dz) / v.z,
                 high_dual=jnp.where(p.bounded, (high_aim - v.high_dual * dgap) / v.gap, 0.0))


def _longest(v, dv):
    """Largest step [] in [0, 1] along dv that keeps v positive."""
    falls = dv < 0
    return jnp.minimum(1.0, jnp.where(falls, v / jnp.where(falls, -dv, 1.0), jnp.inf).min())


def _move(p: Scaled, v: Point, dv: Point, part):
    """The point after `part` of the way to the border; a curved program moves all as one."""
    primal = part * jnp.minimum(_longest(v.z, dv.z), _longest(v.gap, dv.gap))
    dual = part * jnp.minimum(_longest(v.low_dual, dv.low_dual),
                              _longest(v.high_dual, dv.high_dual))
    both, curved = jnp.minimum(primal, dual), (p.curvature > 0).any()
    primal, dual = jnp.where(curved, both, primal), jnp.where(curved, both, dual)
    return Point(z=v.z + primal * dv.z, gap=v.gap + primal * dv.gap, y=v.y + dual * dv.y,
                 low_dual=v.low_dual + dual * dv.low_dual,
                 high_dual=v.high_dual + dual * dv.high_dual)


def _mean_product(p: Scaled, v: Point):
    return ((v.z * v.low_dual).sum() + (v.gap * v.high_dual).sum()) / (
        p.bounded.size + p.bounded.sum())


def _step(p: Scaled, v: Point):
    """Mehrotra's step: how far plain Newton gets says how much to centre."""
    factored, missing = factor(p, v), residuals(p, v)
    low, high = v.z * v.low_dual, v.gap * v.high_dual
    plain = direction(p, v, factored, missing, -low, -high)
    mu = _mean_product(p, v)
    centre = (_mean_product(p, _move(p, v, plain, 1.0)) / mu) ** 3 * mu
    centre = jnp.maximum(centre, LEAST_PRODUCT)
    dv = direction(p, v, factored, missing, centre - low - plain.z * plain.low_dual,
                   jnp.where(p.bounded, centre - high - plain.gap * plain.high_dual, 0.0))
    return _move(p, v, dv, jnp.maximum(0.9, 1.0 - mu).clip(max=1 - 1e-6))


def _start(p: Scaled):
    """Middle of the bounds; products all 1."""
    low_dual = jnp.where(p.bounded, 2.0, jnp.maximum(1.0, p.cost))
    return Point(z=1.0 / low_dual, gap=jnp.where(p.bounded, 0.5, 1.0), y=jnp.zeros_like(p.rhs),
                 low_dual=low_dual, high_dual=jnp.where(p.bounded, 2.0, 0.0))


def run(p: Scaled) -> Any:
    """(best Point seen, steps taken): stops at TOLERANCE, at MAX_STEPS or when steps fail."""
    def go_on(carry):
        _, _, best_error, stale, steps = carry
        return (best_error > TOLERANCE) & (stale < MAX_STALE) & (steps < MAX_STEPS)

    def step(carry):
        v, best, best_error, stale, steps = carry
        v = _step(p, v)
        now = error(p, v)
        better = now < best_error  # False for NaN
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), v, best)
        stale = jnp.where(better, 0, stale + jnp.where(jnp.isfinite(now), 1, MAX_STALE))
        return v, best, jnp.where(better, now, best_error), stale, steps + 1

    v = _start(p)
    none = jnp.zeros((), int)
    _, best, _, _, steps = jax.lax.while_loop(go_on, step, (v, v, error(p, v), none, none))
    return best, steps

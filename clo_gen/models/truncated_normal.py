"""A normal law of K numbers within a box: its likeliest point, and draws of it."""

import jax
import jax.numpy as jnp
from flax import struct
from jax.scipy.linalg import cho_solve, solve_triangular
from jax.scipy.special import ndtr, ndtri


class Spread(struct.PyTreeNode):
    """A covariance [K, K] = scale factor factor' scale; a row without variance stands apart."""

    factor: jax.Array  # [K, K] lower
    scale: jax.Array  # [K] standard deviations, 1 for a row without variance


def spread_of(jacobian: jax.Array) -> Spread:
    """Spread of `jacobian` [K, D] times N(0, I_D)."""
    variance = (jacobian**2).sum(-1)
    scale = jnp.sqrt(jnp.where(variance > 0.0, variance, 1.0))
    unit = jacobian / scale[:, None]
    # Neighbouring months of a smooth series are almost the same number.
    jitter = jnp.diag(jnp.where(variance > 0.0, 1e-12, 1.0))
    return Spread(jnp.linalg.cholesky(unit @ unit.T + jitter), scale)


def solve(spread: Spread, x: jax.Array) -> jax.Array:
    """Covariance^-1 x of `x` [K]."""
    return cho_solve((spread.factor, True), x / spread.scale) / spread.scale


def whiten(spread: Spread, x: jax.Array) -> jax.Array:
    """The independent standard numbers [K, ...] of which `x` [K, ...] is made."""
    scale = spread.scale.reshape(-1, *[1] * (x.ndim - 1))
    return solve_triangular(spread.factor, x / scale, lower=True)


def unit_precision(spread: Spread) -> jax.Array:
    """Precision [K, K] of the numbers over their `scale`."""
    eye = jnp.eye(len(spread.scale), dtype=spread.scale.dtype)
    return cho_solve((spread.factor, True), eye)


def _visit(update, start, mean, spread, sweeps):
    """`start` [K] after `sweeps` rounds of x_i <- update(mean, sd of x_i given the rest, i, n)."""
    precision, scale, size = unit_precision(spread), spread.scale, len(start)

    def visit(n, x):
        i = n % size
        variance = 1.0 / precision[i, i]
        given = x[i] - (precision[i] @ ((x - mean) / scale)) * variance * scale[i]
        return x.at[i].set(update(given, jnp.sqrt(variance) * scale[i], i, n))

    return jax.lax.fori_loop(0, sweeps * size, visit, start)


def likeliest(mean: jax.Array, spread: Spread, low: jax.Array, high: jax.Array,
              sweeps: jax.Array | int) -> jax.Array:
    """The point [K] of highest N(mean, spread) density within the box."""
    return _visit(lambda given, sd, i, n: jnp.clip(given, low[i], high[i]),
                  jnp.clip(mean, low, high), mean, spread, sweeps)


def _draw_one(given, sd, low, high, uniform):
    """N(given, sd) within [low, high], precise in either tail."""
    a, b = (low - given) / sd, (high - given) / sd
    flip = a > 0.0
    a, b = jnp.where(flip, -b, a), jnp.where(flip, -a, b)
    p, q = ndtr(a), ndtr(b)
    inner = jnp.where(q > p, p + uniform * (q - p), 0.5)
    x = jnp.clip(jnp.where(q > p, ndtri(inner), b), a, b)
    return jnp.clip(given + sd * jnp.where(flip, -x, x), low, high)


def draw(key: jax.Array, start: jax.Array, mean: jax.Array, spread: Spread,
         box: tuple[jax.Array, jax.Array], sweeps: int) -> jax.Array:
    """A draw [K] of N(mean, spread) within `box` (low [K], high [K]), by Gibbs sweeps.

    It begins at `start` [K], moved into the box; one row that is free is exact after one sweep.
    """
    low, high = box
    uniform = jax.random.uniform(key, (sweeps * len(start),), start.dtype, 1e-12)
    return _visit(lambda given, sd, i, n: _draw_one(given, sd, low[i], high[i], uniform[n]),
                  jnp.clip(start, low, high), mean, spread, sweeps)


def log_density(off: jax.Array, spread: Spread) -> jax.Array:
    """Log N(off; 0, spread) [] of `off` [K] less its constant."""
    log_root = jnp.log(jnp.diagonal(spread.factor)).sum() + jnp.log(spread.scale).sum()
    return -0.5 * off @ solve(spread, off) - log_root

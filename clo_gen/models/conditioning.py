"""Paths of a macro model that meet conditions: posterior draws in its noise space.

A path is `path(noise)` with noise ~ N(0, I_D); K conditions say where some of its values y lie. A
linear model of y spans K directions of noise. Of each prior draw the part u across them is kept,
and its K coordinates a along them are solved for, so that y hits its aim. Given u the map from a
to y is a change of variables, so the draw's weight

    N(a; 0, I) / |det dy/da| / (density of the aim's proposal)

is exact wherever a solution is unique, whatever the directions; good ones make weights even. For a
linear Gaussian model all weights are equal, and this is Matheron's rule.

Reference: Wilson et al. (2021), Pathwise conditioning of Gaussian processes; Bardsley et al.
(2014), Randomize-then-optimize, for solving in fixed directions with a weight.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct
from jax.scipy.linalg import solve_triangular
from jax.scipy.stats import norm

from clo_gen import rng
from clo_gen.models import truncated_normal
from clo_gen.models.reach import Rows, box, read

SECANT_STEPS = 8  # of Broyden's method at most; a linear model takes none
NEWTON_STEPS = 12  # at most, where that is not enough
SWEEPS = 40  # Gibbs sweeps of the aim's draw
SOLVED = 1e-6  # a value this near its aim hits it
LONGEST = 4.0  # standard deviations of noise a step may go


class Linear(struct.PyTreeNode):
    """What the conditions look at as a linear function of noise."""

    mean: jax.Array  # [K]
    jacobian: jax.Array  # [K, D]


class Draws(struct.PyTreeNode):
    """Candidates for conditional paths, N of them."""

    noise: jax.Array  # [N, D]
    log_weight: jax.Array  # [N] -inf where the conditions are not met
    tie: jax.Array  # [N] logistic draws, for drawing among the candidates


def _bounded(step):
    length = jnp.linalg.norm(step)
    return step * jnp.minimum(1.0, LONGEST / jnp.where(length > 0.0, length, 1.0))


def _kept(better, new, old):
    return jax.tree.map(lambda x, y: jnp.where(better, x, y), new, old)


def _secant(off, start, inverse, solved):
    """Coordinates [K] after Broyden's steps from `start` [K]; `inverse` [K, K] of -d(off)/da."""

    def search(carry):
        (a, gap), inverse, n = carry
        step = jnp.where(n == 0, 0.0, _bounded(inverse @ gap))
        there = off(a + step)
        change = inverse @ (gap - there)
        size = step @ change
        update = jnp.outer(step - change, step @ inverse) / jnp.where(size != 0.0, size, 1.0)
        better = (n == 0) | (jnp.linalg.norm(there) < jnp.linalg.norm(gap))
        inverse = jnp.where(n == 0, inverse, inverse + update)
        return _kept(better, (a + step, there), (a, gap)), inverse, n + 1

    # The first round looks at the start: one copy of `off` compiles, not two.
    begin = ((start, jnp.full_like(start, jnp.inf)), inverse, 0)
    return jax.lax.while_loop(lambda c: ~solved(c[0][1]) & (c[2] <= SECANT_STEPS), search,
                              begin)[0][0]


def _newton(off, start, fill, solved):
    """(a [K], off(a) [K], -d(off)/da [K, K]) after Newton's steps with halving from `start` [K].

    `fill` [K, K] is added to the derivative.
    """
    eye = jnp.eye(len(start), dtype=start.dtype)

    def search(carry):
        (a, gap, slope), share, n = carry
        step = jnp.where(n == 0, 0.0, share * _bounded(jnp.linalg.solve(slope, gap)))
        there, push = jax.linearize(off, a + step)
        better = (n == 0) | (jnp.linalg.norm(there) < jnp.linalg.norm(gap))
        share = jnp.where(better, jnp.minimum(2.0 * share, 1.0), share / 2.0)
        new = (a + step, there, fill - jax.vmap(push)(eye).T)
        return _kept(better, new, (a, gap, slope)), share, n + 1

    begin = ((start, jnp.full_like(start, jnp.inf), eye), jnp.ones((), start.dtype), 0)
    return jax.lax.while_loop(lambda c: ~solved(c[0][1]) & (c[2] <= NEWTON_STEPS), search,
                              begin)[0]


def draw(path: Callable, size: int, rows: Rows, linear: Linear,
         key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Candidate draw of one path: (noise [D], log weight [], tie []); see Draws.

    `key` is the path's own: what is kept is the prior draw that `sample` makes of it.
    """
    low, high = box(rows)
    spread = truncated_normal.spread_of(linear.jacobian)
    directions = truncated_normal.whiten(spread, linear.jacobian)
    start = jax.random.normal(rng.stream(key, rng.MACRO), (size,), low.dtype)
    value_key, tie_key = jax.random.split(rng.stream(key, rng.CONDITION))

    def drawn():
        own = linear.mean + linear.jacobian @ start
        return truncated_normal.draw(value_key, own, linear.mean, spread, (low, high), SWEEPS)

    aim = jax.lax.cond((low < high).any(), drawn, lambda: low)
    across = start - (directions @ start) @ directions

    def off(a):
        return (aim - read(rows, path(across + a @ directions))) / spread.scale

    def solved(gap):
        return jnp.abs(gap * spread.scale).max() <= SOLVED

    inverse = solve_triangular(spread.factor, jnp.eye(len(aim), dtype=low.dtype), lower=True)
    guess = truncated_normal.whiten(spread, aim - linear.mean)
    a, gap, slope = _newton(off, _secant(off, guess, inverse, solved),
                            jnp.diag(jnp.where(rows.used, 0.0, 1.0)), solved)
    log_weight = (-0.5 * a @ a - jnp.linalg.slogdet(slope)[1]
                  - truncated_normal.log_density(aim - linear.mean, spread))
    return (across + a @ directions, jnp.where(solved(gap), log_weight, -jnp.inf),
            jax.random.logistic(tie_key, (), low.dtype))


def draws(path: Callable, size: int, rows: Rows, linear: Linear, keys: jax.Array, *,
          chunk: int) -> Draws:
    """Draws of `keys` [N], `chunk` of them at a time."""
    return Draws(*jax.lax.map(lambda key: draw(path, size, rows, linear, key), keys,
                              batch_size=chunk))


def average(path: Callable, rows: Rows, found: Draws, *, chunk: int) -> Linear:
    """Linear model of what the conditions look at, averaged over the draws that meet them.

    Its directions leave the values without linear dependence on what stays across them, which is
    what makes weights uneven; the likeliest point alone sits in the calm of no shocks.
    """
    def one(noise):
        value, pull = jax.vjp(lambda n: read(rows, path(n)), noise)
        jacobian = jax.vmap(lambda row: pull(row)[0])(jnp.eye(len(value), dtype=value.dtype))
        return value - jacobian @ noise, jacobian

    each = Linear(*jax.lax.map(one, found.noise, batch_size=chunk))
    met = jnp.isfinite(found.log_weight)
    return jax.tree.map(lambda x: jnp.where(met.reshape(-1, *[1] * (x.ndim - 1)), x, 0.0).sum(0)
                        / jnp.maximum(met.sum(), 1), each)


def log_density(noise: jax.Array) -> jax.Array:
    """Prior log-density [...] of `noise` [..., D]: how likely a path is beside others of the model.

    It is the path's own up to the volume element of the decoder, a constant for a VAR.
    """
    return norm.logpdf(noise).sum(-1)

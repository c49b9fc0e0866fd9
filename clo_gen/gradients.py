"""Gradients of statistics over paths: which estimator, which statistic, in bounded memory.

A setup decides how a gradient passes the loans' states:

| setup | gradient of | bias | variance | cost |
|---|---|---|---|---|
| `expected` | conditional means | none (pool); a class sees no single-loan risk | low | least |
| `scored` | the drawn pool | none | high: grows with loans and months | a forward pass more |
| `relaxed` | weights for states | grows with temperature | between | as `expected`, and draws |
| `relaxed`, straight through | hard cash, soft slopes | as `relaxed` | between | the same |

`scored` multiplies each path's value, less the mean of the other paths, by the derivative of the
log-probability of its draws (score function, leave-one-out baseline); macro path and factors keep
their pathwise derivative. Bias and errors as measured: docs/gradients.md.
Reference: Mohamed, Rosca, Figurnov and Mnih (2020), Monte Carlo gradient estimation in machine
learning, JMLR 21(132); Kool, van Hoof and Welling (2019), Buy 4 REINFORCE samples, get a baseline
for free.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.models import loan_states
from clo_gen.pipeline import Setup


def expected(setup: Setup) -> Setup:
    """`setup` with state probabilities pushed in place of draws.

    >>> cg.gradients.expected(a.setup).mode
    'expected'
    """
    return dataclasses.replace(setup, mode="expected")


def scored(setup: Setup) -> Setup:
    """`setup` with the draws of `markov` and their log-probability; trajectories keep their own."""
    return setup if setup.mode == "trajectory" else dataclasses.replace(setup, mode="scored")


@functools.cache
def _relaxed(temperature, straight_through):
    return loan_states.relaxed(temperature, straight_through)


def relaxed(setup: Setup, temperature: float, *, straight_through: bool = False) -> Setup:
    """`setup` with Gumbel-softmax states at `temperature` (a number > 0)."""
    return dataclasses.replace(setup, mode=_relaxed(temperature, straight_through))


class Statistic(struct.PyTreeNode):
    """A statistic of path values [N] and how it moves: its derivative is the mean over paths of
    slope x (derivative of the path's value) + score x (derivative of its log-probability)."""

    value: jax.Array  # []
    slope: jax.Array  # [N]
    score: jax.Array  # [N]


def mean(values: jax.Array) -> Statistic:
    """Statistic: the mean of `values` [N]. Its score has a leave-one-out baseline.

    >>> found = cg.gradients.mean(jnp.array([1.0, 2.0, 6.0]))
    >>> float(found.value), found.score.tolist()
    (3.0, [-3.0, -1.5, 4.5])
    """
    n = values.shape[0]
    others = (values.sum() - values) / max(n - 1, 1)
    return Statistic(values.mean(), jnp.ones_like(values), values - others)


def _quantile(values, level):
    rank = jnp.ceil(level * values.shape[0] - 1e-9).astype(int) - 1
    return jnp.sort(values)[jnp.clip(rank, 0, values.shape[0] - 1)]


def cvar(values: jax.Array, level: float) -> Statistic:
    """Statistic: mean of the worst 1 - `level` share of `values` [N] (large is bad).

    The value at risk inside is held: its own derivative does not count at an optimum.
    Reference: Rockafellar and Uryasev (2000), Optimization of conditional value-at-risk.

    >>> found = cg.gradients.cvar(jnp.array([1.0, 2.0, 3.0, 6.0]), level=0.5)
    >>> float(found.value), found.slope.tolist()  # the worst half, each counted twice
    (4.5, [0.0, 0.0, 2.0, 2.0])
    """
    var = _quantile(values, level)
    excess = mean(jnp.maximum(values - var, 0.0) / (1.0 - level))
    return Statistic(var + excess.value, (values > var) / (1.0 - level), excess.score)


def var(values: jax.Array, level: float, bandwidth: jax.Array | float | None = None) -> Statistic:
    """Statistic: the ceil(level N)-th smallest of `values` [N].

    Its derivative is a Gaussian kernel's average around the quantile, `bandwidth` [] wide (None:
    Silverman's rule on the interquartile range). Values with an atom at the quantile have none.
    Reference: Hong (2009), Estimating quantile sensitivities, Operations Research 57(1).
    """
    quantile = _quantile(values, level)
    if bandwidth is None:
        middle = _quantile(values, 0.75) - _quantile(values, 0.25)
        spread = jnp.where(middle > 0, middle / 1.349, values.std())
        bandwidth = 0.9 * spread * values.shape[0] ** -0.2
    wide = jnp.where(bandwidth > 0, bandwidth, 1.0)
    kernel = jnp.exp(-0.5 * ((values - quantile) / wide) ** 2) / (wide * jnp.sqrt(2.0 * jnp.pi))
    density = kernel.mean()
    below = (values <= quantile).astype(values.dtype)
    return Statistic(quantile, kernel / density, -(below - below.mean()) / density)


class Gradient(struct.PyTreeNode):
    """A statistic of many paths and its gradient."""

    value: jax.Array  # []
    gradient: Any  # like the arguments; None for integers and keys
    error: Any  # standard error of the gradient, from the spread between blocks; nan for one
    values: jax.Array  # [N] of the paths


def _split(args):
    """(floating leaves of `args`, function that puts such leaves back)."""
    leaves, tree = jax.tree.flatten(args)
    free = [jnp.issubdtype(jnp.asarray(x).dtype, jnp.floating) for x in leaves]

    def join(some, rest=leaves):
        some = iter(some)
        return jax.tree.unflatten(tree, [next(some) if f else x
                                         for f, x in zip(free, rest, strict=True)])

    return [jnp.asarray(x) for f, x in zip(free, leaves, strict=True) if f], join


def gradient(one: Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]], args: Any,
             numbers: jax.Array, statistic: Callable[[jax.Array], Statistic] = mean, *,
             block: int = 32) -> Gradient:
    """Gradient of statistic([one(args, i)[0] for i in numbers]) in every number of `args`.

    one(args, i) -> (value [], log_prob [] of its draws: 0 where none count). Paths run `block` at a
    time, forward and backward, so memory does not grow with their number; len(numbers) must be a
    multiple of `block`, or less than it, else ValueError. A mean takes one pass (its baseline is
    that of the block); other statistics take a forward pass first. Pure: jit the call.

    >>> def lost(recovery, i):  # one path's pool loss
    ...     inputs = a.inputs.replace(tape=a.inputs.tape.replace(recovery_rate=recovery))
    ...     path = cg.simulate(a.params, inputs, a.scenarios["adverse"],
    ...                        cg.rng.path_key(jax.random.key(0), i), 0.0, setup=setup)
    ...     return path.loss, path.log_prob
    >>> setup = cg.gradients.expected(a.setup)
    >>> found = jax.jit(lambda x: cg.gradient(lost, x, jnp.arange(4)))(a.inputs.tape.recovery_rate)
    >>> found.gradient.shape, bool((found.gradient <= 0).all())  # [L] like the argument
    ((24,), True)
    """
    n = numbers.shape[0]
    block = min(block, n)
    if n % block:
        raise ValueError(f"{n} paths in blocks of {block}: want a multiple")
    numbers = numbers.reshape(-1, block)
    free, join = _split(args)
    many = jax.vmap(lambda free, i: one(join(free), i), (None, 0))

    if statistic is mean:
        weights = None
    else:
        _, values = jax.lax.scan(lambda _, i: (None, many(free, i)[0]), None, numbers)
        found = statistic(values.reshape(-1))
        weights = tuple(x.reshape(numbers.shape) for x in (found.slope, found.score))

    def surrogate(free, i, weights):
        values, log_prob = many(free, i)
        if weights is None:
            own = jax.lax.stop_gradient(mean(values))
            weights = own.slope, own.score
        slope, score = weights
        return (slope * values + score * log_prob).mean(), values

    def add(carry, x):
        total, square = carry
        g, values = jax.grad(surrogate, has_aux=True)(free, *x)
        return ([t + y for t, y in zip(total, g, strict=True)],
                [s + y * y for s, y in zip(square, g, strict=True)]), values

    zero = [jnp.zeros_like(x) for x in free]
    (total, square), values = jax.lax.scan(add, (zero, zero), (numbers, weights))
    blocks, values = numbers.shape[0], values.reshape(-1)
    average = [x / blocks for x in total]

    def error(square, average):
        variance = jnp.maximum(square / blocks - average**2, 0.0)
        return jnp.sqrt(variance / (blocks - 1)) if blocks > 1 else jnp.full_like(average, jnp.nan)

    nothing = [None] * len(jax.tree.leaves(args))
    return Gradient(statistic(values).value, join(average, nothing),
                    join([error(s, x) for s, x in zip(square, average, strict=True)], nothing),
                    values)

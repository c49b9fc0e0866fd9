"""Importance sampling with normal noise: weights, and what weighted paths say of a tail.

Paths are drawn from q, a mixture of normals shifted by means mu_m with shares a_m, in place of the
standard normal p. A path counts p/q = 1 / sum_m a_m exp(mu_m.x - |mu_m|^2 / 2). Weights are not
normalised, so a probability or a mean is unbiased; a component with mean 0 bounds every weight by
one over its share.

Reference: Glasserman, Heidelberger and Shahabuddin (2000), Variance reduction techniques for
estimating value-at-risk, Management Science 46; Owen and Zhou (2000), Safe and effective importance
sampling, JASA 95 (defensive mixtures, control variates); Roberts (2018), The unreasonable
effectiveness of quasirandom sequences.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax.scipy.special import log_ndtr, logsumexp

_ENDS = 2.0**-40  # of (0, 1): how far uniform numbers stay away from where a normal is infinite


class Estimate(struct.PyTreeNode):
    """A number and its standard error."""

    value: jax.Array
    error: jax.Array


class Quantile(struct.PyTreeNode):
    """A quantile with the ends of its interval."""

    value: jax.Array
    low: jax.Array
    high: jax.Array


def log_weight(at: jax.Array, means: jax.Array, shares: jax.Array,
               others: jax.Array | float = 0.0) -> jax.Array:
    """log p/q [] at the point `at` [J] of a mixture with `means` [M, J] and `shares` [M].

    `others` [M]: log q/p of what else each component draws differently.
    """
    return -logsumexp(means @ at - 0.5 * (means**2).sum(-1) + others, b=shares)


def even_uniforms(shifts: jax.Array, number: jax.Array) -> jax.Array:
    """Uniform numbers [J] of point `number` of an even sequence, moved by `shifts` [J] in [0, 1).

    The additive recurrence of Roberts: steps 1/g, 1/g^2, ... with g^(J+1) = g + 1, the golden ratio
    for J = 1. Each number is uniform when its shift is.
    """
    dims = shifts.shape[0]
    g = 2.0
    for _ in range(60):
        g = (1.0 + g) ** (1.0 / (dims + 1))
    steps = jnp.asarray([g ** -(j + 1) % 1.0 for j in range(dims)], shifts.dtype)
    return jnp.clip((shifts + number * steps) % 1.0, _ENDS, 1.0 - _ENDS)


def effective_size(weights: jax.Array) -> jax.Array:
    """How many equally weighted paths the `weights` [N] are worth: (sum w)^2 / sum w^2; 0 when all
    are 0. Reference: Kish (1965), Survey sampling."""
    square = (weights**2).sum()
    return jnp.where(square > 0, weights.sum() ** 2 / jnp.where(square > 0, square, 1.0), 0.0)


def by_replication(values: jax.Array, replications: int) -> jax.Array:
    """Means [R, ...] of `values` [N, ...]; path i belongs to replication i mod R."""
    return values.reshape(-1, replications, *values.shape[1:]).mean(0)


def mean(values: jax.Array, replications: int | None = None) -> Any:
    """Estimate of the mean of `values` [N]: of independent paths, or of paths that are independent
    between `replications` only."""
    if replications is not None:
        values = by_replication(values, replications)
    return Estimate(values.mean(0), values.std(0, ddof=1) / jnp.sqrt(1.0 * values.shape[0]))


def controlled_mean(values: jax.Array, controls: jax.Array, replications: int) -> Estimate:
    """Estimate of the mean of `values` [N] less what `controls` [N, Q] with known mean 0 explain.

    The slopes that a replication is corrected by are fitted to the others, so the estimate stays
    unbiased.
    """
    y, c = by_replication(values, replications), by_replication(controls, replications)
    size = (c**2).mean(0)
    c = c / jnp.sqrt(jnp.where(size > 0, size, 1.0))

    def corrected(out):
        keep = jnp.ones(replications).at[out].set(0.0)[:, None]
        centred = keep * (c - (keep * c).sum(0) / (replications - 1))
        gram = centred.T @ centred + 1e-9 * replications * jnp.eye(c.shape[1])
        return y[out] - c[out] @ jnp.linalg.solve(gram, centred.T @ y)

    return mean(jax.vmap(corrected)(jnp.arange(replications)))


def quantile(losses: jax.Array, weights: jax.Array, level: jax.Array | float) -> jax.Array:
    """Smallest of `losses` [N] that is exceeded with a weighted probability of at most 1 - level
    []; with equal weights the ceil(level N)-th smallest."""
    order = jnp.argsort(-losses)
    ordered = weights[order]
    above = (jnp.cumsum(ordered) - ordered) / losses.shape[0]
    last = (above <= 1.0 - level + 1e-9 / losses.shape[0]).sum() - 1
    return losses[order][jnp.maximum(last, 0)]


def value_at_risk(losses: jax.Array, weights: jax.Array, level: float, width: float,
                  replications: int | None = None) -> Quantile:
    """Quantile of `losses` [N] at `level`; its ends are the quantiles `width` standard errors of
    the probability above it to either side."""
    value = quantile(losses, weights, level)
    error = mean(weights * (losses > value), replications).error
    return Quantile(value, quantile(losses, weights, level - width * error),
                    quantile(losses, weights, level + width * error))


def conditional_value_at_risk(losses: jax.Array, weights: jax.Array, level: float,
                              replications: int | None = None) -> Estimate:
    """Estimate of the mean loss beyond the quantile at `level`, VaR + E[(loss - VaR)+] / (1 -
    level); its error is that of the mean, at the quantile found."""
    value = quantile(losses, weights, level)
    excess = mean(weights * jnp.maximum(losses - value, 0.0), replications)
    return Estimate(value + excess.value / (1.0 - level), excess.error / (1.0 - level))


def length_of_least_variance(threshold: jax.Array, share: jax.Array, steps: int = 60) -> jax.Array:
    """Shift [] of X ~ N(0, 1) under which P(s X + sqrt(1 - s^2) Y > b) is estimated best by paths
    that shift X alone.

    `threshold` is b [], `share` is s [] in [0, 1]. The second moment is exp(mu^2) Phi(-b - s mu);
    mu solves 2 mu = s h(b + s mu), h the hazard of a normal.
    """
    def step(_, mu):
        at = threshold + share * mu
        hazard = jnp.exp(jax.scipy.stats.norm.logpdf(at) - log_ndtr(-at))
        return 0.5 * mu + 0.25 * share * hazard

    return jax.lax.fori_loop(0, steps, step, jnp.zeros_like(threshold))


def probit(at: jax.Array, happened: jax.Array, ridge: float = 0.05,
           steps: int = 30) -> tuple[jax.Array, jax.Array]:
    """(intercept [], slopes [J]) of P(happened | x) = Phi(a + b.x) from points `at` [N, J] drawn
    from any density; `ridge` is the precision of a normal prior of the slopes."""
    design = jnp.concatenate([jnp.ones((at.shape[0], 1), at.dtype), at], 1)
    sign = jnp.where(happened, 1.0, -1.0)
    weight = ridge * jnp.ones(design.shape[1], at.dtype).at[0].set(0.01)

    def objective(b):
        return -log_ndtr(sign * (design @ b)).sum() + 0.5 * (weight * b**2).sum()

    def step(_, b):
        move = jnp.linalg.solve(jax.hessian(objective)(b), jax.grad(objective)(b))
        return b - move / jnp.maximum(1.0, jnp.linalg.norm(move))

    found = jax.lax.fori_loop(0, steps, step, jnp.zeros(design.shape[1], at.dtype))
    return found[0], found[1:]

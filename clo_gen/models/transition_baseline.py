"""Baseline transition models: counts with a Dirichlet prior, and a multinomial logit on macro.

They are the yardstick of any learned transition model. A withdrawn rating (NR) is a loss of
sight, not a prepayment: it is censored here, and prepayment is added by models.prepayment.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from scipy.linalg import expm, logm

from clo_gen.records import MacroPath, Transitions
from clo_gen.solve.minimize import bfgs
from clo_gen.states import StateSpace


class Logit(struct.PyTreeNode):
    """log P_ij(t) = log base_ij + slope_k . z(t) + intercept_k - log Z_i, k the kind of move.

    Kinds of move: better (prepayment too, where the base has one), worse, default; staying has
    neither slope nor intercept. z are the macro covariates in standard deviations, saturating
    smoothly at `limit` (limit * tanh(z / limit)), so that stress far outside the fitted years is
    not extrapolated without bound.
    """

    base: jax.Array  # [S, S] monthly matrix; zero where masked
    intercept: jax.Array  # [3]
    slope: jax.Array  # [3, Z]
    mean: jax.Array  # [Z] of the covariates
    scale: jax.Array  # [Z]
    limit: jax.Array  # []
    covariates: tuple[str, ...] = struct.field(pytree_node=False)
    space: StateSpace = struct.field(pytree_node=False)


def covariate_paths(names: Any, series: tuple[str, ...], values: jax.Array,
                    history: jax.Array) -> jax.Array:
    """Covariates [T, Z] of a path [T, M] that follows `history` [H, M].

    A name is a macro series, or a series with the suffix `_change_12m`: its level less the level
    twelve months before. Value t uses months up to t only.
    """
    full = jnp.concatenate([history, values])
    months = values.shape[0]

    def one(name):
        level = full[:, series.index(name.removesuffix("_change_12m"))]
        return level - jnp.roll(level, 12) if name.endswith("_change_12m") else level

    return jnp.stack([one(name)[-months:] for name in names], axis=-1)


def monthly_root(annual: jax.Array | np.ndarray) -> np.ndarray:
    """Monthly matrix whose 12th power is near `annual` [S, S] (host).

    The logarithm of a rating matrix has small negative off-diagonals; they are set to zero and the
    diagonal rebalanced. Reference: Israel, Rosenthal and Wei (2001), Finding generators for Markov
    chains via empirical transition matrices, Mathematical Finance 11(2).
    """
    generator = np.real(logm(np.asarray(annual, float)))
    np.fill_diagonal(generator, 0.0)
    generator = np.maximum(generator, 0.0)
    np.fill_diagonal(generator, -generator.sum(1))
    return expm(generator / 12.0)


def posterior_mean(counts: jax.Array | np.ndarray, prior: jax.Array | np.ndarray, strength: float,
                   space: StateSpace) -> np.ndarray:
    """Monthly matrix [S, S] from `counts` [S, S] and a Dirichlet prior worth `strength` months.

    Rows of live states only; absorbing rows are the identity and masked entries exactly 0.
    """
    matrix = np.where(space.mask, counts + strength * prior, 0.0)
    matrix[:, [space.prepaid, space.matured]] = 0.0
    live = len(space.live)
    matrix[:live] /= matrix[:live].sum(1, keepdims=True)
    matrix[live:] = np.eye(space.size)[live:]
    return matrix


def _kinds(space):
    """[S, S] int: 0 stay or no move, 1 better, 2 worse, 3 default."""
    live = len(space.live)
    kinds = np.zeros((space.size, space.size), int)
    kinds[:live, :live] = np.where(space.worse[:live, :live], 2, 1)
    np.fill_diagonal(kinds, 0)
    kinds[:live, space.prepaid] = 1
    kinds[:live, space.default] = 3
    return kinds


def _saturated(params, z):
    """Covariates in standard deviations, bounded by `limit`."""
    return params.limit * jnp.tanh((z - params.mean) / params.scale / params.limit)


def _log_matrix(params, z):
    """Log matrices [T, S, S] and the mask of their zero entries."""
    effect = params.intercept + _saturated(params, z) @ params.slope.T
    effect = jnp.concatenate([jnp.zeros_like(effect[:, :1]), effect], axis=1)
    positive = params.base > 0
    base = jnp.log(jnp.where(positive, params.base, 1.0))
    logits = jnp.where(positive, base + effect[:, _kinds(params.space)], -jnp.inf)
    return jax.nn.log_softmax(logits, axis=-1), positive


def log_likelihood(params: Logit, counts: jax.Array, z: jax.Array) -> jax.Array:
    """Log-likelihood [] of `counts` [T, S, S] given covariates `z` [T, Z]."""
    logs, positive = _log_matrix(params, z)
    return jnp.sum(counts * jnp.where(positive, logs, 0.0))


def constant(base: jax.Array | np.ndarray, covariates: Any, space: StateSpace,
             mean: jax.Array | np.ndarray, scale: jax.Array | np.ndarray, limit: float) -> Logit:
    """A Logit without macro effect: the constant-matrix baseline."""
    width = len(covariates)
    return Logit(jnp.asarray(base), jnp.zeros(3), jnp.zeros((3, width)), jnp.asarray(mean),
                 jnp.asarray(scale), jnp.asarray(limit), covariates, space)


def fit_logit(start: Logit, counts: jax.Array | np.ndarray, z: jax.Array | np.ndarray,
              ridge: float) -> tuple[Logit, bool]:
    """Penalised maximum likelihood of intercepts and slopes, from the constant model `start`.

    `ridge` is the precision of a normal prior on the slopes (per standard deviation of macro).
    Returns (Logit, converged).
    """

    def objective(free, data):
        counts, z = data
        params = start.replace(intercept=free[0], slope=free[1])
        return -log_likelihood(params, counts, z) + 0.5 * ridge * jnp.sum(free[1] ** 2)

    free, converged = bfgs(objective, (start.intercept, start.slope),
                           (jnp.asarray(counts), jnp.asarray(z)))
    return start.replace(intercept=free[0], slope=free[1]), converged


def recentre(params: Logit, z: jax.Array) -> Logit:
    """`params` with intercepts such that the odds of each move average to the base's over `z`.

    The base is an average over decades (the prior's years); the slopes come from the few years of
    the counts. `z` [T, Z] are the covariates of the base's own years.
    """
    effect = _saturated(params, z) @ params.slope.T
    return params.replace(intercept=-jnp.log(jnp.mean(jnp.exp(effect), axis=0)))


def with_macro_effect(params: Logit, multiplier: jax.Array | float, log_odds: jax.Array | float,
                      z: jax.Array) -> Logit:
    """`params` whose slopes are `multiplier` [] times as steep, recentred over `z` [T, Z], and
    whose odds of worse moves and of default are then exp(`log_odds` []) times as high.

    Recentring keeps the mean odds over `z`; elsewhere the mean moves, and `log_odds` can hold it.
    """
    steep = recentre(params.replace(slope=multiplier * params.slope), z)
    return steep.replace(intercept=steep.intercept + log_odds * jnp.asarray([0.0, 1.0, 1.0]))


def predict_at(params: Logit, z: jax.Array) -> jax.Array:
    """Monthly matrices [T, S, S] given covariates `z` [T, Z], without prepayment."""
    logs, positive = _log_matrix(params, z)
    return jnp.where(positive, jnp.exp(logs), 0.0)


def predict(params: Logit, path: MacroPath) -> Transitions:
    """Transitions [1, T, S, S] on one MacroPath, without prepayment; one matrix for all cohorts."""
    z = covariate_paths(params.covariates, path.series, path.values, path.history)
    return Transitions(predict_at(params, z)[None])

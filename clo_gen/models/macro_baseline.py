"""Baseline macro generators, fitted to real history: VAR(p) and matched-block bootstrap.

They are the yardstick of any learned generator. Both start from the last observed months and
give one path [T, M]; the scenario is applied on top (models.scenarios).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from clo_gen import rng
from clo_gen.models import scenarios
from clo_gen.records import MacroPath


class Var(struct.PyTreeNode):
    """VAR(p) in yearly fractions: m_t = intercept + sum_k lags[k] m_{t-1-k} + chol e_t."""

    intercept: jax.Array  # [M]
    lags: jax.Array  # [p, M, M]
    chol: jax.Array  # [M, M] lower factor of the residual covariance


class BlockBootstrap(struct.PyTreeNode):
    """Matched-block bootstrap: blocks of real months, each starting near where the last ended.

    Reference: Carlstein et al. (1998), Matched-block bootstrap for dependent data, Bernoulli 4(3).
    """

    history: jax.Array  # [H, M] months to draw from
    neighbours: jax.Array  # [H, k] int, the k months nearest to each month
    first: jax.Array  # [k] int, the months nearest to the last observed one
    block: int = struct.field(pytree_node=False, default=24)  # months


def fit_var(values: jax.Array | np.ndarray, lags: int,
            keep: jax.Array | np.ndarray | None = None) -> Any:
    """Least-squares VAR(`lags`) of `values` [H, M] (host).

    `keep` [H] bool drops every equation in which a month that is False appears, on either side:
    the pandemic's one month of +10 points in unemployment would rule the covariance. Reference:
    Lenza and Primiceri (2022), How to estimate a VAR after March 2020, who discuss dropping.
    Raises ValueError when the fitted process is not stable.
    """
    values = np.asarray(values, float)
    rows = np.arange(lags, len(values))
    if keep is not None:
        keep = np.asarray(keep)
        rows = rows[np.all([keep[rows - k] for k in range(lags + 1)], axis=0)]
    design = np.column_stack([np.ones(len(rows)), *(values[rows - k - 1] for k in range(lags))])
    coefficients, *_ = np.linalg.lstsq(design, values[rows], rcond=None)
    residuals = values[rows] - design @ coefficients
    covariance = residuals.T @ residuals / (len(rows) - design.shape[1])
    m = values.shape[1]
    matrices = coefficients[1:].T.reshape(m, lags, m).transpose(1, 0, 2)
    companion = np.eye(m * lags, k=-m)
    companion[:m] = np.concatenate(matrices, axis=1)
    radius = np.abs(np.linalg.eigvals(companion)).max()
    if radius >= 1.0:
        raise ValueError(
            f"macro: the VAR({lags}) fitted to {len(rows)} months is not stable (spectral radius "
            f"{radius:.3f}); want fewer lags, a longer history, or macro.generator = "
            '"block_bootstrap"'
        )
    return Var(jnp.asarray(coefficients[0]), jnp.asarray(matrices),
               jnp.asarray(np.linalg.cholesky(covariance)))


def fit_block_bootstrap(values: jax.Array | np.ndarray, last: jax.Array | np.ndarray,
                        block: int = 24, neighbours: int = 20) -> Any:
    """Neighbour tables of `values` [H, M] for blocks of `block` months, starting at `last` [M]."""
    values = np.asarray(values, float)
    starts = len(values) - block
    if starts < neighbours:
        raise ValueError(f"macro: {len(values)} months of history are too few for blocks of "
                         f"{block} months; want at least {block + neighbours}")
    scaled = (values - values.mean(0)) / values.std(0)
    target = (np.asarray(last) - values.mean(0)) / values.std(0)

    def nearest(x):
        return np.argsort(((scaled[:starts] - x) ** 2).sum(1), kind="stable")[:neighbours]

    return BlockBootstrap(jnp.asarray(values), jnp.asarray([nearest(x) for x in scaled]),
                          jnp.asarray(nearest(target)), block)


def noise_size(params: Var, months: Any) -> Any:
    """How many normal numbers a path of `months` months of the VAR holds."""
    return months * params.intercept.shape[0]


def decode(params: Var, noise: jax.Array, history: jax.Array, scenario: scenarios.Scenario,
           months: int) -> Any:
    """Values [months, M] of the path whose shocks are `noise` [D], scenario on top.

    `noise` ~ N(0, I) holds all that is random, D = noise_size; differentiable.
    """
    p, m = params.lags.shape[:2]
    shocks = noise.reshape(months, m) @ params.chol.T

    def step(recent, shock):
        new = params.intercept + jnp.einsum("kij,kj->i", params.lags, recent) + shock
        return jnp.concatenate([new[None], recent[:-1]]), new

    baseline = jax.lax.scan(step, history[::-1][:p], shocks)[1]
    return scenarios.apply(scenario, baseline)


def _sample_blocks(params, key, history, months):
    draws = jax.random.randint(key, (-(-months // params.block),), 0, params.first.shape[0])

    def step(near, draw):
        rows = near[draw] + 1 + jnp.arange(params.block)
        return params.neighbours[rows[-1]], params.history[rows]

    blocks = jax.lax.scan(step, params.first, draws)[1]
    return blocks.reshape(-1, history.shape[1])[:months].astype(history.dtype)


def sample(params: Any, key: jax.Array, history: jax.Array, scenario: scenarios.Scenario,
           series: tuple[str, ...]) -> MacroPath:
    """MacroPath of one path: a baseline draw with the scenario on top.

    `params` is a Var or a BlockBootstrap, `history` [H, M] ends at the cut-off date.
    """
    months = scenario.shape.shape[0]
    if isinstance(params, Var):
        noise = rng.normals(key, rng.MACRO, (noise_size(params, months),), history.dtype)
        return MacroPath(history, decode(params, noise, history, scenario, months), series)
    baseline = _sample_blocks(params, rng.stream(key, rng.MACRO), history, months)
    return MacroPath(history, scenarios.apply(scenario, baseline), series)

"""What the macro CVAE knows before training: its units, a linear skip and its latent directions.

A monthly change in units of its usual size follows
    y_t = constant + level x_{t-1} + sum_k change_k sat(y_{t-k}) + chol (drift_t + e_t),
x the series in standard units, sat a soft bound (a pandemic month must not rule the months after
it), drift_t a combination of cosines over the window whose weights are the latents. Everything is
estimated in closed form: ridge regression towards a random walk (Litterman's prior) and
probabilistic principal components of the windows' residuals.

Reference: Litterman (1986), Forecasting with Bayesian vector autoregressions, J. Business &
Economic Statistics 4(1); Tipping and Bishop (1999), Probabilistic principal component analysis,
J. Royal Statistical Society B 61(3).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

MEMORY = 13  # months of history that a month depends on
LAGS = (1, 2, 3, 12)  # of the monthly changes; the last one in the same series only
SATURATION = 3.0  # of a monthly change, in its standard deviations
OUTLIER = 4.0  # bound of a residual that the latents are read from
# Penalties in months; the factor is for coefficients on other series.
RIDGE_LEVEL, CROSS_LEVEL = 20.0, 50.0
RIDGE_CHANGE, CROSS_CHANGE = 10.0, 10.0

# Series that are never negative follow value = knee softplus(x / knee): in logarithms far below
# the knee, linear far above.
_KNEES = {"unemployment_rate": 0.05, "credit_spread": 0.01, "policy_rate": 0.005,
          "treasury": 0.005}
_SMALLEST = 2e-4  # two basis points, lower values of such a series count as this


class MacroStart(struct.PyTreeNode):
    """Units, linear skip and latent directions; not trained."""

    knee: jax.Array  # [M]; 0 where the series may be negative
    mean: jax.Array  # [M] of the transformed series
    scale: jax.Array  # [M]
    change: jax.Array  # [M] standard deviation of a monthly change of x
    constant: jax.Array  # [M]
    level: jax.Array  # [M, M]
    lags: jax.Array  # [len(LAGS), M, M]
    chol: jax.Array  # [M, M] lower factor of the residual covariance
    basis: jax.Array  # [W, K] orthonormal cosines over a window
    loadings: jax.Array  # [K * M, Z] of the whitened residuals' cosine weights on the latents
    reading: jax.Array  # [K * M, Z] those weights -> posterior mean of the latents
    prior_mean: jax.Array  # [4, Z] of the latents by regime label
    prior_log_scale: jax.Array  # [4, Z]


def to_standard(start: MacroStart, values: jax.Array | np.ndarray) -> jax.Array:
    """x [..., M] of `values` [..., M]; differentiable."""
    curved = start.knee > 0
    knee = jnp.where(curved, start.knee, 1.0)
    ratio = jnp.maximum(values, _SMALLEST) / knee
    ratio = jnp.where(curved, ratio, 1.0)
    bent = knee * (ratio + jnp.log(-jnp.expm1(-ratio)))
    return (jnp.where(curved, bent, values) - start.mean) / start.scale


def to_values(start: MacroStart, x: jax.Array) -> jax.Array:
    """Values [..., M] of `x` [..., M]."""
    plain = x * start.scale + start.mean
    curved = start.knee > 0
    knee = jnp.where(curved, start.knee, 1.0)
    return jnp.where(curved, knee * jax.nn.softplus(plain / knee), plain)


def saturated(y: jax.Array) -> jax.Array:
    return SATURATION * jnp.tanh(y / SATURATION)


def lagged(start: MacroStart, recent: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(x of the last month [M], saturated changes [len(LAGS), M], all changes [12, M])."""
    y = jnp.diff(recent, axis=0) / start.change
    return recent[-1], saturated(y[-jnp.asarray(LAGS)]), y


def _knees(series):
    return np.array([next((k for stem, k in _KNEES.items() if s.startswith(stem)), 0.0)
                     for s in series])


def _units(values, series, keep):
    zero, one = np.zeros(len(series)), np.ones(len(series))
    raw = MacroStart(_knees(series), zero, one, one, *[None] * 9)
    x = np.asarray(jax.jit(to_standard)(raw, np.asarray(values, float)), float)
    raw = raw.replace(mean=x[keep].mean(0), scale=x[keep].std(0))
    x = (x - raw.mean) / raw.scale
    both = keep[1:] & keep[:-1]
    return raw.replace(change=np.diff(x, axis=0)[both].std(0)), x


def _regress(x, y, rows, m):
    """(constant, level, lags, residuals [n - MEMORY, M]) by ridge towards a random walk."""
    t = np.arange(MEMORY, len(x))
    bounded = SATURATION * np.tanh(y / SATURATION)  # y[i] is the change into month i + 1
    design = np.concatenate([x[t - 1], *(bounded[t - 1 - k] for k in LAGS), np.ones((len(t), 1))],
                            axis=1)
    target = y[t - 1]
    coefficients = np.zeros((design.shape[1], m))
    for j in range(m):
        own = np.arange(m) == j
        cross = np.where(own, 1.0, CROSS_CHANGE)
        penalty = [RIDGE_LEVEL * np.where(own, 1.0, CROSS_LEVEL),
                   *(RIDGE_CHANGE * cross * k for k in LAGS[:-1]),
                   RIDGE_CHANGE * np.where(own, 1.0, 1e9), [1e-3]]
        a = design[rows]
        coefficients[:, j] = np.linalg.solve(a.T @ a + np.diag(np.concatenate(penalty)),
                                             a.T @ target[rows, j])
    parts = coefficients[:-1].T.reshape(m, 1 + len(LAGS), m).transpose(1, 0, 2)
    return coefficients[-1], parts[0], parts[1:], target - design @ coefficients


def basis_of(window: int, waves: int) -> np.ndarray:
    """[window, waves] orthonormal cosines."""
    t = (np.arange(window) + 0.5)[:, None] * np.arange(waves)
    basis = np.cos(np.pi * t / window) * np.sqrt(2.0 / window)
    basis[:, 0] /= np.sqrt(2.0)
    return basis


def _priors(means, variance, labels, window):
    """Mean and log scale [4, Z] of the latents by label, from posterior `means` [N, Z].

    Windows overlap: N of them, a month apart, are worth N / window. A label with few of them is
    drawn towards a standard normal prior that is worth one.
    """
    centre, log_scale = np.zeros((4, means.shape[1])), np.zeros((4, means.shape[1]))
    for s in range(4):
        own = means[labels == s]
        worth = len(own) / window
        weight = worth / (1.0 + worth)
        if len(own):
            centre[s] = weight * own.mean(0)
            spread = own.var(0) + variance
            log_scale[s] = 0.5 * np.log((1.0 - weight) + weight * spread)
    return centre, log_scale


def fit(values: jax.Array | np.ndarray, series: Any, keep: jax.Array | np.ndarray,
        windows: tuple[int, np.ndarray, np.ndarray], *, waves: int, latent: int,
        shrink: float) -> MacroStart:
    """MacroStart from history `values` [H, M] (host).

    `keep` [H] bool is False in months that are left out; `windows` is (months of a window, rows
    after the last month of each training window, their regime labels). `shrink` in (0, 1] scales
    the excess variance of the principal components: overlapping windows are few in truth, and
    their largest components too large.
    """
    window, ends, labels = windows
    keep = np.asarray(keep)
    start, x = _units(values, series, keep)
    y = np.diff(x, axis=0) / start.change
    whole = np.array([keep[t - MEMORY: t + 1].all() for t in range(MEMORY, len(x))])
    m = len(series)
    constant, level, lags, residual = _regress(x, y, whole, m)
    covariance = residual[whole].T @ residual[whole] / (whole.sum() - m)
    chol = np.linalg.cholesky(covariance)
    white = np.clip(np.linalg.solve(chol, residual.T).T, -OUTLIER, OUTLIER)
    basis = basis_of(window, waves)
    weights = np.stack([basis.T @ white[e - MEMORY - window: e - MEMORY] for e in ends])
    weights = weights.reshape(len(ends), waves * m)
    power, direction = np.linalg.eigh(weights.T @ weights / len(ends))
    power, direction = power[::-1][:latent], direction[:, ::-1][:, :latent]
    excess = shrink * np.maximum(power - 1.0, 0.05)
    reading = direction * np.sqrt(excess) / (1.0 + excess)
    prior_mean, prior_log_scale = _priors(weights @ reading, 1.0 / (1.0 + excess), labels, window)
    return start.replace(constant=constant, level=level, lags=lags, chol=chol, basis=basis,
                         loadings=direction * np.sqrt(excess),
                         reading=reading, prior_mean=prior_mean,
                         prior_log_scale=prior_log_scale)


def inverse(chol: jax.Array | np.ndarray) -> jax.Array:
    """Inverse [M, M] of a lower factor; one factor serves many months, so this beats solving."""
    return jax.scipy.linalg.solve_triangular(chol, jnp.eye(chol.shape[0], dtype=chol.dtype),
                                             lower=True)


def white_residuals(start: MacroStart, x: jax.Array) -> jax.Array:
    """Whitened residuals [W, M] of the skip over `x` [MEMORY + W, M], bounded."""
    y = jnp.diff(x, axis=0) / start.change
    bounded = saturated(y)
    months = x.shape[0] - MEMORY
    first = MEMORY - 1  # y[first] is the change into the first month
    mean = start.constant + x[MEMORY - 1: -1] @ start.level.T
    for i, k in enumerate(LAGS):
        mean = mean + bounded[first - k: first - k + months] @ start.lags[i].T
    white = (y[first:] - mean) @ inverse(start.chol).T
    return OUTLIER * jnp.tanh(white / OUTLIER)

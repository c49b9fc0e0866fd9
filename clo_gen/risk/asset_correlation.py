"""Asset correlation of the one-factor model by maximum likelihood, from yearly default counts.

Given the year's factor z ~ N(0, 1), shared by all ratings, an obligor of rating r defaults
independently with probability Phi((k_r - sqrt(rho) z) / sqrt(1 - rho)), k_r the inverse normal of
the rating's mean default rate. The likelihood of a year's counts is a mixture of binomials over z.

Reference: Gordy and Heitfield (2002), Estimating default correlations from short panels of credit
rating performance data, Federal Reserve Board; Pinheiro and Bates (1995), Approximations to the
log-likelihood function in the nonlinear mixed-effects model, JCGS 4 (adaptive quadrature).
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.scipy.special import gammaln, log_ndtr, logsumexp, ndtri
from scipy import stats

from clo_gen.solve.newton import newton

NODES = 24  # of the adaptive Gauss-Hermite rule
_CENTRING = 25  # Newton steps to the most likely factor of each year


class Counts(struct.PyTreeNode):
    """Defaults among obligors by year and rating; a year without obligors adds nothing."""

    defaults: jax.Array  # [T, R]
    obligors: jax.Array  # [T, R]


class Prior(struct.PyTreeNode):
    """Weak prior of short histories. All zero: plain maximum likelihood."""

    defaults: jax.Array  # [] or [R] pseudo-defaults and -survivors of a rating (Jeffreys: 0.5)
    logit: jax.Array  # [] centre of the log-odds of rho
    precision: jax.Array  # [] of the log-odds of rho


FLAT = Prior(defaults=0.0, logit=0.0, precision=0.0)
# 95 % of its mass on rho 1.5 to 44 %; Basel's formula has 3 to 24 %.
WEAK = Prior(defaults=0.5, logit=float(np.log(0.10 / 0.90)), precision=1.0)


def _log_joint(z, threshold, rho, defaults, obligors):
    """Log-probability [] of a year's counts [R] at factor z [], times the factor's density."""
    c = (threshold - jnp.sqrt(rho) * z) / jnp.sqrt(1.0 - rho)
    counts = defaults * log_ndtr(c) + (obligors - defaults) * log_ndtr(-c)
    return counts.sum() - 0.5 * z**2


def _centre(threshold, rho, defaults, obligors):
    """(most likely factor, its curvature scale) of one year; constants of the quadrature."""
    args = jax.lax.stop_gradient((threshold, rho, defaults, obligors))
    slope, bend = jax.grad(_log_joint), jax.grad(jax.grad(_log_joint))

    def step(_, z):
        # Concave in z: a bounded Newton step cannot cycle.
        return z - jnp.clip(slope(z, *args) / bend(z, *args), -1.0, 1.0)

    z = jax.lax.fori_loop(0, _CENTRING, step, jnp.zeros_like(rho))
    return z, 1.0 / jnp.sqrt(-bend(z, *args))


def log_year(threshold: jax.Array, rho: jax.Array, defaults: jax.Array,
             obligors: jax.Array) -> jax.Array:
    """Log-probability [] of one year's counts [R], without the binomial coefficients."""
    x, w = np.polynomial.hermite.hermgauss(NODES)
    centre, scale = _centre(threshold, rho, defaults, obligors)
    z = centre + np.sqrt(2.0) * scale * x
    values = jax.vmap(_log_joint, (0, None, None, None, None))(z, threshold, rho, defaults,
                                                               obligors)
    return logsumexp(values + x**2 + np.log(w)) + jnp.log(scale) - 0.5 * np.log(np.pi)


def log_likelihood(threshold: jax.Array, rho: jax.Array, counts: Counts) -> jax.Array:
    """Log-likelihood [] of the counts given thresholds [R] and asset correlation rho []."""
    d, n = counts.defaults, counts.obligors
    choose = (gammaln(n + 1.0) - gammaln(d + 1.0) - gammaln(n - d + 1.0)).sum()
    years = jax.vmap(log_year, (None, None, 0, 0))(threshold, rho, d, n)
    return years.sum() + choose


def _objective(free, data):
    """Minus log-posterior of free = (thresholds [R], log-odds of rho)."""
    counts, prior = data
    threshold, logit = free[:-1], free[-1]
    return -log_likelihood(threshold, jax.nn.sigmoid(logit), counts) - _penalty(free, prior)


def _penalty(free, prior):
    rates = log_ndtr(free[:-1]) + log_ndtr(-free[:-1])
    return (prior.defaults * rates).sum() - 0.5 * prior.precision * (free[-1] - prior.logit) ** 2


def _start(counts, prior):
    total, events = counts.obligors.sum(0), counts.defaults.sum(0)
    logit = jnp.where(prior.precision > 0, prior.logit, np.log(0.10 / 0.90))
    return jnp.append(ndtri((events + 0.5) / (total + 1.0)), logit)


class Estimate(struct.PyTreeNode):
    """Maximum of the (penalised) likelihood; batches have a leading axis."""

    threshold: jax.Array  # [R]
    correlation: jax.Array  # []
    log_likelihood: jax.Array  # [] without the prior
    free: jax.Array  # [R + 1] thresholds and log-odds of rho, where the search ended
    covariance: jax.Array  # [R + 1, R + 1] of free: the inverse Hessian
    converged: jax.Array  # [] bool


def estimate(counts: Counts, prior: Prior = FLAT) -> Estimate:
    """Estimate of one history; vmap over counts for a batch (bootstrap, rolling windows)."""
    found = newton(_objective, _start(counts, prior), (counts, prior))
    positive = jnp.linalg.eigvalsh(found.hessian)[0] > 1e-9
    eye = jnp.eye(found.x.shape[0], dtype=found.x.dtype)
    covariance = jnp.linalg.inv(jnp.where(positive, found.hessian, eye))
    return Estimate(found.x[:-1], jax.nn.sigmoid(found.x[-1]),
                    -found.value - _penalty(found.x, prior), found.x,
                    jnp.where(positive, covariance, jnp.nan), found.converged & positive)


@functools.cache
def _compiled():
    return jax.jit(jax.vmap(estimate))


def estimate_batch(defaults: jax.Array | np.ndarray, obligors: jax.Array | np.ndarray,
                   prior: Prior = FLAT) -> Estimate:
    """Estimate (NumPy, leading axis B) of defaults and obligors [B, T, R] each.

    The prior's entries may have a leading axis B too (defaults: [B, R]). Runs in blocks of one
    size, so that all histories of one shape share one compiled program.
    """
    size, _, ratings = defaults.shape
    shapes = Prior((size, ratings), (size,), (size,))
    prior = jax.tree.map(lambda x, shape: np.broadcast_to(np.asarray(x, float), shape), prior,
                         shapes)
    data = (Counts(np.asarray(defaults, float), np.asarray(obligors, float)), prior)
    parts = []
    for first in range(0, size, _BLOCK):
        rows = np.minimum(np.arange(first, first + _BLOCK), size - 1)
        parts.append(_compiled()(*jax.tree.map(lambda x, rows=rows: x[rows], data)))
    return jax.tree.map(lambda *x: np.concatenate(x)[:size], *parts)


def simulate(generator: Any, rates: list[float], correlation: Any, obligors: Any) -> np.ndarray:
    """Defaults [..., T, R] of a NumPy `generator`, years independent; rates [R], obligors [T, R].

    A leading axis of `correlation` [...] makes a batch.
    """
    correlation = np.asarray(correlation, float)[..., None, None]
    z = generator.standard_normal((*correlation.shape[:-2], len(obligors), 1))
    c = (stats.norm.ppf(rates) - np.sqrt(correlation) * z) / np.sqrt(1.0 - correlation)
    return generator.binomial(np.asarray(obligors, int), stats.norm.cdf(c))


@dataclasses.dataclass(frozen=True)
class AssetCorrelation:
    """The correlation of one history, with what its sample can say."""

    rates: np.ndarray  # [R]
    correlation: float
    error: float  # from the curvature, delta method
    low: float  # profile likelihood, 95 %
    high: float
    corrected: float  # less the bias that the parametric bootstrap shows
    bootstrap_low: float  # 95 %
    bootstrap_high: float
    log_likelihood: float
    gain: float  # log-likelihood above that of independent defaults
    years: int
    converged: bool


_GRID = np.concatenate([[1e-6, 0.001], np.linspace(0.005, 0.295, 59), [0.35, 0.45, 0.60]])
_PINNED = 1e9  # precision of a prior that holds rho at a grid point
_BLOCK = len(_GRID) + 1


def _fit_and_profile(defaults, obligors, absent):
    """(Estimate of one history, log-likelihood [G] at each rho of _GRID, thresholds free).

    The first row of the batch is free, the others have rho pinned.
    """
    prior = Prior(np.broadcast_to(0.5 * absent, (_BLOCK, len(absent))),
                  np.append(0.0, np.log(_GRID / (1.0 - _GRID))),
                  np.append(0.0, np.full(len(_GRID), _PINNED)))
    found = estimate_batch(np.broadcast_to(defaults, (_BLOCK, *defaults.shape)),
                           np.broadcast_to(obligors, (_BLOCK, *obligors.shape)), prior)
    return jax.tree.map(lambda x: x[0], found), found.log_likelihood[1:]


def _interval(rho, best, profile):
    """95 % profile-likelihood interval: where twice the drop is below the chi-square quantile."""
    grid = np.append(_GRID, rho)
    order = np.argsort(grid)
    grid, drop = grid[order], np.append(best - profile, 0.0)[order]
    limit, top = 0.5 * stats.chi2.ppf(0.95, 1), int(np.argmin(drop))
    low = np.interp(-limit, -drop[: top + 1], grid[: top + 1]) if drop[0] > limit else 0.0
    high = np.interp(limit, drop[top:], grid[top:]) if drop[-1] > limit else 1.0
    return float(low), float(high)


def asset_correlation(defaults: Any, obligors: Any, *, draws: int = 200,
                      seed: int = 0) -> AssetCorrelation:
    """AssetCorrelation of defaults among obligors [T, R] by year and rating.

    Ratings without any default say nothing of rho and are left out of it (their rate is 0). Maximum
    likelihood is biased down in short histories; `draws` histories simulated from the estimate
    show by how much. Years are taken as independent, which understates the errors where they are
    not. Raises ValueError without a default or with fewer than three years.
    """
    defaults, obligors = np.asarray(defaults, float), np.asarray(obligors, float)
    absent = defaults.sum(0) == 0
    if len(defaults) < 3 or absent.all():
        raise ValueError(f"{len(defaults)} periods with {defaults.sum():.0f} defaults; want at "
                         "least three periods and one default")
    obligors = obligors * ~absent  # their thresholds are then the prior's alone
    found, profile = _fit_and_profile(defaults, obligors, absent)
    rho, best = float(found.correlation), float(found.log_likelihood)
    low, high = _interval(rho, best, profile)
    rates = np.where(absent, 0.0, stats.norm.cdf(found.threshold))
    again = _bootstrap(rates, rho, obligors, draws, seed)
    error = rho * (1.0 - rho) * np.sqrt(found.covariance[-1, -1])
    boot_low, boot_high = np.quantile(again, (0.025, 0.975))
    return AssetCorrelation(
        rates, rho, float(error), low, high, float(max(2.0 * rho - again.mean(), 0.0)),
        float(boot_low), float(boot_high), best, best - float(profile[0]),
        len(defaults), bool(found.converged))


def _bootstrap(rates, rho, obligors, draws, seed):
    """Maximum-likelihood rho [draws] of histories simulated from the estimate.

    A rating without default in a history has no maximum: half a default holds its rate above 0.
    """
    simulated = simulate(np.random.default_rng(seed), rates, np.full(draws, rho), obligors)
    prior = Prior(np.where(simulated.sum(1) > 0, 0.0, 0.5), 0.0, 0.0)
    return estimate_batch(simulated, np.broadcast_to(obligors, simulated.shape), prior).correlation

"""Probability integral transforms: where each outcome fell in its forecast, and is that uniform?

A forecast is right when the transform F_t(y_t) is uniform and independent over time. A count
covers a whole interval (F(y - 1), F(y)] of it.

Reference: Czado, Gneiting and Held (2009), Predictive model assessment for count data, Biometrics
65; Berkowitz (2001), Testing density forecasts, Journal of Business and Economic Statistics 19.
"""

import dataclasses

import numpy as np
from scipy import stats
from scipy.special import ndtri


@dataclasses.dataclass(frozen=True)
class Uniformity:
    """A test that transforms are uniform."""

    statistic: float
    p_value: float


def interval_of_count(mass: np.ndarray, observed: int) -> tuple[float, float]:
    """(F(observed - 1), F(observed)) of a forecast with probabilities `mass` [L] of 0 ... L - 1."""
    total = np.minimum(np.cumsum(mass), 1.0)
    last = len(total) - 1
    below = total[min(observed - 1, last)] if observed > 0 else 0.0
    return float(below), float(total[observed] if observed <= last else 1.0)


def randomised(below: np.ndarray, upto: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Transforms [...] drawn evenly from the intervals: uniform if the forecast is right."""
    return below + np.asarray(uniform) * (np.asarray(upto) - below)


def of_samples(samples: np.ndarray, observed: np.ndarray, uniform: float) -> np.ndarray:
    """Randomised transforms [T] of `observed` [T] in forecasts given as samples [N, T].

    The rank among N + 1 exchangeable values, spread evenly over its cell and over ties.
    """
    samples = np.asarray(samples)
    lower, ties = (samples < observed).sum(0), (samples == observed).sum(0)
    return (lower + np.asarray(uniform) * (ties + 1.0)) / (len(samples) + 1.0)


def _mean_distribution(below, upto, points):
    """Mean over the last axis of the uniform distribution functions on (below, upto], at points."""
    width = np.maximum(upto - below, 1e-300)
    return np.clip((points - below[..., None]) / width[..., None], 0.0, 1.0).mean(-2)


def histogram(below: np.ndarray, upto: np.ndarray, bins: int = 10) -> np.ndarray:
    """Heights [bins] of the nonrandomised histogram; 1 everywhere if the forecast is right."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    total = _mean_distribution(np.asarray(below, float), np.asarray(upto, float), edges)
    return np.diff(total) * bins


def kolmogorov_smirnov(values: np.ndarray) -> Uniformity:
    """Uniformity of continuous (or randomised) transforms [T]; the exact p-value."""
    test = stats.kstest(np.asarray(values, float), "uniform", method="exact")
    return Uniformity(float(test.statistic), float(test.pvalue))


def uniformity_of_counts(masses: tuple[np.ndarray, ...], observed: np.ndarray, *, draws: int = 1999,
                         seed: int = 0, points: int = 51) -> Uniformity:
    """Uniformity of count forecasts `masses` (T arrays) against `observed` [T].

    The statistic is the Cramer-von Mises distance between the mean nonrandomised distribution and
    the uniform; its p-value is simulated from the forecasts themselves, so it needs neither
    randomisation nor many periods. The observations must be independent given the forecasts.
    """
    grid = np.linspace(0.0, 1.0, points)
    generator = np.random.default_rng(seed)
    pairs = [interval_of_count(m, int(y)) for m, y in zip(masses, observed, strict=True)]
    below, upto = np.empty((draws, len(masses))), np.empty((draws, len(masses)))
    for t, mass in enumerate(masses):
        total = np.minimum(np.cumsum(mass), 1.0)
        drawn = np.minimum(np.searchsorted(total, generator.random(draws)), len(total) - 1)
        upto[:, t], below[:, t] = total[drawn], np.append(0.0, total)[drawn]
    low, high = (np.array(x) for x in zip(*pairs, strict=True))
    found = float(((_mean_distribution(low, high, grid) - grid) ** 2).mean())
    simulated = np.concatenate([
        ((_mean_distribution(below[rows], upto[rows], grid) - grid) ** 2).mean(-1)
        for rows in np.array_split(np.arange(draws), -(-draws * len(masses) // 20_000))])
    return Uniformity(found, (1 + int((simulated >= found - 1e-12).sum())) / (draws + 1))


def _berkowitz(z):
    """Statistic of a batch of normal scores [..., T] against an AR(1) with free mean and scale."""
    x, y = z[..., :-1], z[..., 1:]
    centred = x - x.mean(-1, keepdims=True)
    slope = (centred * y).sum(-1) / (centred**2).sum(-1)
    error = y - y.mean(-1, keepdims=True) - slope[..., None] * centred
    variance = (error**2).mean(-1)
    count = y.shape[-1]
    return (y**2).sum(-1) - count * (1.0 + np.log(variance))


def berkowitz(values: np.ndarray, *, draws: int = 9999, seed: int = 0) -> Uniformity:
    """Uniformity and independence together of transforms [T], given the first of them.

    Likelihood ratio of N(0, 1) against a normal AR(1); the p-value is simulated. It sees mean,
    spread and dependence, and so finds wrong forecasts in samples too short for exceptions.
    """
    z = ndtri(np.clip(np.asarray(values, float), 1e-9, 1.0 - 1e-9))
    found = float(_berkowitz(z))
    simulated = _berkowitz(np.random.default_rng(seed).standard_normal((draws, len(z))))
    return Uniformity(found, (1 + int((simulated >= found).sum())) / (draws + 1))

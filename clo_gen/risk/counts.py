"""Exact distributions of default counts: sums of binomials, mixed over systematic paths (host)."""

import numpy as np
from scipy.special import ndtr

TRUNCATED = 5.0  # standard deviations of the systematic factor kept either side (6e-7 is out)


def poisson_binomial(rates: np.ndarray | list[float]) -> np.ndarray:
    """Probabilities [T + 1] of 0 ... T events among independent ones of probability `rates` [T]."""
    mass = np.ones(1)
    for rate in np.asarray(rates, float):
        mass = np.append(mass, 0.0) * (1.0 - rate) + np.append(0.0, mass) * rate
    return mass


def mixture_pmf(obligors: np.ndarray | list[int], rates: np.ndarray,
                weights: np.ndarray | None = None) -> np.ndarray:
    """Probabilities [L] of 0 ... L - 1 defaults of a pool, exact up to rounding.

    obligors [R] in each group, rates [Q, R] default probabilities of the groups on each of Q
    systematic paths, given which defaults are independent; weights [Q] of the paths (equal by
    default). The generating function of each path's sum of binomials is evaluated on the unit
    circle and inverted; L is a power of two beyond ten standard deviations of every path.
    """
    obligors, rates = np.asarray(obligors, float), np.asarray(rates, float)
    weights = np.full(len(rates), 1.0 / len(rates)) if weights is None else np.asarray(weights)
    mean = rates @ obligors
    spread = np.sqrt((rates * (1.0 - rates)) @ obligors)
    longest = min(float((mean + 10.0 * spread).max()) + 20.0, obligors.sum() + 1.0)
    size = 2 ** max(int(np.ceil(np.log2(longest + 1.0))), 2)
    angle = 2.0 * np.pi * np.arange(size // 2 + 1) / size
    away, sine = 1.0 - np.cos(angle), np.sin(angle)
    transform = np.zeros(size // 2 + 1, complex)
    for part in np.array_split(np.arange(len(rates)), -(-len(rates) * size // 200_000)):
        length, turn = np.zeros((2, len(part), len(angle)))
        for r in np.flatnonzero(obligors > 0):
            p = rates[part, r, None]
            # 1 - p + p e^(-i angle) in polar form: real functions cost far less than complex ones.
            real = 1.0 - p * away
            square = real**2 + (p * sine) ** 2
            length += 0.5 * obligors[r] * np.log(np.maximum(square, 1e-300))
            turn -= obligors[r] * np.arctan2(p * sine, real)
        transform += weights[part] @ (np.exp(length) * np.exp(1j * turn))
    mass = np.maximum(np.fft.irfft(transform, size), 0.0)
    return mass / mass.sum()


def factor_nodes(count: int = 201) -> tuple[np.ndarray, np.ndarray]:
    """(z, weights) [count] of a standard normal factor: the trapezoid rule on a fine, even grid.

    For smooth integrands it converges faster than any power; the grid must be finer than the
    conditional spread of the count, which a few Gauss-Hermite nodes are not for a large pool.
    """
    z = np.linspace(-TRUNCATED, TRUNCATED, count)
    weights = np.exp(-0.5 * z**2)
    return z, weights / weights.sum()


def conditional_rates(threshold: np.ndarray, correlation: float, z: np.ndarray) -> np.ndarray:
    """Default probabilities [Q, R] given the factor `z` [Q]; a low z is a bad year.

    threshold [R] = inverse normal of the mean rates. Reference: Vasicek (1987), Probability of
    loss on loan portfolio, KMV.
    """
    z = np.asarray(z)[:, None]
    return ndtr((threshold - np.sqrt(correlation) * z) / np.sqrt(1.0 - correlation))


def quantile(mass: np.ndarray, level: float) -> int:
    """VaR: the smallest count whose cumulative probability reaches `level`."""
    return int(np.searchsorted(np.cumsum(mass), level * (1.0 - 1e-12)))


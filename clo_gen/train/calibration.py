"""Stage 3 in general: targets with intervals, the fit of named parameters to them, the report.

Reference: methodology, Stage 3: Calibration; Wilson (1927), Probable inference, JASA 22; Kuensch
(1989), The jackknife and the bootstrap for general stationary observations.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy import stats

from clo_gen.solve import least_squares

LEVEL = 0.95
_Z = float(stats.norm.ppf(0.5 + 0.5 * LEVEL))
_IDENTIFIED = 0.5  # of the prior's deviation: a parameter with a wider posterior rests on the prior


@dataclasses.dataclass(frozen=True)
class Target:
    """One historical figure that the model should give."""

    group: str  # "default rate, one year" and so on
    name: str
    value: float
    low: float  # 95 % interval of the figure
    high: float
    source: str
    trials: float = np.nan  # of a rate: observations behind it; nan for a plain number
    fitted: bool = True  # False: only compared with the model

    @property
    def deviation(self):
        """Standard deviation that the interval stands for."""
        return max((self.high - self.low) / (2.0 * _Z), 1e-12)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A target beside what the model says, before and after."""

    group: str
    name: str
    before: float
    after: float
    target: float
    low: float
    high: float
    inside_before: bool
    inside: bool
    model_low: float  # 95 % interval of `after`, by the delta method
    model_high: float
    fitted: bool
    source: str


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A calibrated parameter, and how much the data say of it."""

    name: str
    value: float
    low: float  # 95 % interval
    high: float
    prior: float  # standard deviation of its normal prior around 0
    error: float  # standard deviation after the data
    identified: bool  # False: the data leave it near its prior


@dataclasses.dataclass(frozen=True)
class Calibration:
    """All that a calibration found out."""

    comparisons: tuple[Comparison, ...]
    parameters: tuple[Parameter, ...]
    rank: int  # of the whitened Jacobian of the fitted targets
    condition: float
    converged: bool
    x: np.ndarray  # [P] values of the parameters
    notes: tuple[str, ...] = ()


def wilson(successes, trials):
    """(low, high) of a rate: Wilson's 95 % interval; `trials` need not be whole."""
    rate = successes / trials
    centre = (rate + _Z**2 / (2 * trials)) / (1 + _Z**2 / trials)
    half = _Z * np.sqrt(rate * (1 - rate) / trials + _Z**2 / (4 * trials**2)) / (
        1 + _Z**2 / trials)
    # At a rate of 0 or 1 the bound is that rate; only rounding moves it.
    return float(np.minimum(max(centre - half, 0.0), rate)), float(
        np.maximum(min(centre + half, 1.0), rate))


def rate_target(group, name, rate, trials, source, *, fitted=True):
    """Target of an observed `rate` of `trials` observations, with Wilson's interval."""
    low, high = wilson(rate * trials, trials)
    return Target(group, name, float(rate), low, high, source, float(trials), fitted)


def bootstrap(statistic, rows, block, draws=500, seed=0):
    """(low [..], high [..]): 95 % interval of statistic(rows [T, ...]) by a circular block
    bootstrap: stretches of `block` rows stay together."""
    rows = np.asarray(rows)
    generator, count = np.random.default_rng(seed), len(rows)
    block = int(min(block, count))
    starts = generator.integers(0, count, (draws, -(-count // block)))
    picks = (starts[:, :, None] + np.arange(block)).reshape(draws, -1)[:, :count] % count
    found = np.stack([statistic(rows[p]) for p in picks])
    tail = 0.5 * (1.0 - LEVEL)
    return np.quantile(found, tail, axis=0), np.quantile(found, 1.0 - tail, axis=0)


def residuals(targets, values, jacobian):
    """(residuals [Q], their jacobian [Q, P]) of model `values` [Q], in standard deviations.

    Rates are compared as 2 sqrt(n) asin(sqrt(rate)), whose variance is 1 whatever the rate.
    """
    goal, trials, deviation = (np.array([getattr(t, name) for t in targets])
                               for name in ("value", "trials", "deviation"))
    is_rate = np.isfinite(trials)
    rate = np.clip(np.where(is_rate, values, 0.5), 1e-12, 1.0 - 1e-12)
    root = np.sqrt(np.where(is_rate, trials, 1.0))
    angle = np.arcsin(np.sqrt(rate)) - np.arcsin(np.sqrt(np.where(is_rate, goal, 0.5)))
    value = np.where(is_rate, 2.0 * root * angle, (values - goal) / deviation)
    slope = np.where(is_rate, root / np.sqrt(rate * (1.0 - rate)), 1.0 / deviation)
    return value, slope[:, None] * jacobian


def fit(model: Callable, data, targets, names, prior, start=None):
    """Calibration of the parameters `names` [P] such that model(x [P], data) [Q] meets `targets`.

    Every parameter has a normal prior N(0, `prior` [P]^2); what no fitted target moves stays at 0.
    """
    evaluate = least_squares.compiled(model, np.zeros(len(names)), data)
    rows = [i for i, t in enumerate(targets) if t.fitted]

    def residual(x):
        values, jacobian = evaluate(x)
        return residuals([targets[i] for i in rows], values[rows], jacobian[rows])

    found = least_squares.solve(residual, prior, start)
    before, (after, slope) = evaluate(np.zeros(len(names)))[0], evaluate(found.x)
    variance = np.einsum("qp,pr,qr->q", slope, found.covariance, slope)
    return Calibration(compare(targets, before, after, np.sqrt(np.maximum(variance, 0.0))),
                       parameters(names, found.x, np.sqrt(np.diag(found.covariance)), prior),
                       found.rank, found.condition, found.converged, found.x)


def compare(targets, before, after, spread):
    """Comparisons of targets with model values before and after; `spread` [Q] of the latter."""
    def within(t, value):
        return bool(t.low <= value <= t.high)

    return tuple(
        Comparison(t.group, t.name, float(b), float(a), t.value, t.low, t.high, within(t, b),
                   within(t, a), float(a - _Z * s), float(a + _Z * s), t.fitted, t.source)
        for t, b, a, s in zip(targets, before, after, spread, strict=True))


def parameters(names, x, error, prior):
    """Parameter records of values `x` [P] with standard deviations `error` [P]."""
    return tuple(
        Parameter(name, float(v), float(v - _Z * e), float(v + _Z * e), float(p), float(e),
                  bool(e < _IDENTIFIED * p))
        for name, v, e, p in zip(names, x, error, prior, strict=True))

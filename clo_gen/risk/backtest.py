"""Tests of a VaR on its exceptions: Kupiec, Christoffersen, the Basel traffic light; their power.

An exception is a period whose loss or count exceeds its VaR. Where exceptions are few the
asymptotic p-values are wrong, so every test also has one that is exact or simulated.

Reference: Kupiec (1995), Techniques for verifying the accuracy of risk measurement models, Journal
of Derivatives 3(2); Christoffersen (1998), Evaluating interval forecasts, International Economic
Review 39(4); Basel Committee (1996), Supervisory framework for the use of backtesting.
"""

import dataclasses

import numpy as np
from scipy import stats
from scipy.special import xlogy

from clo_gen.risk.counts import poisson_binomial

PLUS_FACTORS = (0.40, 0.50, 0.65, 0.75, 0.85)  # of the yellow zone at 250 days and 99 %


@dataclasses.dataclass(frozen=True)
class LikelihoodRatio:
    """A likelihood-ratio test: its statistic, and p-values by two routes."""

    statistic: float
    p_asymptotic: float  # chi-square
    p_exact: float  # exact or simulated; see the function that made it
    freedom: int


@dataclasses.dataclass(frozen=True)
class TrafficLight:
    """Basel zone of a number of exceptions."""

    zone: str  # green, yellow or red
    probability: float  # of at most so many exceptions if the VaR is right
    plus_factor: float  # added to the capital multiplier; nan unless 250 periods at 99 %


def exceedances(observed: np.ndarray, var: np.ndarray) -> np.ndarray:
    """[T] bool: periods whose `observed` [T] lies above `var` [T]."""
    return np.asarray(observed) > np.asarray(var)


def _log_likelihood(misses, hits, rate):
    return xlogy(misses, 1.0 - rate) + xlogy(hits, rate)


def _pof(hits, periods, rate):
    share = hits / periods
    misses = periods - hits
    return np.maximum(2.0 * (_log_likelihood(misses, hits, share)
                             - _log_likelihood(misses, hits, rate)), 0.0)


def kupiec(exceptions: np.ndarray, rate: float) -> LikelihoodRatio:
    """LikelihoodRatio of `exceptions` [T] bool against the promised `rate`: proportion of failures.

    p_exact sums the binomial probabilities of all outcomes whose statistic is at least as large.
    """
    periods, hits = len(exceptions), int(np.sum(exceptions))
    every = np.arange(periods + 1)
    statistic = _pof(every, periods, rate)
    mass = stats.binom.pmf(every, periods, rate)
    found = float(statistic[hits])
    exact = float(mass[statistic >= found * (1.0 - 1e-12)].sum())
    return LikelihoodRatio(found, float(stats.chi2.sf(found, 1)), min(exact, 1.0), 1)


def _markov_counts(exceptions):
    """Moves n00, n01, n10, n11 of a batch of series [..., T] bool."""
    before, after = exceptions[..., :-1], exceptions[..., 1:]
    return [(first & second).sum(-1) for first, second in (
        (~before, ~after), (~before, after), (before, ~after), (before, after))]


def _independence(exceptions):
    """Statistic of first-order independence of a batch of series [..., T] bool."""
    n00, n01, n10, n11 = _markov_counts(exceptions)
    after_miss, after_hit = n00 + n01, n10 + n11
    share = (n01 + n11) / (after_miss + after_hit)
    calm, again = n01 / np.maximum(after_miss, 1), n11 / np.maximum(after_hit, 1)
    free = _log_likelihood(n00, n01, calm) + _log_likelihood(n10, n11, again)
    return np.maximum(2.0 * (free - _log_likelihood(n00 + n10, n01 + n11, share)), 0.0)


def _simulated(statistic_of, exceptions, simulated):
    """Share of series `simulated` [N, T] that reach the statistic of `exceptions` [T].

    Ties count, the series itself too, so the test never rejects too often. Reference: Dufour
    (2006), Monte Carlo tests with nuisance parameters, Journal of Econometrics 133.
    """
    as_large = statistic_of(simulated) >= float(statistic_of(exceptions)) - 1e-10
    return (1 + int(as_large.sum())) / (len(simulated) + 1)


def independence(exceptions: np.ndarray | list[bool], *, draws: int = 9999,
                 seed: int = 0) -> LikelihoodRatio:
    """LikelihoodRatio of Christoffersen's independence test of `exceptions` [T] bool.

    p_exact permutes the periods: exact given the number of exceptions, whatever their rate. Fewer
    than two periods say nothing: nan.
    """
    exceptions = np.asarray(exceptions, bool)
    if len(exceptions) < 2:
        return LikelihoodRatio(np.nan, np.nan, np.nan, 1)
    found = float(_independence(exceptions))
    shuffled = np.random.default_rng(seed).permuted(np.tile(exceptions, (draws, 1)), axis=1)
    return LikelihoodRatio(found, float(stats.chi2.sf(found, 1)),
                           _simulated(_independence, exceptions, shuffled), 1)


def conditional_coverage(exceptions: np.ndarray | list[bool], rate: float, *,
                         promised: np.ndarray | None = None, draws: int = 9999,
                         seed: int = 0) -> LikelihoodRatio:
    """LikelihoodRatio of coverage and independence together (Christoffersen 1998, section 3.3).

    `rate` [] is the promised one; p_exact is simulated from `promised` ([T], the probabilities
    that a discrete VaR really leaves) where it is given. The two statistics add: coverage is judged
    on all periods but the first, on which independence conditions. Fewer than two say nothing: nan.
    """
    exceptions = np.asarray(exceptions, bool)
    if len(exceptions) < 2:
        return LikelihoodRatio(np.nan, np.nan, np.nan, 2)

    def statistic(series):
        return (_pof(series[..., 1:].sum(-1), series.shape[-1] - 1, rate)
                + _independence(series))

    found = float(statistic(exceptions))
    actual = rate if promised is None else promised
    drawn = np.random.default_rng(seed).random((draws, len(exceptions))) < actual
    return LikelihoodRatio(found, float(stats.chi2.sf(found, 2)),
                           _simulated(statistic, exceptions, drawn), 2)


@dataclasses.dataclass(frozen=True)
class Coverage:
    """Exceptions beside what each period's forecast promised, exactly."""

    exceptions: int
    expected: float
    p_too_many: float  # probability of at least so many
    p_two_sided: float  # of an outcome no likelier than this one


def exact_coverage(exceptions: np.ndarray, rates: np.ndarray) -> Coverage:
    """Coverage of `exceptions` [T] bool against probabilities `rates` [T].

    A VaR of a count leaves less than its nominal rate above it, and how much varies by period: the
    number of exceptions is Poisson-binomial.
    """
    mass = poisson_binomial(rates)
    hits = int(np.sum(exceptions))
    unlikely = mass <= mass[hits] * (1.0 + 1e-9)
    return Coverage(hits, float(np.sum(rates)), float(min(mass[hits:].sum(), 1.0)),
                    float(min(mass[unlikely].sum(), 1.0)))


def traffic_light(exceptions: int, periods: int, rate: float = 0.01) -> TrafficLight:
    """TrafficLight of a number of `exceptions` in `periods` periods with a VaR that leaves `rate`.

    Yellow begins where at most so many exceptions have 95 % probability, red at 99.99 %; no
    exception is green however short the history.
    """
    below = float(stats.binom.cdf(exceptions, periods, rate))
    zone = "green" if below < 0.95 or exceptions == 0 else "yellow" if below < 0.9999 else "red"
    factor = np.nan
    if periods == 250 and np.isclose(rate, 0.01):
        factor = ({"green": 0.0, "red": 1.0}[zone] if zone != "yellow"
                  else PLUS_FACTORS[exceptions - 5])
    return TrafficLight(zone, below, factor)


def kupiec_power(periods: int, rate: float, true_rate: float, size: float = 0.05) -> float:
    """Probability that the exact Kupiec test of level `size` rejects when exceptions have
    `true_rate`; at true_rate = rate it is the test's real size."""
    every = np.arange(periods + 1)
    statistic = _pof(every, periods, rate)
    mass = stats.binom.pmf(every, periods, rate)
    order = np.argsort(-statistic, kind="stable")
    # p-value of an outcome: mass of all outcomes with a statistic at least as large.
    ranked = statistic[order]
    last_tie = np.searchsorted(-ranked, -ranked * (1.0 - 1e-12), side="right") - 1
    p_value = np.cumsum(mass[order])[last_tie]
    return float(stats.binom.pmf(every[order], periods, true_rate)[p_value <= size].sum())


def detectable_rate(periods: int, rate: float, *, power: float = 0.8, size: float = 0.05) -> float:
    """Smallest true exception rate above `rate` that the exact Kupiec test finds with `power`.

    To 1e-4; 1 where none is found.
    """
    low, high = rate, 1.0
    while high - low > 1e-4:
        middle = 0.5 * (low + high)
        found = kupiec_power(periods, rate, middle, size) >= power
        low, high = (low, middle) if found else (middle, high)
    return high

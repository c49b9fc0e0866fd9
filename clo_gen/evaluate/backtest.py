"""Count forecasts against what came: exceptions of their VaR, transforms, scores.

The forecasts themselves come from evaluate.count_forecasts and evaluate.rating_forecasts.
"""

import dataclasses

import numpy as np

from clo_gen.risk import backtest, pit
from clo_gen.risk.counts import quantile

SIZE = 0.05  # of every test


@dataclasses.dataclass(frozen=True)
class CountForecast:
    """Distributions of default counts, each made before its period, and what then came."""

    data: str  # what is forecast
    model: str
    periods: tuple[str, ...]  # T
    masses: tuple[np.ndarray, ...]  # T, probabilities of 0, 1, ... defaults
    observed: np.ndarray  # [T] int
    obligors: np.ndarray  # [T] at the start of each period
    note: str = ""

    def between(self, first, last):
        """The periods numbered first to last (exclusive)."""
        return dataclasses.replace(self, periods=self.periods[first:last],
                                   masses=self.masses[first:last],
                                   observed=self.observed[first:last],
                                   obligors=self.obligors[first:last])


def var_of(forecast, level):
    """VaR [T] in defaults: the smallest count that is not exceeded with probability `level`."""
    return np.array([quantile(mass, level) for mass in forecast.masses])


def coverage(forecast, level, *, seed=0):
    """Row (dict) of the VaR tests at `level`; p-values named p_*_exact are exact or simulated.

    `promised` is what the forecasts leave above their (whole-numbered) VaR, which is less than
    1 - level; p_coverage_exact and the traffic light's cautious twin p_too_many rest on it.
    """
    var, rate = var_of(forecast, level), 1.0 - level
    hits = backtest.exceedances(forecast.observed, var)
    promised = np.array([max(1.0 - mass[: v + 1].sum(), 0.0)
                         for mass, v in zip(forecast.masses, var, strict=True)])
    count, periods = int(hits.sum()), len(hits)
    failures = backtest.kupiec(hits, rate)
    alone = backtest.independence(hits, seed=seed)
    both = backtest.conditional_coverage(hits, rate, promised=promised, seed=seed)
    exact, light = backtest.exact_coverage(hits, promised), backtest.traffic_light(
        count, periods, rate)
    return {
        "data": forecast.data, "model": forecast.model, "level": level, "periods": periods,
        "exceptions": count, "expected": rate * periods, "promised": float(promised.sum()),
        "kupiec": failures.statistic, "p_kupiec": failures.p_asymptotic,
        "p_kupiec_exact": failures.p_exact, "p_coverage_exact": exact.p_two_sided,
        "p_too_many": exact.p_too_many, "independence": alone.statistic,
        "p_independence": alone.p_asymptotic, "p_independence_exact": alone.p_exact,
        "conditional": both.statistic, "p_conditional": both.p_asymptotic,
        "p_conditional_exact": both.p_exact, "zone": light.zone,
        "zone_probability": light.probability,
        "real_size": backtest.kupiec_power(periods, rate, rate, SIZE),
        "power_twice": backtest.kupiec_power(periods, rate, min(2.0 * rate, 1.0), SIZE),
        "detectable": backtest.detectable_rate(periods, rate, size=SIZE),
        "verdict": _verdict(count, rate * periods, exact.p_too_many),
    }


def _verdict(count, expected, p_too_many):
    """Conservative: no more exceptions than expected, or too few more to speak against it."""
    if count <= expected:
        return "conservative"
    return "exceeded too often" if p_too_many < SIZE else "exceeded, within chance"


def crps(mass, observed):
    """CRPS [] of one count forecast, in defaults."""
    total = np.cumsum(mass)
    steps = np.arange(len(mass)) >= observed
    beyond = max(observed - len(mass), 0)
    return float(((total - steps) ** 2).sum() + beyond)


def log_score(mass, observed):
    """Log-probability of what came; a count beyond the forecast gets the smallest float."""
    chance = mass[observed] if observed < len(mass) else 0.0
    return float(np.log(max(chance, 1e-300)))


def intervals(forecast):
    """(F(y - 1), F(y)) [T] each."""
    pairs = [pit.interval_of_count(m, int(y))
             for m, y in zip(forecast.masses, forecast.observed, strict=True)]
    return tuple(np.array(x) for x in zip(*pairs, strict=True))


def calibration(forecast, *, seed=0):
    """Row (dict): transforms tested for uniformity, and proper scores (log, CRPS in defaults).

    The Kolmogorov-Smirnov test has one randomised draw, which the seed fixes; the Cramer-von Mises
    test has none.
    """
    below, upto = intervals(forecast)
    uniform = np.random.default_rng(seed).random(len(below))
    values = pit.randomised(below, upto, uniform)
    spread = pit.uniformity_of_counts(forecast.masses, forecast.observed, seed=seed)
    means = [float(m @ np.arange(len(m))) for m in forecast.masses]
    row = {"data": forecast.data, "model": forecast.model, "periods": len(below),
           "defaults": int(forecast.observed.sum()), "expected": float(np.sum(means)),
           "p_uniform_exact": spread.p_value,
           "p_kolmogorov": pit.kolmogorov_smirnov(values).p_value,
           "p_berkowitz": pit.berkowitz(values, seed=seed).p_value,
           "log_score": float(np.mean([log_score(m, int(y)) for m, y in zip(
               forecast.masses, forecast.observed, strict=True)])),
           "crps": float(np.mean([crps(m, int(y)) for m, y in zip(
               forecast.masses, forecast.observed, strict=True)])),
           "note": forecast.note}
    return row | {f"bin_{i}": h for i, h in enumerate(pit.histogram(below, upto, 5))}


def by_period(forecast, levels):
    """Rows (dict) of what was forecast and what came, period by period."""
    below, upto = intervals(forecast)
    var = {level: var_of(forecast, level) for level in levels}
    return [{"data": forecast.data, "model": forecast.model, "period": period,
             "obligors": int(forecast.obligors[t]), "defaults": int(forecast.observed[t]),
             "expected": float(forecast.masses[t] @ np.arange(len(forecast.masses[t]))),
             **{f"var_{100 * level:g}": int(var[level][t]) for level in levels},
             "pit_low": below[t], "pit_high": upto[t]}
            for t, period in enumerate(forecast.periods)]

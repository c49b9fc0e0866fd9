"""Forecasts of single defaults: ranking (AUC, Gini) and probability (Brier score and its parts).

Reference: DeLong, DeLong and Clarke-Pearson (1988), Comparing the areas under two or more
correlated ROC curves, Biometrics 44; Obuchowski (1997), Nonparametric analysis of clustered ROC
curve data, Biometrics 53; Murphy (1973), A new vector partition of the probability
score, Journal of Applied Meteorology 12; Stephenson, Coelho and Jolliffe (2008), Two extra
components in the Brier score decomposition, Weather and Forecasting 23.
"""

import dataclasses

import numpy as np
from scipy import stats


@dataclasses.dataclass(frozen=True)
class Ranking:
    """How well a score ranks defaulters above the others; nan where one kind is missing, the error
    nan where there is one of a kind, or one cluster."""

    auc: float  # probability that a defaulter has the higher score, ties count half
    error: float  # standard error of the AUC
    low: float  # interval of the AUC
    high: float
    defaults: int
    loans: int

    @property
    def gini(self) -> float:
        """Accuracy ratio 2 AUC - 1: 0 for chance, 1 for perfect order."""
        return 2.0 * self.auc - 1.0

    @property
    def gini_interval(self) -> tuple[float, float]:
        return 2.0 * self.low - 1.0, 2.0 * self.high - 1.0


def ranking(score: np.ndarray | list[int], defaulted: np.ndarray | list[int], *,
            cluster: np.ndarray | list[int] | None = None, level: float = 0.95) -> Ranking:
    """Ranking of `score` [N] (higher is worse) against `defaulted` [N] bool.

    The error is DeLong's; with `cluster` [N] (an obligor or loan that comes more than once)
    Obuchowski's, which lets the rows of a cluster depend on each other. The interval is taken on
    the log-odds of the AUC, so that it stays in [0, 1].
    """
    score, bad = np.asarray(score, float), np.asarray(defaulted, bool)
    defaults, others = int(bad.sum()), int((~bad).sum())
    if not defaults or not others:
        return Ranking(*(np.nan,) * 4, defaults, len(bad))
    overall = stats.rankdata(score)
    above = (overall[bad] - stats.rankdata(score[bad])) / others
    below = 1.0 - (overall[~bad] - stats.rankdata(score[~bad])) / defaults
    auc = float(above.mean())
    if defaults < 2 or others < 2 or cluster is not None and len(np.unique(cluster)) < 2:
        return Ranking(auc, np.nan, np.nan, np.nan, defaults, len(bad))
    if cluster is None:
        variance = above.var(ddof=1) / defaults + below.var(ddof=1) / others
    else:
        variance = _clustered(above - auc, below - auc, bad, cluster)
    error = float(np.sqrt(max(variance, 0.0)))
    low = high = auc
    if 0.0 < auc < 1.0:
        centre, width = np.log(auc / (1.0 - auc)), error / (auc * (1.0 - auc))
        half = stats.norm.ppf(0.5 + 0.5 * level) * width
        low, high = (float(1.0 / (1.0 + np.exp(-(centre + s * half)))) for s in (-1.0, 1.0))
    return Ranking(auc, error, low, high, defaults, len(bad))


def _clustered(above, below, bad, cluster):
    """Variance of the AUC from the deviations of the placements, summed by cluster."""
    _, cluster = np.unique(cluster, return_inverse=True)
    count = int(cluster.max()) + 1
    sums = [np.bincount(cluster[rows], x, count) for rows, x in ((bad, above), (~bad, below))]
    holds = [len(np.unique(cluster[rows])) for rows in (bad, ~bad)]
    sizes = [len(above), len(below)]
    own = sum(h / max(h - 1, 1) * (s**2).sum() / n**2
              for h, s, n in zip(holds, sums, sizes, strict=True))
    return own + 2.0 * count / (count - 1) * (sums[0] * sums[1]).sum() / (sizes[0] * sizes[1])


@dataclasses.dataclass(frozen=True)
class Brier:
    """score = reliability - resolution + uncertainty + within_variance - within_covariance."""

    score: float  # mean squared distance of forecast and outcome
    reliability: float  # of the bins' mean forecasts from their default rates (0 is perfect)
    resolution: float  # of the bins' default rates from the overall one (more is better)
    uncertainty: float  # what the overall rate alone would score
    within_variance: float  # of the forecasts inside a bin
    within_covariance: float  # twice that of forecast and outcome inside a bin

    @property
    def skill(self) -> float:
        """Share of the uncertainty that the forecast removes; nan when nothing happened."""
        return 1.0 - self.score / self.uncertainty if self.uncertainty > 0 else np.nan


def _bins_of(forecast, bins):
    edges = np.unique(np.quantile(forecast, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    return np.searchsorted(edges, forecast, side="right"), len(edges) + 1


def _sums(forecast, defaulted, bins):
    """(bin [N], size [B], mean forecast [B], default rate [B]); empty bins have means 0."""
    where, count = _bins_of(forecast, bins)
    size = np.bincount(where, minlength=count)
    means = [np.bincount(where, x, count) / np.maximum(size, 1) for x in (forecast, defaulted)]
    return where, size, *means


def brier(forecast: np.ndarray, defaulted: np.ndarray, *, bins: int = 10) -> Brier:
    """Brier of probabilities `forecast` [N] against `defaulted` [N] bool, in quantile bins.

    The two last parts make the sum exact for forecasts that differ inside a bin.
    """
    p, y = np.asarray(forecast, float), np.asarray(defaulted, float)
    where, size, mean, rate = _sums(p, y, bins)
    weight, overall = size / len(p), y.mean()
    inside = p - mean[where]
    return Brier(
        score=float(((p - y) ** 2).mean()),
        reliability=float((weight * (mean - rate) ** 2).sum()),
        resolution=float((weight * (rate - overall) ** 2).sum()),
        uncertainty=float(overall * (1.0 - overall)),
        within_variance=float((inside**2).mean()),
        within_covariance=float(2.0 * (inside * (y - rate[where])).mean()))


def calibration(forecast: np.ndarray, defaulted: np.ndarray, *,
                bins: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean forecast [B], default rate [B], loans [B]) by quantile bin, empty bins left out."""
    p, y = np.asarray(forecast, float), np.asarray(defaulted, float)
    _, size, mean, rate = _sums(p, y, bins)
    return mean[size > 0], rate[size > 0], size[size > 0]


def mean_interval(values: np.ndarray, cluster: np.ndarray, *,
                  level: float = 0.95) -> tuple[float, float]:
    """(low, high) of the mean of `values` [N] whose rows depend within `cluster` [N]: normal, with
    the variance of the clusters' sums."""
    _, cluster = np.unique(cluster, return_inverse=True)
    values = np.asarray(values, float)
    sums = np.bincount(cluster, values - values.mean())
    count = len(sums)
    error = np.sqrt(count / max(count - 1, 1) * (sums**2).sum()) / len(values)
    half = stats.norm.ppf(0.5 + 0.5 * level) * error
    return float(values.mean() - half), float(values.mean() + half)

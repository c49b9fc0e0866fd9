"""Proper scores of forecasts given as samples, and the record of one measured number.

Reference: Gneiting and Raftery (2007), Strictly proper scoring rules, prediction, and estimation,
JASA 102; Kuensch (1989), The jackknife and the bootstrap for general stationary observations.
"""

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Metric:
    """One measured number beside its target and a simple baseline."""

    name: str
    value: float
    unit: str = ""
    baseline: float | None = None
    baseline_name: str = ""
    target: str = ""  # in words, such as "< 0.5 points"; empty where nobody set one
    split: str = ""  # which data: "test 2010-01 to 2026-06"
    low: float | None = None  # 90 % interval of the value, or what `note` says
    high: float | None = None
    better: str = "lower"  # or "higher", or "" for a plain number
    note: str = ""

    @property
    def beats_baseline(self) -> bool | None:
        """True or False against the baseline; None where there is nothing to compare."""
        if self.baseline is None or not self.better:
            return None
        return self.value < self.baseline if self.better == "lower" else self.value > self.baseline

    @property
    def verdict(self):
        """better, equal (to one part in a million) or BASELINE WINS; empty without baseline."""
        if self.beats_baseline is None or self.baseline is None:
            return ""
        if np.isclose(self.value, self.baseline, rtol=1e-6, atol=0.0):
            return "equal"
        return "better" if self.beats_baseline else "BASELINE WINS"


def crps_ensemble(samples: np.ndarray, observed: np.ndarray | float) -> Any:
    """CRPS [...] of samples [N, ...] against `observed` [...], in the unit of the data.

    The fair estimator (an unbiased mean distance between two samples), by sorting.
    """
    samples = np.sort(np.asarray(samples, float), axis=0)
    count = len(samples)
    weights = 2.0 * np.arange(1, count + 1) - count - 1.0
    spread = np.tensordot(weights, samples, axes=(0, 0)) / (count * (count - 1.0))
    return np.abs(samples - observed).mean(0) - spread


def energy_score(samples: np.ndarray, observed: np.ndarray) -> float:
    """Energy score [] of samples [N, D] against `observed` [D]; N must be even.

    The distance between two samples is averaged over pairs (i, i + N / 2), which is unbiased.
    """
    samples = np.asarray(samples, float)
    half = len(samples) // 2
    between = np.linalg.norm(samples[:half] - samples[half: 2 * half], axis=1).mean()
    return np.linalg.norm(samples - observed, axis=1).mean() - 0.5 * between


def block_bootstrap(values: np.ndarray, block: int, draws: int = 1000, seed: int = 0,
                    level: float = 0.90) -> Any:
    """(low, high) of the mean of a series `values` [T], by a circular block bootstrap."""
    values = np.asarray(values, float)
    block = int(min(block, len(values)))
    generator = np.random.default_rng(seed)
    starts = generator.integers(0, len(values), (draws, -(-len(values) // block)))
    rows = (starts[:, :, None] + np.arange(block)).reshape(draws, -1)[:, : len(values)]
    means = values[rows % len(values)].mean(1)
    tail = 0.5 * (1.0 - level)
    return tuple(float(x) for x in np.quantile(means, (tail, 1.0 - tail)))

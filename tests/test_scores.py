"""Scores against closed forms and slow definitions."""

import numpy as np
import pytest

from clo_gen.scores import Metric, block_bootstrap, crps_ensemble, energy_score


def test_crps_of_a_normal_forecast():
    # Gneiting and Raftery (2007), eq. 21, at y = 0
    samples = np.random.default_rng(0).normal(size=400_000)
    assert crps_ensemble(samples, 0.0) == pytest.approx(2 / np.sqrt(2 * np.pi) - 1 / np.sqrt(np.pi),
                                                        abs=2e-3)


def test_crps_equals_its_definition_and_a_point_forecast_scores_its_error():
    generator = np.random.default_rng(1)
    samples, observed = generator.normal(size=(12, 5)), generator.normal(size=5)
    pairs = np.abs(samples[:, None] - samples[None]).sum((0, 1)) / (12 * 11)
    slow = np.abs(samples - observed).mean(0) - 0.5 * pairs
    np.testing.assert_allclose(crps_ensemble(samples, observed), slow, rtol=1e-12)
    point = np.full((7, 5), 3.0)
    np.testing.assert_allclose(crps_ensemble(point, observed), np.abs(3.0 - observed), rtol=1e-12)


def test_the_true_law_has_the_lowest_energy_score():
    generator = np.random.default_rng(2)
    observed = generator.normal(size=(300, 4))
    forecasts = {name: scale * generator.normal(size=(400, 4)) + shift
                 for name, scale, shift in (("true", 1.0, 0.0), ("wide", 2.0, 0.0),
                                            ("narrow", 0.3, 0.0), ("shifted", 1.0, 0.7))}
    mean = {name: np.mean([energy_score(f, y) for y in observed]) for name, f in forecasts.items()}
    assert min(mean, key=mean.get) == "true"


def test_block_bootstrap_is_wider_when_neighbours_agree():
    steps = np.random.default_rng(3).normal(size=60)
    series = np.repeat(steps, 12)
    low, high = block_bootstrap(series, 24)
    naive = block_bootstrap(series, 1)
    assert low < series.mean() < high and high - low > 2.0 * (naive[1] - naive[0])


def test_a_metric_says_whether_it_beats_its_baseline():
    assert Metric("rmse", 1.0, baseline=2.0).beats_baseline
    assert not Metric("log-likelihood", 1.0, baseline=2.0, better="higher").beats_baseline
    assert Metric("rmse", 1.0).beats_baseline is None

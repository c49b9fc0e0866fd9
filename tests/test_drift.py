"""Drift: raised when the law changes, rarely raised when it does not."""

import numpy as np
import pandas as pd
import pytest

from clo_gen.train import drift


def persistent(generator, months, mean=0.0):
    """AR(1) with 0.9 a month: neighbours agree, as macro series do."""
    values = np.empty(months)
    values[0] = generator.normal()
    for t in range(1, months):
        values[t] = 0.9 * values[t - 1] + np.sqrt(1 - 0.81) * generator.normal()
    return values + mean


def frame(values, first="2000-01"):
    return pd.DataFrame({"x": values}, index=pd.period_range(first, periods=len(values), freq="M"))


def test_distance_of_two_samples():
    assert drift.distance(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == 1.0
    assert drift.distance(np.arange(5.0), np.arange(5.0)) == 0.0


def test_alarms_are_rare_without_a_change():
    alarms = []
    for seed in range(40):
        series = persistent(np.random.default_rng(seed), 436)
        rows, _ = drift.report(frame(series[:400]), frame(series[400:], "2033-05"))
        alarms.append(rows[0].drifted(0.05))
    # A two-sample test that takes months for independent alarms in more than half of these.
    assert np.mean(alarms) < 0.2


def test_a_shift_is_seen_and_named():
    generator = np.random.default_rng(1)
    rows, verdict = drift.report(frame(persistent(generator, 400)),
                                 frame(persistent(generator, 24, mean=5.0), "2033-05"))
    assert rows[0].distance > rows[0].usual and verdict.startswith("DRIFT: x over 2033-05")


def test_too_few_months_are_said():
    generator = np.random.default_rng(2)
    rows, verdict = drift.report(frame(persistent(generator, 100)), frame(np.zeros(2)))
    assert rows == () and "too few" in verdict
    rows, verdict = drift.report(frame(persistent(generator, 24)), frame(np.zeros(8)))
    assert "no p-value can be below" in verdict or verdict.startswith("DRIFT")
    with pytest.raises(ValueError, match="three times as many"):
        drift.compare("x", np.zeros(10), np.zeros(8))

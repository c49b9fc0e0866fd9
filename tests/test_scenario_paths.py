"""Given paths: a user's own, blends over time, replays of history, Fed scenario files."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from conftest import small_assembly
from test_conditioning import MONTHS, SERIES, N, small_model

from clo_gen import pipeline, rng
from clo_gen.io import macro_paths, tables
from clo_gen.io.config import read_scenarios
from clo_gen.io.macro import read_macro
from clo_gen.io.problems import InputError
from clo_gen.macro_model import MacroModel
from clo_gen.models import macro_baseline, scenario_paths, scenarios

VALIDATION = pathlib.Path(__file__).parents[2] / "shared" / "data" / "validation"


@functools.cache
def embedded():
    return read_macro(tables.data_path("macro_monthly_1959_2026.csv"))


def test_blend_is_each_scenario_where_its_weight_is_one():
    m = small_model()
    blended = m.blend({"baseline": [(4, 1.0), (8, 0.0)], "adverse": [(4, 0.0), (8, 1.0)]})
    base = jnp.asarray(m.generate(1)[0])
    got = scenarios.apply(blended, base)
    parts = [scenarios.apply(m.scenario_of(s), base) for s in ("baseline", "adverse")]
    np.testing.assert_allclose(got[:4], parts[0][:4], atol=1e-12)
    np.testing.assert_allclose(got[7:], parts[1][7:], atol=1e-12)
    np.testing.assert_allclose(got[5], (parts[0][5] + parts[1][5]) / 2, atol=1e-12)
    np.testing.assert_allclose(blended.label[5], [0.5, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(blended.label.sum(1), 1.0)


@pytest.mark.parametrize("knots,message", [
    ({"baseline": [(1, 1.0)], "mild": [(1, 0.0)]}, "scenario: 'mild'; want one of adverse"),
    ({"baseline": [(1, 0.7)], "adverse": [(1, 0.7)]}, "month 1: 'weights adding to 1.4'"),
    ({"baseline": [(1, 2.0)], "adverse": [(1, -1.0)]}, "want weights from 0 to 1"),
    ({"baseline": [(5, 1.0), (2, 1.0)]}, "in rising order"),
    ({"baseline": []}, "want pairs"),
    ({}, "want a dict"),
])
def test_bad_blends_are_refused(knots, message):
    with pytest.raises(InputError, match=message):
        small_model().blend(knots)


def test_replay_of_2008_moves_today_by_what_changed_then():
    """Source: FRED UNRATE, 4.7 % in 2007-11 and 10.0 % in 2009-10; FEDFUNDS 4.49 % and 0.12 %."""
    m = small_model(36)
    path = m.replay(embedded(), "2007-12")
    assert path.shape == (36, 3)
    np.testing.assert_allclose(path[22, 1], 0.05 + 0.100 - 0.047, atol=1e-9)
    assert path[22, 2] == 0.0  # 3 % today less 4.37 points, stopped at the bound
    np.testing.assert_allclose(path[0], m.history[-1], atol=0.01)
    levels = m.replay(embedded(), "2007-12", how="levels")
    np.testing.assert_allclose(levels[22, 1], 0.100, atol=1e-9)
    real = embedded().frame.loc["2007-12":"2010-11", list(SERIES)]
    np.testing.assert_array_equal(levels, real)


def test_replay_ends_where_history_does_and_the_model_goes_on(key):
    m = small_model(36)
    last = embedded().frame[list(SERIES)].dropna().index[-1]
    path = m.replay(embedded(), str(last - 11))
    assert path.shape == (12, 3)
    held = m.hold(path, 4, key=key)
    np.testing.assert_array_equal(held[:, :12], np.broadcast_to(path, (4, 12, 3)))
    whole = MacroModel(m.model, m.verbs, jnp.asarray(path), SERIES, {
        "baseline": scenario_paths.after(m.scenario_of("baseline"), 12)})
    np.testing.assert_allclose(held[:, 12:], whole.generate(4, key), atol=1e-12)


@pytest.mark.parametrize("start,how,message", [
    ("1950-01", "differences", "start: '1950-01'; want a month from 1959-01"),
    ("1959-06", "differences", "want a month that is known"),
    ("2007-12", "ratios", "how: 'ratios'; want one of differences, levels"),
])
def test_bad_replays_are_refused(start, how, message):
    with pytest.raises(InputError, match=message):
        small_model().replay(embedded(), start, how)


@pytest.mark.slow
def test_a_users_file_is_held_and_the_rest_is_filled(tmp_path, key):
    """One series of three for four months: the others follow from it, and so do later months."""
    months = pd.period_range("2026-01", periods=4, freq="M").astype(str)
    rising = np.linspace(5.1, 5.4, 4)
    pd.DataFrame({"month": months, "unemployment_rate": rising}).to_csv(tmp_path / "own.csv",
                                                                        index=False)
    macro = read_macro(tmp_path / "own.csv", layout="wide", units="percent")
    path = macro_paths.path_of(macro, SERIES, "2026-01")
    assert path.shape == (4, 3) and np.isnan(path[:, [0, 2]]).all()
    m = small_model()
    got = m.hold(path, N, key=key)
    np.testing.assert_allclose(got[:, :4, 1], np.broadcast_to(rising / 100, (N, 4)), atol=1e-9)
    free = m.generate(N, key)
    assert got[:, 3, 0].mean() < free[:, 3, 0].mean()  # output falls where unemployment rises
    assert got[:, 11, 1].std() > 0
    with pytest.raises(InputError, match="start: '2031-01'; want a month from 2026-01 to 2026-04"):
        macro_paths.path_of(macro, SERIES, "2031-01")
    with pytest.raises(InputError, match="columns: 'unemployment_rate'; want one of policy_rate"):
        macro_paths.path_of(macro, ("policy_rate",), "2026-01")


@pytest.mark.skipif(not VALIDATION.exists(), reason="validation data is not here")
def test_fed_scenario_is_held(tmp_path, key):
    """Source: Federal Reserve severely adverse scenario, unemployment peak of 10 %."""
    path = VALIDATION / "fed_stress_scenarios.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame = frame[frame["vintage"] == "2026p"]
    severe = next(s for s in frame["scenario"].unique() if "everely" in s)
    frame.to_csv(tmp_path / "fed.csv", index=False)
    macro = read_macro(tmp_path / "fed.csv", layout="fed", scenario=severe)
    given = macro_paths.path_of(macro, SERIES, "2026-01")
    held = small_model().hold(given[:10], 2, key=key)
    np.testing.assert_allclose(held[0, :10], given[:10], atol=1e-12)
    assert 0.09 < np.nanmax(given[:, 1]) < 0.11
    assert held.shape == (2, MONTHS, 3) and held[:, -1, 1].std() > 0


def test_given_paths_plug_into_the_graph():
    """One path is held; of many, such as conditional ones, each is drawn with equal weight."""
    a = small_assembly()
    months = a.inputs.schedule.opening.shape[0]
    path = jnp.tile(a.inputs.history[-1], (months, 1))
    setup = pipeline.dataclasses.replace(a.setup, macro_sample=scenario_paths.sample)
    one = scenario_paths.PathSet(path[None])
    got = setup.macro_sample(one, jax.random.key(1), a.inputs.history,
                             a.scenarios["severely_adverse"], setup.series)
    np.testing.assert_array_equal(got.values, path)
    many = scenario_paths.PathSet(jnp.arange(4.0)[:, None, None] * jnp.ones((4, months, 6)))
    drawn = jax.vmap(lambda i: scenario_paths.sample(
        many, rng.path_key(jax.random.key(2), i), a.inputs.history, a.scenarios["baseline"],
        setup.series).values[0, 0])(jnp.arange(400))
    counts = np.bincount(np.asarray(drawn, int), minlength=4)
    assert ((counts > 60) & (counts < 140)).all()


@pytest.mark.slow
def test_replay_of_2008_runs_through_the_deal():
    a = small_assembly()
    months = a.inputs.schedule.opening.shape[0]
    scenario = read_scenarios(tables.config_path("scenarios.toml"), ("baseline",), a.setup.series,
                              months)
    m = MacroModel(a.params.macro, macro_baseline, a.inputs.history, a.setup.series, scenario)
    path = m.hold(m.replay(embedded(), "2007-12"), 1)
    setup = pipeline.dataclasses.replace(a.setup, macro_sample=scenario_paths.sample)
    run = jax.jit(functools.partial(pipeline.simulate_batch, setup=setup))
    crisis, calm = (run(a.params.replace(macro=scenario_paths.PathSet(jnp.asarray(p))), a.inputs,
                        a.scenarios["baseline"], jax.random.key(0), jnp.arange(8), 0.0)
                    for p in (path, np.tile(a.inputs.history[-1], (1, months, 1))))
    np.testing.assert_array_equal(crisis.macro.values[3], path[0])
    assert crisis.loss.mean() > calm.loss.mean() and crisis.conservation_error.max() < 1e-9

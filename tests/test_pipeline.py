"""The whole graph: same path in any batch, hard and soft, gradients, and the scenario order."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import small_assembly

from clo_gen import mesh, pipeline, rng


@functools.cache
def batch_function(*overrides):
    a = small_assembly(*overrides)
    return a, jax.jit(functools.partial(pipeline.simulate_batch, setup=a.setup))


def run(numbers, scenario="baseline", temperature=0.0, overrides=()):
    a, function = batch_function(*overrides)
    return function(a.params, a.inputs, a.scenarios[scenario], jax.random.key(3),
                    jnp.asarray(numbers), temperature)


def assert_same(a, b, exact):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if exact:
            np.testing.assert_array_equal(x, y)
        else:
            np.testing.assert_allclose(x, y, atol=1e-12)


@pytest.mark.parametrize("mode, generator", [
    ("markov", "var"), pytest.param("expected", "var", marks=pytest.mark.slow),
    pytest.param("markov", "block_bootstrap", marks=pytest.mark.slow)])
def test_cash_is_conserved_through_the_graph(mode, generator):
    overrides = (f"mode={mode}", f"macro.generator={generator}")
    for scenario in ("baseline", "severely_adverse"):
        got = run(range(8), scenario, overrides=overrides)
        assert got.conservation_error.max() < 1e-9
        assert jnp.isfinite(got.loss).all()


@pytest.mark.slow
def test_path_i_is_the_same_in_any_batch():
    whole = run(range(8))
    part = run([5, 2, 7, 0, 1, 3, 4, 6])
    assert_same(jax.tree.map(lambda x: x[5], whole), jax.tree.map(lambda x: x[0], part), True)
    alone = jax.jit(functools.partial(pipeline.simulate, setup=small_assembly().setup))
    a = small_assembly()
    one = alone(a.params, a.inputs, a.scenarios["baseline"], rng.path_key(jax.random.key(3), 5),
                0.0)
    assert_same(jax.tree.map(lambda x: x[5], whole), one, False)


@pytest.mark.slow
def test_sharded_is_unsharded():
    a, function = batch_function()
    devices = mesh.path_mesh()
    assert devices.size == 4
    sharded = jax.jit(functools.partial(pipeline.simulate_batch, setup=a.setup),
                      in_shardings=(mesh.replicated(devices),) * 4
                      + (mesh.by_path(devices), mesh.replicated(devices)))
    args = (a.params, a.inputs, a.scenarios["baseline"], jax.random.key(3), jnp.arange(8), 0.0)
    assert_same(function(*args), sharded(*args), False)


def test_scenarios_share_their_draws():
    """Common random numbers: the same path differs between scenarios by the scenario alone."""
    base, bad = run(range(8)), run(range(8), "severely_adverse")
    gap = bad.macro.values - base.macro.values
    np.testing.assert_allclose(gap[:, :, 0], jnp.broadcast_to(gap[0, :, 0], gap.shape[:2]),
                               atol=1e-12)


def test_soft_run_agrees_with_the_hard_one_away_from_triggers():
    hard, soft = run(range(8)), run(range(8), temperature=1e-6)
    trigger = small_assembly().inputs.deal.trigger
    clear = (jnp.abs(hard.cash.ratio - trigger) > 1e-4).all(axis=(1, 2))
    assert clear.sum() >= 4
    gap = jnp.abs(hard.cash.interest - soft.cash.interest).max(axis=(1, 2))
    assert jnp.where(clear, gap, 0.0).max() < 1e-6


def test_reading_rates_at_the_cutoff_and_a_forward_curve():
    a = small_assembly("indices={SOFR={months=[1,156],rates=[0.03,0.05]}}")
    index = pipeline.index_paths(run(range(8)).macro.replace(values=jnp.zeros((156, 6))),
                                 a.inputs.curves, a.setup.index_columns)
    np.testing.assert_allclose(index[[0, -1], 0], [0.03, 0.05])
    assert pipeline.index_now(a.inputs.history, a.inputs.curves, a.setup.index_columns)[0] == 0.03


@pytest.mark.slow
def test_one_compile_serves_every_scenario_and_batch():
    a = small_assembly()
    traces = []

    def counted(*args):
        traces.append(1)
        return pipeline.simulate_batch(*args, setup=a.setup).loss

    function = jax.jit(counted)
    for scenario in a.scenarios.values():
        for first in (0, 8):
            function(a.params, a.inputs, scenario, jax.random.key(0), first + jnp.arange(8), 0.0)
    assert len(traces) == 1

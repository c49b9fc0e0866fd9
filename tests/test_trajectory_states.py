"""Mode `trajectory`: at zero weights the lives of `markov`, and every law with any weights."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import small_assembly

from clo_gen import pipeline, rng
from clo_gen.models import systematic, trajectory, trajectory_states
from clo_gen.models.trajectory_network import TrajectoryConfig
from clo_gen.models.trajectory_records import Trajectory
from clo_gen.states import RATING

CFG = TrajectoryConfig(features=1, series=2, share_bounds=((1.0, 1.0),) * 7, width=8, heads=2,
                       window=4, payments=False)


@functools.cache
def model(noise=0.0):
    params = trajectory.init(jax.random.key(0), CFG, RATING)
    leaves, tree = jax.tree.flatten(params)
    draw = np.random.default_rng(1)
    leaves = [jnp.asarray(x + noise * draw.normal(size=x.shape).astype(x.dtype)) for x in leaves]
    one = jnp.ones(1, jnp.float32)
    return Trajectory(jax.tree.unflatten(tree, leaves), jnp.eye(10)[None], 4.0 * one, one,
                      jnp.asarray([0.05, 0.02]), jnp.asarray([0.02, 0.02]), CFG, RATING,
                      ("first_rating",), ("unemployment_rate", "gdp_growth_yoy"), ("all",))


def setup_of(a, mode):
    return dataclasses.replace(a.setup, mode=mode)


def lived(a, network, mode, key, keep=False):
    """Lived in the adverse scenario, on one macro path and one path of the factors."""
    setup, i = a.setup, a.inputs
    one = rng.sources(jax.random.key(5))
    path = setup.macro_sample(a.params.macro, one.macro, i.history, a.scenarios["adverse"],
                              setup.series)
    months = i.schedule.opening.shape[0]
    way = (trajectory_states.mode(network, path, setup.first_month) if mode == "trajectory"
           else mode)
    return pipeline.live(
        i.tape, i.schedule, i.deal, pipeline.transitions_of(a.params, path, setup),
        systematic.sample(a.params.loadings, one, months, setup.groups),
        pipeline.index_paths(path, i.curves, setup.index_columns), key, space=setup.space,
        mode=way, lag=setup.recovery_lag, keep_loans=keep)


def test_first_month_is_the_month_after_the_cut_off():
    october = (2025 - 1970) * 12 + 9
    assert small_assembly().setup.first_month == october  # in which the deal closes


@pytest.mark.slow
def test_zero_weights_live_as_markov(key):
    """The same mean loss as the exact one of `expected`, within sampling error."""
    a = small_assembly()
    exact = jax.jit(lambda k: lived(a, None, "expected", k).collections)(key)
    network = model()
    drawn = jax.jit(jax.vmap(lambda i: lived(a, network, "trajectory", rng.path_key(key, i))
                             .collections))(jnp.arange(256))
    for name in ("default", "prepayment"):
        got, want = getattr(drawn, name).sum(-1), getattr(exact, name).sum()
        assert abs(got.mean() - want) < 3.5 * got.std() / 16.0, name


@pytest.mark.slow
def test_any_weights_keep_the_laws(key):
    """Absorbing states are never left and pay nothing, cash in = cash out; weights matter."""
    a = small_assembly()
    run = jax.jit(lambda network, k: lived(a, network, "trajectory", k, keep=True))
    got = run(model(0.5), key)
    states = got.loans.weights.argmax(-1)
    gone = states >= len(RATING.live)
    assert (gone[1:] >= gone[:-1]).all() and gone[-1].all()
    assert (states[1:][gone[:-1]] == states[:-1][gone[:-1]]).all()
    c = got.collections
    out = c.scheduled_principal + c.prepayment + c.recovery + c.loss
    assert abs(out.sum() + c.performing[-1] + c.defaulted[-1] - a.inputs.tape.balance.sum()) < 1e-9
    paid = got.loans.cash[1:][gone[:-1]]
    assert (paid == 0).all()
    assert jnp.isfinite(got.log_prob) and got.log_prob < 0
    assert not (run(model(), key).loans.weights.argmax(-1) == states).all()


@pytest.mark.slow
def test_log_probability_has_finite_gradients(key):
    a = small_assembly()
    gradient = jax.jit(jax.grad(lambda n, k: lived(a, n, "trajectory", k).log_prob,
                                allow_int=True))(model(0.5), key)
    leaves = jax.tree.leaves(gradient.params)
    assert all(jnp.isfinite(x).all() for x in leaves)
    assert jnp.abs(gradient.params["network"]["state"]["kernel"]).max() > 0


@pytest.mark.slow
def test_the_whole_graph_runs_on_it(key):
    a = small_assembly()
    setup = setup_of(a, "trajectory")
    params = a.params.replace(trajectory=model(0.2))
    batch = jax.jit(functools.partial(pipeline.simulate_batch, setup=setup))
    got = batch(params, a.inputs, a.scenarios["adverse"], key, jnp.arange(6), 0.0)
    assert got.conservation_error.max() < 1e-9
    again = batch(params, a.inputs, a.scenarios["adverse"], key, jnp.asarray([5, 3, 1, 0, 2, 4]),
                  0.0)
    np.testing.assert_array_equal(got.loss[5], again.loss[0])

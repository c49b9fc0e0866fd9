"""The diffusion head: atoms, missing values, units, and the laws it reproduces when trained."""

import dataclasses
import functools
import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import stats

from clo_gen.models import diffusion, mixed_values, probability_flow
from clo_gen.models.diffusion import DiffusionConfig

ROOT = pathlib.Path(__file__).parent.parent
CFG = DiffusionConfig(values=2, condition=3, atoms=((0.0, 1.0), ()), transform=("log", "linear"),
                      shift=(0.5, 40.0), scale=(0.3, 8.0), hidden=8, layers=1, steps=4)
VALUES = np.array([[0.0, 50.0], [1.0, 30.0], [1.7, 42.0], [2.0, np.nan], [np.nan, 41.0],
                   [np.nan, np.nan]])


@pytest.fixture
def condition():
    return np.random.default_rng(0).normal(size=(len(VALUES), 3))


@functools.cache
def moved(cfg, size=0.3):
    """Params with every weight random, so that nothing is zero by its start."""
    params = jax.jit(diffusion.init, static_argnums=1)(jax.random.key(0), cfg)
    draw = np.random.default_rng(1).normal
    return jax.tree.map(lambda x: np.asarray(x + size * draw(size=x.shape), x.dtype), params)


@functools.partial(jax.jit, static_argnums=0)
def drawn(cfg, params, key, condition, exists=None):
    return diffusion.sample(params, cfg, key, condition, exists=exists)


def test_untrained_head_is_normal_in_its_units_with_even_odds_of_the_patterns():
    cfg = dataclasses.replace(CFG, transform=("linear", "linear"))
    params = jax.jit(diffusion.init, static_argnums=1)(jax.random.key(0), cfg)
    values = np.asarray(drawn(cfg, params, jax.random.key(1), np.zeros((20000, 3))), float)
    for atom in (0.0, 1.0):
        assert abs((values[:, 0] == atom).mean() - 1 / 3) < 4 * np.sqrt(2 / 9 / 20000)
    assert stats.kstest((values[:, 1] - 40.0) / 8.0, "norm").statistic < 2.2 / np.sqrt(20000)


def test_atoms_are_found_once_and_missing_values_fit_every_pattern():
    kinds, continuous, fits = mixed_values.observed(CFG, jnp.asarray(VALUES, jnp.float32))
    np.testing.assert_array_equal(kinds[:4, :3], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]])
    np.testing.assert_array_equal(kinds[4:, :3], 0)
    np.testing.assert_array_equal(continuous, [[0, 1], [0, 1], [1, 1], [1, 0], [0, 1], [0, 0]])
    np.testing.assert_array_equal(fits.sum(1), [1, 1, 1, 1, 3, 3])


def test_missing_values_change_nothing_and_weigh_nothing(condition):
    params = moved(CFG)
    loss = jax.jit(lambda p, k, v, c: diffusion.loss(p, CFG, k, v, c)[1])
    parts = loss(params, jax.random.key(2), VALUES, condition)
    other = np.where(np.isnan(VALUES), np.inf, VALUES)  # another way to say that there is none
    same = loss(params, jax.random.key(2), other, condition)
    assert all(np.isfinite(v) for v in parts.values())
    assert all(parts[k] == same[k] for k in parts)
    empty = loss(params, jax.random.key(2), np.full_like(VALUES, np.nan), condition)
    assert all(v == 0.0 for v in empty.values())


def test_values_that_do_not_exist_come_back_as_zero_and_inform_nothing(condition):
    params = moved(CFG)
    exists = np.array([[True, True], [True, False], [False, True]])
    both, first, second = (drawn(CFG, params, jax.random.key(3), condition, np.tile(e, (6, 1)))
                           for e in exists)
    assert (first[:, 1] == 0.0).all() and (second[:, 0] == 0.0).all()
    plain = drawn(CFG, params, jax.random.key(3), condition)
    np.testing.assert_allclose(both, plain, rtol=2e-5)
    assert not np.array_equal(second[:, 1], both[:, 1])


def test_a_row_draws_the_same_whatever_the_number_of_rows(condition):
    params = moved(CFG)
    whole, part = (drawn(CFG, params, jax.random.key(4), c) for c in (condition, condition[:4]))
    np.testing.assert_allclose(whole[:4], part, rtol=2e-5)
    assert whole.dtype == jnp.float32 and whole.shape == VALUES.shape


def test_vmap_over_keys_is_a_loop_and_mean_is_their_mean(condition):
    params = moved(CFG)
    keys = jax.random.split(jax.random.key(5), 4)
    batch = jax.jit(jax.vmap(lambda k: diffusion.sample(params, CFG, k, condition)))(keys)
    loop = np.stack([drawn(CFG, params, k, condition) for k in keys])
    np.testing.assert_allclose(batch, loop, rtol=1e-4)
    mean = jax.jit(lambda k: diffusion.mean(params, CFG, k, condition, 4))(jax.random.key(5))
    np.testing.assert_allclose(mean, batch.mean(0), rtol=1e-4)
    assert mean.dtype == jnp.float32


@pytest.mark.slow
def test_float64_gradients_of_draws_and_loss(condition):
    cfg = dataclasses.replace(CFG, dtype="float64", steps=2)
    params = moved(cfg)
    draw = jax.jit(lambda c: diffusion.sample(params, cfg, jax.random.key(6), c))
    check_grads(draw, (condition,), order=1, modes=["rev"], rtol=1e-5)
    gradient = jax.jit(jax.grad(lambda p: diffusion.loss(p, CFG, jax.random.key(7), VALUES,
                                                         condition)[0]))(moved(CFG))
    leaves = jax.tree.leaves(gradient)
    assert all(np.isfinite(x).all() and x.dtype == jnp.float32 for x in leaves)
    assert all(np.abs(x).max() > 0 for x in leaves)


def test_the_flow_keeps_a_normal_law_and_follows_any_normal_law():
    """Of N(m, s^2) the velocity is known: the draws must be m + s z and the density its own."""
    mean, deviation = 0.4, 0.6

    def velocity(x, t):
        c, s = jnp.cos(t), jnp.sin(t)
        data = mean + c * deviation**2 / (s**2 + c**2 * deviation**2) * (x - c * mean)
        return (c * x - data) / jnp.where(s > 0, s, 1.0)

    noise = jnp.linspace(-2.5, 2.5, 11)[:, None]
    angles = probability_flow.angles(32)
    data = jax.jit(lambda z: probability_flow.denoised(
        lambda x, n: velocity(x, angles[n]), z, 32))(noise)
    np.testing.assert_allclose(data, mean + deviation * noise, atol=5e-3)
    still = probability_flow.denoised(lambda x, n: 0.0 * x, noise, 8)
    np.testing.assert_array_equal(still, noise)
    data = mean + deviation * noise

    def safe(x, t):  # the velocity at 0 is its limit
        return velocity(x, jnp.maximum(t, 1e-4))

    density = jax.jit(lambda x: probability_flow.log_density(
        safe, x, jnp.ones_like(x, bool), 256))(data)
    np.testing.assert_allclose(density, stats.norm.logpdf(data[:, 0], mean, deviation), atol=2e-3)


def test_density_of_each_kind_sums_to_its_probability():
    cfg = DiffusionConfig(condition=1, atoms=((0.0,),), transform=("log",), shift=(0.2,),
                          scale=(0.5,), hidden=8, layers=1)
    params = moved(cfg, size=0.1)
    grid = np.concatenate([[0.0], np.geomspace(1e-4, 1e3, 6000)])
    density = jax.jit(lambda v: diffusion.log_density(params, cfg, v, jnp.ones((len(v), 1))))
    mass = np.exp(np.asarray(density(grid[:, None]), float))
    assert mass[0] + np.trapezoid(mass[1:], grid[1:]) == pytest.approx(1.0, abs=3e-3)
    assert 0.0 < mass[0] < 1.0


def test_normalisation_ignores_atoms_and_missing_values():
    values = np.array([[0.0, 5.0], [1.0, np.nan], [np.e, 9.0], [np.exp(3.0), 7.0]])
    cfg = diffusion.fit_normalisation(values, CFG)
    np.testing.assert_allclose(cfg.shift, [2.0, 7.0])
    np.testing.assert_allclose(cfg.scale, [1.0, np.std([5.0, 9.0, 7.0])])
    units, _ = mixed_values.standardised(cfg, jnp.asarray(values[2:]), jnp.ones((2, 2), bool))
    np.testing.assert_allclose(mixed_values.restored(cfg, units), values[2:], rtol=1e-5)


@pytest.mark.parametrize("change, message", [
    ({"atoms": ((0.0,),)}, "atoms has 1 entries"),
    ({"transform": ("sqrt", "log")}, "transform 'sqrt'"),
    ({"atoms": (tuple(range(9)), tuple(range(9)))}, "more than 64 combinations"),
    ({"steps": 1}, "at least 2"),
])
def test_a_head_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CFG, **change)


@pytest.mark.parametrize("column, message", [([-1.0, 2.0, 3.0], "want positive ones"),
                                             ([0.0, 1.0, 2.0], "at least two different")])
def test_values_without_units_are_refused(column, message):
    with pytest.raises(ValueError, match=message):
        diffusion.fit_normalisation(np.column_stack([column, [1.0, 2.0, 3.0]]), CFG)


def experiment():
    spec = importlib.util.spec_from_file_location("head", ROOT / "experiments/diffusion_head.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name, epochs", [("N(3,1)", 5), ("two modes", 20),
                                          ("half zero, lognormal", 20)])
def test_laws_are_reproduced(name, epochs, monkeypatch):
    head = experiment()
    shorter = dataclasses.replace(head.TRAIN, epochs=epochs, evaluate_every=epochs)
    monkeypatch.setattr(head, "TRAIN", shorter)
    law = head.LAWS[name]
    mean, deviation, distance, zeros, *_ = head.one(law, steps=8, draws=200_000, seed=0)
    assert abs(mean) < 0.02 and abs(deviation) < 0.02
    assert distance < 0.03 and abs(zeros - law.zero) < 0.01

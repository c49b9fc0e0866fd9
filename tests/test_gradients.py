"""Estimators: each against the exact gradient of the pool, statistics against their definitions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import small_assembly

from clo_gen import gradients, pipeline, rng
from clo_gen.models import systematic


def pool_loss(a, setup, shift, i):
    """(loss, log-probability) of path i with `shift` on every loan's log-odds of worse moves."""
    inputs = a.inputs
    tape = inputs.tape.replace(loan_effect=inputs.tape.loan_effect + shift)
    key = rng.path_key(jax.random.key(3), i)
    # One macro path and one factor path: what is left to chance is the loans' own.
    one = rng.sources(rng.path_key(jax.random.key(4), 0))
    path = setup.macro_sample(a.params.macro, one.macro, inputs.history,
                              a.scenarios["severely_adverse"], setup.series)
    months = inputs.schedule.opening.shape[0]
    lived = pipeline.live(
        tape, inputs.schedule, inputs.deal, pipeline.transitions_of(a.params, path, setup),
        systematic.sample(a.params.loadings, one, months, setup.groups),
        pipeline.index_paths(path, inputs.curves, setup.index_columns), key,
        space=setup.space, mode=setup.mode, lag=setup.recovery_lag)
    c = lived.collections
    return c.loss.sum() + c.defaulted[-1], lived.log_prob


@functools.cache
def gradient_of(make, paths, block=64, statistic=gradients.mean):
    a = small_assembly()
    setup = make(a.setup)
    run = jax.jit(lambda shift, numbers: gradients.gradient(
        functools.partial(pool_loss, a, setup), shift, numbers, statistic, block=block))
    return run(jnp.zeros(24), jnp.arange(paths))


def warm(setup):
    return gradients.relaxed(setup, 1.0)


def cold(setup):
    return gradients.relaxed(setup, 0.1)


@pytest.mark.slow
def test_score_function_finds_the_exact_gradient():
    """The pool's loss is linear in its states, so `expected` gives its gradient exactly."""
    exact, found = gradient_of(gradients.expected, 1), gradient_of(gradients.scored, 2048)
    off = (found.gradient - exact.gradient) / found.error
    assert jnp.abs(off).max() < 4.0  # the largest of 24
    total = (found.gradient.sum() - exact.gradient.sum())
    assert abs(total) < 3.0 * jnp.sqrt((found.error**2).sum())
    assert abs(found.value - exact.value) < 4 * found.values.std() / np.sqrt(2048)
    assert (exact.gradient > 0).all()


@pytest.mark.slow
def test_scored_draws_are_those_of_markov():
    a = small_assembly()
    both = [jax.jit(jax.vmap(functools.partial(pool_loss, a, setup, jnp.zeros(24))))(
        jnp.arange(8)) for setup in (a.setup, gradients.scored(a.setup))]
    np.testing.assert_array_equal(both[0][0], both[1][0])
    assert (both[0][1] == 0).all() and (both[1][1] < 0).all()


@pytest.mark.slow
def test_bias_of_relaxed_states_falls_with_temperature():
    exact = gradient_of(gradients.expected, 1).gradient.sum()
    bias = {}
    for make in (warm, cold):
        found = gradient_of(make, 512)
        bias[make] = abs(found.gradient.sum() / exact - 1.0)
        assert jnp.isfinite(found.gradient).all()
    assert bias[cold] < bias[warm]


@pytest.mark.slow
def test_relaxed_weights_keep_every_law(key):
    """Mass 1, absorbing states never left, cash conserved; straight through, states are hard."""
    a = small_assembly()
    setup = gradients.relaxed(a.setup, 0.3)
    path = setup.macro_sample(a.params.macro, key, a.inputs.history, a.scenarios["adverse"],
                              setup.series)
    months = a.inputs.schedule.opening.shape[0]
    i, moves = a.inputs, pipeline.transitions_of(a.params, path, setup)
    shifts = systematic.sample(a.params.loadings, rng.sources(key), months, setup.groups)
    index = pipeline.index_paths(path, i.curves, setup.index_columns)

    def lived(mode, tape=i.tape):
        return pipeline.live(tape, i.schedule, i.deal, moves, shifts, index, key,
                             space=setup.space, mode=mode, lag=12, keep_loans=True)

    weights = jax.jit(lambda: lived(setup.mode).loans.weights)()
    np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-12)
    assert weights.min() >= 0.0
    absorbed = weights[..., len(setup.space.live):]
    assert (jnp.diff(absorbed, axis=0) > -1e-12).all()
    assert jnp.abs(weights - jnp.round(weights)).max() > 0.05
    hard = gradients.relaxed(setup, 0.5, straight_through=True)
    hard, slope = jax.jit(lambda: jax.jvp(lambda x: lived(
        hard.mode, i.tape.replace(loan_effect=i.tape.loan_effect + x)).loans.weights,
        (jnp.zeros(()),), (jnp.ones(()),)))()
    np.testing.assert_allclose(hard, jnp.round(hard), atol=1e-9)
    assert jnp.abs(slope).max() > 1e-3
    c = jax.jit(lambda: lived(setup.mode).collections)()
    out = c.scheduled_principal + c.prepayment + c.recovery + c.loss
    assert abs(out.sum() + c.performing[-1] + c.defaulted[-1] - i.tape.balance.sum()) < 1e-9


def toy(args, i):
    """A normal with mean `m` and standard deviation `s`, its numbers fixed by i."""
    m, s = args
    return m + s * jax.random.normal(jax.random.fold_in(jax.random.key(0), i), (), float), 0.0


def drawn(args, i):
    """The same, drawn: only its log-probability knows the parameters."""
    x = jax.lax.stop_gradient(toy(args, i)[0])
    return x, -0.5 * ((x - args[0]) / args[1]) ** 2 - jnp.log(args[1])


@pytest.mark.parametrize("one", [toy, drawn])
def test_statistics_of_a_normal_have_its_derivatives(one):
    """d mean = (1, 0), d VaR = (1, z), d CVaR = (1, pdf(z) / (1 - level))."""
    args, numbers = (jnp.asarray(0.3), jnp.asarray(1.7)), jnp.arange(2**17)
    z, tail = 1.2815515655446004, 1.7549833193248687
    for statistic, slope, scale in (
            (gradients.mean, 0.0, 0.0), (functools.partial(gradients.var, level=0.9), z, 0.06),
            (functools.partial(gradients.cvar, level=0.9), tail, 0.0)):
        got = jax.jit(lambda a, n, s=statistic: gradients.gradient(one, a, n, s, block=2**13))(
            args, numbers)
        for value, error, want in zip(got.gradient, got.error, (1.0, slope), strict=True):
            assert abs(value - want) <= 4.0 * error + scale, (statistic, value, want, error)
        assert abs(got.value - (0.3 + slope * 1.7)) < 0.05


def test_blocks_change_nothing_and_integers_have_no_gradient():
    args = {"m": jnp.asarray(0.3), "s": jnp.asarray(1.7), "n": jnp.arange(3)}

    def one(args, i):
        return toy((args["m"], args["s"]), i)

    whole = gradients.gradient(one, args, jnp.arange(64), block=64)
    parts = gradients.gradient(one, args, jnp.arange(64), block=8)
    assert whole.gradient["n"] is None
    np.testing.assert_allclose(whole.gradient["s"], parts.gradient["s"], rtol=1e-12)
    np.testing.assert_allclose(whole.values, parts.values, rtol=1e-14)
    assert jnp.isnan(whole.error["s"]) and parts.error["s"] > 0
    with pytest.raises(ValueError, match="64 paths in blocks of 48"):
        gradients.gradient(one, args, jnp.arange(64), block=48)

"""Weights, even points, weighted tails and the shifts of least variance: laws and closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from clo_gen.risk import importance
from clo_gen.risk.losses import tail

REPLICATIONS = 16


@functools.partial(jax.jit, static_argnums=(3, 4))
def draws(key, means, shares, count, even):
    """(points [N, J], weights [N]) of a mixture, path i in replication i mod REPLICATIONS."""
    def one(i):
        dims = means.shape[1] + 1
        if even:
            shift = jax.random.uniform(jax.random.fold_in(key, i % REPLICATIONS), (dims,))
            u = importance.even_uniforms(shift, i // REPLICATIONS)
        else:
            u = jax.random.uniform(jax.random.fold_in(key, i), (dims,))
        component = (u[-1] >= jnp.cumsum(shares)[:-1]).sum()
        at = jax.scipy.special.ndtri(u[:-1]) + means[component]
        return at, importance.log_weight(at, means, shares)

    at, log_weight = jax.vmap(one)(jnp.arange(count))
    return at, jnp.exp(log_weight)


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("probability", [1e-3, 1e-4, 1e-6])
def test_a_normal_tail_has_its_closed_form(key, even, probability):
    b = norm.isf(probability)
    at, w = draws(key, jnp.array([[0.0], [b]]), jnp.array([0.1, 0.9]), 8192, even)
    found = importance.mean(w * (at[:, 0] > b), REPLICATIONS if even else None)
    assert abs(found.value - probability) < 4 * found.error
    assert found.error < 0.04 * probability


def test_two_tails_of_a_bivariate_normal_have_their_closed_form(key):
    """P(X > 3 or Y > 3.5), one shift for each."""
    truth = 1.0 - norm.cdf(3.0) * norm.cdf(3.5)
    means = jnp.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.5]])
    at, w = draws(key, means, jnp.array([0.1, 0.45, 0.45]), 8192, True)
    found = importance.mean(w * ((at[:, 0] > 3.0) | (at[:, 1] > 3.5)), REPLICATIONS)
    assert abs(found.value - truth) < 4 * found.error and found.error < 0.05 * truth


def test_weights_average_to_one_and_are_bounded(key):
    at, w = draws(key, jnp.array([[0.0, 0.0], [2.0, -1.0]]), jnp.array([0.2, 0.8]), 20_000, False)
    found = importance.mean(w)
    assert abs(found.value - 1.0) < 4 * found.error and found.error < 0.02
    assert w.max() <= 1.0 / 0.2 and w.max() > 4.0
    assert importance.log_weight(at[0], jnp.zeros((1, 2)), jnp.ones(1)) == 0.0


def test_what_else_is_drawn_counts_in_the_weight():
    means, shares = jnp.array([[0.0], [1.0]]), jnp.array([0.5, 0.5])
    got = importance.log_weight(jnp.array([1.0]), means, shares, jnp.array([0.0, 2.0]))
    assert got == pytest.approx(-np.log(0.5 + 0.5 * np.exp(0.5 + 2.0)))


def test_even_points_leave_no_gaps():
    shift = jnp.array([0.3, 0.7])
    u = np.asarray(jax.vmap(lambda i: importance.even_uniforms(shift, i))(jnp.arange(400)))
    gaps = np.diff(np.sort(u, 0), axis=0)
    assert gaps.max() < 4.0 / 400  # independent points: about 6.6 / 400 on average
    assert ((u > 0) & (u < 1)).all()
    cells = np.histogram2d(*u.T, bins=10)[0]
    assert cells.std() < 1.0  # independent points: about 2


def test_effective_size():
    assert importance.effective_size(jnp.full(7, 0.3)) == pytest.approx(7.0)
    assert importance.effective_size(jnp.array([0.0, 2.0, 0.0])) == 1.0
    assert importance.effective_size(jnp.array([1.0, 3.0])) == pytest.approx(16.0 / 10.0)
    assert importance.effective_size(jnp.zeros(4)) == 0.0


@pytest.mark.parametrize("count", [1000, 37])
def test_equal_weights_give_the_plain_tail(key, count):
    losses = jax.random.gamma(key, 2.0, (count,))
    levels = (0.9, 0.95, 0.99, 0.999)
    ones = jnp.ones(count)

    @jax.jit
    def both(losses):
        weighted = [(importance.quantile(losses, ones, level),
                     importance.conditional_value_at_risk(losses, ones, level).value)
                    for level in levels]
        return tail(losses, levels), weighted

    for sample in (losses, jnp.round(losses, 1)):  # the second has ties
        plain, weighted = both(sample)
        for n, (var, cvar) in enumerate(weighted):
            assert var == plain.var[n]
            assert cvar == pytest.approx(float(plain.cvar[n]), rel=1e-12)


def test_a_weighted_quantile_and_cvar_meet_the_normal(key):
    level = 0.9999
    at, w = draws(key, jnp.array([[0.0], [3.7]]), jnp.array([0.1, 0.9]), 8192, True)
    found = importance.value_at_risk(at[:, 0], w, level, 2.0, REPLICATIONS)
    truth = norm.ppf(level)
    assert found.low < found.value < found.high and found.high - found.low < 0.06
    assert abs(found.value - truth) < found.high - found.low
    cvar = importance.conditional_value_at_risk(at[:, 0], w, level, REPLICATIONS)
    assert abs(cvar.value - norm.pdf(truth) / (1 - level)) < 4 * cvar.error + 0.03


def test_intervals_cover_as_often_as_they_say(key):
    b = norm.isf(1e-3)

    def covered(n):
        at, w = draws(jax.random.fold_in(key, n), jnp.array([[0.0], [b]]), jnp.array([0.1, 0.9]),
                      1024, True)
        found = importance.mean(w * (at[:, 0] > b), REPLICATIONS)
        return abs(found.value - 1e-3) < 2.13 * found.error  # t with 15 degrees of freedom

    hits = jax.jit(lambda: jax.lax.map(covered, jnp.arange(200)))().sum()
    assert 178 <= hits <= 200  # 190 expected, binomial: standard deviation 3


def test_a_control_takes_away_what_it_explains_and_no_more(key):
    x, e = jax.random.normal(key, (2, 32 * 40))
    own = importance.mean(2.0 + 3.0 * x + 0.1 * e)
    controlled = jax.jit(importance.controlled_mean, static_argnums=2)
    got = controlled(2.0 + 3.0 * x + 0.1 * e, x[:, None], 32)
    assert abs(got.value - 2.0) < 4 * got.error and got.error < own.error / 15
    exact = controlled(2.0 + 3.0 * x, x[:, None], 32)
    assert exact.value == pytest.approx(2.0, abs=1e-6)
    useless = controlled(2.0 + e, jnp.zeros_like(x)[:, None], 32)
    assert useless.value == pytest.approx(float(2.0 + e.mean()), rel=1e-12)


@pytest.mark.parametrize("threshold,share", [(3.0, 1.0), (3.0, 0.85), (2.0, 0.5), (4.5, 0.9)])
def test_the_length_of_least_variance_is_the_minimum(threshold, share):
    got = jax.jit(importance.length_of_least_variance)(jnp.asarray(threshold), jnp.asarray(share))
    best = minimize_scalar(lambda m: m**2 + norm.logcdf(-threshold - share * m), (0.0, 3.0))
    assert got == pytest.approx(best.x, abs=1e-5)


def test_probit_finds_its_slopes(key):
    x = jax.random.normal(key, (4000, 2)) + jnp.array([1.5, 0.0])
    truth = jnp.array([1.2, -0.5])
    noise = jax.random.normal(jax.random.fold_in(key, 1), (4000,))
    a, b = jax.jit(importance.probit)(x, -2.0 + x @ truth + noise > 0)
    assert a == pytest.approx(-2.0, abs=0.25)
    np.testing.assert_allclose(b, truth, atol=0.15)

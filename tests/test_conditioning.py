"""Conditional paths: exact for a linear model, the right law for another, honest errors."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import small_assembly
from scipy import stats

from clo_gen import rng
from clo_gen.evaluate import conditional
from clo_gen.io.config import read_scenarios
from clo_gen.io.problems import InputError
from clo_gen.io.tables import config_path
from clo_gen.macro_model import MacroModel
from clo_gen.models import conditioning, macro_baseline, reach, truncated_normal

SERIES = ("gdp_growth_yoy", "unemployment_rate", "policy_rate")
MONTHS = 12
N = 256  # one number of paths for all tests: one program


@functools.cache
def small_model(months=MONTHS):
    """A VAR(1) of three series, its path long enough for a year."""
    var = macro_baseline.Var(
        jnp.array([0.002, 0.004, 0.001]),
        jnp.array([[[0.9, 0.0, -0.05], [-0.1, 0.95, 0.0], [0.03, -0.02, 0.96]]]),
        jnp.array([[0.004, 0.0, 0.0], [-0.0005, 0.0015, 0.0], [0.0005, 0.0, 0.002]]))
    scenarios = read_scenarios(config_path("scenarios.toml"), ("baseline", "adverse"), SERIES,
                               months)
    return MacroModel(var, macro_baseline, jnp.tile(jnp.array([[0.02, 0.05, 0.03]]), (13, 1)),
                      SERIES, scenarios)


@functools.cache
def linear_law():
    """(mean [T * M], jacobian [T * M, D]) of the small model's paths before the bound below."""
    m = small_model()
    free = m.scenario_of("baseline").replace(lower=jnp.full(3, -jnp.inf))

    def flat(noise):
        return macro_baseline.decode(m.model, noise, m.history, free, MONTHS).reshape(-1)

    zero = jnp.zeros(macro_baseline.noise_size(m.model, MONTHS))
    return np.asarray(flat(zero)), np.asarray(jax.jacobian(flat)(zero))


def cell(month, name):
    return (month - 1) * 3 + SERIES.index(name)


def prior_noise(count, key):
    size = (macro_baseline.noise_size(small_model().model, MONTHS),)
    return np.asarray(jax.vmap(lambda i: jax.random.normal(
        rng.stream(rng.path_key(key, i), rng.MACRO), size, float))(jnp.arange(count)))


def test_sample_is_decode_of_normal_draws(key):
    m = small_model()
    paths = m.generate(4, key, "adverse")
    for i in (0, 3):
        one = macro_baseline.sample(m.model, rng.path_key(key, i), m.history,
                                    m.scenario_of("adverse"), SERIES)
        np.testing.assert_allclose(paths[i], one.values, atol=1e-14)


@pytest.mark.slow
def test_linear_model_is_conditioned_exactly(key):
    """Matheron's rule: each path is its prior draw plus the gain times what it missed."""
    mean, jacobian = linear_law()
    rows = [cell(6, "gdp_growth_yoy"), cell(9, "unemployment_rate")]
    want = np.array([-0.01, 0.065])
    got = small_model().generate_conditional(
        {"gdp_growth_yoy": {"month": 6, "value": -0.01},
         "unemployment_rate": {"month": 9, "value": 0.065}}, N, key=key)
    noise = prior_noise(N, key)
    j = jacobian[rows]
    gain = jacobian @ j.T @ np.linalg.inv(j @ j.T)
    paths = mean + noise @ jacobian.T
    exact = paths + (want - paths[:, rows]) @ gain.T
    bounded = np.maximum(exact.reshape(N, MONTHS, 3), [-np.inf, 0.0, 0.0])
    np.testing.assert_allclose(got.values, bounded, atol=1e-9)
    off = want - mean[rows]
    np.testing.assert_allclose(got.distance, np.sqrt(off @ np.linalg.solve(j @ j.T, off)),
                               rtol=1e-6)
    np.testing.assert_allclose(got.quantile[:, 0],
                               stats.norm.cdf(off / np.linalg.norm(j, axis=1)), rtol=1e-6)
    assert got.met.all() and got.candidates == N and got.effective == pytest.approx(N)
    moved = noise + (want - paths[:, rows]) @ np.linalg.solve(j @ j.T, j)
    np.testing.assert_allclose(got.log_density, stats.norm.logpdf(moved).sum(1), atol=1e-6)


def test_range_has_the_truncated_law(key):
    mean, jacobian = linear_law()
    row = cell(10, "unemployment_rate")
    sd = np.linalg.norm(jacobian[row])
    low = mean[row] + 1.5 * sd
    got = small_model().generate_conditional(
        {"unemployment_rate": {"month": 10, "low": low}}, N, key=key)
    values = got.values[:, 9, 1]
    assert values.min() >= low - 1e-9
    law = stats.truncnorm(1.5, np.inf, mean[row], sd)
    assert stats.kstest(values, law.cdf).pvalue > 0.01
    # What is given the value keeps its own law.
    other = cell(12, "gdp_growth_yoy")
    slope = jacobian[other] @ jacobian[row] / sd**2
    rest = got.values[:, 11, 0] - mean[other] - slope * (values - mean[row])
    rest_sd = np.sqrt(jacobian[other] @ jacobian[other] - slope**2 * sd**2)
    assert stats.kstest(rest / rest_sd, "norm").pvalue > 0.01


def test_range_around_the_prior_changes_nothing(key):
    m = small_model()
    got = m.generate_conditional({"gdp_growth_yoy": {"month": 6, "low": -0.9, "high": 0.9}}, N,
                                 key=key)
    free = m.generate(2000, jax.random.key(99))[:, :, 0]
    error = free.std(0) / np.sqrt(N)
    assert (np.abs(got.values[:, :, 0].mean(0) - free.mean(0)) < 5 * error).all()


def test_value_on_the_bound_is_the_half_line_below_it(key):
    got = small_model().generate_conditional({"policy_rate": {"month": 12, "value": 0.0}}, N,
                                             key=key)
    assert (got.values[:, 11, 2] == 0.0).all() and got.met.all()
    assert got.values[:, 11, 0].std() > 0


@pytest.mark.slow
def test_padding_rows_change_nothing(key):
    """The program for 4 rows and the one for 16 give the same paths."""
    m = small_model()
    few = {"policy_rate": [{"month": t, "value": 0.03 + t / 1000} for t in (2, 4, 6, 8)]}
    same = {"policy_rate": [*few["policy_rate"], {"month": 3, "low": -0.9, "high": 0.9}]}
    a = m.generate_conditional(few, N, key=key)
    b = m.generate_conditional({"policy_rate": few["policy_rate"] + few["policy_rate"][:1]}, N,
                               key=key)
    np.testing.assert_array_equal(a.values, b.values)
    c = m.generate_conditional(same, N, key=key)
    np.testing.assert_allclose(a.values[:, [1, 3, 5, 7], 2], c.values[:, [1, 3, 5, 7], 2],
                               atol=1e-8)


def bent(noise):
    """A path [2, 1] whose first month is n0 exp(n1 / 2) + n1 and whose second is n1."""
    return jnp.stack([noise[0] * jnp.exp(0.5 * noise[1]) + noise[1], noise[1]])[:, None]


@pytest.mark.slow
@pytest.mark.parametrize("low,high", [(1.5, 1.5), (1.0, 3.0)])
def test_bent_model_has_the_exact_posterior(key, low, high):
    """Weighted draws against quadrature, for a point (an exact density) and a range."""
    ones = functools.partial(jnp.full, (1,))
    rows = reach.Rows(ones(0), ones(0), ones(low), ones(high), ones(True))

    @jax.jit
    def run(rows, keys):
        found = reach.prospect(bent, 2, rows, jnp.array([8.0, 8.0]))
        best = found.likeliest
        linear = conditioning.Linear(best.value - best.jacobian @ best.noise, best.jacobian)
        draws = functools.partial(conditioning.draws, bent, 2, rows, keys=keys, chunk=500)
        first = draws(linear=linear)
        return draws(linear=conditioning.average(bent, rows, first, chunk=500))

    found = run(rows, jax.vmap(lambda i: rng.path_key(key, i))(jnp.arange(4000)))
    met = np.isfinite(found.log_weight)
    assert met.mean() > 0.99
    weight = np.exp(np.where(met, found.log_weight, -np.inf))
    weight /= weight.sum()
    grid = np.linspace(-6, 6, 2001)
    scale = np.exp(0.5 * grid)
    density = stats.norm.pdf(grid) * (
        stats.norm.pdf((low - grid) / scale) / scale if low == high else
        stats.norm.cdf((high - grid) / scale) - stats.norm.cdf((low - grid) / scale))
    density /= density.sum()
    for power in (1, 2):
        x = np.asarray(found.noise[:, 1]) ** power
        want = density @ grid**power
        error = np.sqrt(np.sum(weight**2 * (x - want) ** 2))
        assert abs(weight @ x - want) < 4 * error
    value = jax.vmap(bent)(found.noise)[:, 0, 0]
    assert ((value >= low - 1e-5) & (value <= high + 1e-5))[met].all()


@pytest.mark.slow
def test_pieces_of_a_normal_in_a_box():
    jacobian = jnp.array([[1.0, 0.0], [0.9, 0.3]])
    spread = truncated_normal.spread_of(jacobian)
    covariance = np.asarray(jacobian @ jacobian.T)
    x = jnp.array([0.3, -0.2])
    np.testing.assert_allclose(truncated_normal.solve(spread, x), np.linalg.solve(covariance, x))
    want = stats.multivariate_normal(np.zeros(2), covariance).logpdf(x) + np.log(2 * np.pi)
    np.testing.assert_allclose(truncated_normal.log_density(x, spread), want)
    # x1 >= 1 draws x2 along: the likeliest point is the regression's, not the mean's.
    best = truncated_normal.likeliest(jnp.zeros(2), spread, jnp.array([1.0, -jnp.inf]),
                                      jnp.full(2, jnp.inf), 30)
    np.testing.assert_allclose(best, [1.0, 0.9], atol=1e-6)
    far = jax.vmap(lambda k: truncated_normal.draw(
        k, jnp.zeros(1), jnp.zeros(1), truncated_normal.spread_of(jnp.ones((1, 1))),
        (jnp.array([9.0]), jnp.array([jnp.inf])), 1))(jax.random.split(jax.random.key(0), 2000))
    assert stats.kstest(far[:, 0], lambda x: 1 - stats.norm.sf(x) / stats.norm.sf(9.0)).pvalue > .01


@pytest.mark.parametrize("conditions,message", [
    ({"vix": {"month": 3, "value": 0.2}}, "series: 'vix'; want one of gdp_growth_yoy"),
    ({"policy_rate": {"month": 13, "value": 0.02}}, "month: 13; want a whole number from 1 to 12"),
    ({"policy_rate": {"month": 1.5, "value": 0.02}}, "want a whole number"),
    ({"policy_rate": {"month": 3, "value": 4.5}}, "month 3: 4.5; want a fraction"),
    ({"policy_rate": {"month": 3, "value": float("nan")}}, "want a fraction"),
    ({"policy_rate": {"month": 3, "low": 0.04, "high": 0.03}}, "want low below high"),
    ({"policy_rate": {"month": 3}}, "want either value, or low and high"),
    ({"policy_rate": {"value": 0.03}}, "want month, months or path"),
    ({"policy_rate": {"month": 3, "value": -0.01}}, "below which the series never falls"),
    ({"policy_rate": [{"month": 3, "value": 0.03}, {"month": 3, "value": 0.04}]}, "conflict"),
    ({"policy_rate": {"months": [1, 2], "values": [0.03]}}, "one, or as many as months"),
    ({"policy_rate": {"month": 3, "valeu": 0.03}}, "'valeu'; want the keys month"),
    ({"policy_rate": {"path": [None, None]}}, "every value is free"),
    ({}, "a dict of series"),
])
def test_bad_conditions_are_refused(conditions, message):
    with pytest.raises(InputError, match=message):
        small_model().generate_conditional(conditions, N)


def test_every_problem_is_named_at_once():
    with pytest.raises(InputError, match="3 problems"):
        small_model().generate_conditional({"vix": {"month": 3, "value": 0.2}, "policy_rate": [
            {"month": 99, "value": 0.02}, {"month": 2, "value": 40}]}, N)


def test_unreachable_condition_names_what_is_reachable():
    mean, jacobian = linear_law()
    row = cell(6, "unemployment_rate")
    high = mean[row] + 8 * np.linalg.norm(jacobian[row])
    with pytest.raises(InputError, match=f"want a value from 0.0.* to {high:.4g}, which the model"):
        small_model().generate_conditional({"unemployment_rate": {"month": 6, "value": 0.5}}, N)
    with pytest.raises(InputError, match="; 0.015 is 1.5 %"):
        small_model().generate_conditional({"policy_rate": {"month": 6, "value": 1.5}}, N)
    with pytest.raises(InputError, match="(?s)together they lie .*month 3: 0.06; want .* while"):
        small_model().generate_conditional({"unemployment_rate": [
            {"month": 2, "value": 0.045}, {"month": 3, "value": 0.06}]}, N)


def test_implausible_requests_show(key):
    m = small_model()
    near, far = (m.generate_conditional({"unemployment_rate": {"month": 12, "value": v}}, N,
                                        key=key) for v in (0.05, 0.075))
    assert far.distance > near.distance + 1 and far.quantile[0, 0] > 0.99
    gap = (near.log_density - far.log_density).mean()
    np.testing.assert_allclose(gap, (far.distance**2 - near.distance**2) / 2, rtol=1e-6)


def test_one_program_serves_every_set(key):
    m, traces = small_model(), []

    def counted(*args):
        traces.append(1)
        return macro_baseline.decode(*args)

    class Verbs:
        decode, noise_size = staticmethod(counted), staticmethod(macro_baseline.noise_size)

    counting = MacroModel(m.model, Verbs, m.history, m.series, m.scenarios)
    counting.generate_conditional({"policy_rate": {"month": 3, "value": 0.03}}, N, key=key)
    first = len(traces)
    counting.generate_conditional({"gdp_growth_yoy": {"month": 9, "low": 0.0, "high": 0.01},
                                   "policy_rate": {"month": 7, "value": 0.02}}, N, key=key)
    assert len(traces) == first > 0


@pytest.mark.parametrize("months", [4, pytest.param(MONTHS, marks=pytest.mark.slow)])
def test_whole_path_is_kept(key, months):
    path = list(np.linspace(0.031, 0.036, months))
    got = small_model().generate_conditional({"policy_rate": {"path": path}}, N, key=key)
    np.testing.assert_allclose(got.values[:, :months, 2], np.broadcast_to(path, (N, months)),
                               atol=1e-9)
    assert got.values[:, :, 1].std(0).min() > 0


@functools.cache
def quickstart_model():
    a = small_assembly()
    scenarios = read_scenarios(config_path("scenarios.toml"), ("baseline",), a.setup.series, 60)
    return MacroModel(a.params.macro, macro_baseline, a.inputs.history, a.setup.series, scenarios)


MODELS = {"var": quickstart_model}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MODELS))
def test_random_sets_follow_the_law(name):
    """Every set is met; means and spreads elsewhere are those of rejection within 25 %."""
    found = conditional.trials(MODELS[name](), sets=12, paths=(500, 1000), draws=100_000)
    assert max(t.miss for t in found) < 5e-4
    assert np.median([t.seconds for t in found]) < 2.0
    compared = [t for t in found if not np.isnan(t.mean)]
    assert len(compared) >= 5
    for t in compared:
        assert max(t.mean, t.spread) <= conditional.AGREES, t
    # The measure tells: paths that were not conditioned fail it.
    assert np.median([max(t.prior_mean, t.prior_spread) for t in compared]) > 1.0

"""Variance shares, default correlation and calibrated loadings."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from conftest import small_assembly
from matplotlib.figure import Figure
from scipy import stats
from typer.testing import CliRunner

from clo_gen import pipeline, rng
from clo_gen.analysis import default_correlation as dc
from clo_gen.analysis import loadings, variance
from clo_gen.analysis.conditional_losses import loan_moments
from clo_gen.assembly import assemble
from clo_gen.cli import app
from clo_gen.io.config import CalibrationConfig, read_config
from clo_gen.io.problems import InputError
from clo_gen.io.tables import config_path
from clo_gen.jobs import correlation as job
from clo_gen.models import copula, systematic, transition_baseline
from clo_gen.plots import correlation as plots
from clo_gen.solve.broyden import broyden

STATIC = f"deal='{config_path('deals/static_amortising.toml')}'"
FOUR = ("macro", "cohort", "factor", "loan")


@pytest.fixture(scope="module")
def static():
    return small_assembly(STATIC)


# The path's own draws, then each source redrawn alone.
ONE_BY_ONE = ((0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))


def own():
    return rng.sources(rng.path_key(jax.random.key(11), 0))


# Freezing a source


def leaves(tree, row):
    return [np.asarray(x)[row] for x in jax.tree.leaves(tree)]


def same(a, b):
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def whole_graph(static):
    """{what is silenced: PathResult of own draws, then with each of FOUR redrawn}."""
    a, scenario = static, static.scenarios["baseline"]

    @functools.partial(jax.jit, static_argnames="mode")
    def run(params, inputs, key, mode):
        setup = dataclasses.replace(a.setup, mode=mode)
        # One after the other: a batch may round its members differently.
        return jax.lax.map(lambda s: pipeline.simulate_from(params, inputs, scenario, s, 0.0,
                                                            setup=setup),
                           variance.crossed(key, 0, ONE_BY_ONE))

    still = a.params.macro.replace(chol=0.0 * a.params.macro.chol)
    own_loadings = a.params.loadings
    silenced = {
        "nothing": a.params,
        "macro": a.params.replace(macro=still),
        "cohort": a.params.replace(loadings=own_loadings.replace(cohort=jnp.zeros(()))),
        "factor": a.params.replace(loadings=own_loadings.replace(industry=jnp.zeros(()),
                                                                 region=jnp.zeros(()))),
    }
    found = {name: run(p, a.inputs, jax.random.key(11), "markov")
             for name, p in silenced.items()}
    return found | {"loan": run(a.params, a.inputs, jax.random.key(11), "expected")}


@pytest.mark.slow
@pytest.mark.parametrize("name", FOUR)
def test_a_source_moves_nothing_but_its_own_draws(whole_graph, name):
    # With the source's effect switched off, redrawing it leaves every bit of the path where it was:
    # collections, payments, class numbers. So the other three drew exactly the same.
    row = 1 + FOUR.index(name)
    assert same(leaves(whole_graph[name], 0), leaves(whole_graph[name], row))
    assert not same(leaves(whole_graph["nothing"], 0), leaves(whole_graph["nothing"], row))


@pytest.mark.parametrize("name", FOUR)
def test_frozen_draws_are_bit_identical(static, name):
    a, row = static, 1 + FOUR.index(name)

    def draws(sources):
        path = a.setup.macro_sample(a.params.macro, sources.macro, a.inputs.history,
                                    a.scenarios["baseline"], a.setup.series)
        s = systematic.sample(a.params.loadings, sources, 12, a.setup.groups)
        loan = jax.random.bits(jax.random.fold_in(rng.stream(sources.loan, rng.LOAN), 3), (24,))
        return {"macro": [path.values], "cohort": [s.cohort], "factor": [s.industry, s.region],
                "loan": [loan]}

    found = jax.jit(lambda key: jax.lax.map(draws, variance.crossed(key, 0, ONE_BY_ONE)))(
        jax.random.key(11))
    for source in FOUR:
        assert same(leaves(found[source], 0), leaves(found[source], row)) == (source != name)


@pytest.mark.slow
def test_the_pool_alone_loses_what_the_whole_graph_loses(static, whole_graph):
    a, scenario = static, static.scenarios["baseline"]

    @jax.jit
    def run(params, inputs, key):
        return jax.lax.map(
            lambda s: variance.pool_loss(params, inputs, scenario, s, setup=a.setup),
            variance.crossed(key, 0, ONE_BY_ONE))

    loss = run(a.params, a.inputs, jax.random.key(11))
    assert np.array_equal(loss, whole_graph["nothing"].loss)


# Conditional moments


@pytest.fixture(scope="module")
def rough(static):
    """A pool with loans in default, balloons that fail and late recoveries."""
    tape = static.inputs.tape
    fails = jnp.where(jnp.arange(24) % 3 == 0, 0.3, 0.0)
    state = tape.state.at[:2].set(static.setup.space.default)
    tape = tape.replace(default_at_maturity=fails, state=state,
                        default_age=jnp.where(jnp.arange(24) < 2, 4, tape.default_age))
    return dataclasses.replace(static, inputs=static.inputs.replace(tape=tape))


@pytest.mark.slow
def test_conditional_moments_are_those_of_the_draws(rough):
    a, scenario, draws = rough, rough.scenarios["severely_adverse"], 2000
    expected = dataclasses.replace(a.setup, mode="expected")

    @jax.jit
    def run(params, inputs, sources):
        m = loan_moments(params, inputs, scenario, sources, (12, 36), setup=a.setup)
        flat = pipeline.live_pool(params, inputs, scenario, sources, setup=expected,
                                  keep_loans=True)[0]
        keys = jax.vmap(lambda n: rng.path_key(jax.random.key(5), n))(jnp.arange(draws))
        losses = jax.lax.map(lambda k: variance.pool_loss(
            params, inputs, scenario, sources.replace(loan=k), setup=a.setup), keys, batch_size=50)
        return m, flat, losses

    m, flat, losses = run(a.params, a.inputs, own())
    exact = flat.collections.loss.sum() + flat.collections.defaulted[-1]
    np.testing.assert_allclose(m.mean.sum(), exact, rtol=1e-12)
    weights = flat.loans.weights[np.array([11, 35]), :, a.setup.space.default]
    np.testing.assert_allclose(m.default, weights, rtol=1e-12)
    within = float((m.square - m.mean**2).sum())
    assert (np.asarray(m.square - m.mean**2) >= -1e-18).all() and within > 0
    losses = np.asarray(losses)
    assert abs(losses.mean() - exact) < 4 * losses.std() / np.sqrt(draws)
    squares = (losses - losses.mean()) ** 2
    assert abs(squares.mean() - within) < 4 * squares.std() / np.sqrt(draws)


@pytest.mark.slow
def test_recoveries_after_the_end_are_lost(static):
    setup = dataclasses.replace(static.setup, recovery_lag=1000)
    m = loan_moments(static.params, static.inputs, static.scenarios["baseline"], own(),
                     (static.deal.months,), setup=setup)
    never = static.inputs.tape.replace(recovery_rate=jnp.zeros(24))
    want = loan_moments(static.params, static.inputs.replace(tape=never),
                        static.scenarios["baseline"], own(), setup=static.setup)
    np.testing.assert_allclose(m.mean, want.mean, rtol=1e-12)


# Shares


def toy(generator, paths, design, outcome):
    draws = generator.standard_normal((2, 4, paths))
    rows = [[draws[d, k] for k, d in enumerate(row)] for row in design]
    return np.stack([outcome(*row) for row in rows], axis=1)


TOYS = {  # outcome of four normal draws -> components by the nested law
    "linear": (lambda m, c, f, e: 3 * m + 2 * c + f + 0.5 * e, (9, 4, 1, 0.25)),
    "interacting": (lambda m, c, f, e: m * c + m + c * f * e, (1, 1, 0, 1)),
}


@pytest.mark.parametrize("name", TOYS)
def test_shares_of_a_known_function(name):
    outcome, want = TOYS[name]
    values = toy(np.random.default_rng(1), 20_000, variance.INDICES, outcome)
    found = variance.decompose(values)
    share = np.array(want) / np.sum(want)
    assert (np.abs(found.variance - want) < 4 * found.variance_error + 1e-12).all()
    assert (np.abs(found.share - share) < 4 * found.share_error + 1e-12).all()
    assert abs(found.closure - 1.0) < 4 * found.closure_error
    assert found.share.sum() == pytest.approx(1.0)


def test_standard_errors_are_the_spread_of_repetitions():
    outcome, _ = TOYS["interacting"]
    generator = np.random.default_rng(2)
    found = [variance.decompose(toy(generator, 1000, variance.NESTED, outcome))
             for _ in range(200)]
    spread = np.std([f.share for f in found], axis=0)
    np.testing.assert_allclose(np.mean([f.share_error for f in found], axis=0), spread, rtol=0.25)
    np.testing.assert_allclose(np.mean([f.closure_error for f in found]),
                               np.std([f.closure for f in found]), rtol=0.25)


def test_indices_of_a_known_function():
    outcome, _ = TOYS["interacting"]
    values = toy(np.random.default_rng(3), 40_000, variance.INDICES, outcome)
    found = variance.indices(values)
    first, total = np.array([1, 0, 0, 0]) / 3, np.array([2, 2, 1, 1]) / 3
    assert (np.abs(found.first - first) < 4 * found.first_error).all()
    assert (np.abs(found.total - total) < 4 * found.total_error).all()


@pytest.mark.slow
def test_conditional_moments_and_draws_give_the_same_shares(static):
    a, scenario, key, paths = static, static.scenarios["baseline"], jax.random.key(4), 256

    @jax.jit
    def run(params, inputs, key, numbers):
        drawn = functools.partial(variance.pool_loss, params, inputs, scenario, setup=a.setup)
        smooth = functools.partial(variance.conditional_loss, params, inputs, scenario,
                                   setup=a.setup)
        return (variance.run_design(drawn, key, numbers, variance.NESTED),
                variance.run_design(smooth, key, numbers, variance.CONDITIONAL))

    values, moments = run(a.params, a.inputs, key, jnp.arange(paths))
    drawn = variance.decompose(values)
    smooth = variance.decompose_conditional(*moments, values[:, 0])
    error = np.hypot(drawn.share_error, smooth.share_error)
    assert (np.abs(drawn.share - smooth.share) < 4 * error).all()
    assert (smooth.share_error < drawn.share_error).all()
    for found in (drawn, smooth):
        assert abs(found.closure - 1.0) < 4 * found.closure_error
    # The first row of both designs is the path's own: one loss less its conditional mean.
    assert np.corrcoef(values[:, 0], moments[0][:, 0])[0, 1] > 0.3


# Copula


@pytest.mark.parametrize("rho", [-0.9, -0.3, 0.0, 0.05, 0.24, 0.6, 0.97])
def test_bivariate_normal_against_scipy(rho):
    for a, b in ((-2.5, -1.0), (0.3, -1.7), (1.2, 2.0), (-3.0, -3.0)):
        want = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([a, b])
        assert float(copula.bivariate_normal_cdf(a, b, rho)) == pytest.approx(want, abs=2e-8)


def test_copula_correlation_is_the_variance_of_the_conditional_rate():
    p, rho = 0.07, 0.2
    z, weight = np.polynomial.hermite_e.hermegauss(80)
    rates = np.asarray(copula.conditional_default(p, rho, jnp.asarray(z)))
    weight = weight / weight.sum()
    assert weight @ rates == pytest.approx(p, rel=1e-9)
    second = weight @ rates**2
    got = float(copula.default_correlation(p, p, rho))
    assert got == pytest.approx((second - p**2) / (p * (1 - p)), rel=1e-8)
    slope = jax.grad(copula.joint_default, 2)(p, 0.03, rho)
    step = 1e-5
    bumped = [copula.joint_default(p, 0.03, rho + s) for s in (step, -step)]
    assert float(slope) == pytest.approx(float(bumped[0] - bumped[1]) / (2 * step), rel=1e-7)


def test_implied_asset_correlation_inverts():
    rho = jnp.array([-0.1, 0.02, 0.15, 0.5])

    @jax.jit
    def there_and_back(rho):
        given = jax.vmap(lambda r: copula.default_correlation(0.02, 0.2, r))(rho)
        asked = jnp.append(given, 0.9)  # no asset correlation gives that to such a pair
        return jax.vmap(lambda c: copula.implied_asset_correlation(0.02, 0.2, c))(asked)

    root = there_and_back(rho)
    np.testing.assert_allclose(root.x[:-1], rho, atol=1e-7)
    assert root.converged.tolist() == [True] * 4 + [False]


def test_basel_correlation_has_its_two_ends():
    ends = copula.basel_asset_correlation(jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(ends, [0.24, 0.12], rtol=1e-12)


# Default correlation


def cells_for(rating, industry):
    pairs, number = np.unique(np.column_stack([rating, industry]), axis=0, return_inverse=True)
    return dc.Cells(pairs[:, 0], pairs[:, 1], number.reshape(-1))


def test_pair_table_against_every_pair_of_loans():
    generator = np.random.default_rng(5)
    rating, industry = generator.integers(0, 2, 12), generator.integers(0, 3, 12)
    cells = cells_for(rating, industry)
    p = generator.random((40, 1, 12)) * generator.random((40, 1, 1))
    sums = jax.tree.map(np.asarray, dc.pair_sums(jnp.asarray(p), jnp.asarray(cells.of_loan),
                                                 cells.count))
    apart = np.not_equal.outer(cells.industry, cells.industry)
    groups = np.equal.outer(np.arange(2), cells.rating).astype(float)
    table = dc._pair_table(sums, cells, groups, apart.astype(float))
    covariance = np.cov(p[:, 0].T)
    mean = p[:, 0].mean(0)
    for g in range(2):
        for h in range(2):
            pairs = [(i, j) for i in range(12) for j in range(12) if i != j and rating[i] == g
                     and rating[j] == h and industry[i] != industry[j]]
            i, j = np.array(pairs).T
            spread = np.sqrt((mean * (1 - mean))[i].mean() * (mean * (1 - mean))[j].mean())
            want = covariance[i, j].mean() / spread
            assert table.correlation[0, g, h] == pytest.approx(want, rel=1e-10)
            assert table.first[0, g, h] == pytest.approx(mean[i].mean(), rel=1e-12)


@pytest.mark.slow
def test_default_correlation_of_a_copula_pool():
    # Flags and conditional probabilities of the same one-factor pool both give the closed form.
    generator, rho, paths = np.random.default_rng(6), 0.2, 4096
    rate = np.repeat([0.05, 0.15], 10)
    z = generator.standard_normal(paths)
    p = np.asarray(jax.vmap(lambda z: copula.conditional_default(jnp.asarray(rate), rho, z))(z))
    flags = (generator.random(p.shape) < p).astype(float)
    cells = cells_for(np.repeat([0, 1], 10), np.zeros(20, int))
    rates = np.array([0.05, 0.15])
    want = [[float(copula.default_correlation(a, b, rho)) for b in rates] for a in rates]
    errors = []
    for defaults in (p, flags):
        blocks = [jax.tree.map(np.asarray, dc.pair_sums(jnp.asarray(d)[:, None],
                                                        jnp.asarray(cells.of_loan), cells.count))
                  for d in np.split(defaults, 32)]
        table, error = dc.pair_table(blocks, cells, np.eye(2))
        assert (np.abs(table.correlation[0] - want) < 4 * error[0]).all()
        implied, given = dc.beside_copula(table, rho)
        np.testing.assert_allclose(implied[0], rho, atol=0.05)
        np.testing.assert_allclose(given[0], want, rtol=0.1)
        errors.append(error)
    assert (errors[0] < errors[1]).all()


@pytest.mark.slow
def test_drawn_flags_average_to_conditional_probabilities(static):
    a, scenario, key = static, static.scenarios["severely_adverse"], jax.random.key(8)

    @jax.jit
    def run(params, inputs, key, numbers):
        def path(n):
            sources = rng.sources(rng.path_key(key, n))
            return [f(params, inputs, scenario, sources, (12, 36), setup=a.setup)
                    for f in (dc.conditional_defaults, dc.drawn_defaults)]

        return jax.vmap(path)(numbers)

    p, flags = (np.asarray(x) for x in run(a.params, a.inputs, key, jnp.arange(256)))
    assert set(np.unique(flags)) <= {0.0, 1.0}
    gap = (flags - p).mean(2)  # by path and horizon
    assert (np.abs(gap.mean(0)) < 4 * gap.std(0) / 16).all()
    # An event keeps happening once it happened.
    assert (flags[:, 1] >= flags[:, 0]).all() and (p[:, 1] >= p[:, 0]).all()


# Calibration


def test_broyden_finds_a_root_and_respects_bounds():
    def f(x):
        return np.array([x[0] ** 2 + x[1] - 3.0, np.exp(x[0]) - x[1] - 1.0])

    found = broyden(f, [1.0, 1.0], [[2.0, 1.0], [2.0, -1.0]], ([-5, -5], [5, 5]), tol=1e-8,
                    max_steps=30)
    assert found.converged and np.abs(f(found.x)).max() <= 1e-8
    held = broyden(f, [0.5, 1.0], [[1.0, 1.0], [1.5, -1.0]], ([-5, -5], [0.8, 5]), tol=1e-10)
    assert not held.converged and held.x[0] <= 0.8


def test_macro_effect_keeps_the_mean_odds(static):
    logit = static.params.transition
    z = jnp.asarray(np.random.default_rng(9).normal(logit.mean, logit.scale, (400, 2)))
    steep = transition_baseline.with_macro_effect(logit, 2.0, 0.3, z)
    effect = steep.intercept + transition_baseline._saturated(steep, z) @ steep.slope.T
    np.testing.assert_allclose(jnp.exp(effect).mean(0), np.exp([0.0, 0.3, 0.3]), rtol=1e-12)
    same_again = transition_baseline.with_macro_effect(logit, 1.0, 0.0, z)
    want = transition_baseline.recentre(logit, z)
    assert np.array_equal(same_again.intercept, want.intercept)


@pytest.mark.slow
def test_calibration_finds_the_loadings_behind_given_shares(static):
    a = static
    given, start = job.given_of(a, a.scenarios["baseline"], jax.random.key(10))
    np.testing.assert_allclose(np.exp(start[:2]), [1.0, a.config.factors.cohort])
    compiled = loadings.compile_moments(a.setup, 16)
    truth = start + np.array([0.3, 0.4, 0.5, 0.0])
    mean = loadings.shares_of(loadings.over_blocks(compiled, start, given, 32))[1]
    # Hold the mean first, so that the truth answers the question that is asked.
    for _ in range(6):
        shares, now = loadings.shares_of(loadings.over_blocks(compiled, truth, given, 32))
        truth = truth - np.array([0, 0, 0, np.log(now / mean)])
    found = loadings.calibrate(compiled, given, loadings.Wanted(start, tuple(shares), 32, 32))
    assert found.converged
    np.testing.assert_allclose(found.shares, shares, atol=2 * loadings.CLOSE)
    np.testing.assert_allclose(found.mean_ratio, 1.0, atol=2 * loadings.CLOSE)
    np.testing.assert_allclose(found.levers, truth, atol=0.05)


# Command


def invoke(*arguments):
    return CliRunner().invoke(app, ["correlation", str(config_path("smoke.toml")), "--set", STATIC,
                                    *map(str, arguments)])


def test_wrong_input_is_told_all_at_once(static):
    wrong = job.Request(paths=3, scenario="boom", target=(60.0, 25.0, 10.0, 6.0), class_name="Z",
                        rho=1.5)
    with pytest.raises(InputError) as error:
        job.judge(static, wrong)
    for part in ("paths", "boom", "100", "class", "rho"):
        assert part in str(error.value)
    fixed = read_config(config_path("smoke.toml"), ["transitions.model='constant'"])
    constant = assemble(*fixed)
    with pytest.raises(InputError, match="macro_effect"):
        job.judge(constant, job.Request(target=(60.0, 25.0, 10.0, 5.0)))
    with pytest.raises(InputError, match="read by model"):
        read_config(config_path("smoke.toml"), ["transitions.model='constant'",
                                                "transitions.macro_effect=2.0"])


def test_no_target_for_a_model_that_is_calibrated_already(static):
    config = static.config.model_copy(update={"calibration": CalibrationConfig(run="stage3")})
    a = dataclasses.replace(static, config=config)
    job.judge(a, job.Request())
    with pytest.raises(InputError, match="calibration.run: 'stage3'; want no "):
        job.judge(a, job.Request(target=(60.0, 25.0, 10.0, 5.0)))


def test_command_refuses_what_is_no_number():
    done = invoke("--target", "sixty")
    assert done.exit_code == 2 and "60,25,10,5" in done.output


@pytest.mark.slow
def test_command_writes_shares_pairs_and_a_config_that_runs(tmp_path):
    out = tmp_path / "study"
    done = invoke("--paths", 32, "--target", "30,10,10,50", "--set", "macro.generator='var'",
                  "--class", "C", "--out", out)
    assert done.exit_code == 0, done.output
    assert "idiosyncratic" in done.output and "closure" in done.output
    summary = json.loads((out / "summary.json").read_text())
    assert sum(summary["before"]["share"]) == pytest.approx(1.0)
    assert summary["data"]["tape"]["kind"] == "synthetic"
    pairs = pd.read_csv(out / "default_correlation.csv")
    assert {"all pairs", "same industry", "industries"} <= set(pairs["pairs"])
    assert (out / "correlation.png").stat().st_size > 10_000
    a = assemble(*read_config(out / "calibrated.toml"))
    b = assemble(*read_config(config_path("smoke.toml"), [STATIC, "macro.generator='var'"]))
    c = summary["loadings"]
    given, _ = job.given_of(b, None, None)
    levers = np.array([np.log(c["macro_effect"]), np.log(c["cohort"]),
                       np.log(c["industry"] / b.config.factors.industry), c["worse_log_odds"]])
    pulled = loadings.pull(b.params, jnp.asarray(levers), *given[1:3])
    for x, y in zip(jax.tree.leaves((a.params.transition, a.params.loadings)),
                    jax.tree.leaves((pulled.transition, pulled.loadings)), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)
    again = invoke("--out", out)
    assert again.exit_code == 2 and "never overwritten" in again.output


def shares_with(error=0.01, closure=1.0):
    return variance.Shares(np.full(4, 0.25), np.array([0.01, 0.02, 0.03, error]), np.ones(4),
                           np.ones(4), closure, 0.1, 0.05, 0.001, 0.02, 32)


@pytest.mark.parametrize("error, closure, warned", [(0.11, 1.0, True), (0.05, 1.3, True),
                                                    (0.05, 1.1, False)])
def test_too_few_paths_are_said(error, closure, warned):
    shares = shares_with(error, closure)
    notes = job._notes(small_assembly(), (shares, None, None), None, 1.0)
    assert any("too few paths" in note for note in notes) == warned


@pytest.mark.parametrize("mean_ratio, share_miss, told", [
    (1.05, 0.001, "miss the mean loss by +5.0 %; nearest"),
    (1.0, 0.03, "miss a share by 3.0 points; nearest"),
    (0.97, 0.03, "miss a share by 3.0 points and the mean loss by -3.0 %; nearest")])
def test_a_missed_target_says_what_missed_and_which_levers_stood_at_a_bound(
        mean_ratio, share_miss, told):
    high = np.array([3.0, 1.1, 2.0, 3.0])
    levers = np.array([loadings.LOW[0], 0.0, 2.0, 0.1])
    ends = loadings.at_bounds(levers, high)
    assert ends == ("transitions.macro_effect (lowest)",
                    "factors.industry and factors.region (highest)")
    assert loadings.at_bounds(np.zeros(4), high) == ()
    found = loadings.Calibration(levers, loadings.Loadings(0.05, 0.1, 1.0, 3.0, 1.5),
                                 np.full(4, 0.25), mean_ratio, share_miss, ends, False)
    shares = shares_with(), shares_with(), None
    notes = "\n".join(job._notes(small_assembly(), shares, found, 1.0))
    assert told in notes
    assert f"at a bound of the search: {', '.join(ends)}" in notes


@pytest.mark.parametrize("after, titled", [(None, False), (shares_with(), True)])
def test_titles_say_what_is_after_calibration(monkeypatch, after, titled):
    titles = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: titles.extend(
        ax.get_title() for ax in figure.axes if "correlation" in ax.get_title()))
    pairs = pd.DataFrame({"pairs": ["all pairs"], "first": ["all"], "months": [12],
                          "correlation": [0.01], "error": [0.001], "copula_correlation": [0.01]})
    summary = {"sources": FOUR, "target": (60.0, 25.0, 10.0, 5.0)}
    plots.write_figure("none.png", job.Report("title", shares_with(), after, None, pairs,
                                              np.eye(2), 0.1, None, (), summary))
    assert len(titles) == 2 and all(("after calibration" in t) == titled for t in titles)

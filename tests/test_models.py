"""Baseline models: they recover known truths and obey their laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.linalg import expm

from clo_gen import rng
from clo_gen.io import tables
from clo_gen.io.config import read_scenarios
from clo_gen.models import macro_baseline, prepayment, scenarios, systematic, transition_baseline
from clo_gen.records import MacroPath, Transitions
from clo_gen.states import RATING

SERIES = ("gdp_growth_yoy", "unemployment_rate", "credit_spread_cp")


def simulated_history(months=3000, seed=0):
    r = np.random.default_rng(seed)
    lag = np.array([[0.9, -0.1, 0.0], [-0.02, 0.95, 0.05], [0.0, 0.02, 0.8]])
    x, rows = np.zeros(3), []
    for _ in range(months):
        x = 0.01 + lag @ x + r.normal(0, 0.003, 3)
        rows.append(x)
    return np.array(rows), lag


def test_var_recovers_its_truth_and_agrees_with_statsmodels():
    history, lag = simulated_history()
    got = macro_baseline.fit_var(history, 1)
    np.testing.assert_allclose(got.lags[0], lag, atol=0.05)
    theirs = sm.tsa.VAR(history).fit(2)
    ours = macro_baseline.fit_var(history, 2)
    np.testing.assert_allclose(ours.lags, theirs.coefs, atol=1e-8)
    np.testing.assert_allclose(ours.chol @ ours.chol.T, theirs.sigma_u, atol=1e-10)


def test_left_out_months_do_not_move_the_var():
    history, _ = simulated_history(400)
    keep = np.ones(400, bool)
    keep[200:203] = False
    spoilt = history.copy()
    spoilt[200:203] += 5.0
    clean, same = (macro_baseline.fit_var(h, 2, keep) for h in (history, spoilt))
    np.testing.assert_array_equal(clean.lags, same.lags)
    assert not np.allclose(clean.lags, macro_baseline.fit_var(spoilt, 2).lags, atol=1e-3)


def test_unstable_var_is_refused():
    explosive = np.cumsum(np.exp(np.arange(200) / 10.0)[:, None] * np.ones((1, 2)), 0)
    explosive += np.random.default_rng(0).normal(size=explosive.shape)
    with pytest.raises(ValueError, match="not stable"):
        macro_baseline.fit_var(explosive, 1)


def at_rest(months, series=SERIES):
    m = len(series)
    return scenarios.Scenario(jnp.zeros(m), jnp.ones(m), jnp.zeros((months, m)),
                              jnp.full(m, -jnp.inf), jnp.eye(4)[0])


def test_var_paths_have_the_stationary_moments(key):
    history, _ = simulated_history()
    params = macro_baseline.fit_var(history, 1)
    run = jax.jit(jax.vmap(lambda i: macro_baseline.sample(
        params, rng.path_key(key, i), jnp.asarray(history[-13:]), at_rest(400), SERIES).values))
    last = run(jnp.arange(2000))[:, -1]
    mean = np.linalg.solve(np.eye(3) - np.asarray(params.lags[0]), np.asarray(params.intercept))
    assert (np.abs(last.mean(0) - mean) < 4 * last.std(0) / np.sqrt(2000)).all()


def test_block_bootstrap_replays_real_months_in_blocks(key):
    history, _ = simulated_history(300)
    params = macro_baseline.fit_block_bootstrap(history, history[-1], block=12)
    path = macro_baseline.sample(params, key, jnp.asarray(history[-13:]), at_rest(60), SERIES)
    where = [int(np.flatnonzero((history == row).all(1))[0]) for row in np.asarray(path.values)]
    for block in range(5):
        assert (np.diff(where[12 * block: 12 * block + 12]) == 1).all()
    gaps = np.linalg.norm(np.diff(np.asarray(path.values), axis=0) / history.std(0), axis=1)
    random = np.linalg.norm((history[:-7] - history[7:]) / history.std(0), axis=1).mean()
    assert gaps[[11, 23, 35, 47]].mean() < 3 * random  # blocks join near where the last ended


def test_scenarios_reach_the_methodology_table_at_their_peak():
    wanted = ("baseline", "adverse", "severely_adverse", "stagflation")
    table = read_scenarios(tables.config_path("scenarios.toml"), wanted, SERIES, 120)
    base = jnp.full((120, 3), 0.05)
    peaks = {"baseline": (0, 0, 1), "adverse": (-.03, .03, 2), "severely_adverse": (-.06, .08, 4),
             "stagflation": (-.02, .03, 2.5)}
    for name, (gdp, unemployment, ratio) in peaks.items():
        path = np.asarray(scenarios.apply(table[name], base))
        difference = path - 0.05
        np.testing.assert_allclose(difference[np.abs(difference[:, 0]).argmax(), 0], gdp, atol=1e-9)
        np.testing.assert_allclose(difference[:, 1].max(), unemployment, atol=1e-9)
        np.testing.assert_allclose((path[:, 2] / 0.05).max(), ratio, atol=1e-9)
        np.testing.assert_allclose(path[-1], 0.05, atol=1e-12)


def test_rates_never_fall_below_zero():
    table = read_scenarios(tables.config_path("scenarios.toml"), ("adverse",), SERIES, 24)
    path = scenarios.apply(table["adverse"], jnp.full((24, 3), -0.02))
    assert path[:, 1:].min() >= 0 and path[:, 0].min() < 0


def test_monthly_root_of_a_true_generator_is_exact():
    generator = np.array([[-0.2, 0.15, 0.05], [0.1, -0.3, 0.2], [0, 0, 0]])
    np.testing.assert_allclose(transition_baseline.monthly_root(expm(generator)),
                               expm(generator / 12), atol=1e-12)


def test_monthly_root_of_the_sp_matrix_gives_back_its_year():
    annual = tables.sp_annual_matrix()
    monthly = transition_baseline.monthly_root(annual)
    assert (monthly >= 0).all()
    np.testing.assert_allclose(monthly.sum(1), 1.0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.matrix_power(monthly, 12), annual, atol=2e-3)


def test_posterior_mean_is_between_counts_and_prior():
    prior = np.zeros((10, 10))
    prior[:8, :8] = transition_baseline.monthly_root(tables.sp_annual_matrix())
    counts = np.zeros((10, 10))
    counts[5, [4, 5, 7]] = 10, 980, 10
    got = transition_baseline.posterior_mean(counts, prior, 1000.0, RATING)
    np.testing.assert_allclose(got[5, 7], 0.5 * 0.01 + 0.5 * prior[5, 7], atol=1e-12)
    np.testing.assert_allclose(got.sum(1), 1.0)
    assert (got[~RATING.mask] == 0).all()


def logit_truth():
    base = np.eye(10)
    base[:7, :7] = 0.94 * np.eye(7) + 0.025 * np.eye(7, k=1) + 0.025 * np.eye(7, k=-1)
    base[:7, 7] = 0.01
    base[:7] /= base[:7].sum(1, keepdims=True)
    model = transition_baseline.constant(base, ("gdp_growth_yoy", "unemployment_rate"), RATING,
                                         np.zeros(2), np.ones(2), 4.0)
    return model.replace(intercept=jnp.asarray([0.1, -0.2, 0.3]),
                         slope=jnp.asarray([[0.3, 0.0], [-0.4, 0.2], [-0.5, 0.6]])), model


def test_logit_recovers_the_slopes_of_its_own_counts():
    truth, start = logit_truth()
    r = np.random.default_rng(1)
    z = jnp.asarray(r.normal(size=(120, 2)))
    matrices = np.asarray(transition_baseline.predict_at(truth, z), float)
    counts = np.zeros_like(matrices)
    for t in range(120):
        for i in range(7):
            counts[t, i] = r.multinomial(4000, matrices[t, i] / matrices[t, i].sum())
    got, converged = transition_baseline.fit_logit(start, counts, z, 1e-3)
    assert converged
    np.testing.assert_allclose(got.slope, truth.slope, atol=0.03)
    np.testing.assert_allclose(got.intercept, truth.intercept, atol=0.03)


def test_logit_rows_sum_to_one_and_masked_moves_are_exactly_zero():
    truth, _ = logit_truth()
    z = jnp.asarray(np.random.default_rng(2).normal(size=(50, 2)) * 20)
    matrices = transition_baseline.predict_at(truth, z)
    np.testing.assert_allclose(matrices.sum(-1), 1.0, atol=1e-12)
    assert (jnp.where(RATING.mask & (truth.base > 0), 0.0, matrices) == 0.0).all()


def test_recentred_odds_average_to_the_base():
    truth, _ = logit_truth()
    z = jnp.asarray(np.random.default_rng(3).normal(size=(400, 2)))
    got = transition_baseline.recentre(truth, z)
    odds = jnp.exp(got.intercept + got.limit * jnp.tanh(z / got.limit) @ got.slope.T)
    np.testing.assert_allclose(odds.mean(0), 1.0, atol=1e-12)


def test_predictions_do_not_see_future_macro():
    truth, _ = logit_truth()
    r = np.random.default_rng(4)
    values = jnp.asarray(r.normal(size=(24, 3)) / 100)
    history = jnp.asarray(r.normal(size=(13, 3)) / 100)
    names = ("gdp_growth_yoy", "unemployment_rate_change_12m")
    model = truth.replace(covariates=names)
    whole = transition_baseline.predict(model, MacroPath(history, values, SERIES)).matrix
    changed = values.at[12:].add(1.0)
    after = transition_baseline.predict(model, MacroPath(history, changed, SERIES)).matrix
    assert (whole[:, :12] == after[:, :12]).all() and not (whole[:, 12:] == after[:, 12:]).all()


def test_prepayment_falls_when_spreads_widen_and_leaves_defaults_alone():
    params = prepayment.Prepayment(jnp.asarray(0.2), jnp.asarray(0.5), jnp.asarray(0.01),
                                   "credit_spread_cp")
    values = jnp.asarray([[0.0, 0.0, 0.01], [0.0, 0.0, 0.03]])
    rate = prepayment.monthly_rate(params, MacroPath(values, values, SERIES))
    np.testing.assert_allclose(1 - (1 - rate[0]) ** 12, 0.2, atol=1e-12)
    np.testing.assert_allclose(1 - (1 - rate[1]) ** 12, 0.2 * np.exp(-1.0), atol=1e-12)
    truth, _ = logit_truth()
    base = transition_baseline.predict_at(truth, jnp.zeros((2, 2)))[None]
    got = prepayment.add(Transitions(base), rate, RATING).matrix
    np.testing.assert_allclose(got.sum(-1), 1.0, atol=1e-12)
    np.testing.assert_allclose(got[..., RATING.default], base[..., RATING.default], atol=1e-15)
    survivors = 1 - base[0, :, :7, 7]
    np.testing.assert_allclose(got[0, :, :7, RATING.prepaid], survivors * rate[:, None], atol=1e-12)
    assert (got[:, :, 7:] == base[:, :, 7:]).all()


def loadings(**changes):
    return systematic.Loadings(*(jnp.asarray(x) for x in
                                 ({"cohort": .3, "industry": .3, "region": .15,
                                   "persistence": .95} | changes).values()))


def test_factors_are_stationary_and_leave_mean_odds_at_one(key):
    run = jax.jit(jax.vmap(lambda i: systematic.sample(
        loadings(), rng.sources(rng.path_key(key, i)), 60, (2, 3, 2))))
    shifts = run(jnp.arange(4000))
    for t in (0, 59):
        odds = jnp.exp(shifts.cohort[:, t])
        assert (jnp.abs(odds.mean(0) - 1) < 4 * odds.std(0) / np.sqrt(4000)).all()
        np.testing.assert_allclose(shifts.industry[:, t].std(0), 0.3, rtol=0.06)
    centred = shifts.cohort + 0.045
    lag_one = (centred[:, 1:] * centred[:, :-1]).mean() / (centred**2).mean()
    np.testing.assert_allclose(lag_one, 0.95, atol=0.01)


def test_freezing_a_source_leaves_the_other_draws_bit_identical(key):
    a = systematic.sample(loadings(), rng.sources(key), 24, (2, 3, 2))
    b = systematic.sample(loadings(industry=0.0), rng.sources(key), 24, (2, 3, 2))
    assert (a.cohort == b.cohort).all() and (a.region == b.region).all()
    assert not (a.industry == b.industry).all()


def test_embedded_history_is_what_the_var_sees_before_the_cutoff(small):
    a = small()
    assert a.inputs.history.shape == (13, 6)
    frame = a.macro.until(pd.Period("2025-09", "M"), a.setup.series)
    np.testing.assert_array_equal(a.inputs.history, frame.to_numpy()[-13:])

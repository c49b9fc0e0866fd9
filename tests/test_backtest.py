"""VaR tests, transforms and scores against scipy, statsmodels, scikit-learn and closed forms."""

import csv
import dataclasses
import json
import pathlib

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

from clo_gen.cli import app
from clo_gen.evaluate import backtest as judged
from clo_gen.evaluate import class_ratings, count_forecasts, loan_forecasts
from clo_gen.io import backtest_config, default_counts
from clo_gen.io.panel import read_rating_events
from clo_gen.io.problems import InputError
from clo_gen.io.synthetic_loans import synthetic_panel
from clo_gen.io.tables import data_path
from clo_gen.jobs.backtest import BacktestReport
from clo_gen.risk import backtest, counts, discrimination, pit
from clo_gen.states import RATING

PUBLISHED = pathlib.Path(__file__).parents[2] / "shared/data/validation"
SP = PUBLISHED / "sp_default_counts_1981_2000_QRM.csv"


def hits(*where, periods=250):
    out = np.zeros(periods, bool)
    out[list(where)] = True
    return out


def test_kupiec_is_the_likelihood_ratio():
    """Against the likelihood-ratio form of scipy's power divergence."""
    found = backtest.kupiec(hits(*range(7)), 0.01)
    ratio, p = stats.power_divergence([7, 243], [2.5, 247.5], lambda_="log-likelihood")
    assert found.statistic == pytest.approx(ratio)
    assert found.p_asymptotic == pytest.approx(p)
    pmf = stats.binom.pmf(np.arange(251), 250, 0.01)
    as_far = [k for k in range(251) if backtest.kupiec(hits(*range(k)), 0.01).statistic
              >= ratio - 1e-9]
    assert found.p_exact == pytest.approx(pmf[as_far].sum())
    none = backtest.kupiec(hits(), 0.01)
    assert none.statistic == pytest.approx(-500.0 * np.log(0.99))


def test_exact_test_keeps_its_size_where_the_asymptotic_one_does_not():
    """Twenty periods at 95 %: the chi-square p-value rejects far more than 5 %."""
    k = np.arange(21)
    mass = stats.binom.pmf(k, 20, 0.05)
    found = [backtest.kupiec(hits(*range(n), periods=20), 0.05) for n in k]
    exact = mass[[f.p_exact <= 0.05 for f in found]].sum()
    assert exact <= 0.05
    assert backtest.kupiec_power(20, 0.05, 0.05) == pytest.approx(exact)
    assert 0.05 < backtest.kupiec_power(250, 0.05, 0.10) < 1.0
    rate = backtest.detectable_rate(250, 0.01)
    assert backtest.kupiec_power(250, 0.01, rate) >= 0.8
    assert backtest.kupiec_power(250, 0.01, rate - 2e-4) < 0.8
    assert backtest.detectable_rate(5, 0.01) > 0.2


def test_independence_is_the_contingency_table():
    """The statistic is that of the 2 x 2 table of successive periods."""
    series = np.random.default_rng(1).random(300) < 0.15
    table = np.array([[((series[:-1] == a) & (series[1:] == b)).sum() for b in (0, 1)]
                      for a in (0, 1)])
    want = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    found = backtest.independence(series, draws=999)
    assert found.statistic == pytest.approx(want.statistic)
    assert found.p_asymptotic == pytest.approx(want.pvalue)
    assert abs(found.p_exact - found.p_asymptotic) < 0.06
    together = backtest.independence(hits(100, 101, 102, 103), draws=999)
    apart = backtest.independence(hits(10, 80, 150, 220), draws=999)
    assert together.p_exact < 0.01 < 0.5 < apart.p_exact


def test_conditional_coverage_adds_the_two():
    series = hits(50, 51, 120, 200)
    both = backtest.conditional_coverage(series, 0.01, draws=999)
    alone = backtest.independence(series, draws=99)
    rest = backtest.kupiec(series[1:], 0.01)
    assert both.statistic == pytest.approx(alone.statistic + rest.statistic)
    assert both.p_asymptotic == pytest.approx(stats.chi2.sf(both.statistic, 2))


@pytest.mark.parametrize("exceptions,zone,factor", [
    (0, "green", 0.0), (4, "green", 0.0), (5, "yellow", 0.40), (6, "yellow", 0.50),
    (7, "yellow", 0.65), (8, "yellow", 0.75), (9, "yellow", 0.85), (10, "red", 1.0)])
def test_traffic_light_is_the_published_table(exceptions, zone, factor):
    """Basel Committee (1996), table 2."""
    found = backtest.traffic_light(exceptions, 250)
    assert (found.zone, found.plus_factor) == (zone, factor)
    assert backtest.traffic_light(0, 5).zone == "green"


def test_the_plus_factor_survives_rounding_of_the_level():
    assert backtest.traffic_light(6, 250, 1.0 - 0.99).plus_factor == 0.50


def test_one_period_says_nothing_of_independence():
    for found in (backtest.independence([True], draws=9),
                  backtest.conditional_coverage([True], 0.01, draws=9)):
        assert np.isnan([found.statistic, found.p_asymptotic, found.p_exact]).all()


def test_exact_coverage_with_one_rate_is_the_binomial_test():
    found = backtest.exact_coverage(hits(1, 2, 3), np.full(250, 0.005))
    assert found.p_too_many == pytest.approx(stats.binom.sf(2, 250, 0.005))
    assert found.p_two_sided == pytest.approx(stats.binomtest(3, 250, 0.005).pvalue)


def poisson_forecasts(rate, periods, seed, truth=None):
    generator = np.random.default_rng(seed)
    mean = generator.uniform(2.0, 8.0, periods)
    observed = generator.poisson(mean * rate if truth is None else truth * mean)
    return tuple(stats.poisson.pmf(np.arange(80), m) for m in mean), observed


def test_transforms_of_right_forecasts_are_uniform_and_of_wrong_ones_not():
    masses, observed = poisson_forecasts(1.0, 60, 0)
    assert pit.uniformity_of_counts(masses, observed, draws=499).p_value > 0.05
    below, upto = (np.array(x) for x in zip(*(pit.interval_of_count(m, y) for m, y in zip(
        masses, observed, strict=True)), strict=True))
    heights = pit.histogram(below, upto, 5)
    assert heights.sum() == pytest.approx(5.0)
    values = pit.randomised(below, upto, np.random.default_rng(1).random(60))
    assert pit.kolmogorov_smirnov(values).p_value == pytest.approx(
        stats.kstest(values, "uniform").pvalue, rel=1e-6)
    assert pit.berkowitz(values, draws=999).p_value > 0.05
    masses, observed = poisson_forecasts(2.0, 60, 0)
    assert pit.uniformity_of_counts(masses, observed, draws=499).p_value < 0.01


def test_simulated_uniformity_test_keeps_its_size():
    rejected = sum(pit.uniformity_of_counts(*poisson_forecasts(1.0, 8, seed), draws=199,
                                            seed=seed).p_value <= 0.1 for seed in range(200))
    assert stats.binom.sf(rejected - 1, 200, 0.1) > 1e-3
    assert rejected > 5


def test_berkowitz_is_the_regression():
    import statsmodels.api as sm

    z = stats.norm.ppf(np.random.default_rng(4).random(80))
    fitted = sm.OLS(z[1:], sm.add_constant(z[:-1])).fit()
    want = 2.0 * (fitted.llf - stats.norm.logpdf(z[1:]).sum())
    assert pit.berkowitz(stats.norm.cdf(z), draws=99).statistic == pytest.approx(want, rel=1e-6)


def test_sample_transforms_are_ranks():
    samples = np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    np.testing.assert_allclose(pit.of_samples(samples, np.array([2.5, 1.0]), 0.5), [0.625, 0.5])


def scores(n=300, seed=2):
    generator = np.random.default_rng(seed)
    p = np.round(generator.beta(1.0, 9.0, n), 2)  # ties
    return p, generator.random(n) < p


def test_ranking_and_brier_agree_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    p, bad = scores()
    found = discrimination.ranking(p, bad)
    assert found.auc == pytest.approx(metrics.roc_auc_score(bad, p))
    assert found.gini == pytest.approx(2.0 * found.auc - 1.0)
    parts = discrimination.brier(p, bad)
    assert parts.score == pytest.approx(metrics.brier_score_loss(bad, p))
    assert parts.score == pytest.approx(
        parts.reliability - parts.resolution + parts.uncertainty + parts.within_variance
        - parts.within_covariance, abs=1e-15)
    means, rates, size = discrimination.calibration(p, bad)
    assert size @ rates == pytest.approx(bad.sum()) and size @ means == pytest.approx(p.sum())


def test_delong_error_is_the_double_loop_and_clusters_of_one_change_nothing():
    p, bad = scores(80)
    wins = (p[bad][:, None] > p[~bad]) + 0.5 * (p[bad][:, None] == p[~bad])
    variance = wins.mean(1).var(ddof=1) / bad.sum() + wins.mean(0).var(ddof=1) / (~bad).sum()
    found = discrimination.ranking(p, bad)
    assert found.error == pytest.approx(np.sqrt(variance))
    assert found.low < found.auc < found.high
    single = discrimination.ranking(p, bad, cluster=np.arange(80))
    assert single.error == pytest.approx(found.error)
    twice = discrimination.ranking(np.tile(p, 2), np.tile(bad, 2), cluster=np.tile(np.arange(80),
                                                                                 2))
    assert twice.auc == pytest.approx(found.auc)
    assert twice.error == pytest.approx(found.error)  # the same loans again add nothing
    assert np.isnan(discrimination.ranking(p, np.zeros(80, bool)).auc)
    one = discrimination.ranking([1, 2, 3, 4], [0, 1, 0, 1], cluster=[1, 1, 1, 1])
    assert one.auc == 0.75 and np.isnan([one.error, one.low, one.high]).all()


def history(years=14, seed=0, correlation=0.15):
    from clo_gen.risk.asset_correlation import simulate

    obligors = np.tile([[400.0, 200.0]], (years, 1))
    defaults = simulate(np.random.default_rng(seed), [0.01, 0.06], correlation, obligors)
    return default_counts.DefaultCounts(tuple(map(str, range(2000, 2000 + years))), ("BB", "B"),
                                        obligors, defaults.astype(float), "synthetic")


SETTINGS = backtest_config.CountBacktest(file="x", first=6, parameter_draws=8)


@pytest.mark.slow
def test_rolling_forecasts_know_earlier_periods_only():
    """Another last year leaves every forecast as it was, and every earlier judgement."""
    table = history()
    changed = table.defaults.copy()
    changed[-1] = [80.0, 90.0]
    first, _ = count_forecasts.rolling_forecasts(table, SETTINGS, data="d")
    second, _ = count_forecasts.rolling_forecasts(
        default_counts.DefaultCounts(table.periods, table.groups, table.obligors, changed, ""),
        SETTINGS, data="d")
    assert len(first.periods) == 8 and second.observed[-1] == 170
    for a, b in zip(first.masses, second.masses, strict=True):
        np.testing.assert_array_equal(a, b)
    row = judged.coverage(second, 0.99)
    assert row["exceptions"] >= 1 and row["promised"] <= row["expected"] + 1e-9


def test_mixture_covers_correlated_years_and_independence_does_not():
    found = [count_forecasts.rolling_forecasts(history(seed=seed, correlation=0.25), SETTINGS,
                                               data="d") for seed in range(5)]
    mixture, naive = (sum(judged.coverage(f[i], 0.99)["exceptions"] for f in found)
                      for i in (0, 1))
    assert stats.binom.sf(mixture - 1, 40, 0.01) > 0.01
    assert stats.binom.sf(naive - 1, 40, 0.01) < 0.001
    mass = found[0][0].masses[0]
    assert judged.crps(mass, 3) == pytest.approx(
        np.abs(np.arange(len(mass)) - 3) @ mass - 0.5 * sum(
            np.abs(np.arange(len(mass)) - k) @ mass * p for k, p in enumerate(mass)))


def test_rating_outcomes_are_the_files():
    panel = read_rating_events(data_path("rating_events_1999_2005.csv"), RATING)
    who, state, lost = default_counts.panel_outcomes(panel, pd.Period("2002-01", "M"), 12, RATING)
    assert len(who) == len(set(who)) == len(state)
    events = pd.read_csv(data_path("rating_events_1999_2005.csv"), dtype=str)
    defaulted = events[(events.rating == "D") & events.date.str.startswith("2002")].obligor_id
    assert set(who[lost]) <= set(defaulted)
    assert len(set(defaulted) & set(who)) >= lost.sum() > 0


def test_loan_forecasts_rank_loans_of_known_risk():
    """And change nothing when the outcomes of the year forecast change."""
    panel = synthetic_panel(loans=4000, months=30, seed=1)
    start = pd.Period("2017-03", "M")
    logistic, bands = loan_forecasts.panel_forecasts(panel, start, start + 12)
    row = loan_forecasts.discrimination_row(logistic)
    assert row["loans"] > 2000 and row["defaults"] > 5
    assert row["auc_low"] > 0.5 and row["auc"] > loan_forecasts.discrimination_row(bands)["auc"]
    assert row["brier"] == pytest.approx(((logistic.probability - logistic.defaulted) ** 2).mean())
    later = panel.months > (start + 12).ordinal
    state = np.where(later & (panel.state == panel.space.default), panel.space.prepaid, panel.state)
    other, _ = loan_forecasts.panel_forecasts(dataclasses.replace(panel, state=state), start,
                                              start + 12)
    assert other.defaulted.sum() == 0
    np.testing.assert_array_equal(other.probability, logistic.probability)


def summary(chances):
    classes = dict(zip(("A", "B", "sub"), chances, strict=True))
    return {"paths": 1000, "scenarios": {"adverse": {"tranches": {
        name: {"loss_probability": p, "wal_years": 5.0} for name, p in classes.items()}}},
        "deal": {"closing_oc_ratio": {"A": 1.5, "B": 1.2},
                 "credit_enhancement": {"A": 0.3, "B": 0.1, "sub": 0.0}}}


def test_class_table_sets_losses_beside_ratings():
    rows = class_ratings.class_table(summary((0.0, 0.02, 0.5)), {"A": "AAA", "B": "BB"})
    assert [r["class"] for r in rows] == ["A", "B", "sub"]
    assert all(r["ordered"] for r in rows)
    assert rows[0]["p_high"] == pytest.approx(0.003) and rows[0]["within"] == "open"
    assert rows[1]["within"] == "yes" and rows[2]["idealised_rate"] is None
    assert rows[1]["idealised_rate"] == pytest.approx(0.0841)  # Ba2, five years, the stand-in
    assert not class_ratings.class_table(summary((0.1, 0.02, 0.5)), {})[0]["ordered"]


@pytest.mark.parametrize("rating", ["NR", "BBB(low)", "D"])
def test_a_rating_off_the_scale_is_compared_with_nothing(rating):
    row = class_ratings.class_table(summary((0.0, 0.02, 0.5)), {"A": rating})[0]
    assert row["historical_rate"] is row["idealised_rate"] is None and row["within"] == ""
    assert f"rating {rating}: no agency's" in row["note"]


@pytest.mark.parametrize("values", [[], [0.0, 1.0, 0.5, 0.5, 0.2]])
def test_too_few_shares_to_fit_are_a_note(values):
    report = BacktestReport({}, [], {}, [])
    report.fit_shares("recoveries", np.array(values), backtest_config.BacktestConfig(name="x"))
    assert not report.tables and "recoveries: fewer than three" in report.notes[0]


def test_file_names_of_the_rating_models_are_made_absolute(tmp_path):
    config = tmp_path / "b.toml"
    config.write_text('name = "b"\n[ratings]\n[ratings.macro]\nsource = "m.csv"\n'
                      'series = ["gdp_growth_yoy", "policy_rate"]\n[ratings.transitions]\n'
                      'run = "t"\n')
    found = backtest_config.read_backtest(config).ratings
    assert found.macro.source == str(tmp_path / "m.csv")
    assert found.transitions.run == str(tmp_path / "t")
    assert found.transitions.events == found.events == "embedded" and found.macro.run is None


def invoke(*arguments):
    return CliRunner().invoke(app, ["backtest", *map(str, arguments)])


def test_bad_input_says_what_is_wrong(tmp_path):
    table = tmp_path / "counts.csv"
    table.write_text("year,rating,firms,defaults\n1990,B,10,12\n1990,B,10,1\n1992,B,x,1\n")
    config = tmp_path / "b.toml"
    config.write_text(f'name = "b"\n[yearly]\nfile = "{table}"\nfirst = 5\n')
    found = invoke(config, "--out", tmp_path / "out")
    assert found.exit_code == 2
    for text in ("row 2, defaults", "at most the 10 firms", "row 3: repeats", "row 4, firms"):
        assert text in found.stderr
    assert not (tmp_path / "out").exists()
    assert "unknown key" in invoke(config, "--set", "yearly.last=3").stderr
    config.write_text('name = "b"\n')
    assert "nothing to test" in invoke(config).stderr
    config.write_text('name = "b"\n[loans]\nloans = "x"\n')
    assert "loans and panel, or run" in invoke(config).stderr
    with pytest.raises(InputError, match="no such file"):
        backtest_config.read_backtest(tmp_path / "none.toml")


@pytest.mark.slow
def test_command_on_the_embedded_histories(tmp_path):
    out = tmp_path / "found"
    found = invoke("--out", out, "--set", "ratings.horizons=[6]", "--set", "ratings.paths=200",
                   "--set", 'ratings.models=["constant_own"]', "--set", "draws=50")
    assert found.exit_code == 0, found.output
    assert "asset correlation" in found.output and "backtest.png" in found.output
    names = {p.name for p in out.iterdir()}
    assert {"backtest.json", "backtest.png", "coverage.csv", "calibration.csv", "periods.csv",
            "loans.csv", "fits.csv", "correlation.csv"} <= names
    kept = json.loads((out / "backtest.json").read_text())
    assert kept["data"]["ratings"]["kind"] == "real"
    rows = list(csv.DictReader((out / "periods.csv").read_text().splitlines()))
    assert len(rows) == 10 and rows[0]["period"] == "2001-01"
    assert all(float(r["pit_low"]) <= float(r["pit_high"]) for r in rows)
    assert invoke("--out", out).exit_code == 2


@pytest.mark.slow
@pytest.mark.skipif(not SP.exists(), reason="published default counts are not here")
def test_mixture_is_conservative_on_published_default_counts():
    """1986-2000, each year forecast from the years before: VaR 99 holds, independence does not."""
    table = default_counts.read_default_counts(SP)
    settings = backtest_config.CountBacktest(file=str(SP), first=5)
    mixture, naive = count_forecasts.rolling_forecasts(table, settings, data="S&P")
    row = judged.coverage(mixture, 0.99)
    assert row["periods"] == 15 and row["verdict"] == "conservative"
    assert judged.coverage(naive, 0.99)["verdict"] == "exceeded too often"
    assert judged.calibration(mixture)["log_score"] > judged.calibration(naive)["log_score"]


def test_power_is_told_for_short_histories():
    masses = tuple(counts.mixture_pmf([50], np.array([[0.05]])) for _ in range(5))
    forecast = judged.CountForecast("d", "m", tuple("abcde"), masses, np.array([2, 3, 1, 9, 2]),
                                    np.full(5, 50))
    row = judged.coverage(forecast, 0.95)
    assert row["detectable"] > 0.4 and row["power_twice"] < 0.15
    assert row["exceptions"] == 1 and row["verdict"] == "exceeded, within chance"

"""Stage 3: intervals, the fit of named parameters, laws of the knobs, trusts left out, command."""

import dataclasses
import functools
import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from typer.testing import CliRunner

from clo_gen.cli import app
from clo_gen.io import checkpoint
from clo_gen.io.auto_lives import read_auto_lives
from clo_gen.io.problems import InputError
from clo_gen.jobs.calibrate import (
    CalibrationReport,
    calibrate_job,
    read_calibration,
    summary_rows,
    tables,
    targets_data,
)
from clo_gen.models import knobs as named
from clo_gen.models import loan_hazards, macro_baseline, scenarios
from clo_gen.models.loan_hazards import LoanHazards
from clo_gen.solve import logistic
from clo_gen.states import RATING
from clo_gen.train import calibration, calibration_auto, calibration_corporate
from clo_gen.train.calibration import Target, rate_target, wilson
from clo_gen.train.calibration_targets import CorporateTargets, evidence_of

ROOT = pathlib.Path(__file__).parent.parent
VALIDATION = ROOT.parent / "shared" / "data" / "validation"
SERIES = ("a", "b", "c")
simple = functools.partial(np.testing.assert_allclose, rtol=1e-6)


def neutral(params):
    return named.neutral(RATING.live, SERIES, params)


# ---- intervals

@pytest.mark.parametrize("count,trials", [(0, 3000), (7, 20), (403, 7606), (50, 50)])
def test_wilson_agrees_with_statsmodels(count, trials):
    np.testing.assert_allclose(wilson(count, trials),
                               proportion_confint(count, trials, method="wilson"), atol=1e-12)


def test_block_bootstrap_widens_with_dependence_and_covers_independent_means():
    generator = np.random.default_rng(0)
    noise = generator.normal(size=400)
    low, high = calibration.bootstrap(lambda x: x.mean(0)[None], noise, 1)
    np.testing.assert_allclose(high - low, 2 * 1.96 * noise.std() / 20, rtol=0.15)
    slow = np.repeat(noise[:40], 10)
    narrow, wide = (np.ptp(calibration.bootstrap(lambda x: x.mean(0)[None], slow, block))
                    for block in (1, 40))
    assert wide > 2.0 * narrow


# ---- the fit

def linear_problem():
    generator = np.random.default_rng(1)
    a = generator.normal(size=(8, 3))
    a[:, 2] = 0.0  # nothing is said of the last parameter
    truth = np.array([0.4, -0.7, 0.0])
    targets = [Target("numbers", str(i), v, v - 0.196, v + 0.196, "test")
               for i, v in enumerate(a @ truth)]
    return a, truth, targets


def test_a_linear_fit_is_the_ridge_solution_with_its_covariance():
    a, truth, targets = linear_problem()
    prior = np.array([1.0, 2.0, 0.5])
    done = calibration.fit(lambda x, data: data @ x, jnp.asarray(a), targets, ["p", "q", "r"],
                           prior)
    weight = (1.9599639845 / 0.196) ** 2
    hessian = weight * a.T @ a + np.diag(prior**-2)
    np.testing.assert_allclose(done.x, np.linalg.solve(hessian, weight * a.T @ (a @ truth)),
                               atol=1e-7)
    errors = [p.error for p in done.parameters]
    np.testing.assert_allclose(errors, np.sqrt(np.diag(np.linalg.inv(hessian))), rtol=1e-6)
    assert done.converged and done.rank == 2
    assert [p.identified for p in done.parameters] == [True, True, False]
    assert done.x[2] == 0.0 and errors[2] == pytest.approx(0.5)
    # The delta method, by hand.
    spread = np.sqrt(np.einsum("qp,pr,qr->q", a, np.linalg.inv(hessian), a))
    np.testing.assert_allclose([(c.model_high - c.after) / 1.9599639845
                                for c in done.comparisons], spread, rtol=1e-6)


def test_a_target_that_is_not_fitted_moves_nothing():
    a, _, targets = linear_problem()
    wild = dataclasses.replace(targets[0], value=99.0, low=98.0, high=100.0, fitted=False)
    fits = [calibration.fit(lambda x, data: data @ x, jnp.asarray(a), [first, *targets[1:]],
                            ["p", "q", "r"], np.ones(3))
            for first in (wild, dataclasses.replace(targets[0], fitted=False))]
    np.testing.assert_allclose(fits[0].x, fits[1].x)
    assert not fits[0].comparisons[0].inside and fits[1].comparisons[0].inside


def test_rates_reach_their_targets_and_a_rate_of_zero_is_no_trouble():
    goals = np.array([0.0, 0.002, 0.3])
    targets = [rate_target("rates", str(i), r, 4000.0, "test") for i, r in enumerate(goals)]
    done = calibration.fit(lambda x, data: jax.nn.sigmoid(data + x), jnp.full(3, -3.0), targets,
                           list("abc"), np.full(3, 3.0))
    assert all(c.inside for c in done.comparisons) and not any(
        c.inside_before for c in done.comparisons)
    np.testing.assert_allclose(done.comparisons[2].after, 0.3, rtol=1e-3)
    # The error of a log-odds is 1 / sqrt(n p (1 - p)).
    assert done.parameters[2].error == pytest.approx(1 / np.sqrt(4000 * 0.3 * 0.7), rel=0.02)


def test_residual_slopes_are_those_of_finite_differences():
    targets = [rate_target("r", "", 0.1, 50.0, ""), Target("n", "", 2.0, 1.0, 3.0, "")]
    at, step = np.array([0.2, 1.5]), 1e-6
    value, slope = calibration.residuals(targets, at, np.eye(2))
    up = calibration.residuals(targets, at + step, np.eye(2))[0]
    np.testing.assert_allclose(np.diag(slope), (up - value) / step, rtol=1e-4)


def test_logistic_regression_agrees_with_statsmodels():
    import statsmodels.api as sm

    generator = np.random.default_rng(2)
    x = np.column_stack([np.ones(3000), generator.normal(size=(3000, 2))])
    y = generator.random(3000) < 1 / (1 + np.exp(-(x @ [-2.0, 1.0, 0.5])))
    b, covariance, converged = logistic.fit(x, y, np.full(3, 1e6))
    wanted = sm.Logit(y.astype(float), x).fit(disp=0)
    np.testing.assert_allclose(b, wanted.params, rtol=1e-6)
    np.testing.assert_allclose(covariance, wanted.cov_params(), rtol=1e-4)
    half = logistic.fit(x[:, 1:], y, np.full(2, 1e6), x[:, 0] * b[0])[0]
    np.testing.assert_allclose(half, b[1:], rtol=1e-4)
    assert converged


# ---- the knobs

@pytest.fixture(scope="module")
def assembly():
    from conftest import small_assembly

    return small_assembly()


def random_knobs(a, scale=0.3, seed=0):
    zero = named.neutral(RATING.live, a.setup.series, a.params)
    leaves, tree = jax.tree.flatten(zero)
    generator = np.random.default_rng(seed)
    return jax.tree.unflatten(tree, [jnp.asarray(scale * generator.normal(size=x.shape))
                                     for x in leaves])


def test_neutral_knobs_change_nothing_and_every_number_has_a_name(assembly):
    a = assembly
    zero = named.neutral(RATING.live, a.setup.series, a.params)
    lien = np.zeros(len(a.tape.frame), int)
    params, inputs = jax.jit(named.calibrated)(a.params, a.inputs, zero, lien)
    for old, new in zip(jax.tree.leaves((a.params, a.inputs)), jax.tree.leaves((params, inputs)),
                        strict=True):
        np.testing.assert_allclose(np.asarray(new, float), np.asarray(old, float), rtol=1e-12,
                                   atol=1e-15)
    names = named.names(zero)
    assert len(names) == sum(x.size for x in jax.tree.leaves(zero)) == len(set(names))
    at = names.index("default.BB")
    one = jax.flatten_util.ravel_pytree(zero)[1](jnp.zeros(len(names)).at[at].set(1.0))
    assert one.default[4] == 1.0


def test_shifted_matrices_stay_stochastic_and_move_the_odds_asked_for(assembly):
    base = np.asarray(assembly.params.transition.base)
    k = random_knobs(assembly)
    new = np.asarray(jax.jit(named.shifted, static_argnums=2)(base, k, RATING))
    np.testing.assert_allclose(new.sum(-1), 1.0, rtol=1e-12)
    assert ((new == 0) == (base == 0)).all() and (new[7:] == base[7:]).all()
    b = 5
    odds = (new[b] / new[b, b]) / np.where(base[b] > 0, base[b] / base[b, b], 1.0)
    np.testing.assert_allclose(np.log(odds[[4, 6, 7]]), [k.better[b], k.worse[b], k.default[b]],
                               rtol=1e-9)
    rates = base - np.eye(len(base))  # a generator: rows sum to 0
    moved = np.asarray(named.shifted(rates, k, RATING))
    np.testing.assert_allclose(moved.sum(-1), 0.0, atol=1e-14)
    off = rates[b, 7] * np.exp(float(k.default[b]))
    np.testing.assert_allclose(moved[b, 7], off, rtol=1e-9)


def test_shocks_keep_a_correlation_matrix_and_scale_by_series(assembly):
    model = assembly.params.macro
    k = random_knobs(assembly, scale=2.0)
    chol = np.asarray(named.macro(model, k).chol)
    covariance, before = chol @ chol.T, np.asarray(model.chol) @ np.asarray(model.chol).T
    deviation = np.sqrt(np.diag(covariance) / np.diag(before))
    np.testing.assert_allclose(deviation, np.exp(k.macro_volatility), rtol=1e-9)
    correlation = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert np.linalg.eigvalsh(correlation).min() > 0 and np.abs(correlation).max() <= 1 + 1e-12


def test_moments_of_recoveries_are_those_of_draws():
    draws = stats.norm.rvs(size=400_000, random_state=3)
    recovery = 1 / (1 + np.exp(-(np.log(0.35 / 0.65) - 0.4 + 1.7 * draws)))
    mean, deviation = named.recovery_moments(0.35, -0.4, 1.7)
    np.testing.assert_allclose([mean, deviation], [recovery.mean(), recovery.std()], rtol=4e-3)
    ends = named.recovery_rate(jnp.array([0.0, 1.0, 0.5]), 2.0, 0.0)
    np.testing.assert_allclose(ends, [0.0, 1.0, 1 / (1 + np.exp(-2.0))])


@pytest.mark.slow
def test_a_runs_loss_is_differentiable_in_the_knobs():
    """Against central differences, through the whole graph in expected mode."""
    from conftest import small_assembly

    from clo_gen import pipeline

    a = small_assembly("mode='expected'")
    lien = np.zeros(len(a.tape.frame), int)
    zero = named.neutral(RATING.live, a.setup.series, a.params)
    flat, unravel = jax.flatten_util.ravel_pytree(zero)
    names = named.names(zero)

    def loss(x, params, inputs, scenario):
        params, inputs = named.calibrated(params, inputs, unravel(x), lien)
        path = a.setup.macro_sample(params.macro, jax.random.key(3), inputs.history, scenario,
                                    a.setup.series)
        transitions = pipeline.transitions_of(params, path, a.setup)
        months = inputs.schedule.opening.shape[0]
        shifts = pipeline.systematic.sample(
            params.loadings, pipeline.rng.sources(jax.random.key(4)), months, a.setup.groups)
        index = pipeline.index_paths(path, inputs.curves, a.setup.index_columns)
        return pipeline.collect(inputs.tape, inputs.schedule, inputs.deal, transitions, shifts,
                                index, jax.random.key(5), space=a.setup.space, mode="expected",
                                lag=a.setup.recovery_lag).loss.sum()

    data = (a.params, a.inputs, a.scenarios["adverse"])
    value, gradient = jax.jit(jax.value_and_grad(loss))(flat, *data)
    value_of = jax.jit(loss)
    for name in ("default.B", "worse.B", "better.B", "macro_slope", "loadings", "prepayment",
                 "macro_volatility.gdp_growth_yoy", "recovery.first"):
        i = names.index(name)
        step = np.zeros(len(flat))
        step[i] = 1e-4
        central = (value_of(flat + step, *data) - value_of(flat - step, *data)) / 2e-4
        np.testing.assert_allclose(gradient[i], central, rtol=1e-4, atol=1e-9, err_msg=name)
    assert gradient[names.index("default.B")] > 0 > gradient[names.index("recovery.first")]
    assert value > 0


# ---- corporate runs

def test_yearly_changes_of_a_var_are_those_of_a_long_path():
    generator = np.random.default_rng(5)
    lags = np.stack([np.diag([0.9, 0.8]) + 0.05, np.diag([-0.1, 0.05])])
    chol = np.array([[0.01, 0.0], [0.004, 0.02]])
    model = macro_baseline.Var(jnp.zeros(2), jnp.asarray(lags), jnp.asarray(chol))
    months = 60_000
    scenario = scenarios.Scenario(jnp.zeros(2), jnp.ones(2), jnp.zeros((months, 2)),
                                  jnp.full(2, -jnp.inf), jnp.zeros(4))
    path = np.asarray(jax.jit(macro_baseline.decode, static_argnums=4)(
        model, generator.normal(size=2 * months), np.zeros((2, 2)), scenario, months))
    change = path[1000 + 12:] - path[1000:-12]
    volatility, correlation = calibration_corporate.yearly_changes(model)
    np.testing.assert_allclose(volatility, change.std(0), rtol=0.03)
    np.testing.assert_allclose(correlation, np.corrcoef(change.T)[1, :1], atol=0.04)


def test_withdrawal_competes_with_every_move_but_default(assembly):
    base = np.asarray(assembly.params.transition.base)[None]
    lost = np.full(7, 0.02)
    new = np.asarray(calibration_corporate.withdraw(jnp.asarray(base), jnp.asarray(lost)))[0]
    np.testing.assert_allclose(new.sum(-1), 1.0)
    np.testing.assert_allclose(new[:7, 7], base[0, :7, 7])
    np.testing.assert_allclose(new[:7, 8], 0.02 * (1.0 - base[0, :7, 7]))


@pytest.mark.parametrize("setting,what", [
    ({"issuer_years": {"AAA": 1.0}}, "issuer_years: no AA"),
    ({"severity_lien": "third"}, "severity_lien: 'third'"),
])
def test_bad_settings_are_named(assembly, setting, what):
    with pytest.raises(InputError, match=what):
        evidence_of(CorporateTargets(**setting), assembly)


def test_targets_are_the_published_figures(assembly):
    evidence = evidence_of(CorporateTargets(), assembly)
    one = {t.name: t for t in evidence.targets["default rate, 1 year"]}
    assert one["B"].value == pytest.approx(0.0376) and one["B"].low < 0.0376 < one["B"].high
    five = {t.name: t for t in evidence.checks["default rate, 5 years"]}
    assert five["B"].value == pytest.approx(0.1925) and not five["B"].fitted
    assert evidence.exposure.sum() == assembly.counts.counts.sum()
    assert len(evidence.targets["correlation of yearly changes"]) == 15
    assert "scatter of yearly default rates" not in evidence.targets
    # Published rows: default, withdrawal, moves up and down and staying make up everybody.
    moves = [{t.name: t.value for t in evidence.targets[f"{kind} rate, 1 year"]}
             for kind in ("default", "withdrawal", "upgrade", "downgrade")]
    assert sum(m["BB"] for m in moves) == pytest.approx(1.0 - 0.7698, abs=3e-4)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """The shipped calibration, on embedded data, written by the job."""
    settings, folder = read_calibration()
    fit, kept = calibration_corporate.calibrate, []

    def keeping(a, evidence):
        kept.append(fit(a, evidence))
        return kept[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration_corporate, "calibrate", keeping)
        report, out = calibrate_job(settings, folder, tmp_path_factory.mktemp("run") / "stage3")
    return report, out, kept[-1]


@pytest.mark.slow
def test_every_calibrated_rate_is_inside_its_interval(embedded):
    report, out, _ = embedded
    rates = [c for c in report.comparisons if c.fitted and "rate" in c.group]
    assert len(rates) > 40 and all(c.inside for c in rates)
    assert not all(c.inside_before for c in rates)
    fitted = [c for c in report.comparisons if c.fitted]
    assert all(c.inside for c in fitted) and report.calibration.converged
    loose = {p.name for p in report.calibration.parameters if not p.identified}
    assert {"prepayment", "recovery.first", "loadings"} <= loose
    assert not {"default.B", "worse.BB"} & loose


def test_a_calibration_says_whose_data_it_was_fitted_to(assembly, tmp_path):
    from conftest import small_assembly

    def of(part, kind, **files):
        provenance = assembly.provenance | {part: {"kind": kind}}
        return targets_data(CorporateTargets(**files), tmp_path, provenance)

    assert of("macro", "real")["kind"] == "real"
    mine = of("macro", "real", severities="mine.csv")
    assert mine["kind"] == "user" and str(tmp_path / "mine.csv") in mine["source"]
    assert of("transitions", "user")["kind"] == "user"
    assert of("macro", "synthetic", severities="mine.csv")["kind"] == "synthetic"
    assert "the run that was calibrated: tape synthetic" in mine["notes"]
    zero = named.neutral(RATING.live, assembly.setup.series, assembly.params)
    checkpoint.save_record(tmp_path / "calibrated.npz", zero, {"data": {"targets": mine}})
    told = small_assembly(f"calibration.run='{tmp_path}'").provenance["calibration"]
    assert told["kind"] == "user" and "mine.csv" in told["source"]


@pytest.mark.slow
def test_a_run_uses_a_calibration(embedded):
    from conftest import small_assembly

    report, out, _ = embedded
    plain, a = small_assembly(), small_assembly(f"calibration.run='{out}'")
    zero = named.neutral(RATING.live, plain.setup.series, plain.params)
    assert jax.tree.structure(zero) == jax.tree.structure(report.model)
    wanted = named.transitions(plain.params.transition, report.model).base
    simple(a.params.transition.base, wanted)
    assert not np.allclose(a.params.macro.chol, plain.params.macro.chol)
    assert a.provenance["calibration"]["kind"] == "real"
    with pytest.raises(InputError, match="macro"):
        small_assembly(f"calibration.run='{out}'", "macro.generator='block_bootstrap'")


@pytest.mark.slow
@pytest.mark.skipif(not VALIDATION.exists(), reason="the validation data are not here")
def test_severities_and_yearly_counts_identify_recovery_and_loadings(assembly):
    targets = CorporateTargets(
        default_counts=str(VALIDATION / "sp_default_counts_1981_2000_QRM.csv"),
        severities=str(VALIDATION / "sba_loans_sample.parquet"))
    done, knobs = calibration_corporate.calibrate(assembly, evidence_of(targets, assembly))
    rows = {(c.group, c.name): c for c in done.comparisons}
    for group, name in (("recovery", "mean"), ("recovery", "standard deviation"),
                        ("scatter of yearly default rates", "BB to CCC")):
        assert rows[group, name].inside
    known = {p.name for p in done.parameters if p.identified}
    assert {"recovery.unsecured", "recovery_spread.unsecured"} <= known
    assert knobs.recovery_spread[2] > 0 and knobs.recovery[0] == 0.0


# ---- auto loans

TRUTH = LoanHazards(jnp.array([-4.2, 1.5, 0.3, 0.0, -0.5, 0.0]),
                    jnp.array([-4.0, -0.3, 0.1, 0.0, 0.3, 0.0]))


def synthetic_lives(path, loans=4000, months=30, seed=0):
    """Synthetic loans of three trusts that live by TRUTH, in the layout of io.auto_lives."""
    generator = np.random.default_rng(seed)
    trust = generator.integers(0, 3, loans)
    rate = np.exp(generator.normal(np.log(0.06) + 0.4 * trust, 0.35)).clip(0.02, 0.28)
    balance = np.exp(generator.normal(9.6, 0.4, loans))
    first_age = generator.integers(1, 10, loans)
    age = first_age[:, None] + 3.0 + np.arange(months)
    default, prepaid = (np.asarray(x) for x in loan_hazards.monthly(
        TRUTH, jnp.asarray(rate), jnp.asarray(balance), jnp.asarray(age)))
    draw = generator.random((loans, months))
    event = np.where(draw < default, 1, np.where(draw < default + prepaid, 2, 0))
    ends = (event > 0).any(1)
    at = np.where(ends, (event > 0).argmax(1), months - 1)
    what = np.where(ends, event[np.arange(loans), at], 0)
    band = np.array(["super_prime", "prime", "near_prime", "subprime", "deep_subprime"])[
        np.searchsorted([0.05, 0.10, 0.15, 0.20], rate)]
    frame = pd.DataFrame({
        "bond": np.array(["a", "b", "c"])[trust], "risk_cat": band, "orig_apr": rate,
        "cur_age": first_age, "cur_balance": balance, "calc_pmt": balance * (rate / 12 + 0.012),
        "report0": "2017-04", "Z": first_age + 3 + at, "D": (what == 1).astype(int),
        "R": (what == 2).astype(int)})
    frame.to_csv(path, index=False)
    return frame


@pytest.fixture(scope="module")
def lives_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("auto") / "loans.csv"
    return path, synthetic_lives(path)


def test_lives_keep_every_event_once(lives_file):
    path, frame = lives_file
    lives = read_auto_lives(path, "2019-10")
    assert lives.default.sum() == frame["D"].sum() and lives.prepaid.sum() == frame["R"].sum()
    assert (lives.at_risk.sum(1) == np.minimum(frame["Z"] - frame["cur_age"] - 2, 30)).all()
    assert not (lives.default & ~lives.at_risk).any()
    short = read_auto_lives(path, "2018-04")
    assert short.default.sum() == lives.default[:, :12].sum() and short.seen.all()
    monthly, paid = frame["orig_apr"] / 12, frame["calc_pmt"]
    np.testing.assert_allclose(lives.balance[:, 0], frame["cur_balance"] * (1 + monthly) - paid)


def test_expected_defaults_are_those_of_draws(lives_file):
    lives = read_auto_lives(lives_file[0], "2019-10")
    terms = (jnp.asarray(lives.rate), jnp.asarray(lives.start_balance), jnp.asarray(lives.age))
    default, prepaid = loan_hazards.monthly(TRUTH, *terms)
    count, money = calibration_auto.expected_defaults(lives, default, prepaid)
    seen = lives.default.sum()
    assert abs(count - seen) < 4 * np.sqrt(seen)
    per_loan = (lives.default * lives.balance).sum(1)
    assert abs(money - per_loan.sum()) < 4 * per_loan.std() * np.sqrt(len(per_loan))
    alive = np.asarray(loan_hazards.living(default, prepaid, lives.seen))
    simple((alive * np.asarray(default + prepaid)).sum(1) + alive[:, -1]
           * (1 - np.asarray(default + prepaid)[:, -1]), 1.0)


def test_hazards_recover_the_truth_and_forecast_a_trust_left_out(lives_file):
    lives = read_auto_lives(lives_file[0], "2019-10")
    done, hazards = calibration_auto.fit_lives(lives)
    fitted = {p.name: p for p in done.parameters}
    for i, term in ((1, "log_rate"), (2, "log_balance")):
        p = fitted[f"default.{term}"]
        assert abs(p.value - float(TRUTH.default[i])) < 4 * p.error and p.identified
    assert done.converged
    assert all(c.inside for c in done.comparisons if c.group.startswith("default"))
    rest = lives.trust != "b"
    found = calibration_auto.left_out("b", lives.take(rest), lives.take(~rest), 0.5, 0.25)
    assert found.within and found.low < found.after < found.high
    assert "cohort.b" not in " ".join(p.name for p in found.fit.parameters)


def test_a_trust_left_out_is_not_looked_at(lives_file):
    """Other outcomes of the trust left out change what is realised, never what is expected."""
    lives = read_auto_lives(lives_file[0], "2019-10")
    rest = lives.trust != "c"
    test = lives.take(~rest)
    few = (np.arange(len(test.rate)) < 5)[:, None]
    none = dataclasses.replace(test, default=test.default & few, at_risk=test.seen)
    a, b = (calibration_auto.left_out("c", lives.take(rest), t, 1.0, 0.1) for t in (test, none))
    assert a.after == b.after and a.before == b.before and a.loss > b.loss


def test_a_trust_without_default_is_compared_with_nothing(lives_file):
    lives = read_auto_lives(lives_file[0], "2019-10")
    rest = lives.trust != "c"
    test = lives.take(~rest)
    test = dataclasses.replace(test, default=np.zeros_like(test.default))
    found = calibration_auto.left_out("c", lives.take(rest), test, 1.0, 0.1)
    assert found.loss == 0.0 and np.isnan([found.ratio, found.ratio_before]).all()
    assert not found.within
    report = CalibrationReport(found.fit, (found,), (), None, {}, 0.0)
    cells = [cell for column in list(tables(report))[1].columns for cell in column.cells]
    assert "no default: nothing to compare" in cells


def test_severities_follow_the_dollars(tmp_path):
    generator = np.random.default_rng(8)
    lgd, gross = generator.beta(2, 2, 300), generator.uniform(1e3, 3e4, 300)
    pd.DataFrame({"loss_gross": gross, "lgd_at_chargeoff": lgd}).to_csv(tmp_path / "s.csv")
    severity, done = calibration_auto.severities(tmp_path / "s.csv")
    wanted = np.average(lgd, weights=gross)
    assert severity == pytest.approx(wanted, abs=0.005)
    assert all(c.inside for c in done.comparisons) and done.converged


@pytest.mark.slow
@pytest.mark.skipif(not VALIDATION.exists(), reason="the validation data are not here")
def test_expected_loss_of_every_trust_left_out_is_within_ten_percent():
    settings, folder = read_calibration(
        ROOT / "configs" / "calibrate_auto.toml")
    found = calibration_auto.calibrate(settings.auto, folder)
    assert {h.trust for h in found.held_out} == {"aart", "carmax", "sdart"}
    assert all(h.within for h in found.held_out)
    for h in (found.calibration, *(h.fit for h in found.held_out)):
        assert all(c.inside for c in h.comparisons if c.group.startswith("default"))


# ---- the command

def invoke(*arguments):
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)])


def test_the_command_writes_a_folder_that_is_whole(lives_file, tmp_path):
    config = tmp_path / "auto.toml"
    config.write_text(f'name = "auto"\n[auto]\nloans = "{lives_file[0]}"\nuntil = "2019-10"\n')
    out = tmp_path / "out"
    done = invoke(config, "--out", out)
    assert done.exit_code == 0, done.output
    assert "calibrated on the others" in done.output
    assert {p.name for p in out.iterdir()} == {
        "config.toml", "calibration.json", "calibration.csv", "parameters.csv", "held_out.csv",
        "calibration.png", "calibrated.npz"}
    found = json.loads((out / "calibration.json").read_text())
    assert len(found["held_out"]) == 3 and found["converged"]
    table = pd.read_csv(out / "calibration.csv")
    assert ((table["low"] <= table["after"]) & (table["after"] <= table["high"])
            == table["inside"]).all()
    assert len(table) == sum(row[2] for row in summary_rows(
        [calibration.Comparison(**row) for row in found["targets"]]))
    again = invoke(config, "--out", out)
    assert again.exit_code == 2 and "never overwritten" in again.output


@pytest.mark.parametrize("text,what", [
    ('name = "x"\n', "want either a table"),
    ('name = "x"\n[auto]\nloans = "nowhere.csv"\n', "no such file"),
    ('name = "x"\n[auto]\nloan = "nowhere.csv"\n', "unknown key"),
    ('name = "x"\n[corporate]\nrun = "nowhere.toml"\n', "no such file"),
])
def test_wrong_input_is_one_message(tmp_path, text, what):
    config = tmp_path / "c.toml"
    config.write_text(text)
    done = invoke(config, "--out", tmp_path / "out")
    assert done.exit_code == 2 and what in done.output
    assert not (tmp_path / "out").exists()


def test_a_file_of_loans_is_judged_whole(lives_file, tmp_path):
    frame = lives_file[1].head(20).copy()
    frame.loc[0, "risk_cat"], frame.loc[1, "orig_apr"] = "great", 7.0
    frame.to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(InputError) as error:
        read_auto_lives(tmp_path / "bad.csv", "2019-10")
    assert "row 2, risk_cat" in str(error.value) and "row 3, orig_apr" in str(error.value)
    with pytest.raises(InputError, match="column Z: missing"):
        frame.drop(columns="Z").to_csv(tmp_path / "short.csv", index=False)
        read_auto_lives(tmp_path / "short.csv", "2019-10")


@pytest.mark.slow
def test_experiment_runs(lives_file, tmp_path):
    config = tmp_path / "auto.toml"
    config.write_text(f'name = "auto"\n[auto]\nloans = "{lives_file[0]}"\nuntil = "2019-10"\n')
    done = subprocess.run([sys.executable, ROOT / "experiments" / "calibration.py", config,
                           "--small", "--out", tmp_path / "out"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" left out: realised") == 3 and "default.log_rate" in done.stdout

"""Sensitivities against finite differences, attributions and contributions against their laws."""

import csv
import dataclasses
import functools
import json
import pathlib
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from conftest import small_assembly
from typer.testing import CliRunner

from clo_gen import cli, pipeline
from clo_gen.analysis import attribution, bumps, factors, mixing, sensitivity
from clo_gen.analysis import contributions as euler
from clo_gen.analysis.settings import Settings, case_of, headlines, judge
from clo_gen.io.problems import InputError
from clo_gen.io.tables import config_path
from clo_gen.risk.losses import tail
from clo_gen.terminal import sensitivity as terminal_sensitivity

ROOT = pathlib.Path(__file__).parent.parent
PATHS = 8
DEAL = """
name = "tiny"
source = "constructed for tests"
target_par = 100_000_000
closing = 2025-10-15
first_payment = 2026-01-15
maturity = 2034-01-15
payment_months = 6
notes = [
  { name = "A", balance = 80_000_000, spread_bps = 150 },
  { name = "B", balance = 10_000_000, spread_bps = 400, deferrable = true },
]
equity = { name = "equity", balance = 10_000_000 }
fees = [{ name = "management", rate = 0.004 }]
tests = [{ name = "B OC", kind = "oc", through = "B", trigger = 1.08 }]
[waterfall]
interest = [
  { op = "pay_fee", fee = "management" },
  { op = "pay_note_interest", notes = ["A"] },
  { op = "pay_note_interest", notes = ["B"] },
  { op = "cure_tests", tests = ["B OC"] },
  { op = "pay_deferred_interest", notes = ["B"] },
  { op = "pay_residual_to_equity" },
]
principal = [
  { op = "pay_note_interest", notes = ["A"] },
  { op = "pay_note_principal", notes = ["A"] },
  { op = "pay_note_principal", notes = ["B"] },
  { op = "pay_residual_to_equity" },
]
"""


@pytest.fixture(scope="module")
def deal(tmp_path_factory):
    path = tmp_path_factory.mktemp("sensitivity") / "tiny.toml"
    path.write_text(DEAL)
    return path


@pytest.fixture(scope="module")
def a(deal):
    return small_assembly(f"deal='{deal}'", "tape.synthetic.obligors=12")


@pytest.fixture(scope="module")
def case(a):
    return case_of(a, a.scenarios["baseline"], Settings())


@pytest.fixture(scope="module")
def model(a):
    return sensitivity.model_of_bumps(bumps.bumped(a.setup), PATHS, PATHS)


@pytest.fixture(scope="module")
def base(a):
    return bumps.no_bumps(a.inputs, a.setup)


@pytest.fixture(scope="module")
def found(model, base, case):
    return sensitivity.value_and_slope(model, base, case)


@pytest.fixture(scope="module")
def batch(a, case):
    run = jax.jit(functools.partial(
        pipeline.simulate_batch, setup=dataclasses.replace(a.setup, mode="expected")))
    return run(case.params, case.inputs, case.scenario, case.key, jnp.arange(PATHS),
               case.temperature)


def bars(a, base, **sizes):
    names = factors.Names(a.setup.space.live, a.setup.series, a.deal.classes, a.deal.tests,
                          a.deal.fees, tuple(a.tape.frame["obligor_id"]))
    return factors.factors_of(base, names, a.inputs.tape.balance, factors.SIZES | sizes, 3)


def test_zero_bumps_change_nothing(a, base):
    params, inputs = jax.jit(functools.partial(bumps.perturb, setup=a.setup))(
        a.params, a.inputs, base)
    for got, want in zip(jax.tree.leaves(inputs), jax.tree.leaves(a.inputs), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-15)
    assert params.prepayment.cpr == a.params.prepayment.cpr


@pytest.mark.slow
def test_base_outcomes_are_those_of_the_simulation(a, found, batch):
    want = np.concatenate([[batch.loss.mean()], batch.tranches.loss.mean(0),
                           batch.tranches.price.mean(0)])
    k = len(a.deal.classes)
    np.testing.assert_allclose(found.mean[:-k], want, rtol=1e-9)
    flows = np.asarray((batch.cash.interest + batch.cash.principal).mean(0))
    years, cost = np.asarray(a.inputs.calendar.years), np.asarray(a.inputs.deal.balance)
    irr = [reference.internal_rate(flows[:, c], years, cost[c]) for c in range(k)]
    np.testing.assert_allclose(found.mean[-k:], irr, atol=1e-8)
    assert len(bumps.outcome_names(a.deal.classes)) == len(found.mean)


@pytest.mark.slow
@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(bumps.Bumps)])
def test_slopes_are_central_differences(field, model, base, case, found):
    shape = getattr(base, field).shape
    direction = np.random.default_rng(3).normal(size=shape)
    factor = sensitivity.Factor(field, field, direction, 2e-6, "")
    up, down = (sensitivity.value(model, factor.at(base, s), case) for s in (1.0, -1.0))
    want, got = 0.5 * (up - down), factor.effect(found.slope)
    assert np.abs(want).max() > 0
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())


@pytest.mark.slow
def test_largest_bars_agree_with_bump_and_revalue(a, model, base, case, found):
    every = bars(a, base, macro=0.001)
    effects = sensitivity.effects(every, found)
    outcomes = bumps.outcome_names(a.deal.classes)
    for name in headlines(a.deal.classes):
        o = outcomes.index(name)
        largest = sensitivity.largest(effects[:, o], every, 4)
        sizes = np.abs(effects[largest, o])
        assert len(largest) == 4 and (np.diff(sizes) <= 0).all() and sizes[-1] > 0
        revalued = sensitivity.revalue(model, base, case, [every[n] for n in largest])
        for n in largest:
            r = revalued[every[n].name]
            assert np.isclose(effects[n, o], r.small[o], rtol=0.02), every[n].name
            assert np.isclose(effects[n, o], r.central[o], rtol=0.15), every[n].name
            assert np.sign(r.hard[o]) == np.sign(effects[n, o])


@pytest.mark.slow
def test_signs_that_economics_fixes(a, base, found):
    every = bars(a, base)
    effects = dict(zip([f.name for f in every], sensitivity.effects(every, found), strict=True))
    names = bumps.outcome_names(a.deal.classes)
    loss, price, irr = (names.index(n) for n in headlines(a.deal.classes))
    assert effects["default odds, B"][loss] > 0 > effects["recovery rate"][loss]
    assert effects["coupon, B"][price] > 0 > effects["market spread of the classes"][price]
    assert effects["market spread of the classes"][irr] == 0
    assert effects["fee, management"][irr] < 0 < effects["loan spreads"][irr]
    assert effects["fee, management"][loss] == 0


@pytest.mark.slow
def test_quarters_of_a_series_sum_to_its_bar(a, base, found):
    every = bars(a, base)
    effects = sensitivity.effects(every, found)
    for series in a.setup.series:
        whole = [n for n, f in enumerate(every) if f.name == series]
        parts = [n for n, f in enumerate(every) if f.name.startswith(f"{series}, quarter")]
        assert len(parts) == base.macro.shape[0] and not every[parts[0]].whole
        np.testing.assert_allclose(effects[parts].sum(0), effects[whole[0]], atol=1e-12)


@pytest.mark.slow
def test_standard_errors_come_from_the_blocks(found):
    factor = sensitivity.Factor("recovery", "", np.asarray(1.0), 1.0, "")
    assert np.isnan(sensitivity.effect_errors([factor], found)).all()  # one block
    slopes = [jax.tree.map(lambda x, s=s: s * x, found.slope) for s in (0.9, 1.1)]
    two = dataclasses.replace(found, blocks=tuple(slopes))
    np.testing.assert_allclose(sensitivity.effect_errors([factor], two)[0],
                               0.1 * np.abs(found.slope.recovery), rtol=1e-9)


def test_tilt_moves_the_odds_of_default_and_keeps_the_rows():
    from clo_gen.records import Transitions
    from clo_gen.states import RATING

    generator = np.random.default_rng(0)
    matrix = np.where(RATING.mask, generator.uniform(size=(2, 3, RATING.size, RATING.size)), 0.0)
    matrix /= matrix.sum(-1, keepdims=True)
    shift = generator.normal(size=len(RATING.live))
    got = np.asarray(bumps.tilt(Transitions(jnp.asarray(matrix)), jnp.asarray(shift),
                                RATING).matrix)
    np.testing.assert_allclose(got.sum(-1), 1.0, atol=1e-12)
    assert (got[matrix == 0] == 0).all()
    live, column = slice(0, len(RATING.live)), RATING.default
    odds = [m[..., live, column] / (1 - m[..., live, column]) for m in (matrix, got)]
    np.testing.assert_allclose(np.log(odds[1] / odds[0]), np.broadcast_to(shift, (2, 3, 7)))


def test_par_and_capital_structure_keep_their_size(a, base):
    generator = np.random.default_rng(1)
    moved = base.replace(loan_par=jnp.asarray(0.01 * generator.normal(size=base.loan_par.shape)),
                         size=jnp.asarray([0.01, -0.02, 0.5]))
    _, inputs = bumps.perturb(a.params, a.inputs, moved, a.setup)
    np.testing.assert_allclose(inputs.tape.balance.sum(), a.inputs.tape.balance.sum(), atol=1e-14)
    np.testing.assert_allclose(inputs.deal.balance - a.inputs.deal.balance, [0.01, -0.02, 0.01],
                               atol=1e-15)


def test_stated_bumps():
    sizes = factors.judge_sizes(["macro=0.005", "default_odds = 0.2"])
    assert sizes["macro"] == 0.005 and sizes["default_odds"] == 0.2
    words = [factors.in_words(*x) for x in (("macro", 0.0025), ("recovery", 0.01),
                                            ("recovery", 0.05), ("loading", 0.1))]
    assert words == ["+25 bp", "+1 point", "+5 points", "+10 %"]
    with pytest.raises(InputError) as error:
        factors.judge_sizes(["rates=0.1", "macro=much", "fee"])
    assert len(error.value.args[0].splitlines()) >= 3
    assert "one of default_odds" in str(error.value) and "positive number" in str(error.value)


def test_aumann_shapley_of_a_polynomial():
    def at(x, y):  # outcomes: x y + x^2 and x y^3
        return np.array([x * y + x**2, x * y**3])

    def slope(t):
        return np.array([[t + 2 * t, t], [t**3, 3 * t**3]])

    got = attribution.aumann_shapley(lambda t: at(t, t), slope, ("x", "y"), nodes=4)
    np.testing.assert_allclose(got.shares["x"], [1.5, 0.25], atol=1e-12)
    np.testing.assert_allclose(got.shares["y"], [0.5, 0.75], atol=1e-12)
    np.testing.assert_allclose(got.residual, 0.0, atol=1e-12)
    assert got.evaluations == 6


def test_aumann_shapley_refines_until_the_shares_sum():
    """A smooth step that 4 points miss."""
    def step(t):
        return 1.0 / (1.0 + np.exp(-(t - 0.42) / 0.02))

    def slope(t):
        return np.array([[step(t) * (1 - step(t)) / 0.02]])

    coarse = attribution.aumann_shapley(lambda t: np.array([step(t)]), slope, ("x",), nodes=4,
                                        most=4)
    fine = attribution.aumann_shapley(lambda t: np.array([step(t)]), slope, ("x",), nodes=4)
    assert coarse.worst > 0.1 and fine.worst <= attribution.TOLERANCE
    assert fine.evaluations > coarse.evaluations


def test_shapley_of_a_product():
    """2^3 corners of x y z + x: symmetric in y and z; w does nothing; shares sum exactly."""
    def value(taken):
        x, y, z = ("x" in taken), ("y" in taken), ("z" in taken)
        return np.array([float(x and y and z) + float(x), 7.0])

    got = attribution.shapley(value, ("x", "y", "z", "w"))
    np.testing.assert_allclose([got.shares[k][0] for k in "xyzw"], [4 / 3, 1 / 3, 1 / 3, 0.0],
                               atol=1e-12)
    np.testing.assert_allclose(got.residual, 0.0, atol=1e-12)
    assert got.evaluations == 16 and got.worst < 1e-12


@pytest.mark.slow
def test_mixed_ends_are_the_assemblies(a, deal, tmp_path):
    later = tmp_path / "later.toml"
    later.write_text(DEAL.replace("closing = 2025-10-15", "closing = 2025-07-15")
                     .replace("spread_bps = 400", "spread_bps = 410"))
    b = small_assembly(f"deal='{later}'", "tape.synthetic.obligors=13", "recovery.lag_months=6",
                       "prepayment.cpr=0.1")
    scenarios = ("baseline", "adverse")
    parts = mixing.differing_parts(a, b, scenarios)
    assert set(parts) == {"macro", "prepayment", "recovery", "pool", "deal"}
    assert mixing.differing_parts(a, a, scenarios) == ("macro",)
    assert mixing.differing_parts(a, a, ("adverse", "adverse")) == ()
    for taken, want, name in ((frozenset(), a, "baseline"), (frozenset(parts), b, "adverse")):
        params, inputs, scenario, setup = mixing.mixed(a, b, scenarios, taken)
        for got, expected in ((inputs, want.inputs), (scenario, want.scenarios[name]),
                              (params.prepayment, want.params.prepayment)):
            for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
                np.testing.assert_allclose(x, y, atol=1e-14)
        assert setup == dataclasses.replace(want.setup, mode="expected")
    half = mixing.mixed(a, b, scenarios, frozenset({"deal"}))[1]
    assert half.schedule.opening.shape == (b.deal.months, len(a.tape.frame))


def test_the_index_of_the_notes_is_part_of_the_deal(a):
    b = dataclasses.replace(a, setup=dataclasses.replace(a.setup, note_index=7))
    assert mixing.differing_parts(a, b, ("baseline", "baseline")) == ("deal",)


def test_a_difference_that_is_no_part_leaves_a_gap(a, monkeypatch):
    deal = a.inputs.deal
    b = dataclasses.replace(a, inputs=a.inputs.replace(deal=deal.replace(spread=deal.spread + 1)))
    monkeypatch.setattr(mixing, "value", lambda model, weights, case: np.array(
        [case.inputs.deal.spread.sum(), np.nan]))

    def gap():
        return mixing.between_assemblies(a, b, ("baseline", "baseline"), case_of(
            a, None, Settings()), 2, 2).gap

    assert gap() == 0.0
    monkeypatch.setattr(mixing, "differing_parts", lambda *_: ())
    assert gap() == pytest.approx(len(deal.spread))
    assert mixing.largest_gap([np.nan, 1.0], [2.0, 1.0]) == np.inf
    about = {"gap": 1e-8, "residual": 0.0, "evaluations": 1, "paths": 2, "temperature": 0.1,
             "seconds": 0.0, "data": []}
    warned = [any("WARNING" in line for line in terminal_sensitivity.attribution_notes(
        types.SimpleNamespace(about=about | {"gap": x}), "x")) for x in (1e-8, 1e-10, None)]
    assert warned == [True, False, False]


def test_level_3_is_refused(a):
    third = dataclasses.replace(a, config=a.config.model_copy(update={"mode": "trajectory"}))
    with pytest.raises(InputError, match="mode: 'trajectory'; want markov or expected"):
        judge(Settings(), ("baseline",), (third,))


def test_configs_that_cannot_be_mixed(a, small):
    with pytest.raises(InputError) as error:
        mixing.judge_pair(a, small())
    assert "classes of the deals" in str(error.value) and "payment_months" in str(error.value)


def test_tail_weights_give_the_cvar():
    losses = np.round(np.random.default_rng(5).gamma(2.0, 0.02, 200), 3)  # with ties
    for level in (0.9, 0.95, 0.99, 0.995):
        weights = euler.tail_weights(losses, level)
        np.testing.assert_allclose(weights.sum(), 1.0, atol=1e-12)
        assert (weights >= -1e-15).all()
        want = tail(jnp.asarray(losses), (level,)).cvar[0]
        np.testing.assert_allclose(weights @ losses, want, rtol=1e-12)


def test_contributions_sum_to_expected_loss_and_cvar():
    by_loan = np.random.default_rng(6).gamma(0.2, 0.01, (400, 5)) * np.arange(1, 6)
    got, want = euler.contributions(by_loan, (0.95, 0.99)), tail(jnp.asarray(by_loan.sum(1)),
                                                                 (0.95, 0.99))
    np.testing.assert_allclose(got.expected.sum(), want.mean, rtol=1e-12)
    np.testing.assert_allclose(got.cvar.sum(1), want.cvar, rtol=1e-12)
    assert got.cvar_error.shape == (2, 5) and (got.expected_error > 0).all()


def test_gradients_of_the_weights_sum_to_the_loss(a, case):
    """Euler's theorem: the loss is homogeneous of degree 1 in the balances."""
    setup = dataclasses.replace(a.setup, mode="expected")
    ones = jnp.ones_like(a.inputs.tape.balance)
    loss, by_loan = jax.jit(lambda case: jax.value_and_grad(euler.pool_loss)(
        ones, case, 3, setup=setup))(case)
    np.testing.assert_allclose(by_loan.sum(), loss, rtol=1e-12)
    assert (np.asarray(by_loan) >= -1e-15).all() and loss > 0


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["expected", "markov"])
def test_loan_losses_are_linear_and_sum_to_the_path(a, case, batch, mode):
    numbers, setup = jnp.arange(PATHS), dataclasses.replace(a.setup, mode=mode)
    loss = jax.jit(jax.vmap(functools.partial(euler.pool_loss, setup=setup),
                            in_axes=(None, None, 0)))
    by_loan = np.asarray(jax.jit(functools.partial(euler.loan_losses, setup=setup))(
        case, numbers))
    weights = 1.0 + np.random.default_rng(0).uniform(size=by_loan.shape[1])
    np.testing.assert_allclose(by_loan @ weights, loss(jnp.asarray(weights), case, numbers),
                               rtol=1e-9, atol=1e-13)
    if mode == "expected":
        np.testing.assert_allclose(by_loan.sum(1), batch.loss, rtol=1e-9)


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def command(*arguments):
    return CliRunner().invoke(cli.app, [str(x) for x in arguments])


def test_wrong_options_are_named(tmp_path):
    out = tmp_path / "out"
    for arguments, complaint in (
            (["sensitivity", "--size", "rates=0.1"], "one of default_odds"),
            (["sensitivity", "--set", "paths=none"], "paths"),
            (["attribute", "--from", "adverse", "--to", "adverse"], "two scenarios"),
            (["attribute", tmp_path / "no.toml"], "no such file")):
        done = command(*arguments, "--out", out)
        assert done.exit_code == 2 and complaint in done.output
    assert not out.exists() and not list(tmp_path.glob("*.partial"))


def test_unknown_scenario_and_temperature(a):
    from clo_gen.jobs.sensitivity import attribute, sensitivities

    with pytest.raises(InputError) as error:
        sensitivities(a, "boom", Settings(temperature=0.0, paths=1))
    text = str(error.value)
    assert "boom" in text and "--temperature" in text and "--paths" in text
    with pytest.raises(InputError, match="boom"):
        attribute(a, a, ("baseline", "boom"), Settings())


@pytest.mark.slow
def test_scenario_attribution_sums_within_one_percent(a):
    setup = dataclasses.replace(a.setup, mode="expected")
    case = case_of(a, (a.scenarios["baseline"], a.scenarios["severely_adverse"]), Settings())
    got, hard = attribution.between_scenarios(case, setup, PATHS, PATHS, most=8)
    assert got.worst <= 0.01 and got.total[0] > 0.01
    if got.detail is not None:
        np.testing.assert_allclose(got.detail.sum((1, 2)), got.total - got.residual, atol=1e-12)
    np.testing.assert_allclose(hard[0], got.total[0], rtol=1e-9)  # the pool knows no tests
    assert got.shares["inflation_yoy"][0] == 0  # moved, but no model reads it


@pytest.mark.slow
def test_commands_end_to_end(deal, tmp_path):
    common = ["--set", f"deal='{deal}'", "--set", "tape.synthetic.obligors=12", "--set", "paths=16",
              "--paths", "8"]
    out = tmp_path / "sensitivity"
    done = command("sensitivity", *common, "--bars", "3", "--out", out)
    assert done.exit_code == 0, done.output
    assert "equity IRR" in done.output and "synthetic" in done.output
    rows = rows_of(out / "sensitivities.csv")
    assert {r["outcome"] for r in rows} >= {"pool loss", "B price", "equity IRR"}
    checks = rows_of(out / "check.csv")
    assert len(checks) == 9 and all(float(r["difference_small"]) < 0.05 for r in checks)
    loans = rows_of(out / "contributions.csv")
    about = json.loads((out / "summary.json").read_text())
    for name in ("expected_loss", "cvar_99"):
        np.testing.assert_allclose(sum(float(r[name]) for r in loans),
                                   about["contributions"][name], rtol=1e-9)
    assert (out / "tornado.png").stat().st_size > 10_000
    again = command("sensitivity", *common, "--out", out)
    assert again.exit_code == 2 and "exists already" in again.output

    out = tmp_path / "attribution"
    done = command("attribute", *common[:-2], "--to", "adverse", "--paths", "8", "--out", out)
    assert done.exit_code == 0, done.output
    rows = rows_of(out / "attribution.csv")
    for outcome in {r["outcome"] for r in rows}:
        own = [r for r in rows if r["outcome"] == outcome]
        total, residual = float(own[0]["total"]), float(own[0]["residual"])
        np.testing.assert_allclose(sum(float(r["share"]) for r in own) + residual, total,
                                   atol=1e-12)
        assert abs(residual) <= 0.01 * abs(total) or abs(total) < 1e-4
    assert (out / "attribution.png").exists()


@pytest.mark.slow
def test_two_configs_end_to_end(deal, tmp_path):
    text = config_path("quickstart.toml").read_text()
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    scenarios = config_path("scenarios.toml")
    text = text.replace('"deals/us_bsl.toml"', f'"{deal}"').replace(
        '"scenarios.toml"', f'"{scenarios}"').replace("obligors = 200", "obligors = 12")
    first.write_text(text)
    second.write_text(text.replace("cpr = 0.20", "cpr = 0.10"))
    out = tmp_path / "out"
    done = command("attribute", first, second, "--to", "adverse", "--paths", "8", "--out", out)
    assert done.exit_code == 0, done.output
    rows = rows_of(out / "attribution.csv")
    assert {r["factor"] for r in rows} == {"macro", "prepayment"}
    assert max(abs(float(r["residual"])) for r in rows) < 1e-12


@pytest.mark.slow
def test_a_fee_bump_is_yearly_however_the_fee_is_due():
    """The trustee of the static deal is paid per month, the servicer per year: the same bump."""
    a = small_assembly(f"deal='{config_path('deals/static_amortising.toml')}'")
    b = bumps.no_bumps(a.inputs, a.setup)
    b = b.replace(fee=b.fee + 1e-3)
    moved = bumps.perturb(a.params, a.inputs, b, a.setup)[1].deal.fee_rate
    paid = ((moved - a.inputs.deal.fee_rate) * a.inputs.calendar.fee_fraction).sum(0)
    np.testing.assert_allclose(paid, 1e-3 * a.inputs.calendar.years[-1], rtol=0.02)
    assert len(paid) == 2

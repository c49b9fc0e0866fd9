"""Likeliest macro paths of an event: the search itself, the margin it follows, the command."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from conftest import small_assembly
from scipy.optimize import minimize
from typer.testing import CliRunner

from clo_gen.analysis import reverse_stress as rs
from clo_gen.analysis.likeliest_path import (
    Answer,
    away_from_usual,
    first_along,
    likeliest_paths,
    usual_paths,
)
from clo_gen.cli import app
from clo_gen.io.problems import InputError
from clo_gen.io.tables import config_path
from clo_gen.jobs.reverse_stress import Request, _row, event_of, examine, save
from clo_gen.solve.design_point import Search, design_points, nearest_to_origin

STATIC = f"deal='{config_path('deals/static_amortising.toml')}'"


@pytest.mark.parametrize("seed", range(5))
def test_nearest_to_origin_meets_a_library(seed):
    draw = np.random.default_rng(seed)
    rows, right = draw.normal(size=(3, 6)), draw.normal(size=3)
    found = nearest_to_origin(rows, right)
    reference = minimize(lambda x: 0.5 * x @ x, np.zeros(6), jac=lambda x: x, method="SLSQP",
                         constraints={"type": "ineq", "fun": lambda x: right - rows @ x,
                                      "jac": lambda x: -rows})
    np.testing.assert_allclose(found, reference.x, atol=1e-6)


def test_nothing_meets_rows_that_exclude_each_other():
    assert nearest_to_origin(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([-1.0, -1.0])) is None


def test_a_linear_margin_has_its_closed_form():
    slope, free = np.array([1.0, -2.0, 0.5]), 3.0

    def evaluate(x):
        return free - x @ slope, np.tile(-slope, (len(x), 1))

    for walker in design_points(evaluate, np.array([[0.0, 0, 0], [4.0, 4.0, -1.0]])):
        assert walker.done
        np.testing.assert_allclose(walker.x, free * slope / (slope @ slope), atol=1e-6)


def test_a_curved_margin_has_two_design_points():
    """The paraboloid that Der Kiureghian and Dakessian (1998) study; reference by brute force."""
    def g(x):
        return 5.0 - x[..., 1] - 0.5 * (x[..., 0] - 0.1) ** 2

    def evaluate(x):
        return g(x), np.stack([-(x[:, 0] - 0.1), -np.ones(len(x))], axis=1)

    angle = np.linspace(0.0, np.pi, 20001)
    unit = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    radius = first_along(lambda x: g(x) <= 0.0, unit, 10.0, rounds=40)
    right, left = radius[angle < np.pi / 2].min(), radius[angle > np.pi / 2].min()
    first = design_points(evaluate, np.array([[0.5, 0.5]]))[0]
    assert np.linalg.norm(first.x) == pytest.approx(right, abs=1e-3)  # on the side it started
    away = [first.x / np.linalg.norm(first.x)]
    second = design_points(evaluate, np.array([[0.0, 0.0], [-1.0, 1.0]]), away=away, cosine=0.5)
    shortest = min(np.linalg.norm(w.best) for w in second if w.best is not None)
    assert shortest == pytest.approx(left, rel=2e-3) and left < right


def test_a_margin_that_is_never_met_says_so():
    def evaluate(x):
        return np.exp(-x[:, 0]) + 0.1, np.stack([-np.exp(-x[:, 0]), np.zeros(len(x))], axis=1)

    walker = design_points(evaluate, np.zeros((1, 2)), search=Search(farthest=5.0))[0]
    assert walker.best is None and walker.margin > 0.0
    assert np.linalg.norm(walker.x) == pytest.approx(5.0, rel=0.05)


@functools.cache
def static():
    """(Assembly, Problem, program) of class C of the static deal."""
    a = small_assembly(STATIC)
    problem = rs.Problem(a.params, a.inputs, a.scenarios["baseline"], jax.random.key(0))
    event = rs.Event("loss", a.deal.classes.index("C"))
    return a, problem, event, rs.compile_margins(event, a.setup)


@pytest.mark.slow
def test_margin_is_the_pool_that_may_be_missing():
    a, problem, event, margins = static()
    noise = 0.5 * jax.random.normal(jax.random.key(1), (4, rs.noise_size(problem)))
    found = margins(problem, noise, jnp.zeros(()))
    assert (found.margin > 0).all() and (found.amount == 0).all()
    # The tape itself scaled: same deal, that much less collateral.
    less = jax.tree.map(lambda x: x, problem)
    for factor, hit in ((1.0 - 1e-3, True), (1.0 + 1e-3, False)):
        scale = factor * (1.0 - found.margin[0])
        i = problem.inputs
        schedule = i.schedule.replace(opening=i.schedule.opening * scale,
                                      principal=i.schedule.principal * scale)
        less = problem.replace(inputs=i.replace(
            tape=i.tape.replace(balance=i.tape.balance * scale), schedule=schedule))
        amount = margins(less, noise, jnp.zeros(())).amount[0]
        assert (amount >= rs.LOST) == hit


@pytest.mark.slow
def test_slope_meets_finite_differences():
    _, problem, _, margins = static()
    noise = 0.5 * jax.random.normal(jax.random.key(2), (1, rs.noise_size(problem)))
    soft = jnp.asarray(0.003)  # hard tests jump with the dates on which they fail
    base = margins(problem, jnp.tile(noise, (4, 1)), soft)
    unit = base.slope[0] / jnp.linalg.norm(base.slope[0])
    other = jax.random.normal(jax.random.key(3), unit.shape)
    step = 1e-2
    moved = margins(problem, noise + step * jnp.stack([unit, -unit, other / 30, -other / 30]),
                    soft).margin
    assert (moved[0] - moved[1]) / (2 * step) == pytest.approx(float(base.slope[0] @ unit),
                                                               rel=1e-3)
    assert (moved[2] - moved[3]) / (2 * step) == pytest.approx(
        float(base.slope[0] @ other / 30), rel=1e-2, abs=1e-6)


@pytest.mark.slow
def test_answers_are_short_different_and_true():
    a, problem, event, margins = static()
    answers = likeliest_paths(problem, margins, event, key=jax.random.key(4), answers=2)
    assert len(answers) == 2 and all(x.reached for x in answers)
    assert answers[0].distance <= answers[1].distance
    first, second = (x.noise / x.distance for x in answers)
    assert first @ second <= 0.72 and answers[1].likeness == pytest.approx(first @ second)
    for x in answers:
        assert x.amount >= rs.LOST
        inside = margins(problem, jnp.tile(0.97 * x.noise, (4, 1)), jnp.zeros(()))
        assert inside.amount[0] < rs.LOST  # nearer on the ray it does not happen
    # No random direction, smooth in time as the answers are, gets there sooner.
    draw, months = np.random.default_rng(0), problem.scenario.shape.shape[0]
    waves = np.cos(np.pi * np.outer(np.arange(months) + 0.5, np.arange(4)) / months)
    smooth = np.einsum("tw,nwm->ntm", waves, draw.standard_normal((40, 4, 6))).reshape(40, -1)

    def happens(noise):
        parts = [margins(problem, jnp.asarray(noise[i: i + 4]), jnp.zeros(())).amount
                 for i in range(0, len(noise), 4)]
        return np.concatenate(parts) >= rs.LOST

    assert answers[0].distance < first_along(happens, smooth, 12.0, rounds=6).min()


def test_distance_is_counted_from_the_likeliest_path():
    _, problem, _, _ = static()
    usual = usual_paths(problem, jax.random.key(5), count=64)
    means, sds = away_from_usual(usual.middle, usual)
    assert means.shape == sds.shape == (8, 6) and (sds == 0).all()
    _, one = away_from_usual(usual.middle + np.repeat(usual.yearly_sd, 12, axis=0), usual)
    np.testing.assert_allclose(one, 1.0)


def test_what_is_counted_is_the_event():
    loss, oc = rs.Event("loss", 2), rs.Event("oc", 0)
    amounts = np.array([0.0, 5e-4, rs.LOST, 0.2])
    np.testing.assert_array_equal(rs.happened(loss, amounts), [False, False, True, True])
    np.testing.assert_array_equal(rs.happened(oc, amounts), [False, True, True, True])
    a, problem, event, _ = static()

    def lives(problem, values, key, numbers):
        return jnp.where(numbers % 4 == 0, 2 * rs.LOST, 0.5 * rs.LOST)

    answer = Answer(np.zeros(1), 0.0, True, 0.0, 0.0, 0.0, 0.0)
    assert _row(problem, event, (lives, None, 128), answer, None)["all_drawn_share"] == 0.25
    assert "0.1%" in event_of(a, Request(class_name="C"))[1]


def test_bad_requests_are_told_at_once(small):
    a = small(STATIC)
    third = dataclasses.replace(a, config=a.config.model_copy(update={"mode": "trajectory"}))
    with pytest.raises(InputError, match="mode: 'trajectory'; want markov or expected"):
        event_of(third, Request())
    with pytest.raises(InputError, match="class: 'Z'; want one of A, B, C, junior") as error:
        event_of(a, Request(class_name="Z", answers=0, scenario="boom", cosine=1.0))
    assert all(word in str(error.value) for word in ("answers: 0", "boom", "cosine: 1.0"))
    with pytest.raises(InputError, match="one that an OC test ends at: C"):
        event_of(a, Request(class_name="A", event="oc"))
    with pytest.raises(InputError, match="block_bootstrap"):
        event_of(small(STATIC, "macro.generator='block_bootstrap'"), Request())


def test_command_complains_before_it_compiles(tmp_path):
    done = CliRunner().invoke(app, ["reverse-stress", "--class", "Z", "--set",
                                    "tape.synthetic.obligors=24", "--out", str(tmp_path / "x")])
    assert done.exit_code == 2 and "want one of A-1" in done.stderr
    assert not (tmp_path / "x").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    done = CliRunner().invoke(app, ["reverse-stress", "--out", str(tmp_path / "full")])
    assert done.exit_code == 2 and "exists already" in done.stderr


@pytest.mark.slow
def test_command_writes_answers(tmp_path):
    out = tmp_path / "found"
    deal = config_path("deals/static_amortising.toml")
    done = CliRunner().invoke(app, [
        "reverse-stress", "--class", "C", "--answers", "2", "--draws", "64", "--deal", str(deal),
        "--set", "tape.synthetic.obligors=24", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "class C first loses" in done.output and "synthetic" in done.output
    assert {p.name for p in out.iterdir()} == {"summary.json", "years.csv", "paths.csv",
                                               "noise.npz", "paths.png"}
    rows = json.loads((out / "summary.json").read_text())["answers"]
    assert len(rows) == 2 and all(row["reached"] for row in rows)
    for row in rows:  # sampled forward, the class loses, far beyond sampling error
        assert row["all_drawn_mean"] > 4.0 * row["all_drawn_mean_error"]
    years = pd.read_csv(out / "years.csv")
    assert set(years["answer"]) == {1, 2} and years["sds"].abs().max() < 6.0


@pytest.mark.slow
def test_oc_test_fails_on_the_path_found(small, tmp_path):
    a = small(STATIC)
    report = examine(a, Request(class_name="C", event="oc", answers=1, draws=64))
    row = report.rows[0]
    assert row["reached"] and row["margin"] <= 0.0
    assert row["all_drawn_share"] > 0.2
    save(report, tmp_path / "out")
    assert (tmp_path / "out" / "paths.png").stat().st_size > 10_000


@pytest.mark.slow
def test_out_of_reach_is_said(small):
    report = examine(small(STATIC, "transitions.saturation=0.05"),
                     Request(class_name="A", draws=64))
    assert not report.rows[0]["reached"] and report.rows[0]["first_order_probability"] is None
    assert report.rows[0]["margin"] > 0.0
    assert any("not reached" in note for note in report.notes)

"""Class sizes within loss limits: the climb, the terms that follow sizes, the command."""

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
from typer.testing import CliRunner

from clo_gen.analysis import structuring as st
from clo_gen.cli import app
from clo_gen.deal.tranche import closing_oc_ratios
from clo_gen.io.problems import InputError
from clo_gen.io.tables import config_path, idealised_default_table_standin
from clo_gen.jobs.structure import (
    Report,
    Request,
    _at_bounds,
    allowed_losses,
    judge,
    market_of,
    rating_rows,
    structure,
    table,
    verdict,
)
from clo_gen.plots import structuring as plots
from clo_gen.risk.losses import UNPAID
from clo_gen.solve.sequential import Limits, climb

STATIC = f"deal='{config_path('deals/static_amortising.toml')}'"
BOX = Limits(np.full(2, 0.01), np.full(2, 5.0), np.ones((1, 2)), np.array([100.0]))


def test_climb_finds_a_vertex_and_keeps_to_fixed_rows():
    def evaluate(x):  # a linear program: x0 + 2 x1, x0 + x1 <= 3, x1 <= 2
        return (x @ [1.0, 2.0], np.array([1.0, 2.0]), np.array([2.0 - x[1]]),
                np.array([[0.0, -1.0]]))

    limits = dataclasses.replace(BOX, right=np.array([3.0]))
    found = climb(evaluate, np.ones(2), limits)
    np.testing.assert_allclose(found.x, [1.0, 2.0], atol=1e-9)
    assert found.settled


def test_climb_has_not_settled_where_the_limits_contradict_each_other():
    def evaluate(x):
        return x.sum(), np.ones(2), np.array([5.0 - x[0]]), np.array([[-1.0, 0.0]])

    rows = np.array([[1.0, 1.0], [-1.0, -1.0]])  # a sum of at most 1 and at least 2
    limits = dataclasses.replace(BOX, rows=rows, right=np.array([1.0, -2.0]))
    found = climb(evaluate, np.ones(2), limits)
    assert not found.settled and found.steps == 1 and found.value == 2.0


@pytest.mark.parametrize("start", [[0.3, 0.3], [2.0, 1.0]])  # the second breaks the limit
def test_climb_on_a_circle_meets_its_optimality_conditions(start):
    def evaluate(x):
        return x.sum(), np.ones(2), np.array([1.0 - x @ x]), -2.0 * x[None]

    found = climb(evaluate, np.array(start), BOX, smallest=1e-6, steps=200)
    np.testing.assert_allclose(found.x, np.sqrt(0.5), atol=2e-3)
    assert found.margins[0] >= -1e-5


def test_margin_is_the_slack_of_the_last_path_that_may_lose():
    slack = jnp.asarray(np.random.default_rng(0).normal(size=(101, 2)))
    found = st.margins(slack, jnp.asarray([0, 25]))
    ordered = np.sort(np.asarray(slack), axis=0)
    assert found[0] == pytest.approx(ordered[0, 0])
    assert found[1] == pytest.approx(ordered[20:31, 1].mean())


def test_fitted_paths_may_lose_a_little_less_than_the_limit():
    limit = np.array([0.0001, 0.1, 0.5])
    allowed = allowed_losses(limit, 400)
    assert allowed[0] == 0
    assert (allowed <= limit * 400).all() and allowed[1] == 34 and allowed[2] == 190


def test_terms_follow_sizes(small):
    a = small(STATIC)
    market = market_of(a, Request())
    start = a.inputs.deal.balance[:-1]
    same = st.structured(start, market)
    for name in ("balance", "spread", "trigger"):
        np.testing.assert_allclose(getattr(same, name), getattr(a.inputs.deal, name), rtol=1e-12)
    more = st.structured(1.05 * start, market)
    assert more.balance.sum() == pytest.approx(float(a.inputs.deal.balance.sum()))
    assert (more.spread[:-1] >= same.spread[:-1]).all()
    assert (more.spread <= 1.25 * same.spread).all()
    cushion = closing_oc_ratios(more)[2] / more.trigger[0]
    assert cushion == pytest.approx(float(closing_oc_ratios(same)[2] / same.trigger[0]))
    flat = st.structured(1.05 * start, market.replace(slope=jnp.zeros(())))
    np.testing.assert_allclose(flat.spread, same.spread, rtol=1e-12)


def test_rate_of_return_has_its_derivative():
    years = jnp.asarray([1.0, 2.0])
    rate, slope = jax.jvp(lambda x: st._polished_rate(jnp.stack([0.0 * x, x]), years, 1.0),
                          (jnp.asarray(1.21),), (jnp.ones(()),))
    assert rate == pytest.approx(0.1) and slope == pytest.approx(0.5 / 1.1)


def test_ratings_of_any_agency(small):
    rows = rating_rows({"x": "Aaa", "y": "BBB-", "z": "BB (low)"})
    names = idealised_default_table_standin().names
    assert [names[r] for r in rows] == ["Aaa", "Baa3", "Ba3"]
    with pytest.raises(InputError, match="notes q, rating: ''; want a rating of any agency"):
        rating_rows({"q": ""})
    third = small(STATIC)
    third = dataclasses.replace(third, config=third.config.model_copy(
        update={"mode": "trajectory"}))
    with pytest.raises(InputError, match="mode: 'trajectory'; want markov or expected"):
        judge(third, Request())
    with pytest.raises(InputError, match="paths: 1") as error:
        judge(small(STATIC), Request(paths=1, scenario="boom"))
    assert "boom" in str(error.value)


def test_command_complains(tmp_path):
    done = CliRunner().invoke(app, ["structure", "--paths", "1", "--set",
                                    "tape.synthetic.obligors=24", "--out", str(tmp_path / "x")])
    assert done.exit_code == 2 and "paths: 1; want 32 to" in done.stderr
    assert "reading and fitting\n" in done.stderr  # no terminal: stages are lines
    assert not (tmp_path / "x").exists()


@functools.cache
def assessed():
    """(Assembly, sizes, function of (sizes, temperature)) over 32 lives of a hard scenario."""
    a = small_assembly(STATIC)
    setup = dataclasses.replace(a.setup, mode="markov")
    pools = jax.jit(lambda p, i, s, k, n: st.live_pools(p, i, s, k, n, setup=setup))(
        a.params, a.inputs, a.scenarios["severely_adverse"], jax.random.key(0), jnp.arange(32))
    run = st.compile_structure(a.setup.waterfall)
    market, allowed = market_of(a, Request()), jnp.asarray([0, 1, 9])
    return a, a.inputs.deal.balance[:-1], lambda sizes, t: run(
        sizes, market, pools, a.inputs.calendar, allowed, jnp.asarray(t))


@pytest.mark.slow
def test_slack_has_the_sign_of_repayment():
    _, sizes, run = assessed()
    found = run(sizes, 0.0)[2]
    lost = np.asarray(found.lost)
    assert 0 < lost[:, 2].sum() < 32  # the scenario is hard on class C, not on every path
    np.testing.assert_array_equal(np.asarray(found.slack) < -UNPAID * 0.1, lost)
    assert (lost[:, 0] <= lost[:, 1]).all() and (lost[:, 1] <= lost[:, 2]).all()


@pytest.mark.slow
def test_slopes_meet_finite_differences():
    _, sizes, run = assessed()
    (irr, margin), (slope, jacobian), _ = run(sizes, 0.01)
    step = 1e-6
    for k in range(3):
        up, down = (run(sizes.at[k].add(s), 0.01)[0] for s in (step, -step))
        assert (up[0] - down[0]) / (2 * step) == pytest.approx(float(slope[k]), rel=1e-3, abs=1e-5)
        np.testing.assert_allclose((up[1] - down[1]) / (2 * step), jacobian[:, k], rtol=2e-2,
                                   atol=1e-3)
    assert np.isfinite(irr) and np.isfinite(margin).all()


@pytest.mark.slow
def test_error_of_the_rate_meets_a_bootstrap():
    a, sizes, run = assessed()
    found, years = run(sizes, 0.0)[2], a.inputs.calendar.years
    draw, price = np.random.default_rng(0), float(1.0 * a.inputs.deal.balance[-1])
    rate = jax.jit(lambda flows: st.internal_rate(flows, years, price)[0])
    equity = np.asarray(found.equity)
    again = [float(rate(equity[draw.integers(0, 32, 32)].mean(0))) for _ in range(200)]
    assert float(st.irr_error(found, years)) == pytest.approx(np.std(again), rel=0.25)


@pytest.mark.slow
def test_structure_keeps_to_its_limits_on_fresh_paths(small):
    found = structure(small(STATIC), Request(paths=128, checks=256, steps=10))
    assert found.equity["irr_after"] > found.equity["irr_before"]
    for row in found.rows:
        assert row["loss_probability_after"] <= row["limit_after"] + 3.0 * row["error_after"] + 0.01
    total = sum(r["size_after"] for r in found.rows) + found.equity["equity_size_after"]
    assert total == pytest.approx(sum(r["size_before"] for r in found.rows)
                                  + found.equity["equity_size_before"])


@pytest.mark.slow
def test_command_writes_a_structure(tmp_path):
    out = tmp_path / "found"
    done = CliRunner().invoke(app, [
        "structure", "--paths", "64", "--checks", "64", "--deal",
        str(config_path("deals/static_amortising.toml")), "--set", "tape.synthetic.obligors=24",
        "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert {p.name for p in out.iterdir()} == {"summary.json", "classes.csv", "structure.png"}
    assert pd.read_csv(out / "classes.csv")["class"].tolist() == ["A", "B", "C"]
    assert json.loads((out / "summary.json").read_text())["data"]["tape"]["kind"] == "synthetic"


def test_no_loss_in_few_paths_proves_little():
    """0 of n is below 1 - 0.05^(1/n) with 95 % confidence: under a smaller limit it is open."""
    assert verdict(0.0, 1.001 * (1 - 0.05 ** (1 / 64)), 64) == "within"
    assert verdict(0.0, 0.999 * (1 - 0.05 ** (1 / 64)), 64) == "open"
    assert verdict(0.5, 0.2, 64) == "over" and verdict(0.5, 0.45, 64) == "open"
    assert verdict(1.0, 0.5, 64) == "over" and verdict(1.0, 1.0, 64) == "within"


def row(name, spread_after, size_after=1.1e6):
    both = {"loss_probability": 0.01, "error": 0.001, "limit": 0.02, "wal_years": 5.0}
    return {"class": name, "rating": "A", "verdict": "within", "size_before": 1e6,
            "size_after": size_after, "spread_before": 0.02, "spread_after": spread_after,
            **{f"{key}_{when}": x for key, x in both.items() for when in ("before", "after")}}


EQUITY = {"equity_size_before": 4.9e7, "equity_size_after": 5e7, "irr_before": 0.1,
          "irr_after": 0.12, "irr_error_before": 0.001, "irr_error_after": 0.001}


def test_sizes_and_spreads_on_their_bounds_are_named():
    rows = [row("A", 0.02 * 0.77), row("B", 0.02 * 1.23, 0.5e6), row("C", 0.02 * 0.8)]
    sizes, spreads = _at_bounds(rows, EQUITY, Request())
    assert sizes.endswith(": B (0.50 times)")
    assert spreads.endswith(": A (0.77 times), B (1.23 times)") and "25%" in spreads
    assert _at_bounds([row("C", 0.02)], EQUITY, Request()) == []


def test_table_names_the_currency():
    report = Report("title", "EUR", 64, (row("A", 0.02),), EQUITY, (), {})
    assert "size, EUR m" in [column.header for column in table(report).columns]


def test_no_loss_is_drawn_as_what_it_is_below():
    ax = plots.against_limits(Figure().subplots(), ["A", "B", "C"], [0.0, 0.01, 0.0],
                              [0.0, 0.002, 0.0], [1e-4, 0.02, 0.05], 2000)
    bound, = (line for line in ax.lines if line.get_markerfacecolor() == "none")
    assert bound.get_xdata().tolist() == [0, 2] and bound.get_ydata().tolist() == [0.15, 0.15]
    points = next(line for line in ax.lines if line.get_marker() == "o" and line is not bound)
    assert points.get_ydata().tolist() == [1.0]
    assert "after, 0 of 2,000 paths: below 0.15 %" in ax.get_legend_handles_labels()[1]
    one = plots.against_limits(Figure().subplots(), ["B"], [0.01], [0.002], [0.02], 2000)
    none = plots.against_limits(Figure().subplots(), ["B"], [0.0], [0.0], [0.02], 2000)
    assert one.get_legend_handles_labels()[1] == ["limit", "after, +- 2 standard errors"]
    assert none.get_legend_handles_labels()[1] == ["limit", "after, 0 of 2,000 paths: below 0.15 %"]

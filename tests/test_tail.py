"""Tilted paths: plain ones where nothing is tilted, unbiased where something is; the command."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import small_assembly
from typer.testing import CliRunner

from clo_gen import pipeline, rng
from clo_gen.analysis import reverse_stress as rs
from clo_gen.analysis import tail_numbers, tilt_search
from clo_gen.analysis import tilt as tl
from clo_gen.cli import app
from clo_gen.io.problems import InputError
from clo_gen.io.tables import config_path
from clo_gen.jobs.tail import Request, judge
from clo_gen.models import loan_states, systematic
from clo_gen.risk import importance

STATIC = f"deal='{config_path('deals/static_amortising.toml')}'"
BOOTSTRAP = "macro.generator='block_bootstrap'"


def problem_of(a):
    return rs.Problem(a.params, a.inputs, a.scenarios["baseline"], jax.random.key(3))


@pytest.mark.parametrize("overrides", [(), (BOOTSTRAP,)])
def test_without_a_tilt_macro_and_factors_are_those_of_the_path(key, overrides):
    a = small_assembly(*overrides)
    problem, months = problem_of(a), a.inputs.schedule.opening.shape[0]
    none = tl.no_tilt(problem, a.setup, 4, 2)

    def by_noise(number):
        own = rng.path_key(key, number)
        noise, _, component = tl.tilted(none, key, number, tl.draw_noise(problem, own, a.setup))
        path, shifts = tl.decode(problem, noise, own, a.setup)
        return path.values, shifts, importance.log_weight(jnp.zeros(4), none.means, none.shares)

    def plain(number):
        own = rng.path_key(key, number)
        path = a.setup.macro_sample(a.params.macro, own, a.inputs.history,
                                    a.scenarios["baseline"], a.setup.series)
        return path.values, systematic.sample(a.params.loadings, rng.sources(own), months,
                                              a.setup.groups)

    got, want = jax.jit(by_noise)(5), jax.jit(plain)(5)
    # Two programs: XLA may round the last bit otherwise.
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-15), got[:2],
                 want)
    assert got[2] == 0.0


def tilt_of(problem, setup, even=True):
    """A tilt along two random directions, two shifts beside the defence."""
    none = tl.no_tilt(problem, setup, 2, 3)
    draw = jax.random.normal(jax.random.key(11), none.basis.shape)
    basis = jnp.linalg.qr(draw.T)[0].T
    return none.replace(basis=basis, means=jnp.array([[0.0, 0.0], [1.0, 0.5], [-0.5, 1.5]]),
                        shares=jnp.array([0.2, 0.4, 0.4]), even=jnp.asarray(even))


@pytest.mark.parametrize("even", [False, True])
def test_a_tilt_moves_its_directions_alone_and_the_same_in_any_batch(key, even):
    a = small_assembly()
    problem = problem_of(a)
    tilt = tilt_of(problem, a.setup, even)

    def one(number):
        plain = tl.draw_noise(problem, rng.path_key(key, number), a.setup)
        noise, along, component = tl.tilted(tilt, key, number, plain)
        return plain, noise, along, component

    numbers = jnp.arange(64)
    batch = jax.jit(jax.vmap(one))
    plain, noise, along, component = batch(numbers)
    again = batch(jnp.flip(numbers))
    np.testing.assert_array_equal(noise, jnp.flip(again[1], 0))
    np.testing.assert_allclose(noise @ tilt.basis.T, along, atol=1e-12)
    moved = noise - plain
    np.testing.assert_allclose(moved, moved @ tilt.basis.T @ tilt.basis, atol=1e-12)
    if not even:  # common random numbers: the mean of the component is all that is added
        np.testing.assert_allclose(moved @ tilt.basis.T, tilt.means[component], atol=1e-12)
    share = np.bincount(component, minlength=3) / 64
    np.testing.assert_allclose(share, tilt.shares, atol=0.06 if even else 0.2)


def test_tilted_noise_has_the_law_of_plain_noise_under_its_weights(key):
    a = small_assembly()
    problem = problem_of(a)
    tilt = tilt_of(problem, a.setup)

    def one(number):
        along = tl.tilted(tilt, key, number, jnp.zeros(tilt.basis.shape[1]))[1]
        return along, jnp.exp(importance.log_weight(along, tilt.means, tilt.shares))

    along, w = jax.jit(jax.vmap(one))(jnp.arange(20_000 // 32 * 32))
    for values, truth in ((w, 1.0), (w * along[:, 0], 0.0), (w * along[:, 1] ** 2, 1.0),
                          (w * along[:, 0] * along[:, 1], 0.0)):
        found = importance.mean(values, tl.REPLICATIONS)
        assert abs(found.value - truth) < 4 * found.error + 1e-4 and found.error < 0.03


@functools.cache
def a_month():
    """(space, tape, state, ladder, odds) of one month of the small pool."""
    a = small_assembly()
    path = jax.jit(lambda: a.setup.macro_sample(
        a.params.macro, jax.random.key(1), a.inputs.history, a.scenarios["baseline"],
        a.setup.series))()
    matrix = jax.jit(lambda: pipeline.transitions_of(a.params, path, a.setup).matrix)()[:, 20]
    tape = a.inputs.tape
    steep = matrix.at[..., a.setup.space.default].multiply(20.0)
    steep = steep / steep.sum(-1, keepdims=True)
    ladder = loan_states.ladder(steep.astype(jnp.float32), a.setup.space)
    return a.setup.space, tape, tape.state, ladder, jnp.full(tape.state.shape, 1.3, jnp.float32)


def test_twisted_loans_default_as_they_do_under_their_weights(key):
    space, tape, state, ladder, odds = a_month()
    log_odds = jnp.linspace(0.2, 0.8, len(state))

    def one(n, mode):
        new = mode.advance(space, tape, state, ladder, odds, 20, jax.random.fold_in(key, n))
        fell = (new == space.default) & (state != space.default)
        ratio = 0.0 if mode.log_prob is None else mode.log_prob(
            space, tape, state, new, ladder, odds, 20).sum()
        return fell.astype(float), jnp.exp(-ratio)

    on, off, plain = (jax.jit(jax.vmap(functools.partial(one, mode=mode)))(jnp.arange(20_000))
                      for mode in (loan_states.twisted(log_odds, True),
                                   loan_states.twisted(log_odds, False),
                                   loan_states.MODES["markov"]))
    np.testing.assert_array_equal(off[0], plain[0])
    weight = importance.mean(on[1])
    assert abs(weight.value - 1.0) < 4 * weight.error
    assert on[0].sum(1).mean() > 1.3 * plain[0].sum(1).mean()
    got, want = importance.mean(on[0].sum(1) * on[1]), importance.mean(plain[0].sum(1))
    assert abs(got.value - want.value) < 4 * np.hypot(got.error, want.error)


def test_directions_are_orthonormal_and_keep_the_shifts():
    draw = np.random.default_rng(0)
    blocks = {"macro": slice(0, 5), "cohort": slice(5, 9), "industry": slice(9, 9),
              "region": slice(9, 12)}
    points = [draw.normal(size=12), draw.normal(size=12)]
    points[1][5:9] = 2.0 * points[0][5:9]  # nothing new there
    basis = tilt_search.directions(points, blocks)
    size = np.linalg.norm(basis, axis=1)
    np.testing.assert_allclose(basis @ basis.T, np.diag(size), atol=1e-12)
    assert sorted(size.round(9)) == [0.0] * 3 + [1.0] * 5
    means = np.stack([np.zeros(8), *(basis @ p for p in points)])
    np.testing.assert_allclose(means[1:] @ basis, points, atol=1e-12)
    again, moved = tilt_search.turned(basis, means)
    np.testing.assert_allclose(moved @ again, means @ basis, atol=1e-12)
    assert abs(moved[1, 1:]).max() < 1e-12  # the first shift lies along the first direction


def test_bad_requests_are_named_with_what_is_accepted():
    a = small_assembly()
    with pytest.raises(InputError, match=r"class: 'Z'; want one of A-1, A-2, .*(?s:.)*"
                                         r"scenario: 'boom'; want one of baseline(?s:.)*"
                                         r"pilot: 3; want a number from 128(?s:.)*level: 2"):
        judge(a, Request(class_name="Z", scenario="boom", pilot=3, level=2.0))
    with pytest.raises(InputError, match="paths: 600; want a number from 640"):
        judge(a, Request(paths=600))


@pytest.mark.slow
def test_the_whole_graph_is_unbiased_under_a_tilt(key):
    """Plain and tilted agree on losses; without a tilt the paths are those of the pipeline."""
    a = small_assembly(STATIC)
    problem, temperature = problem_of(a), jnp.zeros(())
    case, k = (problem, temperature), a.deal.classes.index("C")
    own, twisting = tl.compile_paths(a.setup), tl.compile_paths(a.setup, twist=True)
    none = tl.no_tilt(problem, a.setup, 8, 3)
    plain = tl.run_paths(own, case, none, key, 2048, 256)
    want = jax.jit(functools.partial(pipeline.simulate_batch, setup=a.setup))(
        a.params, a.inputs, a.scenarios["baseline"], key, jnp.arange(16), temperature)
    np.testing.assert_allclose(plain.loss[:16], want.loss, atol=1e-12)
    np.testing.assert_allclose(plain.principal[:16], want.tranches.loss, atol=1e-9)
    programs = tilt_search.Programs(twisting, tilt_search.compile_loss(a.setup))
    found = tilt_search.find_tilt(programs, case, a.setup, (None, 0.99, 256, 0.1),
                                  jax.random.fold_in(key, 1), 128)
    assert found.tilt.twisted[1] == 1.0 and (found.tilt.twist >= 0).all()
    tilted = tl.run_paths(twisting, case, found.tilt, jax.random.fold_in(key, 2), 2048, 256)
    w = np.exp(tilted.log_weight)
    weight = importance.mean(jnp.asarray(w), tl.REPLICATIONS)
    assert abs(weight.value - 1.0) < 4 * weight.error
    p = tail_numbers.numbers(plain, k, 0.99)
    q = tail_numbers.numbers(tilted, k, 0.99, tl.REPLICATIONS)
    for name in p:
        assert abs(p[name].value - q[name].value) < 2 * np.hypot(p[name].half, q[name].half), name
    assert q["VaR"].half < 0.7 * p["VaR"].half
    # The worst noise of a length is worse than others of that length.
    loss = jax.jit(functools.partial(tl.expected_loss, setup=a.setup))
    worst = tilt_search.worst_of_length(programs.loss, problem, none.control.shape[0], 2.0)
    other = np.asarray(jax.random.normal(key, worst.shape))
    assert loss(problem, worst) > loss(problem, 2.0 * other / np.linalg.norm(other))


@pytest.mark.slow
def test_the_command_writes_its_folder(tmp_path):
    out = tmp_path / "tail"
    arguments = ["tail", "--set", "tape.synthetic.obligors=24", "--set", STATIC, "--class", "C",
                 "--paths", "512", "--pilot", "128", "--level", "0.99", "--out", str(out)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "C loss probability" in " ".join(done.output.split()) and "agree" in done.output.lower()
    assert {p.name for p in out.iterdir()} == {"tail.json", "tail.csv", "tail.png"}
    summary = json.loads((out / "tail.json").read_text())
    assert summary["class"] == "C" and len(summary["numbers"]) == 5
    wrong = CliRunner().invoke(app, [*arguments[:-4], "--class", "Z"])
    assert wrong.exit_code == 2

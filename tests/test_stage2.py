"""Stage 2: laws of the portfolio objective, its gradient, the guard, and the job end to end."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from typer.testing import CliRunner

from clo_gen import rng
from clo_gen.cli import app
from clo_gen.io.problems import InputError
from clo_gen.jobs import stage2 as stage2_job
from clo_gen.jobs import train as train_job
from clo_gen.models import systematic
from clo_gen.models.transition import TransitionConfig
from clo_gen.records import MacroPath
from clo_gen.states import RATING
from clo_gen.train import loop, portfolio, portfolio_data, stage2, stage2_report, transition
from clo_gen.train.portfolio_data import AVERAGED, SPECULATIVE

ROOT = pathlib.Path(__file__).parent.parent


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_deviance_is_minus_the_log_likelihood_above_its_best():
    firms, defaults = np.array([50.0, 200.0, 0.0]), np.array([3.0, 0.0, 0.0])
    p = np.array([[0.04, 0.001, 0.2], [0.09, 0.004, 0.3]])
    each = scipy.stats.binom.pmf(defaults, firms, p).prod(1)
    best = scipy.stats.binom.pmf(defaults, firms, [0.06, 0.0, 0.0]).prod()
    np.testing.assert_allclose(portfolio.deviance(p, firms, defaults),
                               np.log(best) - np.log(each.mean()), rtol=1e-9)
    perfect = portfolio.deviance(np.array([[0.06, 0.0, 0.5]]), firms, defaults)
    np.testing.assert_allclose(perfect, 0.0, atol=1e-8)


def test_pinball_is_lowest_at_the_quantile():
    sample = np.random.default_rng(0).gamma(2.0, 1.0, 4001)
    levels = jnp.array([0.1, 0.5, 0.95])
    mean = jax.vmap(portfolio.pinball, (None, 0, None))
    best = np.quantile(sample, levels)
    at = np.asarray(mean(jnp.asarray(best), sample, levels).mean(0))
    for off in (-0.1, 0.1):
        assert (np.asarray(mean(jnp.asarray(best + off), sample, levels).mean(0)) > at).all()


def test_cramer_distance_is_zero_between_equal_laws_only():
    same = np.array([1.0] * 9 + [0.45])
    np.testing.assert_allclose(portfolio.cramer_distance(same, 0.1, 0.55), 0.0, atol=1e-15)
    grid = np.linspace(0.0, 1.2, 12001)
    other = np.array([1.0, 0.97, 0.8, 1.01])
    one = (other[:, None] <= grid).mean(0)
    two = 0.1 * (grid >= 0.45) + 0.9 * (grid >= 1.0)
    area = 2.0 * np.sum((one - two)[:-1] ** 2) * (grid[1] - grid[0])  # Szekely and Rizzo, 2.5
    np.testing.assert_allclose(portfolio.cramer_distance(other, 0.1, 0.55), area, atol=5e-4)


def test_targets_are_those_of_the_files():
    rates, withdrawn = portfolio_data.published()
    b = AVERAGED.index(RATING.index("B"))
    np.testing.assert_allclose(rates[:, b], [0.0376, 0.0856, 0.1278])
    assert (np.diff(rates, axis=0) > 0).all() and 0.09 < withdrawn < 0.16
    years, firms, defaults, _ = portfolio_data._from_events()
    assert list(years) == [2000, 2001, 2002, 2003, 2004, 2005]
    spec = list(SPECULATIVE)
    rate = defaults[:, spec].sum(1) / firms[:, spec].sum(1)
    assert years[rate.argmax()] in (2001, 2002) and defaults.sum() == 30


def test_a_file_of_counts_with_unknown_ratings_is_refused(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("year,rating,firms,defaults\n1990,Ba,100,2\n1990,C,10,3\n1991,Ba,90,1\n"
                    "1991,C,9,1\n")
    config = portfolio_data.PortfolioTraining()
    with pytest.raises(InputError, match="Ba.*portfolio.data.ratings"):
        portfolio_data._from_file(config, path)
    config = portfolio_data.PortfolioTraining(ratings={"C": "CCC", "Ba": "BB"})
    years, firms, defaults, _ = portfolio_data._from_file(config, path)
    assert list(years) == [1990, 1991] and firms[0, RATING.index("CCC")] == 10
    assert defaults[:, RATING.index("BB")].tolist() == [2.0, 1.0]


def test_bundles_hold_every_example_about_as_often():
    rows = {"x": np.arange(10), "y": np.arange(20).reshape(10, 2)}
    out = stage2.bundled(rows, 4, 5, seed=1)
    assert out["x"].shape == (4, 5) and out["y"].shape == (4, 5, 2)
    assert np.bincount(out["x"].ravel()).tolist() == [2] * 10
    np.testing.assert_array_equal(out["y"][..., 0], 2 * out["x"])


@pytest.mark.parametrize("score,expected", [(1.04, 0.0), (0.5, 0.0), (1.06, 0.01)])
def test_the_guard_looks_at_each_level_alone(score, expected):
    before = {"macro": 1.0, "transition": -2.0}
    got = stage2.excess({"macro": score, "transition": -2.1}, before, 0.05)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    worse = stage2.excess({"macro": 0.2, "transition": -1.8}, before, 0.05)
    np.testing.assert_allclose(worse, 0.05, atol=1e-12)


@functools.cache
def small_world():
    """World of an untrained transformer in double precision; no macro model and no deal."""
    data = transition.load(transition.TransitionTraining())
    config = TransitionConfig(members=1, width=8, heads=2, dtype="float64")
    model = jax.tree.map(jnp.asarray, transition.linear_model(data, config, "known", slopes=False))
    slope = model.params["linear"]["slope"].at[:, :2].set(jnp.array([-0.2, 0.3]))
    model = model.replace(params=model.params | {
        "linear": model.params["linear"] | {"slope": slope}})
    loadings = jax.tree.map(jnp.asarray, systematic.Loadings(0.3, 0.0, 0.0, 0.95))
    w = portfolio.World(None, model, loadings, None, None, None, None, jnp.asarray(0.01), None,
                        None, None, None)
    rows = np.flatnonzero(data.counts.months == "2001-01")
    window = data.windows[rows[0] - 1]
    path = MacroPath(jnp.asarray(window[1:]), jnp.asarray(np.stack(
        [w[-1] for w in data.windows[rows[0]: rows[0] + 12]])), data.config.series)
    return w, path


def _sources(count):
    return rng.sources(jax.vmap(rng.path_key, (None, 0))(jax.random.key(3), jnp.arange(count)))


@pytest.mark.slow
def test_default_probabilities_rise_and_are_a_matrix_product_without_factors():
    w, path = small_world()
    quiet = w.replace(loadings=jax.tree.map(jnp.zeros_like, w.loadings))
    p = np.asarray(jax.jit(lambda w: portfolio.default_probabilities(w, path, _sources(2)))(quiet))
    np.testing.assert_allclose(p[0], p[1], rtol=1e-12)
    assert (np.diff(p[0], axis=0) >= 0).all() and (np.diff(p[0, -1, 3:]) > 0).all()
    from clo_gen.models.transition import predict

    product = np.eye(RATING.size)
    for matrix in np.asarray(jax.jit(predict)(w.transition, path).matrix[0]):
        step = matrix.copy()
        live = len(RATING.live)
        moved = 0.01 * np.delete(matrix[:live], RATING.default, 1).sum(1)
        step[:live] *= np.where(np.arange(RATING.size) == RATING.default, 1.0, 0.99)
        step[:live, RATING.prepaid] += moved
        product = product @ step
    np.testing.assert_allclose(p[0, -1], product[: len(RATING.live), RATING.default], rtol=1e-9)


@pytest.mark.slow
def test_gradient_of_the_rates_part_meets_finite_differences():
    w, path = small_world()
    firms = np.array([20.0, 60, 150, 300, 250, 200, 30])
    defaults = np.array([0.0, 0, 0, 1, 2, 9, 8])
    params = w.transition.params

    @jax.jit
    def loss(slope, kernel):
        network = params["network"]["params"]
        network = {"params": network | {"kinds": network["kinds"] | {"kernel": kernel}}}
        model = w.transition.replace(params={
            "linear": params["linear"] | {"slope": slope}, "network": network})
        p = portfolio.default_probabilities(w.replace(transition=model), path, _sources(8))
        return portfolio.deviance(p[:, -1], firms, defaults)

    point = params["linear"]["slope"], params["network"]["params"]["kinds"]["kernel"] + 0.01
    gradient = jax.jit(jax.grad(loss, (0, 1)))(*point)
    generator = np.random.default_rng(0)
    along = [jnp.asarray(generator.normal(size=x.shape)) for x in point]
    exact = sum(float(jnp.vdot(g, a)) for g, a in zip(gradient, along, strict=True))
    h = 1e-5
    up, down = (loss(*(x + s * h * a for x, a in zip(point, along, strict=True)))
                for s in (1, -1))
    assert abs(exact) > 1e-3
    np.testing.assert_allclose((up - down) / (2 * h), exact, rtol=1e-5)


@pytest.mark.parametrize("arguments,message", [
    (["train", "--stage", 2, "--from", "nowhere", "--out", "OUT"], "no training run"),
    (["train", "--from", "nowhere", "--out", "OUT"], "--from belongs to --stage 2"),
    (["train", "--stage", 2, "--level", "macro", "--out", "OUT"], "without --level"),
    (["train", "--stage", 2, "--resume", "nowhere"], "no stage-2 run"),
    (["train", "--stage", 2, "--out", "OUT", "--set", "joint.guard=7", "--set",
      "portfolio.objective.rates=-1"], "2 problems"),
    (["train", "--stage", 2, "--out", "OUT", "--set", "portfolio.data.test_from=2003"],
     "want a year after"),
])
def test_wrong_calls_say_what_is_wanted(tmp_path, arguments, message):
    done = invoke(*[tmp_path / "out" if a == "OUT" else a for a in arguments])
    assert done.exit_code == 2 and message in done.stderr, done.stderr
    assert not (tmp_path / "out").exists()


def test_the_shipped_config_is_valid_and_reads_back():
    config = stage2_job.read_stage2()
    assert pathlib.Path(config.portfolio.data.deal.file).exists()
    assert config.fit.batch == 1 and config.joint.guard == 0.05


TINY = ["portfolio.objective.quantiles=0", "portfolio.objective.averages=0",
        "portfolio.objective.tranches=0", "portfolio.objective.factor_draws=8", "fit.epochs=4",
        "fit.learning_rate=0.01", "joint.bundles=4", "joint.years=2", "repeats=2", "bootstrap=20"]


@pytest.fixture(scope="module")
def stage1(tmp_path_factory):
    """A small stage-1 run."""
    run = tmp_path_factory.mktemp("runs") / "stage1"
    config, run = train_job.prepare(ROOT / "configs" / "train_smoke.toml", run, None, [
        "transition.model.width=8", "transition.fit.epochs=2"])
    train_job.train_job(config, ["macro", "transition", "trajectory"], run)
    return run


@pytest.mark.slow
def test_stage_2_from_the_command_line_and_an_interrupted_one(stage1, tmp_path):
    sets = [x for text in TINY for x in ("--set", text)]
    done = invoke("train", "--stage", 2, "--from", stage1, "--out", tmp_path / "whole", *sets)
    assert done.exit_code == 0, done.output
    assert "L_portfolio" in done.output and "rating_events_1999_2005.csv" in done.output
    report = json.loads((tmp_path / "whole" / "stage2.json").read_text())
    rows = {(r["quantity"], r["split"]): r for r in report["rows"]}
    assert rows["L_portfolio", "train"]["before"] == pytest.approx(0.4)  # the part's weight
    assert rows["L_portfolio", "train"]["change"] < 0
    for level in ("macro", "transition"):
        assert rows[f"L_{level}", "held_out"]["change"] <= 0.05
    assert (tmp_path / "whole" / "stage2.png").stat().st_size > 1000
    assert (tmp_path / "whole" / "trajectory" / "model.npz").exists()

    config, run = stage2_job.prepare(None, tmp_path / "cut", None, TINY, stage1)

    def stop(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(train_job.Interrupted, match="--stage 2 --resume"):
        stage2_job.stage2_job(config, run, on_report=stop)
    assert (run / "state.npz").exists()
    stage2_job.stage2_job(*stage2_job.prepare(None, None, run))
    for level in ("macro", "transition"):
        one, two = (train_job.load_model(r, level) for r in (tmp_path / "whole", run))
        for x, y in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
            np.testing.assert_array_equal(x, y)
    assert not (run / "state.npz").exists()


def test_a_part_of_zero_has_no_change():
    rows = np.arange(3)
    found = [[np.zeros(3), np.zeros(3)], [np.ones(3), np.ones(3)]]

    def measure(simulated, rows):
        return [{"rates": 1.0 + float(x[rows].mean()), "L_portfolio": float(x[rows].mean())}
                for x in simulated]

    test = stage2_report.rows_of_split(measure, found, rows, "test", 5)
    assert test[0]["change"] == test[0]["low"] == 1.0
    assert np.isnan([test[1][name] for name in ("change", "low", "high")]).all()
    levels = stage2_job._level_rows({"macro": 0.0}, {"macro": 1.0}, "none")
    assert "nan" not in stage2_report.verdict(
        [*test, *({**r, "split": "held_out"} for r in test), *levels], 0.05)
    parts, objective = {"rates": 2.0}, portfolio.Objective(rates=3.0)
    assert portfolio.total(parts, objective, {"rates": 0.0}) == 6.0


def test_targets_of_their_own_years_are_told_apart():
    objective = portfolio.Objective(rates=0.4, quantiles=0.2, averages=0.4, tranches=0.0)
    scale = {"rates": 2.0, "quantiles": 4.0, "averages": 1.0}
    found = stage2_report.totals({"rates": 1.0, "quantiles": 4.0, "averages": 0.0}, objective,
                                 scale)
    assert found["L_portfolio"] == pytest.approx(0.4)
    assert found[stage2_report.OWN] == pytest.approx((0.4 * 0.5 + 0.2) / 0.6)
    none = portfolio.Objective(rates=0.0, quantiles=0.0)
    assert stage2_report.OWN not in stage2_report.totals({"averages": 1.0}, none, scale)


def test_training_goes_on_only_within_the_guard():
    """A joint fit whose level would pay more than the guard keeps stage 1."""
    def level(params, batch, key, progress):
        return jnp.mean((params["w"] - batch) ** 2), {}

    base = loop.Task(init=lambda key: {"w": jnp.ones(())}, loss=level,
                     score=lambda p, x: jnp.mean((p["w"] - x) ** 2) + 1.0,
                     train=jnp.full(8, 5.0), held_out=jnp.ones(1))
    before = {"macro": float(base.score({"w": jnp.ones(())}, base.held_out))}

    def score(params, held_out):
        found = {"macro": base.score(params, held_out)}
        return found["macro"] - 10.0 * params["w"] + 1e6 * stage2.excess(found, before, 0.05)

    config = loop.TrainConfig(epochs=20, batch=8, learning_rate=0.05, weight_decay=0.0,
                              ema_decay=0.0, evaluate_every=1, patience=20)
    params, history = loop.fit(loop.Task(base.init, base.loss, score, base.train, base.held_out),
                               config)
    paid = float(base.score(params, base.held_out)) / before["macro"] - 1.0
    assert 0.0 < paid <= 0.05 + 1e-6 and float(params["w"]) > 1.0
    assert max(row["held_out"] for row in history) > 1e3  # it did go beyond, and was refused

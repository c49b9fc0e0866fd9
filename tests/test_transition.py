"""The transition transformer: laws of its matrices, its baselines, its data and its training."""

import dataclasses
import pathlib
import types

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax.test_util import check_grads
from scipy.linalg import expm

from clo_gen import pipeline
from clo_gen.evaluate.transition import brier_scores, evaluate, hits, kl, log_scores
from clo_gen.io import checkpoint, cohort_counts, synthetic_counts
from clo_gen.io.problems import InputError
from clo_gen.models import generator_matrix, layers, transition, transition_baseline
from clo_gen.models.prepayment import Prepayment
from clo_gen.models.transition import Cohorts, Scaling, Transformer, TransitionConfig
from clo_gen.models.transition_network import speaks
from clo_gen.records import MacroPath
from clo_gen.states import DELINQUENCY, RATING
from clo_gen.train import loop
from clo_gen.train import transition as training
from clo_gen.train.transition_data import TransitionTraining, load

COUNTS = (pathlib.Path(__file__).parents[2] / "shared" / "data" / "validation"
          / "auto_abs_cohort_counts_3trusts.csv")
SERIES, COVARIATES = ("gdp_growth_yoy", "unemployment_rate"), ("unemployment_rate_change_12m",)
TINY = TransitionConfig(members=2, width=8, heads=2)
SYNTHETIC = TransitionTraining(
    source="synthetic", series=synthetic_counts.SERIES,
    covariates=(*synthetic_counts.SERIES, *(f"{s}_change_12m" for s in synthetic_counts.SERIES)),
    held_out_from="1998-01", test_from="2004-01", test_until="2019-12", loans=2000)
CONTINUOUS = dataclasses.replace(TINY, time="continuous")
both_times = pytest.mark.parametrize("config", [TINY, CONTINUOUS], ids=["discrete", "continuous"])


def bases(space, cohorts=2, seed=0):
    """Random monthly matrices without prepayment, near the identity."""
    draws = np.random.default_rng(seed).uniform(0.2, 1.0, (cohorts, space.size, space.size))
    off = np.where(space.mask & ~np.eye(space.size, dtype=bool), 0.02 * draws, 0.0)
    off[:, :, [space.prepaid, space.matured]] = 0.0
    off[:, len(space.live):] = 0.0
    return off + np.eye(space.size) * (1.0 - off.sum(-1, keepdims=True))


def transformer(config=TINY, space=RATING, *, spread=0.5, seed=0):
    """A Transformer of two cohorts whose every weight is random (spread 0: zero)."""
    base = bases(space)
    if config.time == "continuous":
        base = generator_matrix.generators_of(base, space)
    width = len(COVARIATES) + 1 + 3
    model = Transformer(
        {}, Cohorts(jnp.asarray(base), jnp.array([[0.0], [1.0]]), jnp.array([5.0, jnp.inf])),
        Scaling(jnp.array([0.02, 0.05]), jnp.array([0.02, 0.01]), jnp.array([0.01, 0.002]),
                jnp.zeros(width), jnp.full(width, 0.5)), config, space, SERIES, COVARIATES,
        ("a", "b"))
    leaves, tree = jax.tree.flatten(jax.eval_shape(transition.init, jax.random.key(seed), model))
    draws = np.random.default_rng(seed)
    leaves = [jnp.asarray(spread * draws.normal(size=x.shape), x.dtype) for x in leaves]
    return model.replace(params=jax.tree.unflatten(tree, leaves))


def path(months=20, seed=1, dtype=float):
    draws = np.random.default_rng(seed).normal(size=(13 + months, 2))
    values = jnp.asarray(np.array([0.02, 0.05]) + 0.01 * draws, dtype)
    return MacroPath(values[:13], values[13:], SERIES)


predict = jax.jit(transition.predict)


@both_times
@pytest.mark.parametrize("space", [RATING, DELINQUENCY], ids=lambda s: s.name)
def test_rows_sum_to_one_and_masked_entries_are_exactly_zero(config, space):
    matrix = np.asarray(predict(transformer(config, space), path()).matrix)
    assert matrix.shape == (2, 20, space.size, space.size) and matrix.dtype == np.float64
    assert np.all(matrix[..., ~space.mask] == 0.0) and np.all(matrix >= 0.0)
    np.testing.assert_allclose(matrix.sum(-1), 1.0, atol=1e-12)
    live = len(space.live)
    assert np.array_equal(matrix[..., live:, :], np.broadcast_to(
        np.eye(space.size)[live:], (*matrix.shape[:2], 3, space.size)))
    assert np.abs(np.diff(matrix, axis=1)).max() > 1e-3


@both_times
def test_the_future_changes_nothing(config):
    model, known, cut = transformer(config), path(), 11
    other = known.replace(values=known.values.at[cut:].add(0.05))
    before, after = (np.asarray(predict(model, p).matrix) for p in (known, other))
    assert np.array_equal(before[:, :cut], after[:, :cut])
    assert np.all(np.abs(before[:, cut:] - after[:, cut:]).max((0, 2, 3)) > 1e-6)


@both_times
def test_zero_weights_give_the_base(config):
    model = transformer(config, spread=0.0)
    matrix = np.asarray(predict(model, path()).matrix)
    np.testing.assert_allclose(matrix, np.broadcast_to(bases(RATING)[:, None], matrix.shape),
                               atol=5e-6 if config.time == "continuous" else 1e-15)


def test_a_month_depends_on_its_window_alone():
    model, long = transformer(), path(40)
    whole = np.asarray(predict(model, long).matrix)
    full = np.concatenate([long.history, long.values])
    rows = np.array([0, 7, 39])
    months = {"window": np.stack([full[t: t + 14] for t in rows]),
              "age": np.asarray(model.cohorts.age) + rows[:, None] + 1.0}
    alone = np.asarray(jax.jit(transition.matrices_at)(model, months))
    np.testing.assert_allclose(alone.swapaxes(0, 1), whole[:, rows], atol=1e-6)


def test_training_starts_at_the_logit():
    model = transformer()
    slope = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5)) * 0.3)
    logit = transition_baseline.constant(bases(RATING)[0], COVARIATES, RATING, model.scaling.mean,
                                         model.scaling.scale, model.config.limit)
    logit = logit.replace(slope=slope, intercept=jnp.array([0.1, -0.2, 0.3]))
    started = model.replace(params=jax.jit(transition.init)(jax.random.key(0), model, logit))
    p = path()
    z = jax.jit(transition.raw_inputs)(started, p.history, p.values)[0]
    np.testing.assert_allclose(predict(started, p).matrix[0],
                               transition_baseline.predict_at(logit, z), atol=1e-6)


def test_recentred_odds_average_to_the_base():
    model, p, exposure = transformer(spread=0.3), path(60), jnp.arange(1.0, 11.0)
    centred = jax.jit(transition.recentre)(model, p.history, p.values, exposure)
    odds = np.asarray(jnp.exp(jax.jit(transition._effects)(centred, p.history, p.values)))
    weight = np.asarray(model.cohorts.base[:, None] * exposure[:, None])
    for kind in (1, 2, 3):
        moves = (transition.kinds_of_move(RATING) == kind) * weight
        assert (moves * odds).sum() == pytest.approx(moves.sum() * 60, rel=1e-5)


@both_times
def test_stress_far_outside_the_fitted_years_is_bounded(config):
    model, p = transformer(config), path(6)
    far = [predict(model, p.replace(values=p.values + x)).matrix for x in (10.0, 1000.0)]
    assert np.all(np.isfinite(far)) and np.abs(far[0] - far[1]).max() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("config", [CONTINUOUS, TINY],
                         ids=["continuous", "discrete"])
def test_gradients(config):
    model = transformer(dataclasses.replace(config, dtype="float64"), DELINQUENCY, spread=0.2)
    p = path(3)
    weights = jnp.asarray(np.random.default_rng(3).normal(size=(2, 3, 7, 7)))

    def worth(params, values):
        out = transition.predict(model.replace(params=params), p.replace(values=values))
        return jnp.sum(weights * out.matrix)

    check_grads(jax.jit(worth), (model.params, p.values), order=1, modes=["rev"], atol=1e-5,
                rtol=1e-5, eps=1e-6)


def test_float32_in_float32_out():
    model = jax.tree.map(lambda x: x.astype(jnp.float32), transformer())
    assert predict(model, path(dtype=jnp.float32)).matrix.dtype == jnp.float32


def test_it_plugs_into_the_graph():
    setup = types.SimpleNamespace(transition_predict=transition.predict, space=RATING)
    p = path()
    wide = MacroPath(p.history[:, [1, 0, 1]], p.values[:, [1, 0, 1]], (SERIES[1], SERIES[0], "cp"))
    params = types.SimpleNamespace(transition=transformer(),
                                   prepayment=Prepayment(0.2, 0.5, 0.05, "cp"))
    out = jax.jit(lambda x: pipeline.transitions_of(params, x, setup).matrix)(wide)
    np.testing.assert_allclose(out.sum(-1), 1.0, atol=1e-12)
    assert np.all(out[..., :7, RATING.prepaid] > 0)
    np.testing.assert_allclose(out[..., :7, RATING.default],
                               predict(transformer(), p).matrix[..., :7, RATING.default],
                               rtol=1e-5)  # the network runs in float32


def test_a_trained_model_is_read_back(tmp_path):
    model = transformer()
    checkpoint.save_record(tmp_path / "model.npz", model)
    again, _ = checkpoint.load_record(tmp_path / "model.npz")
    assert np.array_equal(predict(model, path()).matrix, predict(again, path()).matrix)


def test_exponential_is_scipys_and_keeps_zeros():
    rng = np.random.default_rng(0)
    off = rng.uniform(0.0, 1.0, (6, 7, 7)) * DELINQUENCY.mask * ~np.eye(7, dtype=bool)
    off[:, 4:] = 0.0
    generators = off - off.sum(-1, keepdims=True) * np.eye(7)
    ours = np.asarray(jax.jit(generator_matrix.exponential)(generators))
    np.testing.assert_allclose(ours, [expm(g) for g in generators], atol=1e-12)
    assert np.all(ours[:, 4:, :4] == 0.0) and np.all(ours >= 0.0)
    found = generator_matrix.generators_of(bases(RATING), RATING)
    np.testing.assert_allclose([expm(g) for g in found], bases(RATING), atol=1e-5)


def test_attention_on_a_shared_memory_is_attention_on_its_copies():
    attention = layers.Attention(heads=2, window=4, dtype=jnp.float64)
    draws = np.random.default_rng(0)
    x, memory = (jnp.asarray(draws.normal(size=shape)) for shape in ((3, 5, 8), (7, 6)))
    params = jax.jit(attention.init)(jax.random.key(0), x, memory)
    shared, copied = (jax.jit(attention.apply)(params, x, m)
                      for m in (memory, jnp.stack([memory] * 3)))
    np.testing.assert_allclose(shared, copied, atol=1e-12)
    early = jax.jit(attention.apply)(params, x, memory[2:])  # fewer keys than the window
    np.testing.assert_allclose(early[:, 3:], shared[:, 3:], atol=1e-12)
    assert np.all(np.isfinite(early))


def test_attention_sees_its_window_only():
    block = layers.Block(heads=2, window=4, dtype=jnp.float64)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 12, 8)))
    params = jax.jit(block.init)(jax.random.key(0), x)
    apply = jax.jit(block.apply)
    out = apply(params, x)
    moved = np.abs(np.asarray(apply(params, x.at[:, 5].add(1.0)) - out)).max((0, 2))
    assert np.all(moved[[0, 1, 2, 3, 4, 9, 10, 11]] == 0.0) and np.all(moved[5:9] > 0.0)
    np.testing.assert_allclose(apply(params, x[:, 3:])[:, 3:], out[:, 6:], atol=1e-12)


def counts_file(tmp_path, rows):
    file = tmp_path / "counts.csv"
    lines = ["bond,risk_cat,month,n_current,n_default,n_prepaid", *rows]
    file.write_text("\n".join(lines) + "\n")
    return file


def test_cohort_counts_are_read(tmp_path):
    rows = [f"t{k},{band},2018-{m:02d},{100 - m},{k},{m % 3}" for k in (1, 2)
            for band in ("prime", "subprime") for m in range(k, 7)]
    history = cohort_counts.read_cohort_counts(counts_file(tmp_path, rows))
    counts = history.counts
    assert counts.cohorts == ("t1/prime", "t1/subprime", "t2/prime", "t2/subprime")
    assert counts.counts[2, 2, 0].tolist() == [95.0, 2.0, 0.0, 0.0]
    assert counts.counts[0].sum() == counts.counts[5].sum() == counts.counts[1, 2].sum() == 0.0
    assert history.ages(counts.months)[3].tolist() == [4.0, 4.0, 3.0, 3.0]
    assert history.bands == (1, 3, 1, 3)


def test_bad_cohort_counts_are_refused_all_at_once(tmp_path):
    rows = ["a,prime,2018-01,100,1,1", "a,prime,2018-01,100,1,1", "a,great,2018-02,100,1,1",
            "a,prime,2018-03,5,4,3", "a,prime,2018-04,-5,0,x"]
    with pytest.raises(InputError, match="(?s)row 4, risk_cat.*row 6, n_current.*row 6, n_prepaid"):
        cohort_counts.read_cohort_counts(counts_file(tmp_path, rows))
    with pytest.raises(InputError, match="(?s)row 4, n_current.*row 3: repeats"):
        cohort_counts.read_cohort_counts(counts_file(tmp_path, [rows[0], rows[1], rows[3]]))
    with pytest.raises(InputError, match="n_prepaid: missing"):
        file = tmp_path / "short.csv"
        file.write_text("bond,risk_cat,month,n_current,n_default\na,prime,2018-01,1,0\n")
        cohort_counts.read_cohort_counts(file)


def test_bases_shrink_to_their_group_and_the_nearest_one():
    counts = np.zeros((4, 4, 4))
    counts[0, 0] = [9000.0, 1000.0, 0.0, 0.0]
    counts[1, 0] = [990.0, 0.0, 10.0, 0.0]
    groups = (0, 1, 0, 3)
    found = training.bases(counts, groups, cohort_counts.SURVIVAL, 100.0)
    assert found[0, 0, 1] == pytest.approx(0.1, abs=1e-3)
    assert found[2, 0, 1] == pytest.approx(found[0, 0, 1], abs=1e-3)  # no counts: its group's
    np.testing.assert_allclose(found[3], training.bases(counts, (0, 1, 0, 1),
                                                        cohort_counts.SURVIVAL, 100.0)[3])
    assert np.all(found[:, 0, 3] == 0.0)
    np.testing.assert_allclose(found.sum(-1), 1.0)


def test_scores_count_loans():
    counts = np.zeros((1, 1, 4, 4))
    counts[0, 0, 0] = [8.0, 2.0, 0.0, 0.0]
    matrix = np.array([[[[0.8, 0.2, 0.0, 0.0]] * 4]])
    assert log_scores(matrix, counts) == pytest.approx(8 * np.log(0.8) + 2 * np.log(0.2))
    assert brier_scores(matrix, counts) == pytest.approx(8 * 0.08 + 2 * 1.28)
    assert hits(matrix, counts) == 8.0 and kl(matrix, matrix, 1) == 0.0
    assert kl(matrix, np.array([[[[0.5, 0.5, 0.0, 0.0]] * 4]]), 1) == pytest.approx(
        0.8 * np.log(1.6) + 0.2 * np.log(0.4))


@pytest.fixture(scope="module")
def invented():
    return load(SYNTHETIC)


def test_parts_do_not_overlap(invented):
    months = invented.counts.months
    train, held_out, test = (months[invented.part(p)] for p in ("train", "held_out", "test"))
    assert train[-1] + 1 == held_out[0] and held_out[-1] + 1 == test[0]
    assert str(test[-1]) == "2019-12" and invented.macro.index[-1] == held_out[-1]
    assert invented.kind == "synthetic"
    changed = dataclasses.replace(invented, windows=np.where(
        (months >= test[0])[:, None, None], 9.9, invented.windows))
    for ours, theirs in zip(jax.tree.leaves(training.scaling_of(invented, "known")),
                            jax.tree.leaves(training.scaling_of(changed, "known")), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_drift_months_follow_the_training(invented):
    before = dataclasses.replace(transformer(), trained_until="2003-12")
    old, new = training.monitor(before, invented)
    assert old.index[-1] == pd.Period("2003-12") and new.index[0] == pd.Period("2004-01")
    assert {"worse", "default", "unemployment_rate"} <= set(old.columns)


def test_unknown_trusts_and_missing_macro_are_refused(tmp_path):
    rows = [f"t,prime,2018-{m:02d},100,1,1" for m in range(1, 9)]
    config = TransitionTraining(source="cohort_counts", file=counts_file(tmp_path, rows).name,
                                held_out_from="2018-05", test_from="2018-07",
                                leave_out_trusts=("x",))
    with pytest.raises(InputError, match="leave_out_trusts: x; want some of t"):
        load(config, tmp_path)
    with pytest.raises(InputError, match="not shipped"):
        load(config.model_copy(update={"file": "embedded"}))
    old = counts_file(tmp_path, [r.replace("2018", "2031") for r in rows])
    with pytest.raises(InputError, match="want macro from 2029-12 to 2031-08"):
        load(config.model_copy(update={"file": str(old), "leave_out_trusts": ()}), tmp_path)


def trained(config, network):
    data = load(config)
    params, _ = loop.fit(training.task(data, network), training.FIT)
    model = training.assemble(params, data, network)
    found = evaluate(model, data)
    return model, data, {(m.name, m.baseline_name): m for m in found}


@pytest.mark.slow
def test_it_learns_what_a_logit_cannot():
    network = TransitionConfig(width=32, members=2, blocks=2, head_ridge=1.0)
    _, _, found = trained(SYNTHETIC, network)
    m = found["KL divergence from the truth", "logit"]
    assert m.value < 0.5 * m.baseline
    assert found["transition log-likelihood", "logit"].low > 0.0


@pytest.mark.slow
def test_a_network_that_held_out_months_do_not_support_is_silenced():
    data, config = load(TransitionTraining()), TINY
    wild = training.task(data, config).init(jax.random.key(0))
    draws = np.random.default_rng(0)
    wild["network"] = jax.tree.map(lambda x: jnp.asarray(draws.normal(size=x.shape), x.dtype),
                                   wild["network"])
    model = training.assemble(wild, data, config)
    logit = training.linear_model(data, config, "known")
    assert speaks(wild["network"]) and not speaks(model.params["network"])
    months = data.months("test")
    np.testing.assert_allclose(transition.matrices_at(model, months),
                               transition.matrices_at(logit, months), atol=1e-6)


@pytest.mark.slow
def test_held_out_ratings_are_no_less_likely_than_under_the_baselines():
    model, data, found = trained(TransitionTraining(), TransitionConfig(time="continuous"))
    for name in ("constant matrix", "logit"):
        for score, sign in (("transition log-likelihood", 1.0), ("default Brier score", -1.0)):
            m = found[score, name]
            assert sign * (m.value - m.baseline) >= -1e-9
    assert found["transition accuracy", "persistence"].value > 85.0
    again = training.linear_model(data, model.config, "train")
    assert again.trained_until == "2002-12" and model.trained_until == "2003-12"


@pytest.mark.slow
@pytest.mark.skipif(not COUNTS.exists(), reason="validation data absent")
def test_held_out_auto_loans_are_no_less_likely_than_under_the_constant_matrix():
    config = TransitionTraining(source="cohort_counts", file=str(COUNTS),
                                covariates=COVARIATES, held_out_from="2018-07",
                                test_from="2019-01", test_until="2019-12")
    network = TransitionConfig(ridge=3e4, head_ridge=1e6)
    model, _, found = trained(config, network)
    assert found["transition log-likelihood", "constant matrix"].low > 0.0
    assert model.names[0] == "aart/super_prime" and model.space == cohort_counts.SURVIVAL

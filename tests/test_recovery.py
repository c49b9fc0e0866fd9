"""Severity at default: the SBA reader, the split by time, and the scores of the baselines."""

import pathlib

import numpy as np
import pandas as pd
import pytest

from clo_gen.evaluate import recovery as scored
from clo_gen.io.problems import InputError
from clo_gen.io.sba import FEATURES, read_charge_offs
from clo_gen.models import recovery
from clo_gen.train import recovery as training
from clo_gen.train.loop import TrainConfig, fit
from clo_gen.train.recovery import RecoveryTraining

SBA = (pathlib.Path(__file__).parents[2] / "shared" / "data" / "validation"
       / "sba_loans_sample.parquet")


def synthetic_loans(count):
    """Loans (synthetic) whose severity falls with the months on books; one in five loses all."""
    generator = np.random.default_rng(0)
    disbursed = pd.Timestamp("2004-01-15") + pd.to_timedelta(generator.integers(0, 700, count), "D")
    months = generator.uniform(3.0, 90.0, count)
    severity = np.clip(0.9 - months / 150 + generator.normal(0, 0.1, count), 0.01, 0.99)
    severity[generator.random(count) < 0.2] = 1.0
    amount = np.round(np.exp(generator.normal(11, 1, count)))
    return pd.DataFrame({
        "loan_id": np.arange(count), "naics2": generator.choice(["44", "45", "0"], count),
        "approval_fy": disbursed.year, "term_months": 84, "n_emp": 3, "new_business": "1",
        "revolving": "Y", "chargeoff_date": disbursed + pd.to_timedelta(months * 30.44, "D"),
        "disbursement_date": disbursed, "disbursed": amount, "status": "CHGOFF",
        "chargeoff_principal": severity * amount, "approved": amount,
        "sba_guaranteed": 0.5 * amount})


def write(frame, path):
    frame.to_csv(path, index=False)
    return path


def test_reader_keeps_charge_offs_in_order_and_says_what_it_left_out(tmp_path):
    frame = synthetic_loans(40)
    frame.loc[0, "approval_fy"] = 1990
    frame.loc[1, "chargeoff_date"] = pd.NaT
    frame.loc[2, "disbursed"] = 0.0
    frame.loc[3, "status"] = "P I F"
    read = read_charge_offs(write(frame, tmp_path / "loans.csv"))
    assert len(read.severity) == 36 and read.month.is_monotonic_increasing
    assert [note.split(":")[0] for note in read.notes] == ["1 of 39 charge-offs left out"] * 3
    whole = (frame["chargeoff_principal"] / frame["disbursed"])[4:]
    assert np.sort(read.severity) == pytest.approx(np.sort(whole))
    assert set(read.sector) == {"44", "0"}  # 45 is the same sector as 44
    assert np.isfinite(read.features).all() and read.features.shape == (36, len(FEATURES))


def test_reader_complains_of_everything_at_once(tmp_path):
    frame = synthetic_loans(5).astype(object)
    frame.loc[1, "disbursed"], frame.loc[2, "chargeoff_date"] = "many", "last year"
    with pytest.raises(InputError, match="(?s)2 problems.*row 4, chargeoff_date.*row 3, disbursed"):
        read_charge_offs(write(frame, tmp_path / "bad.csv"))
    with pytest.raises(InputError, match="column naics2: missing"):
        read_charge_offs(write(frame.drop(columns="naics2"), tmp_path / "short.csv"))
    with pytest.raises(InputError, match="no usable charge-off"):
        read_charge_offs(write(synthetic_loans(5).assign(status="P I F"), tmp_path / "paid.csv"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sba")
    write(synthetic_loans(900), folder / "loans.csv")
    return training.load(RecoveryTraining(file="loans.csv", hidden=8, steps=4), folder)


def test_parts_follow_each_other_in_time_and_only_training_sets_the_units(data):
    month = data.charge_offs.month
    last = {name: month[data.part == name].max() for name in ("train", "stop", "test")}
    assert str(last["train"]) == "2008-12" and str(last["stop"]) == "2009-12"
    assert month[data.part == "test"].min() > last["stop"]
    inputs = data.rows("train")["features"]
    np.testing.assert_allclose(data.model.mean, inputs.mean(0))
    silent = inputs.std(0) < 1e-9
    read = np.asarray(recovery.condition(data.model, inputs))
    assert silent.any() and (read[:, silent] == 0.0).all() and np.abs(read).max() <= 2.0


@pytest.mark.slow
def test_a_trained_severity_beats_the_constant_one_and_follows_the_age(data):
    params, history = fit(training.task(data), TrainConfig(epochs=30, batch=100, evaluate_every=15,
                                                           learning_rate=5e-3, ema_decay=0.95))
    model = training.assemble(params, data)
    metrics = scored.evaluate(model, data)
    against = {(m.name, m.baseline_name): m for m in metrics}
    assert all(np.isfinite([m.value, m.baseline]).all() for m in metrics)
    assert against["severity CRPS", "constant"].high < 0.0
    assert against["severity log score", "constant beta"].low > 0.0
    draws = scored.drawn(model, data.rows("test")["features"])
    assert (draws >= 0.0).all() and abs((draws == 1.0).mean() - 0.2) < 0.08


def test_uniformity_is_small_for_the_law_itself_and_large_for_another():
    generator = np.random.default_rng(1)
    law = np.where(generator.random((400, 600)) < 0.3, 1.0, generator.random((400, 600)))
    seen = np.where(generator.random(600) < 0.3, 1.0, generator.random(600))
    assert scored.uniformity(law, seen) < 1.95 / np.sqrt(600)  # 0.1 % level
    assert scored.uniformity(0.5 * law, seen) > 0.2


def test_parametric_density_sums_to_one():
    known = np.concatenate([np.random.default_rng(2).beta(2, 1.5, 300), np.ones(30), [1.3]])
    grid = np.linspace(1e-3, 1 - 1e-6, 20001)
    inside = np.trapezoid(np.exp(scored.parametric_log_density(known, grid)), grid)
    at_one, above = np.exp(scored.parametric_log_density(known, np.array([1.0, 1.5])))
    assert inside + at_one + above == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("change, message", [
    ({"features": ("size",)}, "want some of"), ({"train_until": "1999-01"}, "to train on")])
def test_a_split_or_feature_that_cannot_be_is_refused(tmp_path, change, message):
    write(synthetic_loans(120), tmp_path / "loans.csv")
    with pytest.raises(InputError, match=message):
        training.load(RecoveryTraining(file="loans.csv", **change), tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not SBA.exists(), reason="validation data is not here")
def test_real_charge_offs_beat_the_constant_law():
    data = training.load(RecoveryTraining(file=SBA.name), SBA.parent)
    assert len(data.charge_offs.severity) == 4399
    _, history = fit(training.task(data), training.FIT)
    epochs = min(history, key=lambda row: row["held_out"])["epoch"]
    assert 20 <= epochs < 150
    model = training.assemble(training.refit(data, training.FIT, epochs), data)
    value = {(m.name, m.baseline_name): m for m in scored.evaluate(model, data)}
    assert value["severity CRPS", "constant"].high < -0.04
    assert value["severity CRPS", "groups"].beats_baseline
    assert value["severity log score", "constant beta"].beats_baseline

"""Training and evaluation from the command line: wrong input, resuming, warm start, drift."""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest
import tomli_w
from typer.testing import CliRunner

from clo_gen.cli import app
from clo_gen.io import checkpoint
from clo_gen.io.problems import InputError
from clo_gen.jobs import train as train_job
from clo_gen.levels import LEVELS
from clo_gen.macro_model import read_macro_model
from clo_gen.train import loop

ROOT = pathlib.Path(__file__).parent.parent
SMOKE = ROOT / "configs" / "train_smoke.toml"
TINY = ["transition.model.width=8", "transition.model.blocks=1", "transition.fit.epochs=4"]


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b),
                                                    strict=True))


def test_every_problem_of_a_config_in_one_message(tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text('name = "bad"\n[macro.fit]\nepochs = "many"\nbatchh = 3\n'
                   '[transition.fit]\nepochs = 0\n[transition.model]\ntime = "sideways"\n'
                   '[trajectory.data]\nwidth = -1\n')
    done = invoke("train", bad, "--out", tmp_path / "run")
    assert done.exit_code == 2 and not (tmp_path / "run").exists()
    for text in ("4 problems", "epochs: 'many'", "batchh: unknown key", "want a positive number",
                 "'sideways'", "trajectory.data.width: -1"):
        assert text in done.stderr, done.stderr


@pytest.mark.parametrize("arguments,message", [
    (["train", "--resume", "nowhere"], "no training run"),
    (["train", SMOKE, "--resume", "nowhere"], "want no config"),
    (["train", SMOKE, "--level", "weather", "--out", "OUT"], "want one of macro, transition"),
    (["train", SMOKE, "--warm-start", "nowhere", "--out", "OUT"], "holds no trained macro"),
    (["evaluate", "nowhere"], "want a folder written by clo-gen train"),
])
def test_wrong_calls_say_what_is_wanted(tmp_path, arguments, message):
    arguments = [tmp_path / "out" if a == "OUT" else a for a in arguments]
    done = invoke(*arguments)
    assert done.exit_code == 2 and message in done.stderr
    assert not (tmp_path / "out").exists()


def test_shipped_training_configs_are_valid():
    for name in ("stage1", "train_auto", "train_sba", "train_smoke"):
        config = train_job.read_training(ROOT / "configs" / f"{name}.toml")
        assert train_job.chosen(config, ())
    whole = train_job.read_training()
    assert train_job.chosen(whole, ()) == ["macro", "transition", "trajectory"]


def test_a_resumed_run_has_the_config_of_the_new_one(tmp_path):
    """File names too: they are absolute from the start, and keywords are not files."""
    for path in (SMOKE, ROOT / "configs" / "train_auto.toml"):
        for extra in ([], ["trajectory.data.loans='synthetic'"]):
            config = train_job.read_training(path, extra)
            (tmp_path / "config.toml").write_text(
                tomli_w.dumps(train_job._plain(config.model_dump(mode="json"))))
            assert train_job.read_training(tmp_path / "config.toml") == config


def test_a_state_of_other_data_is_refused(tmp_path):
    like = {"w": np.zeros(2)}
    about = {"settings": {"epochs": 3}, "data": "a", "warm_start": None, "history": []}
    checkpoint.save_state(tmp_path / "state.npz", like, about)
    with pytest.raises(InputError, match="epochs: 3, now 4"):
        train_job._resumed(tmp_path / "state.npz", like, about | {"settings": {"epochs": 4}})
    with pytest.raises(InputError, match="trained with data a, now b"):
        train_job._resumed(tmp_path / "state.npz", like, about | {"data": "b"})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run of the transition level."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    config, run = train_job.prepare(SMOKE, run, None, TINY)
    train_job.train_job(config, ["transition"], run)
    return run


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_bits(whole, tmp_path, monkeypatch):
    config, run = train_job.prepare(SMOKE, tmp_path / "cut", None, TINY)

    def stop(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(train_job.Interrupted, match="--resume"):
        train_job.train_job(config, ["transition"], run, on_report=stop)
    assert (run / "transition" / "state.npz").exists()
    assert not (run / "transition" / "model.npz").exists()
    done = invoke("train", "--resume", run, "--level", "transition")
    assert done.exit_code == 0, done.output
    models = [train_job.load_model(r, "transition") for r in (whole, run)]
    assert models[0].config == models[1].config and same(*models)
    assert not (run / "transition" / "state.npz").exists()


@pytest.mark.slow
def test_a_warm_start_goes_on_and_reports_drift(whole, tmp_path):
    later = [*TINY, "transition.data.held_out_from='2004-01'",
             "transition.data.test_from='2004-07'", "transition.fit.epochs=1"]
    config, run = train_job.prepare(SMOKE, tmp_path / "later", None, later, whole)
    trained, = train_job.train_job(config, ["transition"], run)
    before, after = (train_job.load_model(r, "transition") for r in (whole, run))
    assert before.trained_until == "2003-12" and after.trained_until == "2004-06"
    report = json.loads((run / "transition" / "drift.json").read_text())
    assert trained.drift == report["verdict"] != ""


@pytest.mark.slow
def test_evaluate_writes_what_it_prints(whole):
    done = invoke("evaluate", whole)
    assert done.exit_code == 0, done.output
    assert "real data" in done.stdout and "comparisons" in done.stdout
    rows = json.loads((whole / "evaluation.json").read_text())
    assert {row["level"] for row in rows} == {"transition"}
    assert all(row["data"] == "real" for row in rows)


@pytest.mark.slow
def test_every_level_trains_on_embedded_data_and_serves_a_run(tmp_path):
    small = [text for assignment in TINY for text in ("--set", assignment)]
    done = invoke("train", SMOKE, "--out", tmp_path / "all", *small)
    assert done.exit_code == 0, done.output
    held = [level for level in LEVELS if (tmp_path / "all" / level / "model.npz").exists()]
    assert held == ["macro", "transition", "trajectory"]
    for level in held:
        assert (tmp_path / "all" / level / "curves.png").stat().st_size > 1000
    done = invoke("run", ROOT / "configs" / "learned.toml", "--paths", 8, "--out", tmp_path / "run",
                  "--set", "block=8", "--set", "tape.synthetic.obligors=24",
                  "--set", f"macro.run='{tmp_path / 'all'}'",
                  "--set", f"transitions.run='{tmp_path / 'all'}'",
                  "--set", f"trajectory.run='{tmp_path / 'all'}'", "--set", "mode=trajectory",
                  "--set", "scenarios=['severely_adverse']")
    assert done.exit_code == 0, done.output
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    notes = " ".join(summary["data"]["macro"]["notes"])
    assert "cvae of" in notes and summary["cash_conservation_error"] < 1e-9
    assert summary["data"]["lives"]["kind"] == "real" and summary["mode"] == "trajectory"
    model = read_macro_model(tmp_path / "all", months=24)
    wanted = {"gdp_growth_yoy": {"month": 12, "value": -0.04},
              "unemployment_rate": {"month": 24, "value": 0.10}}
    paths = model.generate_conditional(wanted, n=50)
    for name, condition in wanted.items():
        got = paths.values[:, condition["month"] - 1, model.series.index(name)]
        np.testing.assert_allclose(got, condition["value"], atol=5e-4)
    assert np.ptp(paths.values[:, 5, 0]) > 0.005  # many different paths, not one


def test_training_settings_are_judged():
    with pytest.raises(ValueError, match="ema_decay"):
        dataclasses.replace(loop.TrainConfig(), ema_decay=1.5)

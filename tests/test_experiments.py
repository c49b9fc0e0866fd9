"""Experiments, notebooks and configs run, so that none can rot."""

import ast
import io
import json
import math
import os
import pathlib
import runpy
import subprocess
import sys

import jupytext
import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from clo_gen.assembly import assemble
from clo_gen.io.config import read_config

ROOT = pathlib.Path(__file__).parent.parent


def python(*arguments):
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True,
                          env=os.environ | {"PYTHONWARNINGS": "ignore"})
    assert done.returncode == 0, done.stderr
    return done.stdout


SCRIPTS = sorted(p.stem for p in (ROOT / "experiments").glob("*.py") if p.stem != "record")


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_experiment_says_what_it_asks_expects_and_measured(name):
    tree = ast.parse((ROOT / "experiments" / f"{name}.py").read_text())
    header = ast.get_docstring(tree)
    assert header.split("\n\n")[0].endswith("?")
    assert f"python experiments/{name}.py" in header
    assert "xpected" in header and "easured" in header


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "stage2"])
def test_experiment_in_a_small_size(name, tmp_path):
    python(ROOT / "experiments" / f"{name}.py", "--small", "--out", tmp_path / "out")
    assert_kept(tmp_path / "out", name)


def assert_kept(folder, name):
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["experiment"] == name and summary["small"] and summary["figures"]
    assert all(math.isfinite(f["value"]) for f in summary["figures"] if f["value"] is not None)
    assert len(pd.read_csv(folder / "table.csv")) > 0
    assert (folder / "figure.png").stat().st_size > 5_000


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of a short `clo-gen train`."""
    run = tmp_path_factory.mktemp("trained") / "stage1"
    python("-m", "clo_gen", "train", ROOT / "configs" / "train_smoke.toml", "--out", run)
    return run


@pytest.mark.slow
def test_stage_2_follows_a_trained_run_and_is_evaluated(trained, tmp_path):
    python(ROOT / "experiments" / "stage2.py", trained, "--small", "--out", tmp_path / "out")
    assert_kept(tmp_path / "out", "stage2")
    assert "transition" in python("-m", "clo_gen", "evaluate", tmp_path / "out-run")


@pytest.mark.slow
@pytest.mark.parametrize("verb, options, kept", [
    ("tail", ("--paths", "384", "--pilot", "128"), "tail.json"),
    ("reverse-stress", (), "summary.json")])
def test_learned_levels_under_the_analyses(trained, verb, options, kept, tmp_path):
    python("-m", "clo_gen", verb, ROOT / "configs" / "learned.toml", "--out", tmp_path / "out",
           *options, *(x for assignment in (
               f"macro.run='{trained}'", f"transitions.run='{trained}'",
               f"deal='{ROOT / 'configs' / 'deals' / 'static_amortising.toml'}'",
               "tape.synthetic.obligors=24") for x in ("--set", assignment)))
    assert (tmp_path / "out" / kept).exists()


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_read_as_jupyter_reads_them(path):
    cells = jupytext.read(path).cells
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")
    assert cells[0].source.splitlines()[0].endswith("?")  # a story answers a question
    assert "**What this means.**" in cells[-1].source and "**Limits.**" in cells[-1].source
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    assert all(len(source.splitlines()) <= 30 for source in code)
    assert any("assert" in source for source in code)
    assert "**real**" in cells[0].source  # what is real, and what is not, is said at once


def run_notebook(path, monkeypatch, folder):
    """(names left by a notebook, number of its pictures): each is drawn, and has something on it.
    """
    monkeypatch.chdir(folder)
    matplotlib.use("Agg")
    names = runpy.run_path(str(path))
    figures = [plt.figure(number) for number in plt.get_fignums()]
    for figure in figures:
        file = io.BytesIO()
        figure.savefig(file)
        assert len(file.getvalue()) > 5_000
        assert all(ax.has_data() for ax in figure.axes)
    plt.close("all")
    return names, len(figures)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs_and_draws(path, monkeypatch, tmp_path):
    wanted = path.read_text().count("plt.subplots(")
    _, pictures = run_notebook(path, monkeypatch, tmp_path)
    assert pictures == wanted >= 1
    assert not list(tmp_path.iterdir())  # nothing is left where it was started


@pytest.mark.parametrize("name", ["quickstart", "smoke", "baa"])
def test_every_config_assembles(name):
    if name == "baa":
        pytest.importorskip("arch")
    a = assemble(*read_config(ROOT / "configs" / f"{name}.toml"))
    assert len(a.scenarios) == len(a.config.scenarios)
    if name == "baa":
        assert "credit_spread_ig" in a.setup.series

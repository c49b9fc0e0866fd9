"""Experiments, notebooks and configs run, so that none can rot."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from clo_gen.assemble import assemble
from clo_gen.io.config import read_config

ROOT = pathlib.Path(__file__).parent.parent


def python(*arguments):
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True,
                          env=os.environ | {"PYTHONWARNINGS": "ignore"})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_mean_field_agrees_with_the_draws():
    out = python(ROOT / "experiments" / "mean_field.py", ROOT / "configs" / "smoke.toml",
                 "--draws", "64")
    assert "prepayment" in out and "subordinated" in out


@pytest.mark.slow
def test_bench_prints_one_json_line_a_case():
    lines = python(ROOT / "experiments" / "bench.py", "--paths", "8", "--cases", "markov-200")
    rows = [json.loads(line) for line in lines.splitlines()]
    assert [row["case"] for row in rows] == ["markov-200", "start-up"]
    assert rows[0]["per_s"] > 0


@pytest.mark.slow
def test_notebook_runs(capsys):
    cells = json.loads((ROOT / "notebooks" / "quickstart.ipynb").read_text())["cells"]
    assert all(not cell.get("outputs") for cell in cells)
    names = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert names["gradient"].shape == (60,)


@pytest.mark.parametrize("name", ["quickstart", "smoke", "baa"])
def test_every_config_assembles(name):
    if name == "baa":
        pytest.importorskip("arch")
    a = assemble(*read_config(ROOT / "configs" / f"{name}.toml"))
    assert len(a.scenarios) == len(a.config.scenarios)
    if name == "baa":
        assert "credit_spread_ig" in a.setup.series

"""Experiments, notebooks and configs run, so that none can rot."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from clo_gen.assembly import assemble
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
def test_bench_writes_one_json_line_a_case(tmp_path):
    out = python(ROOT / "experiments" / "bench.py", "--scale", "0.02", "--cases",
                 "import-jax,markov-200", "--out", tmp_path / "bench")
    lines = (tmp_path / "bench" / "bench.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["case"] for row in rows] == ["import-jax", "markov-200"]
    assert rows[1]["per_s"] > 0 and "markov-200" in out


@pytest.mark.slow
def test_tail_compares_plain_and_tilted_runs():
    out = python(ROOT / "experiments" / "tail.py", ROOT / "configs" / "smoke.toml", "--class", "E",
                 "--scenario", "baseline", "--paths", "512", "--pilot", "128", "--runs", "2")
    assert "VaR" in out and "equal seconds" in out


def run_notebook(name, *smaller):
    """Names left by a notebook's cells, run with `smaller` = (text, what stands in its place)."""
    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text())["cells"]
    assert all(not cell.get("outputs") for cell in cells)
    code, names = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"], {}
    for text, instead in smaller:
        assert any(text in cell for cell in code), text
        code = [cell.replace(text, instead) for cell in code]
    for cell in code:
        exec(cell, names)
    return names


@pytest.mark.slow
def test_notebook_quickstart():
    assert run_notebook("quickstart")["gradient"].shape == (60,)


@pytest.mark.slow
def test_notebook_sensitivity():
    names = run_notebook("sensitivity", ("obligors=40", "obligors=8"), ("paths=200", "paths=32"),
                         ("paths=16", "paths=4"))
    assert abs(names["table"]["share of CVaR"].sum() - 1.0) < 1e-9


@pytest.mark.slow
def test_notebook_reverse_stress():
    names = run_notebook("reverse_stress", ("obligors=40", "obligors=24"),
                         ("answers=2", "answers=1"), ("draws=256", "draws=64"))
    assert all(row["reached"] for row in names["found"].rows)


@pytest.mark.slow
def test_notebook_structuring():
    names = run_notebook("structuring", ("paths=256, checks=512", "paths=128, checks=128"))
    assert len(names["found"].rows) == 3


@pytest.mark.slow
def test_notebook_correlation():
    names = run_notebook("correlation")
    assert names["shares"].share.sum() == pytest.approx(1.0) and len(names["pairs"]) == 6


@pytest.mark.slow
def test_notebook_backtest():
    assert run_notebook("backtest")["ranked"].auc > 0.5


@pytest.mark.parametrize("name", ["quickstart", "smoke", "baa"])
def test_every_config_assembles(name):
    if name == "baa":
        pytest.importorskip("arch")
    a = assemble(*read_config(ROOT / "configs" / f"{name}.toml"))
    assert len(a.scenarios) == len(a.config.scenarios)
    if name == "baa":
        assert "credit_spread_ig" in a.setup.series

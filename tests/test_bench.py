"""The benchmark: rows with every field, names refused, a failing case that stops no other."""

import json
import math
import os
import pathlib
import re
import subprocess
import sys

import pytest

from clo_gen.bench import measure, suite
from clo_gen.bench.cases import CASES, GROWTH
from clo_gen.io.problems import InputError
from clo_gen.terminal import bench as terminal_bench

ROOT = pathlib.Path(__file__).parent.parent
FIELDS = {"case", "sizes", "unit", "work", "compile_s", "median_s", "spread_s", "per_s",
          "temporaries_mb", "peak_mb", "devices", "platform", "dtype", "commit", "machine", "jax"}


def judge(row, name):
    assert row.keys() >= FIELDS and row["case"] == name
    assert row["work"] > 0 and row["median_s"] > 0
    assert row["peak_mb"] is None if row["unit"] == "starts" else row["peak_mb"] > 50
    assert row["per_s"] == pytest.approx(row["work"] / row["median_s"], rel=1e-2)
    assert re.fullmatch(r"[0-9a-f]{7,}(-dirty)?|unknown", row["commit"])
    assert row["machine"].endswith("cores") and json.loads(json.dumps(row)) == row


@pytest.mark.parametrize("name", ["random-numbers", "help",
                                  pytest.param("hypo-formula-1k", marks=pytest.mark.slow)])
def test_a_row_has_every_field(name, tmp_path):
    judge(measure.row(name, CASES[name].build(0.01, tmp_path)), name)


def test_unknown_cases_are_refused_with_all_of_them():
    with pytest.raises(InputError, match="--cases: markov-2k, warp; want some of random-numbers"):
        suite.chosen("markov-2k,run-1k,warp", 1.0)
    for scale in (0.0, -1.0, math.nan):
        with pytest.raises(InputError, match="--scale"):
            suite.bench_job("help", scale)
    assert suite.chosen(" help, run-1k,help", 0.1) == ["help", "run-1k"]
    assert suite.chosen(None, 1.0) == list(CASES)
    assert "hypo-discrete-100k" not in suite.chosen(None, 0.5)


def pretends(rows, monkeypatch):
    """Lets each case's process print rows[name], or fail with that text."""
    def command(name, scale):
        print_it = f"print({json.dumps(rows[name])!r})"
        fail = f"import sys; print('first', file=sys.stderr); sys.exit({rows[name]!r})"
        return [sys.executable, "-c", fail if isinstance(rows[name], str) else print_it]

    monkeypatch.setattr(suite, "_command", command)


def made_up(name, **more):
    return {"case": name, "sizes": {"paths": 8}, "unit": "loan-months", "work": 10,
            "compile_s": 1.0, "median_s": 2.0, "spread_s": 0.1, "per_s": 5.0, "temporaries_mb": 3,
            "peak_mb": 400, **measure.where()} | more


def test_a_failing_case_is_a_row_and_the_rest_goes_on(monkeypatch, tmp_path):
    pretends({"markov-1k": "ValueError: no such thing", "waterfall": made_up("waterfall")},
             monkeypatch)
    rows = suite.bench_job("markov-1k,waterfall", out=tmp_path / "out")
    assert rows[0]["error"] == "ValueError: no such thing" and rows[0]["commit"]
    assert rows[1]["per_s"] == 5.0
    lines = (tmp_path / "out" / "bench.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert (tmp_path / "out" / "bench.png").exists()
    assert terminal_bench.table(rows).row_count == 2
    assert "markov-1k failed: ValueError: no such thing" in list(terminal_bench.notes(rows, None))
    with pytest.raises(InputError, match="exists already"):
        suite.bench_job("waterfall", out=tmp_path / "out")


def test_growth_is_told_in_multiples(monkeypatch, tmp_path):
    rows = {"growth": made_up("growth"), "growth-paths": made_up("growth-paths", median_s=19.0),
            "growth-loans": made_up("growth-loans", median_s=21.0, peak_mb=440)}
    pretends(rows, monkeypatch)
    found = suite.grown(suite.bench_job(growth=True, out=tmp_path / "out"))
    assert [row["time"] for row in found] == [1.0, 9.5, 10.5]
    assert [row["memory"] for row in found] == pytest.approx([1.0, 1.0, 1.1])
    assert (tmp_path / "out" / "bench_growth.png").exists()
    assert terminal_bench.growth_table(found).row_count == 3
    pretends(rows | {"growth-loans": "killed"}, monkeypatch)
    assert suite.grown(suite.bench_job(growth=True)) == []


def test_every_case_of_the_table_exists():
    """Rows of BENCHMARKS.md whose first cell starts with a name in backticks."""
    named = re.findall(r"(?m)^\| *`([\w-]+)`", (ROOT / "BENCHMARKS.md").read_text())
    assert set(named) <= {*CASES, *GROWTH}


@pytest.mark.slow
def test_the_command_measures_and_says_what_failed(tmp_path):
    def bench(*arguments):
        return subprocess.run([sys.executable, "-m", "clo_gen", "bench", *arguments], cwd=tmp_path,
                              capture_output=True, text=True, env=os.environ | {
                                  "PYTHONWARNINGS": "ignore"})

    done = bench("--cases", "help,run-1k", "--scale", "0.01", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "1/2 help" in done.stderr and "run-1k" in done.stdout
    lines = (tmp_path / "out" / "bench.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    judge(rows[1], "run-1k")
    assert rows[1]["sizes"]["months"] == 60 and rows[1]["sizes"]["dates"] == 20
    assert bench("--cases", "warp").returncode == 2
    listed = bench("--list").stdout
    assert all(name in listed for name in CASES)

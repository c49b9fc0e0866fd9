"""Broken files of every kind: each is refused with an InputError or accepted, never anything else.

5,000 deterministic changes of shipped and constructed files go through the steps that the commands
take up to what is compiled (marked slow); the first hundred or so run by default.
"""

import os
import pathlib
import random
import signal
import time
import traceback
import warnings

import mutation_targets
import mutations
import pytest

from clo_gen.io.problems import InputError

ALL = 5_000
FEW = 110
LIMIT = 10  # seconds of computing, six times as much of waiting


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    return mutation_targets.targets(tmp_path_factory.mktemp("once"))


def mutated(target, number):
    """(name of the file, operator, its bytes) of one change of a target."""
    r = random.Random(f"{target.name}/{number}")
    name = r.choice(sorted(target.broken))
    change = r.choice(mutations.BYTES + tuple(target.broken[name]))
    return name, change.__name__, change(target.files[name], r)


def outcome(target, number, folder):
    """("refused", message), ("accepted", "") or ("failed", what happened) of one change."""
    name, change, data = mutated(target, number)
    for file, content in (target.files | {name: data}).items():
        (folder / file).write_bytes(content)
    start, here = time.perf_counter(), pathlib.Path.cwd()
    os.chdir(folder)
    for kind_of_limit in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(kind_of_limit, _too_long)
    signal.alarm(6 * LIMIT)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            target.read(folder)
        found = "accepted", ""
    except InputError as error:
        found = "refused", str(error)
    except BaseException:
        found = "failed", traceback.format_exc()
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.chdir(here)
    took = time.perf_counter() - start
    left = {path.name for path in folder.iterdir()} - set(target.files)
    if left:
        found = "failed", f"left on disk: {left}"
    if found[0] == "refused" and (len(found[1]) > 60_000 or "\x1b" in found[1]):
        found = "failed", f"an unfit message: {found[1][:300]!r}"
    return *found, f"{target.name}, {name}, change {number} ({change})", took


def _too_long(*_):
    raise TimeoutError(f"over {LIMIT} s")


def run_changes(targets, count, folder):
    """{target: {"refused": n, "accepted": n}}; fails with every change that failed."""
    counts, failed, slowest = {}, [], 0.0
    names = list(targets)
    for n in range(count):
        target = targets[names[n % len(names)]]
        kind, text, place, took = outcome(target, n // len(names), folder)
        slowest = max(slowest, took)
        counts.setdefault(target.name, {"refused": 0, "accepted": 0, "failed": 0})[kind] += 1
        if kind == "failed":
            failed.append(f"{place}\n{text}")
        for file in folder.iterdir():
            file.unlink()
    assert not failed, f"{len(failed)} of {count} changes failed\n" + "\n".join(failed)
    return counts, slowest


def test_a_hundred_broken_files(targets, tmp_path):
    counts, _ = run_changes(targets, FEW, tmp_path)
    assert sum(c["refused"] for c in counts.values()) > FEW / 2
    assert sum(sum(c.values()) for c in counts.values()) == FEW


def test_the_files_are_accepted_as_they_are(targets, tmp_path):
    for target in targets.values():
        for name, data in target.files.items():
            (tmp_path / name).write_bytes(data)
        target.read(tmp_path)
        for file in tmp_path.iterdir():
            file.unlink()


@pytest.mark.slow
def test_five_thousand_broken_files(targets, tmp_path):
    counts, slowest = run_changes(targets, ALL, tmp_path)
    for name, c in counts.items():
        print(f"{name:24} {c['refused']:4} refused {c['accepted']:4} accepted")
        assert c["refused"] > 0, name
    total = {kind: sum(c[kind] for c in counts.values()) for kind in ("refused", "accepted")}
    print(f"{total}, slowest {slowest:.2f} s")
    assert sum(total.values()) == ALL and min(total.values()) > ALL / 10


COMMANDS = {
    "deal.toml": ["deal", "check", "deal.toml"],
    "oracle.json": ["waterfall", "oracle.json", "--out", "out.json"],
    "hypo.csv": ["hypo", "hypo.csv", "--out", "out.csv"],
    "config.toml": ["run", "config.toml", "--out", "out"],
    "tape.csv": ["quality", "tape.csv", "--limits", "limits.toml", "--cutoff", "2025-10-15",
                 "--out", "out.csv"],
    "training.toml": ["train", "training.toml", "--out", "out"],
    "backtest.toml": ["backtest", "backtest.toml", "--out", "out"],
}


@pytest.mark.slow
def test_commands_refuse_with_exit_code_2_and_leave_nothing(targets, tmp_path, monkeypatch):
    """Changes that the readers refuse, through the whole command; 8 of each command."""
    from typer.testing import CliRunner

    from clo_gen.cli import app

    by_file = {"deal.toml": "deal us_2016", "oracle.json": "oracle H7_call.json",
               "hypo.csv": "hypo table", "config.toml": "run", "tape.csv": "tape",
               "training.toml": "training stage1.toml", "backtest.toml": "backtest.toml"}
    monkeypatch.chdir(tmp_path)
    for file, arguments in COMMANDS.items():
        target, done = targets[by_file[file]], 0
        for number in range(200):
            name, _, data = mutated(target, number)
            kind, *_ = outcome(target, number, tmp_path)
            for path in tmp_path.iterdir():
                path.unlink()
            if kind != "refused" or done == 8:
                continue
            files = target.files | {name: data}
            if len(files) == 1:  # under the name that the command is given
                files = {file: data}
            if file == "tape.csv":
                files["limits.toml"] = targets["limits"].files["l.toml"]
            for path, content in files.items():
                (tmp_path / path).write_bytes(content)
            found = CliRunner().invoke(app, arguments)
            assert found.exit_code == 2, (target.name, number, found.exception, found.output)
            assert found.stderr.strip() and "Traceback" not in found.output
            assert {p.name for p in tmp_path.iterdir()} == set(files), (target.name, number)
            for path in tmp_path.iterdir():
                path.unlink()
            done += 1
        assert done == 8, file

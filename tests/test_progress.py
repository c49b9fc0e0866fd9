"""What a command says while it works, on a terminal and in a pipe."""

import io

import pytest
from rich.console import Console

from clo_gen.terminal import path_progress, progress


def test_a_pipe_gets_each_stage_once(capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with progress.stages("reading") as update:
        for text in ("slopes, 8 of 64 paths", "slopes, 16 of 64 paths", "writing", "writing",
                     "slopes, 24 of 64 paths"):
            update(text)
    said = capsys.readouterr()
    assert said.err.splitlines() == ["reading", "slopes, 8 of 64 paths", "writing",
                                     "slopes, 24 of 64 paths"]
    assert said.out == ""


def test_a_terminal_gets_a_spinner(capsys, monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(progress, "Console", lambda **k: Console(
        file=screen, force_terminal=True, width=40))
    with progress.stages("reading") as update:
        update("writing")
    assert "writing" in screen.getvalue() and capsys.readouterr() == ("", "")


@pytest.fixture
def clock(monkeypatch):
    """The seconds that the progress of paths sees, [now]."""
    now = [100.0]
    monkeypatch.setattr(path_progress.time, "monotonic", lambda: now[0])
    return now


def test_a_pipe_gets_lines_of_paths_with_rate_and_time_left(capsys, monkeypatch, clock):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with path_progress.PathProgress() as progress:
        progress.stage("compiling")
        clock[0] += 30.0  # a compiler's seconds are in no rate
        progress.start(1000, 5000)
        progress.stage("simulating")
        for _ in range(3):
            clock[0] += 4.0
            progress.block("adverse", 400)
        progress.block("adverse", 400)  # in the same second: no line
        clock[0] += 10.0
        progress.block("baseline", 4000)  # more than is left, of the last block
    said = capsys.readouterr()
    assert said.out == "" and said.err.splitlines() == [
        "compiling", "1,000 of 5,000 paths are there", "simulating",
        "adverse: 2,200/5,000 paths, 100 a second, 28 s left",
        "baseline: 5,000/5,000 paths, 255 a second, 0 s left"]


def test_a_terminal_gets_a_bar_of_paths(capsys, monkeypatch, clock):
    screen = io.StringIO()
    monkeypatch.setattr(path_progress, "Console", lambda **k: Console(
        file=screen, force_terminal=True, width=100))
    with path_progress.PathProgress() as progress:
        progress.start(1000, 5000)
        progress.stage("simulating")
        clock[0] += 2.0
        progress.block("adverse", 400)
        progress.bar.refresh()
        assert progress.bar.tasks[0].percentage == pytest.approx(28.0)
    assert "1,400/5,000 paths, 200 a second" in screen.getvalue()
    assert capsys.readouterr() == ("", "")


def test_quiet_progress_says_nothing(capsys):
    with path_progress.PathProgress(quiet=True) as progress:
        progress.stage("simulating")
        progress.start(8, 16)
        progress.block("adverse", 8)
    assert capsys.readouterr() == ("", "")

"""What a command says while it works, on a terminal and in a pipe."""

import io

from rich.console import Console

from clo_gen.terminal import progress


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

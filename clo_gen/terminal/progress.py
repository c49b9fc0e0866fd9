"""What the command line shows while it works, on stderr."""

import contextlib
import re
import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextlib.contextmanager
def stages(first):
    """Yields update(text), which names the stage a command is in; `first` is the first one's name.

    On a terminal a spinner shows the latest text. Elsewhere each stage is said once, as a line of
    stderr; a text that differs from the last one in its numbers alone is no new stage.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(first) as status:
            yield status.update
        return
    words = None

    def update(text):
        nonlocal words
        if (now := re.sub(r"[\d.,]+", "", text)) != words:
            words = now
            print(text, file=sys.stderr, flush=True)

    update(first)
    yield update


class EpochProgress:
    """Context manager with a bar of training epochs; lines of levels where there is no terminal."""

    def __init__(self, first, total=None, quiet=False):
        columns = (TextColumn("{task.description:<18}"), BarColumn(),
                   TextColumn("{task.fields[at]}"), TimeElapsedColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, transient=True, console=Console(stderr=True), disable=quiet)
        self.speaks = not quiet and not self.bar.console.is_terminal
        self.task = self.bar.add_task(first, total=total, at="")

    def __enter__(self):
        self.bar.start()
        return self

    def __exit__(self, *_):
        self.bar.stop()

    def stage(self, text):
        """A stage before or after training."""
        self.bar.update(self.task, description=text)
        if self.speaks:
            print(text, file=sys.stderr, flush=True)

    def level(self, name, epochs):
        """Training of level `name` begins."""
        self.bar.reset(self.task, description=name, total=epochs, at="compiling")
        if self.speaks:
            print(f"training {name}, {epochs} epochs", file=sys.stderr, flush=True)

    def report(self, row):
        """`row` of train.loop.fit: epoch and held-out score."""
        self.bar.update(self.task, completed=row["epoch"],
                        at=f"epoch {row['epoch']}, held-out {row['held_out']:.5g}")

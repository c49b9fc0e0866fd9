"""Progress of a simulation: a bar with rate and time left, or lines where there is no terminal."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

EVERY = 10.0  # seconds between lines where there is no terminal


class PathProgress:
    """Context manager that shows what a run reports."""

    def __init__(self, quiet=False):
        columns = (TextColumn("{task.description:<28}"), BarColumn(),
                   TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
        self.bar = Progress(*columns, transient=True, console=Console(stderr=True))
        self.live = self.bar.console.is_terminal and not quiet
        self.quiet = quiet
        self.done = self.total = self.fresh = 0
        self.started = self.last = time.monotonic()

    def __enter__(self):
        if self.live:
            self.bar.start()
            self.task = self.bar.add_task("starting", total=None, rate="")
        return self

    def __exit__(self, *_):
        if self.live:
            self.bar.stop()

    def stage(self, text):
        self.started = self.last = time.monotonic()
        if self.live:
            self.bar.update(self.task, description=text)
        else:
            self._line(text)

    def start(self, done, total):
        """`done` of `total` paths are on disk from before."""
        self.done, self.total = done, total
        if self.live:
            self.bar.update(self.task, completed=done, total=total)
        elif done:
            self._line(f"{done:,} of {total:,} paths are there")

    def block(self, name, paths):
        """`paths` more are done, of scenario `name`."""
        self.fresh += paths
        done, now = min(self.done + self.fresh, self.total), time.monotonic()
        per_s = self.fresh / max(now - self.started, 1e-9)
        rate = f"{done:,}/{self.total:,} paths, {per_s:,.0f} a second"
        if self.live:
            self.bar.update(self.task, completed=done, description=name, rate=rate)
        elif now - self.last >= EVERY:
            self.last = now
            self._line(f"{name}: {rate}, {(self.total - done) / per_s:,.0f} s left")

    def _line(self, text):
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

"""Where a command's results go: to a reader, to a program (--json) or nowhere (--quiet)."""

import contextlib
import json
import sys

from clo_gen.io.json_data import plain


class Screen:
    """Tables and lines for a reader; with `as_json` one JSON object on stdout instead; with `quiet`
    only the name of what was written. Progress and complaints go to stderr in any case."""

    def __init__(self, as_json=False, quiet=False):
        self.as_json, self.quiet = as_json, quiet
        self.silent = as_json or quiet

    def show(self, *tables):
        """Prints rich tables."""
        if not self.silent:
            from clo_gen.terminal import console

            for table in tables:
                console.show(table)

    def say(self, *lines):
        """Prints lines as they are."""
        if not self.silent:
            from clo_gen.terminal import console

            for line in lines:
                console.say(line)

    def result(self, data, written=None):
        """Ends a command: `data` for --json, the name of what was `written` for both."""
        if self.as_json:
            data = data if isinstance(data, dict) else {"rows": data}
            where = {} if written is None else {"written": str(written)}
            json.dump(plain(data | where), sys.stdout, indent=2, allow_nan=False, default=str)
            print()
        elif self.quiet and written is not None:
            print(written)

    def stages(self, first):
        """Context manager that yields update(text), the stage a command is in."""
        if self.quiet:
            return contextlib.nullcontext(lambda text: None)
        from clo_gen.terminal.progress import stages

        return stages(first)

    def paths(self):
        """Context manager: progress of a simulation (terminal.path_progress.PathProgress)."""
        from clo_gen.terminal.path_progress import PathProgress

        return PathProgress(quiet=self.quiet)

    def epochs(self, first, total=None):
        """Context manager: progress of training (terminal.progress.EpochProgress)."""
        from clo_gen.terminal.progress import EpochProgress

        return EpochProgress(first, total, quiet=self.quiet)

"""The command line: `clo-gen` or `python -m clo_gen`.

`app.py` has what all commands share; the commands stand in files by theme. A command reads, calls
the library and prints. Heavy imports stand inside the functions, so that help and complaints come
at once.
"""

import os  # noqa: I001
import sys

# In the order of the help page.
from clo_gen.cli import runs, deals, analyses, levels, scenarios, history, data  # noqa: F401
from clo_gen.cli.app import app


def main():
    """Entry point of `clo-gen`."""
    try:
        app(prog_name="clo-gen")
    except SystemExit as end:
        if end.code == 3:
            _leave(3)
        raise


def _leave(code):
    """Ends the process at once: XLA may still be compiling on a thread of its own, under which the
    usual end of Python crashes."""
    sys.stdout.flush()
    sys.stderr.flush()
    if distributed := getattr(sys.modules.get("jax"), "distributed", None):
        distributed.shutdown()  # waits for the other processes of a run: they need the first one
    os._exit(code)

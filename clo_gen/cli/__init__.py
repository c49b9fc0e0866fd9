"""The command line: `clo-gen` or `python -m clo_gen`.

`app.py` has what all commands share; the commands stand in files by theme. A command reads, calls
the library and prints. Heavy imports stand inside the functions, so that help and complaints come
at once.
"""

# In the order of the help page.
from clo_gen.cli import runs, deals, analyses, levels, scenarios, history  # noqa: F401, I001
from clo_gen.cli.app import app


def main():
    """Entry point of `clo-gen`."""
    app(prog_name="clo-gen")

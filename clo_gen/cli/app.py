"""What all commands share: the app, options for output, exit codes, set-up of jax.

Exit codes: 0 done, 1 a part failed (bench), 2 bad input, 3 stopped (Ctrl-C, a full disk) and
resumable.
"""

import functools
import hashlib
import inspect
import os
import pathlib
import platform
import sys
from typing import Annotated

import typer

from clo_gen.terminal.screen import Screen

RUNS, DEALS, RISK, LEVELS, CHECKS, DATA = (
    "Runs", "Deals and pools", "Questions to the graph", "Learned levels and macro paths",
    "Calibration, backtests, speed", "Data in and out")

COMPILED_BYTES = 1_000_000_000  # of compiled programs that are kept; the oldest go first

app = typer.Typer(add_completion=True, no_args_is_help=True, pretty_exceptions_enable=False,
                  rich_markup_mode="rich", help="CLO and private-credit portfolios in JAX.",
                  context_settings={"help_option_names": ["-h", "--help"]})


def _version(asked: bool):
    if asked:
        from clo_gen import __version__

        print(f"clo_gen {__version__}")
        raise typer.Exit()


_Version = Annotated[bool, typer.Option(
    "--version", help="Print the version and exit.", callback=_version, is_eager=True)]


@app.callback()
def _root(version: _Version = False):
    """CLO and private-credit portfolios in JAX."""


_OUTPUT = "Output"
_COMMON = tuple(
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[
        bool, typer.Option(f"--{name.removesuffix('_')}", help=text, rich_help_panel=_OUTPUT)])
    for name, text in (
        ("json_", "Print one JSON object instead of tables."),
        ("quiet", "Print only the name of what was written; no progress."),
        ("debug", "Full traceback for bad input.")))


def command(to, panel=None, name=None):
    """Registers a function (screen, arguments ...) as a command of the typer app `to`.

    Every command gets --json, --quiet and --debug, and the exit codes above. An "Examples:" part of
    its docstring keeps its lines.
    """

    def register(action):
        own = list(inspect.signature(action).parameters.values())[1:]

        def run(*, json_, quiet, debug, **arguments):
            if json_ and quiet:
                print("--json and --quiet: want one of them", file=sys.stderr)
                raise typer.Exit(2)
            _guard(debug, action, Screen(as_json=json_, quiet=quiet), arguments)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + [*_COMMON]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        run.__name__, run.__module__ = action.__name__, action.__module__
        run.__doc__ = _help(inspect.cleandoc(action.__doc__))
        to.command(name or action.__name__.replace("_", "-"), rich_help_panel=panel)(run)
        return action

    return register


def sharing(shared):
    """Decorator for commands that have the options of the function `shared` beside their own.

    `shared(screen, then, option, ...)` does what the commands have in common and calls `then(...)`;
    what it hands to `then` are the first arguments of the decorated function, those without an
    annotation. The options of both are the command's.
    """
    first, _, *common = inspect.signature(shared).parameters.values()

    def decorate(action):
        own = [p for p in inspect.signature(action).parameters.values()
               if p.annotation is not p.empty]

        def run(screen, **arguments):
            asked = {p.name: arguments.pop(p.name) for p in own}
            shared(screen, functools.partial(action, **asked), **arguments)

        both = sorted([*own, *common], key=lambda p: p.default is not p.empty)
        run.__signature__ = inspect.Signature([first, *(p.replace(  # type: ignore[attr-defined]
            kind=inspect.Parameter.KEYWORD_ONLY) for p in both)])
        run.__name__, run.__module__, run.__doc__ = (
            action.__name__, action.__module__, action.__doc__)
        return run

    return decorate


def _help(text):
    """The docstring with its examples as lines that are not rewrapped."""
    about, _, examples = text.partition("\nExamples:\n")
    lines = "".join(f"\n  {line}" for line in examples.splitlines())
    return f"{about}\n\n\b\nExamples:{lines}" if examples else about


def _guard(debug, action, screen, arguments):
    """Runs a command; one message and an exit code for what went wrong by input or by Ctrl-C."""
    from clo_gen.io.problems import InputError, WriteError

    try:
        action(screen, **arguments)
    except InputError as error:
        if debug:
            raise
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    except WriteError as error:
        if debug:
            raise
        print(error, file=sys.stderr)
        raise typer.Exit(3) from None
    except KeyboardInterrupt as stop:
        # An action that can be resumed says how.
        print(f"\ninterrupted: {str(stop) or 'nothing was written'}", file=sys.stderr)
        raise typer.Exit(3) from None


def overrides(set_, *, tape=None, deal=None, **values):
    """`key=value` texts of --set and of the options that stand for config values; None is left
    out."""
    out = list(set_ or [])
    out += [f"tape={{file={str(tape.resolve())!r}}}"] if tape is not None else []
    out += [f"deal={str(deal.resolve())!r}"] if deal is not None else []
    return out + [f"{key}={value}" for key, value in values.items() if value is not None]


def set_up_jax():
    """Double precision, and on a CPU one device a core, so that paths run in parallel.

    What takes long to compile is kept in the user's cache for the next time, unless jax was told
    where (JAX_COMPILATION_CACHE_DIR) or told not to (JAX_ENABLE_COMPILATION_CACHE=false).

    Two at least: XLA compiles the program of a single device another way, with other last bits.
    """
    import jax

    jax.config.update("jax_enable_x64", True)
    try:
        jax.config.update("jax_num_cpu_devices", max(2, len(os.sched_getaffinity(0))))
    except (AttributeError, RuntimeError):  # no affinity on this system, or jax already started
        pass
    told = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if not told and (folder := _compiled()) is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_compilation_cache_max_size", COMPILED_BYTES)


def _compiled():
    """Folder of compiled programs, for this kind of processor: a home may be shared by several.
    None for a user without a home."""
    try:
        home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    except RuntimeError:
        return None
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        about = sorted({line for line in lines if line.startswith(("flags", "Features", "model"))})
    except OSError:
        about = [platform.processor(), platform.machine()]
    return pathlib.Path(home) / "clo_gen" / hashlib.sha256(repr(about).encode()).hexdigest()[:12]

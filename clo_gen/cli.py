"""The command line: `clo-gen` or `python -m clo_gen`. The one place that sets up jax."""

import os
import pathlib
import sys
from typing import Annotated

import typer

app = typer.Typer(add_completion=True, no_args_is_help=True, pretty_exceptions_enable=False,
                  rich_markup_mode=None, help="CLO and private-credit portfolios in JAX.")


@app.callback()
def _root():
    """CLO and private-credit portfolios in JAX."""


def _set_up_jax():
    """Double precision, and on a CPU one device a core, so that paths run in parallel."""
    import jax

    jax.config.update("jax_enable_x64", True)
    try:
        jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))
    except (AttributeError, RuntimeError):  # no affinity on this system, or jax already started
        pass


@app.command()
def run(
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Run config (TOML); without it the shipped quickstart.")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(
        help="Run folder, instead of runs/<name>; never overwritten.")] = None,
    tape: Annotated[pathlib.Path | None, typer.Option(
        help="Your loan tape (CSV or Parquet), instead of the config's.")] = None,
    deal: Annotated[pathlib.Path | None, typer.Option(
        help="Your deal (TOML), instead of the config's.")] = None,
    paths: Annotated[int | None, typer.Option(help="Paths a scenario.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw.")] = None,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", metavar="KEY=VALUE", help="Any config value, e.g. --set macro.lags=3.")] = None,
    debug: Annotated[bool, typer.Option(help="Full traceback for bad input.")] = False,
):
    """Simulate a deal under scenarios and write a run folder.

    Examples: clo-gen run; clo-gen run --tape my.csv --deal my_deal.toml --paths 200;
    clo-gen run my.toml --set prepayment.cpr=0.15
    """
    overrides = list(set_ or [])
    overrides += _overrides(tape, deal)
    overrides += [f"paths={paths}"] if paths is not None else []
    overrides += [f"seed={seed}"] if seed is not None else []
    _guard(debug, _run, config, out, overrides)


deal_app = typer.Typer(no_args_is_help=True, help="Look at deal files.")
app.add_typer(deal_app, name="deal")
_DEBUG = Annotated[bool, typer.Option(help="Full traceback for bad input.")]


@app.command()
def waterfall(
    file: Annotated[pathlib.Path, typer.Argument(
        help="A deal with its collections (JSON, clo_waterfall_oracle_v1), or a deal (TOML).")],
    collections: Annotated[pathlib.Path | None, typer.Option(
        help="Cash of every payment period (CSV), for a TOML deal.")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(
        help="Where every payment goes: .json or .csv.")] = None,
    rate: Annotated[float, typer.Option(
        min=-0.5, max=10.0, help="Flat yearly rate at which classes are priced.")] = 0.07,
    show: Annotated[bool, typer.Option(
        "--show", help="Only print the steps, written out.")] = False,
    debug: _DEBUG = False,
):
    """Distribute given collections: every payment of every class, fee and account.

    Examples: clo-gen waterfall deal.json --out payments.json;
    clo-gen waterfall deal.toml --collections c.csv --out t.csv; clo-gen waterfall --show deal.toml
    """
    if show:
        _guard(debug, _show, file)
    else:
        _guard(debug, _waterfall, file, collections, out, rate)


@deal_app.command("check")
def deal_check(
    file: Annotated[pathlib.Path, typer.Argument(help="The deal (TOML).")], debug: _DEBUG = False,
):
    """Explain a deal in words, with every problem found.

    Example: clo-gen deal check my_deal.toml
    """
    _guard(debug, _check, file)


@app.command("break-even")
def break_even(
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Run config (TOML) that names pool and deal; without it the quickstart.")] = None,
    cpr: Annotated[list[float], typer.Option(
        help="Yearly prepayment rate; repeat for several.")] = (0.10, 0.20, 0.30),
    severity: Annotated[list[float], typer.Option(
        help="Share of par lost in default; repeat for several.")] = (0.40, 0.55, 0.70),
    tape: Annotated[pathlib.Path | None, typer.Option(help="Your loan tape.")] = None,
    deal: Annotated[pathlib.Path | None, typer.Option(help="Your deal (TOML).")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(help="CSV of the table.")] = None,
    debug: _DEBUG = False,
):
    """First-loss CDR: the highest constant default rate at which each class is paid in full.

    Example: clo-gen break-even --cpr 0.2 --severity 0.5 --severity 0.6
    """
    _guard(debug, _break_even, config, _overrides(tape, deal), cpr, severity, out)


@app.command()
def hypo(
    file: Annotated[pathlib.Path, typer.Argument(
        help="Deals (CSV, one a row), or one deal (TOML).")],
    out: Annotated[pathlib.Path | None, typer.Option(
        help="results.csv; for one deal also a new folder for its obligors and pictures.")] = None,
    debug: _DEBUG = False,
):
    """Hypo pools: the worst pool that each deal's limits still allow.

    Examples: clo-gen hypo deals.csv --out results.csv; clo-gen hypo deal.toml --out pool
    """
    _guard(debug, _hypo, file, out)


@app.command()
def quality(
    tape: Annotated[pathlib.Path, typer.Argument(help="Your loan tape (CSV or Parquet).")],
    limits: Annotated[pathlib.Path, typer.Option(help="The deal's limits (TOML).")],
    cutoff: Annotated[str, typer.Option(help="Date of the test, such as 2025-10-15.")],
    before: Annotated[pathlib.Path | None, typer.Option(
        help="Tape of an earlier portfolio, for maintain or improve.")] = None,
    columns: Annotated[pathlib.Path | None, typer.Option(
        help="Column map (TOML) of a tape with other headers.")] = None,
    out: Annotated[pathlib.Path | None, typer.Option(help="CSV of every test.")] = None,
    debug: _DEBUG = False,
):
    """Collateral quality and concentration tests of a tape.

    Example: clo-gen quality tape.csv --limits limits.toml --cutoff 2025-10-15
    """
    _guard(debug, _quality, tape, limits, cutoff, before, columns, out)


def _overrides(tape, deal):
    out = [f"tape={{file={str(tape.resolve())!r}}}"] if tape is not None else []
    return out + ([f"deal={str(deal.resolve())!r}"] if deal is not None else [])


def _guard(debug, action, *args):
    """Exit code 2 and one message for bad input; 3 for an interrupted run."""
    from clo_gen.io.problems import InputError

    try:
        action(*args)
    except InputError as error:
        if debug:
            raise
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        print("\ninterrupted: nothing was written", file=sys.stderr)
        raise typer.Exit(3) from None


def _run(config_path, out, overrides):
    _set_up_jax()
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from clo_gen import terminal
    from clo_gen.io.config import read_config
    from clo_gen.run import main_job

    config, folder = read_config(config_path, overrides)
    console = Console()
    columns = (TextColumn("{task.description:<28}"), BarColumn(), TextColumn("{task.fields[rate]}"),
               TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        total = config.paths * len(config.scenarios)
        task = progress.add_task("starting", total=total, rate="")

        def on_block(name, done):
            before = config.paths * config.scenarios.index(name)
            progress.update(task, completed=before + done, description=name,
                            rate=f"{before + done:,}/{total:,} paths")

        summary, evaluation, written = main_job(
            config, folder, out, on_block=on_block,
            on_stage=lambda text: progress.update(task, description=text))
    console.print(terminal.run_table(summary))
    for line in terminal.run_notes(summary, evaluation, written):
        terminal.say(line)


def _show(file):
    from clo_gen.io.deal import read_deal
    from clo_gen.io.problems import InputError
    from clo_gen.io.standard import as_toml
    from clo_gen.terminal import say

    if file.suffix == ".json":
        raise InputError(f"{file}: --show writes out the lists of a deal file (.toml)")
    say(as_toml(read_deal(file).lists))


def _check(file):
    _set_up_jax()
    from clo_gen.explain import explain_deal
    from clo_gen.io.deal import read_deal
    from clo_gen.terminal import say

    say(explain_deal(read_deal(file)))


def _save(out, text):
    """Writes `out` in one go: the whole file or nothing."""
    from clo_gen.io.problems import InputError

    draft = out.with_name(out.name + ".partial")
    try:
        draft.write_text(text)
        draft.replace(out)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InputError(f"--out {out}: cannot be written ({error.strerror})") from None


def _waterfall(file, collections, out, rate):
    _set_up_jax()
    import json

    from clo_gen import terminal
    from clo_gen.io.problems import InputError
    from clo_gen.waterfall_job import as_json, as_table, distribute

    if out is not None and out.suffix not in (".json", ".csv"):
        raise InputError(f"--out {out}: want a name ending in .json or .csv")
    done = distribute(file, collections, rate=rate)
    if out is not None:
        text = (json.dumps(as_json(done), indent=1) if out.suffix == ".json"
                else as_table(done).to_csv(index=False))
        _save(out, text)
    terminal.show(terminal.distribution_table(done))
    for line in (*terminal.happened(done), *done.notes):
        terminal.say(line)
    terminal.say(f"in millions; cash in = cash out to {done.conservation_error:.1e} of par")
    if out is not None:
        terminal.say(f"every payment: {out}")


def _break_even(config_path, overrides, cpr, severity, out):
    _set_up_jax()
    import itertools

    import jax.numpy as jnp

    from clo_gen import terminal
    from clo_gen.assemble import assemble
    from clo_gen.break_even import compile_batch
    from clo_gen.io.config import read_config
    from clo_gen.io.problems import InputError

    for name, values in (("--cpr", cpr), ("--severity", severity)):
        for value in values:
            if not 0.0 <= value <= 1.0:
                raise InputError(f"{name} {value}: want a fraction in [0, 1]")
    config, folder = read_config(config_path, overrides)
    a = assemble(config, folder)
    pairs = list(itertools.product(cpr, severity))
    found = compile_batch(a.setup)(a.inputs, *(jnp.asarray(x) for x in zip(*pairs, strict=True)))
    rows = [{"cpr": c, "severity": s} | dict(zip(a.deal.classes, found.cdr[n].tolist(),
                                                 strict=False))
            for n, (c, s) in enumerate(pairs)]
    if out is not None:
        lines = [rows[0].keys(), *(row.values() for row in rows)]
        _save(out, "".join(",".join(map(str, line)) + "\n" for line in lines))
    terminal.show(terminal.break_even_table(a.deal.terms.name, rows))
    terminal.say(f"tape: {a.provenance['tape']['kind']} - {a.provenance['tape']['source']}; "
                 f"recovery after {a.setup.recovery_lag} months; indices stay where the curve or "
                 "the cut-off has them"
                 + ("" if found.converged.all() else "; not every search converged"))


def _hypo(file, out):
    _set_up_jax()
    from clo_gen import terminal
    from clo_gen.hypo_job import hypo_job, save
    from clo_gen.io.problems import InputError

    if out is not None and out.suffix != ".csv" and out.exists():
        raise InputError(f"--out {out}: exists; want the name of a new folder")
    report = hypo_job(file)
    if out is not None:
        save(report, out)
    terminal.show(terminal.hypo_table(report))
    for line in terminal.hypo_notes(report):
        terminal.say(line)
    if out is not None:
        terminal.say(f"written to {out}")


def _quality(tape, limits, cutoff, before, columns, out):
    _set_up_jax()
    from clo_gen import terminal
    from clo_gen.quality_job import as_table, quality_job

    report = quality_job(tape, limits, cutoff=cutoff, out=out, before=before, columns=columns)
    terminal.show(as_table(report.rows))
    for line in report.notes:
        terminal.say(line)


def main():
    """Entry point of `clo-gen`."""
    app(prog_name="clo-gen")

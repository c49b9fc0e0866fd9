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
    overrides += [f"tape={{file={str(tape.resolve())!r}}}"] if tape is not None else []
    overrides += [f"deal={str(deal.resolve())!r}"] if deal is not None else []
    overrides += [f"paths={paths}"] if paths is not None else []
    overrides += [f"seed={seed}"] if seed is not None else []
    _guard(debug, _run, config, out, overrides)


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
    _print_summary(console, summary, evaluation, written)


def _print_summary(console, summary, evaluation, written):
    from rich import box
    from rich.table import Table

    scenarios, deal = summary["scenarios"], summary["deal"]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left",
                  title=f"{deal['name']}: {summary['paths']:,} paths a scenario, "
                        f"{deal['currency']} {deal['par'] / 1e6:,.1f}m par")
    table.add_column("")
    table.add_column("enh.", justify="right")
    for name in scenarios:
        table.add_column(name.replace("_", " ", 1).replace(" ", "\n"), justify="right")
    for label, key in (("pool EL", "expected_loss"), ("  std. error", "std_error"),
                       ("pool VaR 99", "var_99"), ("pool CVaR 99", "cvar_99")):
        table.add_row(label, "", *(f"{s['portfolio'][key]:.2%}" for s in scenarios.values()))
    table.add_section()
    table.add_row("class", "", *("P(loss)  EL" for _ in scenarios))
    for tranche, enhancement in deal["credit_enhancement"].items():
        cells = (s["tranches"][tranche] for s in scenarios.values())
        table.add_row(tranche, f"{max(enhancement, 0):.1%}", *(
            f"{t['loss_probability']:.1%} {t['expected_loss']:5.1%}" for t in cells))
    console.print(table)
    for name, data in summary["data"].items():
        console.print(f"{name}: {data['kind']} - {data['source']}", highlight=False, markup=False)
    for text in deal["not_modelled"]:
        console.print(f"not modelled: {text}", highlight=False, markup=False)
    timing = summary["timing"]
    console.print(
        f"held-out: {evaluation['transitions']['verdict']}\n"
        f"cash in = cash out to {summary['cash_conservation_error']:.1e} of par; "
        f"fit {timing['fit_s']:.1f} s, compile {timing['compile_s']:.1f} s, "
        f"run {timing['run_s']:.1f} s\nwritten to {written} (open report.html)",
        highlight=False, markup=False)


def main():
    """Entry point of `clo-gen`."""
    app(prog_name="clo-gen")

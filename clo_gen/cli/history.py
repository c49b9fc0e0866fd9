"""Models against history, and speed."""

import pathlib
import sys
from typing import Annotated

import typer

from clo_gen.cli import options as o
from clo_gen.cli.app import CHECKS, app, command, overrides, set_up_jax


@command(app, CHECKS)
def calibrate(
    screen,
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Calibration config (TOML); without it the shipped one on embedded data.",
        show_default=False)] = None,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", metavar="KEY=VALUE", help="Any value, e.g. --set corporate.macro_block=24.")
    ] = None,
    out: o.Out = None,
):
    """Fit named parameters to historical figures (stage 3): before, after, target, interval.

    Examples:
    clo-gen calibrate
    clo-gen calibrate configs/calibrate_auto.toml
    clo-gen run --set calibration.run=runs/calibration
    """
    set_up_jax()
    from clo_gen.jobs import calibrate as job

    settings, folder = job.read_calibration(config, overrides(set_))
    with screen.stages("reading") as update:
        report, written = job.calibrate_job(settings, folder, out, on_stage=update)
    screen.show(*job.tables(report))
    screen.say(*job.lines_of(report, written))
    screen.result(job.as_json(report), written)


@command(app, CHECKS)
def backtest(
    screen,
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Backtest config (TOML); without it the shipped one on embedded data.",
        show_default=False)] = None,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", metavar="KEY=VALUE", help="Any value, e.g. --set ratings.paths=500.")] = None,
    out: o.Out = None,
):
    """Forecasts of default counts against real history: VaR exceptions, transforms, AUC, fits.

    Examples:
    clo-gen backtest
    clo-gen backtest configs/backtest_auto.toml --out auto
    clo-gen backtest --set classes.run=runs/quickstart
    """
    set_up_jax()
    from clo_gen.io.backtest_config import read_backtest
    from clo_gen.jobs import backtest as job
    from clo_gen.terminal import backtest as texts

    settings = read_backtest(config, overrides(set_))
    with screen.stages("reading") as update:
        report, written = job.backtest_job(settings, out, on_step=update)
    screen.show(*texts.tables(report))
    screen.say(*texts.notes(report, written))
    screen.result(job.as_json(settings, report), written)


@command(app, CHECKS)
def bench(
    screen,
    cases: Annotated[str | None, typer.Option(
        help="Names, such as run-1k,waterfall; without it all (some 20 minutes on 2 cores).")
    ] = None,
    scale: Annotated[float, typer.Option(
        help="Multiplies paths, deals and epochs.")] = 1.0,
    growth: Annotated[bool, typer.Option(
        "--growth", help="What 10 times the paths or the loans cost; with --cases, after them.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="Only print the cases.")] = False,
    out: Annotated[pathlib.Path | None, typer.Option(
        help="New folder for bench.jsonl and the pictures.")] = None,
):
    """Measure speed and memory on this machine, every case in a process of its own.

    Exit code 1 when a case failed.

    Examples:
    clo-gen bench --out bench
    clo-gen bench --cases run-1k,hypo-formula-10k
    clo-gen bench --growth
    """
    if list_:
        from clo_gen.bench.cases import CASES

        screen.say(*(f"{name:<20} {case.about}" for name, case in CASES.items()))
        screen.result({name: case.about for name, case in CASES.items()})
        return
    from clo_gen.bench import suite
    from clo_gen.terminal import bench as texts

    def on_case(number, total, name):
        if not screen.quiet:
            print(f"{number}/{total} {name}", file=sys.stderr, flush=True)

    rows = suite.bench_job(cases, scale, out, growth=growth, on_case=on_case)
    screen.show(texts.table(rows))
    if grown := suite.grown(rows):
        screen.show(texts.growth_table(grown))
    screen.say(*texts.notes(rows, out))
    screen.result({"cases": rows, "growth": grown}, out)
    if any("error" in row for row in rows):
        raise typer.Exit(1)

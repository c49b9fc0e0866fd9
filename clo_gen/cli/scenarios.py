"""Macro paths on their own: generated, conditioned, blended, replayed, drawn."""

import pathlib
from typing import Annotated

import typer

from clo_gen.cli import options as o
from clo_gen.cli.app import LEVELS, app, command, overrides, set_up_jax, sharing

scenario_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich",
    help="Macro paths: generate, condition, blend, replay, plot.")
app.add_typer(scenario_app, name="scenario", rich_help_panel=LEVELS)

@sharing
def macro_paths(
    screen,
    then,
    config: o.Config = None,
    trained: Annotated[pathlib.Path | None, typer.Option(
        help="Training run whose macro CVAE draws the paths; without it the config's generator.")
    ] = None,
    paths: Annotated[int, typer.Option(help="How many paths.")] = 500,
    months: Annotated[int | None, typer.Option(
        help="Length of a path; without it the deal's, so that a run can take the paths.")] = None,
    seed: o.Seed = None,
    set_: o.Set = None,
    out: o.Out = None,
):
    """A command gets draw(kind, its part of a jobs.scenario.Request) and its own options."""
    set_up_jax()
    from clo_gen.io.config import read_config
    from clo_gen.jobs import scenario as job
    from clo_gen.jobs.simulate import trained_values

    def draw(kind, **request):
        given = [*(trained_values(trained) if trained else ()), *overrides(set_, seed=seed)]
        read = read_config(config, given)
        with screen.stages("reading and fitting") as update:
            report, written = job.scenario_job(
                *read, job.Request(kind, paths=paths, months=months, **request), out,
                on_stage=update)
        screen.show(job.table(report))
        own = "" if config is None else f"{config} "
        screen.say(*report.notes, f"written to {written} (paths.csv, fan.png); a run on them: "
                   f"clo-gen run {own}--set macro.generator=paths "
                   f"--set macro.paths={written}/paths.csv "
                   f"--set 'scenarios=[\"{report.scenario}\"]'")
        screen.result(report.summary, written)

    then(draw)


@command(scenario_app)
@macro_paths
def generate(
    draw,
    scenario: Annotated[list[str] | None, typer.Option(
        help="Repeat for several; without it the config's scenarios.")] = None,
):
    """Macro paths of scenarios.

    Examples:
    clo-gen scenario generate --scenario baseline --scenario adverse
    clo-gen scenario generate --trained runs/stage1 --months 60
    """
    draw("generate", scenarios=tuple(scenario or ()))


@command(scenario_app)
@macro_paths
def condition(
    draw,
    at: Annotated[list[str] | None, typer.Option(
        metavar="SERIES@MONTH=VALUE", help="What has to hold: a value, or a range LOW..HIGH "
        "(fractions; months from 1); repeat for several.")] = None,
    scenario: o.Scenario = None,
):
    """Macro paths that all meet conditions, drawn from the model's law given them.

    Examples:
    clo-gen scenario condition --at gdp_growth_yoy@12=-0.04
    clo-gen scenario condition --at unemployment_rate@24=0.08..0.1
    """
    draw("condition", scenarios=(scenario,) if scenario else (), at=tuple(at or ()))


@command(scenario_app)
@macro_paths
def blend(
    draw,
    weight: Annotated[list[str] | None, typer.Option(
        metavar="SCENARIO@MONTH=WEIGHT", help="Weights by month, linear between; those of each "
        "month add up to 1; repeat.")] = None,
):
    """Macro paths of a scenario that turns into another over time.

    Examples:
    clo-gen scenario blend --weight baseline@1=1 --weight baseline@24=0 \\
        --weight adverse@1=0 --weight adverse@24=1
    """
    draw("blend", at=tuple(weight or ()))


@command(scenario_app)
@macro_paths
def replay(
    draw,
    start: Annotated[str, typer.Argument(help="First month of history to repeat: 2007-12.")],
    how: Annotated[str, typer.Option(
        help="differences: today plus what changed then; levels: the months as they were.")
    ] = "differences",
    held: Annotated[int | None, typer.Option(
        help="Months repeated; without it as many as history has.")] = None,
):
    """Macro paths that repeat history from a month on; the model goes on where it ends.

    Examples:
    clo-gen scenario replay 2007-12 --held 36
    """
    draw("replay", start=start, how=how, held=held)


@command(scenario_app)
def plot(
    screen,
    folders: Annotated[list[pathlib.Path], typer.Argument(
        help="Folders written by the commands above.")],
    out: Annotated[pathlib.Path, typer.Option(help="Picture: .png or .svg.")],
):
    """Fans of one or several sets of macro paths in one picture.

    Examples:
    clo-gen scenario plot runs/a runs/b --out fans.png
    """
    set_up_jax()
    from clo_gen.jobs.scenario import plot_job

    names = plot_job(folders, out)
    screen.say(f"{', '.join(names)}: written to {out}")
    screen.result({"sets": names}, out)


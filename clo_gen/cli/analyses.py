"""What a researcher asks of the graph: each command a table, a picture and a folder."""

import pathlib
from typing import Annotated

import typer

from clo_gen.cli import options as o
from clo_gen.cli.app import RISK, app, command, overrides, set_up_jax, sharing


@sharing
def analysis(
    screen,
    then,
    config: o.Config = None,
    tape: o.Tape = None,
    deal: o.Deal = None,
    seed: o.Seed = None,
    set_: o.Set = None,
    out: o.Out = None,
):
    """An analysis gets (screen, what read_config gave, --out) and its own options."""
    set_up_jax()
    from clo_gen.io.config import read_config

    then(screen, read_config(config, overrides(set_, tape=tape, deal=deal, seed=seed)), out)


@command(app, RISK)
@analysis
def sensitivity(
    screen, read, out,
    scenario: o.Scenario = None,
    paths: o.SystematicPaths = 64,
    temperature: o.Temperature = None,
    obligors: Annotated[int, typer.Option(help="How many of the largest obligors.")] = 10,
    bars: Annotated[int, typer.Option(help="How many of the largest bars are revalued.")] = 10,
    size: Annotated[list[str] | None, typer.Option(
        metavar="NAME=VALUE", help="A stated bump, e.g. --size macro=0.005.")] = None,
):
    """Sensitivities of pool and classes to every input, and what each loan adds to the losses.

    Examples:
    clo-gen sensitivity
    clo-gen sensitivity my.toml --scenario adverse --size fee=0.002
    """
    from clo_gen.analysis.settings import Settings
    from clo_gen.jobs import sensitivity as job
    from clo_gen.terminal import sensitivity as texts

    settings = Settings(paths=paths, temperature=temperature, obligors=obligors, bars=bars,
                        sizes=tuple(size or ()))
    with screen.stages("starting") as update:
        report, written = job.sensitivity_job(*read, scenario, settings, out, on_stage=update)
    screen.show(*texts.sensitivity_tables(report))
    screen.say(*texts.sensitivity_notes(report, written))
    screen.result(report.about | {"sensitivities": job.long_table(report).to_dict("records")},
                  written)


@command(app, RISK)
def attribute(
    screen,
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Run config (TOML) of the start; without it the shipped quickstart.",
        show_default=False)] = None,
    other: Annotated[pathlib.Path | None, typer.Argument(
        help="Run config of the end: another date, tape, deal or model.",
        show_default=False)] = None,
    start: Annotated[str | None, typer.Option(
        "--from", help="Scenario of the start; without it the config's first.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Scenario of the end.")] = None,
    paths: o.SystematicPaths = 64,
    temperature: o.Temperature = None,
    seed: o.Seed = None,
    set_: o.Set = None,
    out: o.Out = None,
):
    """What the difference between two scenarios, or two configs, is made of; it sums to the total.

    --set and --seed hold for both configs.

    Examples:
    clo-gen attribute --from baseline --to severely_adverse
    clo-gen attribute march.toml june.toml
    """
    set_up_jax()
    from clo_gen.analysis.settings import Settings
    from clo_gen.io.config import read_config
    from clo_gen.jobs import sensitivity as job
    from clo_gen.terminal import sensitivity as texts

    given = overrides(set_, seed=seed)
    read = [read_config(path, given) for path in (config, other)[: 1 + bool(other)]]
    settings = Settings(paths=paths, temperature=temperature)
    with screen.stages("starting") as update:
        report, written = job.attribution_job([c for c, _ in read], [f for _, f in read],
                                              (start, end), settings, out, on_stage=update)
    screen.show(texts.attribution_table(report))
    screen.say(*texts.attribution_notes(report, written))
    screen.result(report.about | {"attribution": job.attribution_rows(report)}, written)


@command(app, RISK)
@analysis
def correlation(
    screen, read, out,
    target: Annotated[str | None, typer.Option(
        help="Calibrate the loadings to these percentages of macro, cohort, factor and "
             "idiosyncratic, such as 60,25,10,5.")] = None,
    paths: Annotated[int, typer.Option(help="Paths; each is run under four designs.")] = 512,
    scenario: o.Scenario = None,
    class_: Annotated[str | None, typer.Option(
        "--class", help="Decompose this class's loss too, through the whole deal.")] = None,
    rho: Annotated[float | None, typer.Option(
        help="Asset correlation of the copula; without it what all pairs imply.")] = None,
):
    """Loss variance by random source, default correlation, and loadings for wanted shares.

    Examples:
    clo-gen correlation
    clo-gen correlation --target 60,25,10,5
    """
    from clo_gen.jobs import correlation as job
    from clo_gen.terminal import correlation as texts

    with screen.stages("starting") as update:
        request = job.Request(target=job.percentages(target), paths=paths, scenario=scenario,
                              class_name=class_, rho=rho)
        report, written = job.correlation_job(*read, request, out, on_stage=update)
    screen.show(*texts.tables(report))
    files = "correlation.png, default_correlation.csv"
    files += ", calibrated.toml" if report.calibration is not None else ""
    screen.say(*report.notes, f"written to {written} ({files})")
    screen.result(report.summary, written)


@command(app, RISK)
@analysis
def reverse_stress(
    screen, read, out,
    class_: Annotated[str | None, typer.Option(
        "--class", help="Name of the class; without it the most junior note.")] = None,
    event: Annotated[str, typer.Option(
        help="loss: 0.1 % of the class is unpaid at maturity; oc: its OC test fails.")] = "loss",
    answers: Annotated[int, typer.Option(help="How many paths that differ.")] = 3,
    cosine: Annotated[float, typer.Option(
        help="Likeness that two answers may have: of their shocks, 1 is the same.")] = 0.7,
    scenario: o.Scenario = None,
    draws: Annotated[int, typer.Option(help="Sampled lives of the pool a path.")] = 512,
):
    """The likeliest macro paths under which a class first loses, or its OC test fails.

    Examples:
    clo-gen reverse-stress --class E
    clo-gen reverse-stress --class D-2 --event oc
    """
    from clo_gen.jobs import reverse_stress as job

    request = job.Request(class_name=class_, event=event, answers=answers, draws=draws,
                          scenario=scenario, cosine=cosine)
    with screen.stages("starting") as update:
        report, written = job.reverse_stress_job(*read, request, out, on_stage=update)
    screen.show(*job.tables(report))
    screen.say(*report.notes, f"written to {written} (paths.png, years.csv, paths.csv)")
    screen.result(report.summary | {"answers": report.rows}, written)


@command(app, RISK)
@analysis
def tail(
    screen, read, out,
    class_: Annotated[str | None, typer.Option(
        "--class", help="Name of the class; without it the most senior that loses on a plain "
                        "path.")] = None,
    scenario: o.Scenario = None,
    paths: Annotated[int, typer.Option(
        help="Plain paths, and as many tilted ones with their pilot.")] = 8192,
    pilot: Annotated[int, typer.Option(help="Paths that fit the tilt.")] = 512,
    level: Annotated[float, typer.Option(help="Of the pool's VaR and CVaR.")] = 0.999,
    defence: Annotated[float, typer.Option(
        help="Share of tilted paths that are not shifted; it bounds the weights.")] = 0.1,
):
    """Rare losses by importance sampling, beside plain paths at equal cost.

    Examples:
    clo-gen tail
    clo-gen tail --class C --scenario adverse --paths 8192
    """
    from clo_gen.jobs import tail as job
    from clo_gen.terminal import tail as texts

    request = job.Request(class_name=class_, scenario=scenario, paths=paths, pilot=pilot,
                          level=level, defence=defence)
    with screen.stages("starting") as update:
        report, written = job.tail_job(*read, request, out, on_stage=update)
    screen.show(texts.table(report))
    screen.say(report.verdict, "+-: half widths of 95 % intervals; both columns cost the same "
               "paths, the pilot included", *report.notes,
               f"written to {written} (tail.png, tail.csv, tail.json)")
    screen.result(report.summary | {"numbers": report.rows, "verdict": report.verdict}, written)


@command(app, RISK)
@analysis
def structure(
    screen, read, out,
    paths: Annotated[int, typer.Option(help="Sampled lives that the sizes are fitted to.")] = 512,
    checks: Annotated[int, typer.Option(help="Fresh ones that judge the result.")] = 2048,
    scenario: o.Scenario = None,
    spread_slope: Annotated[float, typer.Option(
        help="Relative rise of a spread per unit of enhancement lost.")] = 3.0,
):
    """Class sizes and spreads for the highest equity IRR within each rating's idealised loss rate.

    Examples:
    clo-gen structure
    clo-gen structure my.toml --scenario adverse --paths 1024
    """
    from clo_gen.jobs import structure as job

    request = job.Request(paths=paths, checks=checks, scenario=scenario, spread_slope=spread_slope)
    with screen.stages("starting") as update:
        report, written = job.structure_job(*read, request, out, on_stage=update)
    screen.show(job.table(report))
    screen.say(*report.notes, f"written to {written} (classes.csv, structure.png)")
    screen.result(report.summary | {"classes": report.rows}, written)

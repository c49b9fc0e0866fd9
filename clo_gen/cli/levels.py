"""Training of the generative levels, and what they are worth."""

import pathlib
from typing import Annotated

import typer

from clo_gen.cli import options as o
from clo_gen.cli.app import LEVELS, app, command, overrides, set_up_jax


@command(app, LEVELS)
def train(
    screen,
    config: Annotated[pathlib.Path | None, typer.Argument(
        help="Training config (TOML); without it the shipped one on embedded data.",
        show_default=False)] = None,
    level: Annotated[list[str] | None, typer.Option(
        help="macro, transition, trajectory or recovery; repeat for several; without it those "
             "that the config names.")] = None,
    resume: Annotated[pathlib.Path | None, typer.Option(
        help="Go on with an interrupted training run.")] = None,
    warm_start: Annotated[pathlib.Path | None, typer.Option(
        help="Start from the models of an earlier run and report drift of the new months.")] = None,
    stage: Annotated[int, typer.Option(
        min=1, max=2, help="1: each level alone; 2: levels 1 and 2 of a stage-1 run jointly, with "
        "the portfolio's own loss.")] = 1,
    from_: Annotated[pathlib.Path | None, typer.Option(
        "--from", help="Stage 2: the stage-1 run, instead of the config's.")] = None,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", metavar="KEY=VALUE", help="Any value, e.g. --set macro.fit.epochs=20.")] = None,
    out: o.Out = None,
):
    """Train the generative levels, each on its own data (stage 1), then jointly (stage 2).

    Examples:
    clo-gen train
    clo-gen train --level macro --set macro.fit.epochs=20
    clo-gen train --resume runs/stage1
    clo-gen train new.toml --warm-start runs/stage1
    clo-gen train --stage 2 --from runs/stage1
    """
    set_up_jax()
    if stage == 2 or from_ is not None:
        _train_jointly(screen, config, (stage, level, warm_start), out, resume, from_,
                       overrides(set_))
        return
    import dataclasses

    from clo_gen.jobs import train as job
    from clo_gen.terminal import console

    settings, run = job.prepare(config, out, resume, overrides(set_), warm_start)
    levels = job.chosen(settings, level)
    with screen.epochs("reading") as progress:
        trained = job.train_job(settings, levels, run, on_report=progress.report,
                                on_level=progress.level)
    screen.show(console.training_table(trained))
    screen.say(*(f"{t.level}: {t.kind} - {t.source}" + (f"; {t.drift}" if t.drift else "")
                 for t in trained),
               f"written to {run} (curves.png in each level); measure it with: "
               f"clo-gen evaluate {run}")
    screen.result({"levels": [dataclasses.asdict(t) for t in trained]}, run)


def _train_jointly(screen, config, asked, out, resume, run, given):
    import dataclasses

    from clo_gen.io.problems import InputError
    from clo_gen.jobs import stage2 as job

    stage, level, warm_start = asked
    if stage != 2 or level or warm_start is not None:
        raise InputError("--from belongs to --stage 2, which trains macro and transition together; "
                         "want --stage 2 without --level and --warm-start")
    settings, folder = job.prepare(config, out, resume, given, run)
    with screen.epochs("reading", settings.fit.epochs) as progress:
        report = job.stage2_job(settings, folder, on_stage=progress.stage,
                                on_report=progress.report)
    screen.show(job.as_table(report))
    screen.say(*report.notes, report.verdict,
               f"written to {report.folder} (stage2.png, stage2.csv); use it with clo-gen simulate "
               f"{report.folder}")
    screen.result(dataclasses.asdict(report), report.folder)


@command(app, LEVELS)
def evaluate(
    screen,
    run: Annotated[pathlib.Path, typer.Argument(help="A folder written by clo-gen train.")],
):
    """Measure trained levels on held-out data, each beside a simple baseline.

    Examples:
    clo-gen evaluate runs/stage1
    """
    set_up_jax()
    from clo_gen.jobs import train as job
    from clo_gen.terminal import console

    with screen.stages("reading") as update:
        found = job.evaluate_job(run, on_level=update)
    for level, (metrics, about) in found.items():
        screen.show(*console.evaluation_tables(f"{level}, {about['kind']} data", metrics))
        screen.say(*console.evaluation_notes(metrics))
    screen.say(f"splits, intervals and notes of every number: {run / 'evaluation.csv'}")
    screen.result({"metrics": job.evaluation_rows(found)}, run / "evaluation.json")

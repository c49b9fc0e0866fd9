"""A folder to start from, runs of a deal, what is made of run folders."""

import pathlib
import sys
from typing import Annotated

import typer

from clo_gen.cli import options as o
from clo_gen.cli.app import RUNS, app, command, overrides, set_up_jax


@command(app, RUNS)
def init(
    screen,
    folder: Annotated[pathlib.Path, typer.Argument(help="New folder, such as my-deal.")],
):
    """Write a folder with a deal, a tape, scenarios and a config that runs as it is.

    Examples:
    clo-gen init my-deal
    """
    set_up_jax()
    from clo_gen.jobs.init import init_job

    files = init_job(folder)
    screen.say(f"written to {folder}: {', '.join(files)} (the tape is synthetic)",
               f"next: cd {folder} && clo-gen run config.toml --paths 200")
    screen.result({"files": files}, folder)


_MEMORY = Annotated[str | None, typer.Option(
    help="Budget for the paths computed at once, such as 500MB; without it 2GB.")]
_PATHS = Annotated[int | None, typer.Option(help="Paths a scenario.")]


@command(app, RUNS)
def run(
    screen,
    config: o.Config = None,
    tape: o.Tape = None,
    deal: o.Deal = None,
    paths: _PATHS = None,
    seed: o.Seed = None,
    set_: o.Set = None,
    out: o.Out = None,
    resume: Annotated[pathlib.Path | None, typer.Option(
        help="Go on with an interrupted run: its folder, with or without .partial.")] = None,
    memory: _MEMORY = None,
    check: Annotated[bool, typer.Option(
        "--check", help="Run every path once more under checkify: which operation makes a NaN. "
        "Slow.")] = False,
    coordinator: Annotated[str | None, typer.Option(
        help="Share a run between hosts: host:port of process 0, or auto (docs/runs.md).")] = None,
    process_id: Annotated[int | None, typer.Option(min=0, help="Which process this is.")] = None,
    num_processes: Annotated[int | None, typer.Option(min=1, help="How many there are.")] = None,
):
    """Simulate a deal under scenarios and write a run folder with a report.

    Examples:
    clo-gen run
    clo-gen run --tape my.csv --deal my_deal.toml --paths 200
    clo-gen run my.toml --set prepayment.cpr=0.15
    clo-gen run --resume runs/quickstart
    """
    given = overrides(set_, tape=tape, deal=deal, paths=paths, seed=seed)
    hosts = _hosts(coordinator, process_id, num_processes)
    try:
        _run(screen, config, out, given, resume, memory, check, hosts)
    except KeyboardInterrupt as stop:
        if resume is None or str(stop):
            raise
        raise KeyboardInterrupt(f"go on with clo-gen run --resume {resume}") from None


@command(app, RUNS)
def simulate(
    screen,
    trained: Annotated[pathlib.Path, typer.Argument(
        help="A folder written by clo-gen train (stage 1 or 2).")],
    config: Annotated[pathlib.Path | None, typer.Option(
        help="Run config (TOML) for the rest; without it the shipped quickstart.")] = None,
    tape: o.Tape = None,
    deal: o.Deal = None,
    paths: _PATHS = None,
    mode: Annotated[str | None, typer.Option(
        help="markov, expected, or trajectory: states drawn by level 3.")] = None,
    seed: o.Seed = None,
    set_: o.Set = None,
    out: o.Out = None,
    memory: _MEMORY = None,
):
    """Run a tape and a deal on the levels of a training run; else as clo-gen run.

    Examples:
    clo-gen simulate runs/stage1
    clo-gen simulate runs/stage1 --tape my.csv --mode trajectory
    """
    from clo_gen.jobs.simulate import trained_values

    given = [*trained_values(trained, mode), *overrides(set_, tape=tape, deal=deal, paths=paths,
                                                        seed=seed, mode=mode)]
    _run(screen, config, out, given, None, memory, False, None)


def _hosts(coordinator, process, processes):
    """(coordinator, process, processes) of a run on several processes, or None."""
    from clo_gen.io.problems import InputError

    given = (coordinator, process, processes)
    if given == (None, None, None):
        return None
    if given != ("auto", None, None) and (None in given or process >= processes):
        raise InputError("--coordinator, --process-id and --num-processes come together, with "
                         "process ids from 0 to num-processes - 1; or --coordinator auto alone")
    return given


def _run(screen, config_path, out, given, resume, memory, check, hosts):
    set_up_jax()
    from clo_gen.jobs.hosts import Hosts, join
    from clo_gen.jobs.run import main_job
    from clo_gen.jobs.start import prepare
    from clo_gen.terminal import console

    if hosts is not None and not screen.quiet:
        print(f"waiting for the other processes at {hosts[0]}", file=sys.stderr, flush=True)
    hosts = Hosts() if hosts is None else join(*hosts)
    with hosts.together(), screen.paths() as progress:
        memory = None if memory is None else _bytes(memory)
        config, folder, out = prepare(config_path, out, resume, given, hosts)
        summary, evaluation, written = main_job(
            config, folder, out, resume=resume is not None, memory=memory, check=check or None,
            hosts=hosts, on_stage=progress.stage, on_start=progress.start,
            on_block=progress.block)
    if summary is None:
        screen.say(f"process {hosts.process}: done; process 0 has written {written}")
        screen.result({"process": hosts.process}, written)
        return
    screen.show(console.run_table(summary))
    screen.say(*console.run_notes(summary, evaluation, written))
    screen.result(summary | {"evaluation": evaluation}, written)


def _bytes(text):
    """Bytes of a text such as 2GB or 500 MB."""
    import re

    from clo_gen.io.problems import InputError

    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kmgt]?)(i?)b?\s*", str(text), re.IGNORECASE)
    if found is None or float(found[1]) <= 0:
        raise InputError(f"--memory {text}: want a size such as 2GB or 500MB")
    return float(found[1]) * (1024 if found[3] else 1000) ** " kmgt".index(found[2].lower() or " ")


@command(app, RUNS)
def compare(
    screen,
    runs: Annotated[list[pathlib.Path], typer.Argument(help="Folders written by clo-gen run.")],
    out: o.Out = None,
):
    """Several runs in one table and one picture.

    Examples:
    clo-gen compare runs/quickstart runs/quickstart-2
    """
    from clo_gen.jobs.compare import compare_job
    from clo_gen.terminal import compare as texts

    found, written = compare_job(runs, out)
    screen.show(*texts.tables(found))
    screen.say(*texts.notes(found, written))
    screen.result({"runs": found.settings.to_dict("records"),
                   "numbers": found.table.to_dict("records")}, written)


@command(app, RUNS)
def report(
    screen,
    run: Annotated[pathlib.Path, typer.Argument(help="A folder written by clo-gen run.")],
    with_: Annotated[list[pathlib.Path] | None, typer.Option(
        "--with", help="Folder of another analysis or hypo pool to take in; repeat for several. "
        "Those beside the run, named <run>-tail and so on, are taken without it.")] = None,
):
    """Write the report of a run again, with what other analyses found: page, workbook, figures.

    Examples:
    clo-gen report runs/quickstart
    clo-gen report runs/quickstart --with runs/quickstart-sensitivity --with pool
    """
    from clo_gen.jobs.report import report_job

    with screen.stages("drawing"):
        taken, left_out = report_job(run, with_ or ())
    screen.say(*([f"taken in: {', '.join(taken)}"] if taken else []),
               *([f"left out, not known to be of this tape and deal: {', '.join(left_out)} (--with "
                  "takes them)"] if left_out else []),
               f"written to {run} (open report.html; tables.xlsx, figures/)")
    screen.result({"taken": taken, "left_out": left_out}, run / "report.html")

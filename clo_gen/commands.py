"""What the commands of the command line do: read, call the library, print. Sets up jax.

Heavy imports stand inside the functions, so that `clo-gen --help` and complaints come at once.
"""

import os


def _set_up_jax():
    """Double precision, and on a CPU one device a core, so that paths run in parallel.

    Two at least: XLA compiles the program of a single device another way, with other last bits.
    """
    import jax

    jax.config.update("jax_enable_x64", True)
    try:
        jax.config.update("jax_num_cpu_devices", max(2, len(os.sched_getaffinity(0))))
    except (AttributeError, RuntimeError):  # no affinity on this system, or jax already started
        pass


def run(config_path, out, overrides, resume=None, memory="2GB", check=False, hosts=None):
    """`hosts` = (coordinator, process, processes) of a run on several processes, or None."""
    _set_up_jax()
    import jax

    if hosts is not None:
        _join(*hosts)
    from clo_gen.jobs.run import Hosts, main_job, prepare
    from clo_gen.terminal import console
    from clo_gen.terminal.path_progress import PathProgress

    hosts = Hosts(jax.process_index(), jax.process_count())
    config, folder, out = prepare(config_path, out, resume, overrides, hosts)
    with PathProgress() as progress:
        summary, evaluation, written = main_job(
            config, folder, out, memory=_bytes(memory), check=check,
            hosts=hosts, on_stage=progress.stage,
            on_start=progress.start, on_block=progress.block)
    if summary is None:
        console.say(f"process {jax.process_index()}: done; process 0 writes {written}")
        return
    console.show(console.run_table(summary))
    for line in console.run_notes(summary, evaluation, written):
        console.say(line)


def _join(coordinator, process, processes):
    """Joins the processes of a run; "auto" asks the cluster (Slurm, Open MPI, Kubernetes)."""
    import jax

    from clo_gen.io.problems import InputError

    try:
        if coordinator == "auto":
            jax.distributed.initialize()
        else:
            jax.distributed.initialize(coordinator, num_processes=processes, process_id=process)
    except (ValueError, RuntimeError, IndexError) as error:
        raise InputError(f"--coordinator {coordinator}: {str(error).splitlines()[0]}; want "
                         "host:port, or auto on a cluster") from None


def _bytes(text):
    """Bytes of a text such as 2GB or 500 MB."""
    import re

    from clo_gen.io.problems import InputError

    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kmgt]?)i?b?\s*", str(text), re.IGNORECASE)
    if found is None or float(found[1]) <= 0:
        raise InputError(f"--memory {text}: want a size such as 2GB or 500MB")
    return float(found[1]) * 1000 ** " kmgt".index(found[2].lower() or " ")


def init(folder):
    _set_up_jax()
    from clo_gen.jobs.init import init_job
    from clo_gen.terminal.console import say

    files = init_job(folder)
    say(f"written to {folder}: {', '.join(files)} (the tape is synthetic)")
    say(f"next: cd {folder} && clo-gen run config.toml --paths 200")


def compare(folders, out):
    from clo_gen.jobs.compare import compare_job
    from clo_gen.terminal import compare as texts
    from clo_gen.terminal import console

    found, written = compare_job(folders, out)
    for table in texts.tables(found):
        console.show(table)
    for line in texts.notes(found, written):
        console.say(line)


def show(file):
    from clo_gen.io.deal import read_deal
    from clo_gen.io.problems import InputError
    from clo_gen.io.standard import as_toml
    from clo_gen.terminal.console import say

    if file.suffix == ".json":
        raise InputError(f"{file}: --show writes out the lists of a deal file (.toml)")
    say(as_toml(read_deal(file).lists))


def check(file):
    _set_up_jax()
    from clo_gen.explain import explain_deal
    from clo_gen.io.deal import read_deal
    from clo_gen.terminal.console import say

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


def waterfall(file, collections, out, rate):
    _set_up_jax()
    import json

    from clo_gen.io.json_data import plain
    from clo_gen.io.problems import InputError
    from clo_gen.jobs.waterfall import as_json, as_table, distribute
    from clo_gen.terminal import console

    if out is not None and out.suffix not in (".json", ".csv"):
        raise InputError(f"--out {out}: want a name ending in .json or .csv")
    done = distribute(file, collections, rate=rate)
    if out is not None:
        text = (json.dumps(plain(as_json(done)), indent=1) if out.suffix == ".json"
                else as_table(done).to_csv(index=False))
        _save(out, text)
    console.show(console.distribution_table(done))
    for line in (*console.happened(done), *done.notes):
        console.say(line)
    console.say(f"in millions; cash in = cash out to {done.conservation_error:.1e} of par")
    if out is not None:
        console.say(f"every payment: {out}")


def break_even(config_path, overrides, cpr, severity, out):
    _set_up_jax()
    import itertools

    import jax.numpy as jnp

    from clo_gen.assemble import assemble
    from clo_gen.break_even import compile_batch
    from clo_gen.io.config import read_config
    from clo_gen.io.problems import InputError
    from clo_gen.terminal import console

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
    console.show(console.break_even_table(a.deal.terms.name, rows))
    console.say(f"tape: {a.provenance['tape']['kind']} - {a.provenance['tape']['source']}; "
                 f"recovery after {a.setup.recovery_lag} months; indices stay where the curve or "
                 "the cut-off has them"
                 + ("" if found.converged.all() else "; not every search converged"))


def hypo(file, out):
    _set_up_jax()
    from clo_gen.io.problems import InputError
    from clo_gen.jobs.hypo import hypo_job, save
    from clo_gen.terminal import console

    if out is not None and out.suffix != ".csv" and out.exists():
        raise InputError(f"--out {out}: exists; want the name of a new folder")
    report = hypo_job(file)
    if out is not None:
        save(report, out)
    console.show(console.hypo_table(report))
    for line in console.hypo_notes(report):
        console.say(line)
    if out is not None:
        console.say(f"written to {out}")


def quality(tape, limits, cutoff, before, columns, out):
    _set_up_jax()
    from clo_gen.jobs.quality import as_table, quality_job
    from clo_gen.terminal import console

    report = quality_job(tape, limits, cutoff=cutoff, out=out, before=before, columns=columns)
    console.show(as_table(report.rows))
    for line in report.notes:
        console.say(line)


def train(config, level, out, resume, warm_start, overrides):
    _set_up_jax()
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from clo_gen.jobs import train as train_job
    from clo_gen.terminal import console

    settings, run = train_job.prepare(config, out, resume, overrides, warm_start)
    levels = train_job.chosen(settings, level)
    columns = (TextColumn("{task.description:<12}"), BarColumn(), TextColumn("{task.fields[at]}"),
               TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("reading", at="")

        def on_report(row):
            progress.update(task, completed=row["epoch"],
                            at=f"epoch {row['epoch']}, held-out {row['held_out']:.5g}")

        trained = train_job.train_job(
            settings, levels, run, on_report=on_report,
            on_level=lambda name, epochs: progress.reset(task, description=name, total=epochs,
                                                         at="compiling"))
    console.show(console.training_table(trained))
    for t in trained:
        console.say(f"{t.level}: {t.kind} - {t.source}" + (f"; {t.drift}" if t.drift else ""))
    console.say(f"written to {run} (curves.png in each level); measure it with: "
                 f"clo-gen evaluate {run}")


def train_jointly(config, asked, out, resume, run, overrides):
    _set_up_jax()
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from clo_gen.io.problems import InputError
    from clo_gen.jobs import stage2 as stage2_job
    from clo_gen.terminal import console

    stage, level, warm_start = asked
    if stage != 2 or level or warm_start is not None:
        raise InputError("--from belongs to --stage 2, which trains macro and transition together; "
                         "want --stage 2 without --level and --warm-start")
    settings, folder = stage2_job.prepare(config, out, resume, overrides, run)
    columns = (TextColumn("{task.description:<18}"), BarColumn(), TextColumn("{task.fields[at]}"),
               TimeElapsedColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("reading", at="", total=settings.fit.epochs)
        report = stage2_job.stage2_job(
            settings, folder,
            on_stage=lambda text: progress.update(task, description=text),
            on_report=lambda row: progress.update(
                task, description="training", completed=row["epoch"],
                at=f"epoch {row['epoch']}, held-out {row['held_out']:.5g}"))
    console.show(stage2_job.as_table(report))
    for line in (*report.notes, report.verdict,
                 f"written to {report.folder} (stage2.png, stage2.csv); use it as the run of a "
                 "config, as configs/learned.toml does"):
        console.say(line)


def evaluate(run):
    _set_up_jax()
    from clo_gen.jobs import train as train_job
    from clo_gen.terminal import console
    from clo_gen.terminal.progress import stages

    with stages("reading") as update:
        found = train_job.evaluate_job(run, on_level=update)
    for level, (metrics, about) in found.items():
        for table in console.evaluation_tables(f"{level}, {about['kind']} data", metrics):
            console.show(table)
        for line in console.evaluation_notes(metrics):
            console.say(line)
    console.say(f"splits, intervals and notes of every number: {run / 'evaluation.csv'}")


def sensitivity(config_path, overrides, scenario, options, out):
    _set_up_jax()
    from clo_gen.analysis.settings import Settings
    from clo_gen.io.config import read_config
    from clo_gen.jobs.sensitivity import sensitivity_job
    from clo_gen.terminal import console
    from clo_gen.terminal import sensitivity as terminal_sensitivity
    from clo_gen.terminal.progress import stages

    config, folder = read_config(config_path, overrides)
    with stages("starting") as update:
        report, written = sensitivity_job(config, folder, scenario, Settings(**options), out,
                                          on_stage=update)
    for table in terminal_sensitivity.sensitivity_tables(report):
        console.show(table)
    for line in terminal_sensitivity.sensitivity_notes(report, written):
        console.say(line)


def attribute(config_path, other, overrides, scenarios, options, out):
    _set_up_jax()
    from clo_gen.analysis.settings import Settings
    from clo_gen.io.config import read_config
    from clo_gen.jobs.sensitivity import attribution_job
    from clo_gen.terminal import console
    from clo_gen.terminal import sensitivity as terminal_sensitivity
    from clo_gen.terminal.progress import stages

    read = [read_config(path, overrides) for path in (config_path, other)[: 1 + bool(other)]]
    with stages("starting") as update:
        report, written = attribution_job([c for c, _ in read], [f for _, f in read], scenarios,
                                          Settings(**options), out, on_stage=update)
    console.show(terminal_sensitivity.attribution_table(report))
    for line in terminal_sensitivity.attribution_notes(report, written):
        console.say(line)


def correlation(config_path, overrides, options, out):
    _set_up_jax()
    from clo_gen.io.config import read_config
    from clo_gen.jobs import correlation as job
    from clo_gen.terminal import console
    from clo_gen.terminal import correlation as terminal_correlation
    from clo_gen.terminal.progress import stages

    config, folder = read_config(config_path, overrides)
    with stages("starting") as update:
        options["target"] = job.percentages(options["target"])
        report, written = job.correlation_job(config, folder, job.Request(**options), out,
                                              on_stage=update)
    for table in terminal_correlation.tables(report):
        console.show(table)
    files = "correlation.png, default_correlation.csv"
    files += ", calibrated.toml" if report.calibration is not None else ""
    for line in (*report.notes, f"written to {written} ({files})"):
        console.say(line)


def reverse_stress(config_path, overrides, options, out):
    _set_up_jax()
    from clo_gen.io.config import read_config
    from clo_gen.jobs import reverse_stress as job
    from clo_gen.terminal import console
    from clo_gen.terminal.progress import stages

    config, folder = read_config(config_path, overrides)
    with stages("starting") as update:
        report, written = job.reverse_stress_job(config, folder, job.Request(**options), out,
                                                 on_stage=update)
    for table in job.tables(report):
        console.show(table)
    for line in (*report.notes, f"written to {written} (paths.png, years.csv, paths.csv)"):
        console.say(line)


def tail(config_path, overrides, options, out):
    _set_up_jax()
    from rich.console import Console

    from clo_gen.io.config import read_config
    from clo_gen.jobs import tail as job
    from clo_gen.terminal import console
    from clo_gen.terminal import tail as terminal_tail

    config, folder = read_config(config_path, overrides)
    with Console().status("starting") as status:
        report, written = job.tail_job(config, folder, job.Request(**options), out,
                                       on_stage=status.update)
    console.show(terminal_tail.table(report))
    for line in (report.verdict, "+-: half widths of 95 % intervals; both columns cost the same "
                 "paths, the pilot included", *report.notes,
                 f"written to {written} (tail.png, tail.csv, tail.json)"):
        console.say(line)


def backtest(config_path, out, overrides):
    _set_up_jax()
    from clo_gen.io.backtest_config import read_backtest
    from clo_gen.jobs.backtest import backtest_job
    from clo_gen.terminal import backtest as terminal_backtest
    from clo_gen.terminal import console
    from clo_gen.terminal.progress import stages

    config = read_backtest(config_path, overrides)
    with stages("reading") as update:
        report, written = backtest_job(config, out, on_step=update)
    for table in terminal_backtest.tables(report):
        console.show(table)
    for line in terminal_backtest.notes(report, written):
        console.say(line)


def calibrate(config_path, out, overrides):
    _set_up_jax()
    from clo_gen.jobs import calibrate as job
    from clo_gen.terminal import console
    from clo_gen.terminal.progress import stages

    settings, folder = job.read_calibration(config_path, overrides)
    with stages("reading") as update:
        report, written = job.calibrate_job(settings, folder, out, on_stage=update)
    for table in job.tables(report):
        console.show(table)
    for line in job.lines_of(report, written):
        console.say(line)


def structure(config_path, overrides, options, out):
    _set_up_jax()
    from clo_gen.io.config import read_config
    from clo_gen.jobs import structure as job
    from clo_gen.terminal import console
    from clo_gen.terminal.progress import stages

    config, folder = read_config(config_path, overrides)
    with stages("starting") as update:
        report, written = job.structure_job(config, folder, job.Request(**options), out,
                                            on_stage=update)
    console.show(job.table(report))
    for line in (*report.notes, f"written to {written} (classes.csv, structure.png)"):
        console.say(line)


def bench(cases, scale, out, growth):
    """Exit code 1 when a case failed."""
    import sys

    from clo_gen.bench import suite
    from clo_gen.terminal import bench as terminal_bench
    from clo_gen.terminal import console

    rows = suite.bench_job(
        cases, scale, out, growth=growth,
        on_case=lambda number, total, name: print(f"{number}/{total} {name}", file=sys.stderr,
                                                  flush=True))
    console.show(terminal_bench.table(rows))
    if grown := suite.grown(rows):
        console.show(terminal_bench.growth_table(grown))
    for line in terminal_bench.notes(rows, out):
        console.say(line)
    if any("error" in row for row in rows):
        raise SystemExit(1)


def list_cases():
    from clo_gen.bench.cases import CASES
    from clo_gen.terminal.console import say

    for name, case in CASES.items():
        say(f"{name:<20} {case.about}")

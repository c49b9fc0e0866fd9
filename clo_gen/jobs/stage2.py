"""Stage 2 as a job: from a stage-1 run to a run of the same shape, and what changed by how much.

Reference: methodology, Training Strategy, Stage 2.
"""

import dataclasses
import pathlib
import shutil
from typing import Annotated

import jax
import jax.numpy as jnp
import tomli_w
from pydantic import Field

from clo_gen.io import checkpoint
from clo_gen.io.config import Positive, set_value
from clo_gen.io.csv_file import csv_text
from clo_gen.io.files import FileName
from clo_gen.io.folders import choose_folder
from clo_gen.io.json_data import write_json
from clo_gen.io.problems import InputError
from clo_gen.io.tables import config_path
from clo_gen.io.toml import Record, load_toml, parse
from clo_gen.jobs import train as train_job
from clo_gen.learned import load_learned
from clo_gen.levels import LEVELS, Fit
from clo_gen.models import macro_cvae, transition
from clo_gen.plots import stage2 as plot_stage2
from clo_gen.terminal import console
from clo_gen.train import loop, portfolio, portfolio_data, stage2
from clo_gen.train import stage2_report as reports
from clo_gen.train.portfolio_data import SPLITS

KINDS = {"macro": macro_cvae.Cvae, "transition": transition.Transformer}
FIT = loop.TrainConfig(epochs=12, batch=1, learning_rate=5e-3, warmup=0.1, weight_decay=0.0,
                       ema_decay=0.9, evaluate_every=2, patience=12)


class Portfolio(Record):
    """[portfolio]: what is matched, and how."""

    data: portfolio_data.PortfolioTraining = portfolio_data.PortfolioTraining()
    objective: portfolio.Objective = portfolio.Objective()


class Stage2Config(Record):
    """A stage-2 config."""

    name: FileName
    run: str  # the stage-1 run folder that training goes on from
    portfolio: Portfolio = Portfolio()
    joint: stage2.Bundles = stage2.Bundles()
    fit: Fit = FIT
    repeats: Annotated[int, Field(ge=2, le=100)] = 4  # of every simulation in the report
    bootstrap: Positive = 200  # resamples of the years


@dataclasses.dataclass(frozen=True)
class Report:
    """What stage 2 did: one row a quantity and split, and where it stands."""

    rows: tuple[dict, ...]  # quantity, split, before, after, change, low, high, simulation_error
    verdict: str
    notes: tuple[str, ...]
    folder: pathlib.Path
    epochs: int
    best_epoch: int
    seconds: float  # of training, without compiling


def read_stage2(path=None, overrides=(), run=None):
    """Stage2Config of a TOML file, file names made absolute; without `path` the shipped one.

    `run` replaces the config's stage-1 run. Raises InputError with every problem.
    """
    path = pathlib.Path(config_path("stage2.toml") if path is None else path)
    data = load_toml(path)
    for assignment in overrides:
        set_value(data, assignment)
    if run is not None:
        data["run"] = str(pathlib.Path(run).resolve())
    elif isinstance(data.get("run"), str):
        data["run"] = str((path.parent / data["run"]).resolve())
    config = parse(data, Stage2Config, f"{path} with {', '.join(overrides)}" if overrides else path)
    d = config.portfolio.data
    counts = d.counts if d.counts == "embedded" else str((path.parent / d.counts).resolve())
    deal = d.deal.model_copy(update={"file": str((path.parent / d.deal.file).resolve())})
    data = d.model_copy(update={"counts": counts, "deal": deal})
    if not data.held_out_from < data.test_from:
        raise InputError(f"{path}: portfolio.data.test_from: {data.test_from}; want a year after "
                         f"held_out_from, {data.held_out_from}")
    return config.model_copy(update={
        "portfolio": config.portfolio.model_copy(update={"data": data})})


def prepare(path, out, resume, overrides=(), run=None):
    """(Stage2Config, run folder) of a new or resumed run. Raises InputError."""
    if resume is None:
        config = read_stage2(path, overrides, run)
        return config, choose_folder(config.name, out)
    if path is not None or out is not None or overrides or run is not None:
        raise InputError("--resume goes on with the run's own config; want no config, --out, "
                         "--from or --set beside it")
    if not (resume / "stage2.toml").exists():
        raise InputError(f"--resume {resume}: no stage-2 run")
    if (resume / "stage2.json").exists():
        raise InputError(f"--resume {resume}: is finished; want a run that was interrupted")
    return read_stage2(resume / "stage2.toml"), resume


def _stage1(config):
    """({level: (model, about)}, {level: Task}, macro settings) of the stage-1 run."""
    run = pathlib.Path(config.run)
    if not (run / "config.toml").exists():
        raise InputError(f"run: {run}: no training run; want a folder written by clo-gen train")
    levels = train_job.read_training(run / "config.toml")
    models = {name: load_learned(run, name, kind) for name, kind in KINDS.items()}
    tasks = {}
    for name, (model, _) in models.items():
        settings = getattr(levels, name)
        data = LEVELS[name].load(settings.data, pathlib.Path("."), model)
        tasks[name] = LEVELS[name].task(data, settings.model)
    d = levels.macro.data
    return models, tasks, {"source": d.source, "layout": d.layout, "units": d.units,
                           "credit_spread": d.credit_spread, "series": d.series}


def _level_rows(before, after, run):
    """Report rows of the levels' own held-out scores; level 3 is not trained here."""
    rows = [{"quantity": f"L_{name}", "split": "held_out", "before": before[name],
             "after": after[name],
             "change": reports.relative(after[name] - before[name], abs(before[name]))}
            for name in before]
    path = pathlib.Path(run) / "trajectory" / "model.npz"
    if path.exists():
        held = checkpoint.load_record(path)[1]["held_out"]
        rows.append({"quantity": "L_trajectory", "split": "held_out", "before": held,
                     "after": held, "change": 0.0})
    return rows


def _fit(config, task, run, on_report):
    """(params, history) of the joint task; goes on where an earlier, interrupted fit stopped."""
    about = {"settings": config.model_dump(mode="json"),
             "data": checkpoint.fingerprint((task.train, task.held_out))}
    state, history = loop.start(task, config.fit, params=task.init(None)), []
    if (run / "state.npz").exists():
        state, old = checkpoint.load_state(run / "state.npz", state)
        if {k: old[k] for k in about} != about:
            raise InputError(f"{run / 'state.npz'}: was trained with another config or other data; "
                             "want the same to resume, or a new run")
        history = old["history"]
    return loop.fit(
        task, config.fit, state=state, history=history, on_report=on_report,
        save=lambda s, h: checkpoint.save_state(run / "state.npz", s, about | {"history": h}))


def stage2_job(config: Stage2Config, run, *, on_stage=lambda text: None,
               on_report=lambda row: None):
    """Trains levels 1 and 2 jointly with L_portfolio into the folder `run`. Returns Report.

    Raises InputError for bad input and train_job.Interrupted on Ctrl-C.
    """
    run = pathlib.Path(run)
    on_stage("reading")
    models, tasks, macro = _stage1(config)
    data = portfolio_data.load(config.portfolio.data, config.run, macro)
    try:
        run.mkdir(parents=True, exist_ok=True)
        (run / "stage2.toml").write_text(tomli_w.dumps(
            train_job._plain(config.model_dump(mode="json"))))
    except OSError as error:
        raise InputError(f"--out {run}: cannot be written ({error.strerror})") from None
    try:
        return _trained(config, run, (models, tasks, data), on_stage, on_report)
    except KeyboardInterrupt:
        raise train_job.Interrupted(f"go on with clo-gen train --stage 2 --resume {run}") from None


def _trained(config, run, parts, on_stage, on_report):
    models, tasks, data = parts
    world = portfolio.world(models["macro"][0], models["transition"][0], data)
    start = {name: jax.tree.map(jnp.asarray, model.params) for name, (model, _) in models.items()}
    compiled = jax.jit(lambda p, w, e, k: portfolio.numbers(
        w.learned(p), config.portfolio.objective, e, k))
    draws = reports.Draws(compiled, world, data.examples, config.fit.seed, config.repeats)
    measure = reports.Measure(jax.jit(portfolio.parts_of), world, config.portfolio.objective)
    on_stage("measuring stage 1")
    first = reports.simulated(draws, start)
    scale = reports.mean(measure(first, data.part("train")))
    scores = jax.jit(lambda p: stage2.stage1_scores(tasks, p))
    before = {name: float(x) for name, x in scores(start).items()}
    joint = stage2.Joint(tasks, start, world, config.portfolio.objective, config.joint, scale,
                         before)
    on_stage("compiling")
    params, history = _fit(config, stage2.task(joint, data.months("train"),
                                               data.months("held_out")), run, on_report)
    on_stage("measuring stage 2")
    second = reports.simulated(draws, params)
    scaled = dataclasses.replace(measure, scale=scale)
    rows = [row for split in SPLITS for row in reports.rows_of_split(
        scaled, (first, second), data.part(split), split, config.bootstrap)]
    after = {name: float(x) for name, x in scores(params).items()}
    rows += _level_rows(before, after, config.run)
    best = min(history, key=lambda row: row["held_out"])
    verdict = reports.verdict(rows, config.joint.guard)
    report = Report(tuple(rows), verdict, reports.notes(data), run,
                    history[-1]["epoch"], best["epoch"], sum(row["seconds"] for row in history))
    on_stage("writing")
    _write(config, run, models, params, report, history)
    plot_stage2.write_stage2_figure(run / "stage2.png", data.years, (first[0], second[0]),
                                    config.portfolio.objective.levels,
                                    (data.config.held_out_from, data.config.test_from))
    return report


def as_table(report: Report):
    """Rich table of a Report: before, after and change of every part, split by split."""
    table = console.new_table("stage 2: before and after", [
        "", "split", "before", "after", "change", "90 % over years"])
    for row in report.rows:
        interval = " to ".join(reports.shown(row[end], "+.0%") for end in ("low", "high")
                               if end in row)
        table.add_row(row["quantity"], row["split"].replace("_", "-"), f"{row['before']:.4g}",
                      f"{row['after']:.4g}", reports.shown(row["change"]), interval)
    return table


def _write(config, run, models, params, report, history):
    """The levels in the shape of a stage-1 run, the report as JSON and CSV."""
    old = pathlib.Path(config.run)
    for name, (model, about) in models.items():
        (run / name).mkdir(exist_ok=True)
        extra = {"stage": 2, "stage1_run": str(old)}
        checkpoint.save_record(run / name / "model.npz", model.replace(params=params[name]),
                               about | extra)
    for name in set(LEVELS) - set(models):
        if (old / name).is_dir():
            shutil.copytree(old / name, run / name, dirs_exist_ok=True)
    shutil.copyfile(old / "config.toml", run / "config.toml")
    train_job._write_history(run, history)
    (run / "stage2.csv").write_text(csv_text(report.rows))
    (run / "state.npz").unlink(missing_ok=True)
    write_json(run / "stage2.json", dataclasses.asdict(report) | {"folder": str(run)})

"""Stage 1: train each level on its data, keep what was learned, measure it, watch for drift.

Reference: methodology, Training Strategy, Stage 1, and Evaluation Metrics.
"""

import csv
import dataclasses
import pathlib
import time

import numpy as np
import tomli_w

from clo_gen.io import checkpoint
from clo_gen.io.config import load_overridden
from clo_gen.io.csv_file import csv_text
from clo_gen.io.folders import choose_folder
from clo_gen.io.json_data import write_json
from clo_gen.io.problems import InputError, Interrupted
from clo_gen.io.toml import parse
from clo_gen.levels import LEVELS, TrainingConfig
from clo_gen.plots import run as plot
from clo_gen.train import drift, loop


@dataclasses.dataclass(frozen=True)
class Trained:
    """What training one level left behind."""

    level: str
    kind: str  # of the data: real, user or synthetic
    source: str
    epochs: int
    best_epoch: int
    held_out: float
    seconds: float  # without compiling
    drift: str  # verdict on the new months of a warm start, else ""


def _about(config, level, data, task):
    """What a state must agree with to be resumed (JSON data)."""
    settings = getattr(config, level).model_dump(mode="json")
    return {"level": level, "settings": settings, "kind": data.kind, "source": data.source,
            "warm_start": config.warm_start,
            "data": checkpoint.fingerprint((task.train, task.held_out))}


def _resumed(path, like, about):
    """(state, history) of an earlier, unfinished training; refuses one of other data or config."""
    state, old = checkpoint.load_state(path, like)
    for key in ("settings", "data", "warm_start"):
        if old[key] != about[key]:
            raise InputError(f"{path}: was trained with {key} {_difference(old[key], about[key])}; "
                             "want the same to resume, or a new run with --warm-start")
    return state, old["history"]


def _difference(old, new):
    if not isinstance(old, dict):
        return f"{old}, now {new}"
    changed = [f"{k}: {old.get(k)!r}, now {new.get(k)!r}" for k in sorted({*old, *new})
               if old.get(k) != new.get(k)]
    return "; ".join(changed)


def train_level(config, level, run, data, *, before=None, on_report=lambda row: None):
    """Trains one level on its `data` into `run`/<level>, from where an earlier training stopped.

    `before` is the model of an earlier run to start from (warm start). Returns Trained.
    """
    verbs, settings = LEVELS[level], getattr(config, level)
    out = run / level
    out.mkdir(exist_ok=True)
    task = verbs.task(data, settings.model)
    about = _about(config, level, data, task)
    like = loop.start(task, settings.fit, params=None if before is None else before.params)
    state, history = like, []
    if (out / "state.npz").exists():
        state, history = _resumed(out / "state.npz", like, about)
    params, history = loop.fit(
        task, settings.fit, state=state, history=history, on_report=on_report,
        save=lambda s, h: checkpoint.save_state(out / "state.npz", s, about | {"history": h}))
    best = min(history, key=lambda row: row["held_out"])
    if verbs.refit is not None and best["epoch"] > 0:
        params = verbs.refit(data, settings.fit, best["epoch"], like.params)
    model = verbs.assemble(params, data, settings.model)
    verdict = _drift(verbs, data, before, out)
    done = Trained(level, data.kind, data.source, history[-1]["epoch"], best["epoch"],
                   best["held_out"], sum(row["seconds"] for row in history), verdict)
    _write_history(out, history)
    checkpoint.save_record(out / "model.npz", model, about | dataclasses.asdict(done))
    (out / "state.npz").unlink()
    return done


def _write_history(out, history):
    with open(out / "history.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, history[-1])  # the first row has no training loss
        writer.writeheader()
        writer.writerows(history)
    plot.write_training_curves(out / "curves.png", out.name, history)


def _drift(verbs, data, before, out):
    """Verdict on the months that an earlier model has not seen; "" where there is none."""
    if before is None:
        return ""
    training, new = verbs.monitor(before, data)
    rows, verdict = drift.report(training, new)
    write_json(out / "drift.json",
               {"verdict": verdict, "rows": [dataclasses.asdict(row) for row in rows]})
    return verdict


def prepare(path, out, resume, overrides=(), warm_start=None):
    """(TrainingConfig, run folder) of a new or resumed run.

    Raises InputError when `resume` comes with anything else, since it keeps what the run has.
    """
    if resume is None:
        if warm_start is not None:
            overrides = [*overrides, f"warm_start={str(pathlib.Path(warm_start).resolve())!r}"]
        config = read_training(path, overrides)
        return config, choose_folder(config.name, out)
    if path is not None or out is not None or overrides or warm_start is not None:
        raise InputError("--resume goes on with the run's own config; want no config, --out, "
                         "--warm-start or --set beside it")
    if not (resume / "config.toml").exists():
        raise InputError(f"--resume {resume}: no training run")
    return read_training(resume / "config.toml"), resume


def chosen(config, levels):
    """The levels to train, in order: those asked for, or all that the config names.

    Raises InputError for an unknown level or one that the config lacks.
    """
    named = [level for level in LEVELS if getattr(config, level) is not None]
    for level in levels or ():
        if level not in named:
            raise InputError(f"--level {level}: want one of {', '.join(named)} (the tables of the "
                             "training config)")
    return [level for level in named if not levels or level in levels]


def train_job(config: TrainingConfig, levels, run, *,
              on_level=lambda level, epochs: None, on_report=lambda row: None):
    """Trains `levels` one after the other into the folder `run`. Returns [Trained].

    Levels that `run` already holds are left alone. Raises Interrupted on Ctrl-C, and InputError
    for bad input, before anything is trained.
    """
    run = pathlib.Path(run)
    todo = [level for level in levels if not (run / level / "model.npz").exists()]
    earlier = ({level: load_model(config.warm_start, level) for level in todo}
               if config.warm_start else {})
    for level, before in earlier.items():
        _judge_warm_start(level, before, getattr(config, level).model)
    data = {level: LEVELS[level].load(getattr(config, level).data, pathlib.Path("."),
                                      earlier.get(level)) for level in todo}
    try:
        run.mkdir(parents=True, exist_ok=True)
        if not (run / "config.toml").exists():
            (run / "config.toml").write_text(tomli_w.dumps(_plain(config.model_dump(mode="json"))))
    except OSError as error:
        raise InputError(f"--out {run}: cannot be written ({error.strerror})") from None
    trained = []
    try:
        for level in levels:
            if level not in todo:
                about = checkpoint.load_record(run / level / "model.npz")[1]
                trained.append(Trained(**{f.name: about[f.name]
                                          for f in dataclasses.fields(Trained)}))
                continue
            on_level(level, getattr(config, level).fit.epochs)
            trained.append(train_level(config, level, run, data[level], before=earlier.get(level),
                                       on_report=on_report))
    except KeyboardInterrupt:
        raise Interrupted(f"go on with clo-gen train --resume {run}") from None
    return trained


def load_model(run, level):
    """The trained record of one level of a run. Raises InputError when it is not there."""
    path = pathlib.Path(run) / level / "model.npz"
    if not path.exists():
        held = [name for name in LEVELS if (pathlib.Path(run) / name / "model.npz").exists()]
        raise InputError(f"{run}: holds no trained {level}; "
                         + (f"it holds {', '.join(held)}" if held else "want a training run"))
    return checkpoint.load_record(path)[0]


def _plain(value):
    """JSON data without what is None, which TOML cannot say."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _judge_warm_start(level, before, wanted):
    """A model goes on only with its own sizes."""
    kept = getattr(before, "config", None)
    if kept is not None and type(kept) is type(wanted) and kept != wanted:
        changed = _difference(dataclasses.asdict(kept), dataclasses.asdict(wanted))
        raise InputError(f"{level}.model differs from the earlier model's: {changed}; want it the "
                         "same")


def _judge_unchanged(place, about, task):
    """Held-out figures hold for the data and the splits that the model was trained with."""
    if about["data"] != checkpoint.fingerprint((task.train, task.held_out)):
        raise InputError(f"{place}: the data or the config have changed since the training; want "
                         "those that the model was trained with")


def read_training(path=None, overrides=()):
    """TrainingConfig of a TOML file, file names made absolute; without `path` the shipped one.

    Raises InputError with every problem.
    """
    path, data, source = load_overridden(path, "stage1.toml", overrides)
    for level, verbs in LEVELS.items():
        tables = data.get(level)
        table = tables.get("data") if isinstance(tables, dict) else None
        if not isinstance(table, dict):
            continue
        for key in verbs.files & set(table):
            if isinstance(table[key], str) and table[key] not in ("", "embedded", "synthetic"):
                table[key] = str((path.parent / table[key]).resolve())
    return parse(data, TrainingConfig, source)


def evaluate_job(run, *, on_level=lambda level: None):
    """{level: (metrics, about)} of every level that the training run `run` holds.

    Writes evaluation.json and evaluation.csv into the run. Raises InputError for another folder.
    """
    run = pathlib.Path(run)
    if not (run / "config.toml").exists():
        raise InputError(f"{run}: no training run; want a folder written by clo-gen train")
    config = read_training(run / "config.toml")
    held = [level for level in LEVELS if (run / level / "model.npz").exists()]
    if not held:
        raise InputError(f"{run}: no level is trained yet; want clo-gen train --resume {run}")
    found = {}
    for level in held:
        on_level(level)
        model, about = checkpoint.load_record(run / level / "model.npz")
        started = time.perf_counter()
        settings = getattr(config, level)
        data = LEVELS[level].load(settings.data, pathlib.Path("."), model)
        _judge_unchanged(run / level, about, LEVELS[level].task(data, settings.model))
        metrics = LEVELS[level].evaluate(model, data)
        found[level] = (metrics, about | {"evaluated_s": time.perf_counter() - started})
    _write_evaluation(run, found)
    return found


def evaluation_rows(found):
    """One dict a metric of what evaluate_job found."""
    rows = [{"level": level, "data": about["kind"]} | dataclasses.asdict(metric)
            | {"verdict": metric.verdict}
            for level, (metrics, about) in found.items() for metric in metrics]
    return [{k: v.item() if isinstance(v, np.generic) else v for k, v in row.items()}
            for row in rows]


def _write_evaluation(run, found):
    rows = evaluation_rows(found)
    write_json(run / "evaluation.json", rows)
    (run / "evaluation.csv").write_text(csv_text(rows))

"""The learned levels: what a training config may say of each, and the verbs that serve it."""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from clo_gen.evaluate import macro as evaluate_macro
from clo_gen.evaluate import recovery as evaluate_recovery
from clo_gen.evaluate import trajectory as evaluate_trajectory
from clo_gen.evaluate import transition as evaluate_transition
from clo_gen.io.files import FileName
from clo_gen.io.problems import unknown_names
from clo_gen.io.toml import Record, said_of
from clo_gen.models.macro_cvae import MacroCvaeConfig
from clo_gen.models.transition import TransitionConfig
from clo_gen.train import macro, recovery, trajectory, transition
from clo_gen.train.loop import TrainConfig


def table_of(kind):
    """Field type for a frozen dataclass `kind` that is written as a table in TOML."""
    known = {f.name: TypeAdapter(f.type) for f in dataclasses.fields(kind)
             if f.type in (int, float, bool) or isinstance(f.type, type(Literal["a"]))}

    def read(value):
        if not isinstance(value, dict):
            return value
        wrong = []
        for key, entry in value.items():
            if key not in known:
                wrong += unknown_names([key], known)
                continue
            try:
                known[key].validate_python(entry, strict=not isinstance(entry, int))
            except ValidationError as error:
                wrong.append(f"{key}: {entry!r}; want {said_of(error.errors()[0])}")
        if wrong:
            raise ValueError("; ".join(wrong))
        return kind(**value)

    return Annotated[kind, BeforeValidator(read)]


Fit, MacroModel, TransitionModel = (table_of(kind) for kind in (TrainConfig, MacroCvaeConfig,
                                                                TransitionConfig))


class MacroLevel(Record):
    """[macro]: the macro CVAE."""

    data: macro.MacroTraining = macro.MacroTraining()
    model: MacroModel = MacroCvaeConfig()
    fit: Fit = macro.FIT


class TransitionLevel(Record):
    """[transition]: the transition transformer."""

    data: transition.TransitionTraining = transition.TransitionTraining()
    model: TransitionModel = TransitionConfig()
    fit: Fit = transition.FIT


class TrajectoryLevel(Record):
    """[trajectory]: loan trajectories; the sizes of the model stand with its data."""

    data: trajectory.TrajectoryTraining = trajectory.TrajectoryTraining()
    model: None = None
    fit: Fit = trajectory.FIT


class RecoveryLevel(Record):
    """[recovery]: severity at default."""

    data: recovery.RecoveryTraining
    model: None = None
    fit: Fit = recovery.FIT


class TrainingConfig(Record):
    """A training config: a name, and a table for each level to train."""

    name: FileName
    warm_start: str | None = None  # a training run whose models training goes on from
    macro: MacroLevel | None = None
    transition: TransitionLevel | None = None
    trajectory: TrajectoryLevel | None = None
    recovery: RecoveryLevel | None = None


@dataclasses.dataclass(frozen=True)
class Level:
    """The verbs of one level."""

    load: Callable  # (data config, folder, model before or None) -> data with `kind` and `source`
    task: Callable  # (data, model config) -> train.loop.Task
    assemble: Callable  # (params, data, model config) -> the trained record
    monitor: Callable  # (model before, data) -> (training, new) monthly frames for train.drift
    evaluate: Callable  # (model, data) -> [scores.Metric]
    files: frozenset  # keys of the data config that name files
    refit: Callable | None  # (data, TrainConfig, epochs, first params) -> params


def _level(training, evaluation, files):
    return Level(training.load, training.task, training.assemble, training.monitor,
                 evaluation.evaluate, frozenset(files), getattr(training, "refit", None))


LEVELS = {
    "macro": _level(macro, evaluate_macro, {"source"}),
    "transition": _level(transition, evaluate_transition, {"file", "macro"}),
    "trajectory": _level(trajectory, evaluate_trajectory, {"loans", "months"}),
    "recovery": _level(recovery, evaluate_recovery, {"file"}),
}

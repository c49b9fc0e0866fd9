"""Severity at default as a training problem: SBA charge-offs, split by the time of charge-off.

The file's term is not the contract's for a charged-off loan (two in three are older than it), so it
would not be known before the default: it is left out unless asked for.
"""

import dataclasses
import pathlib
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from pydantic import Field

from clo_gen.io.config import Month, Positive
from clo_gen.io.problems import InputError
from clo_gen.io.sba import FEATURES, ChargeOffs, read_charge_offs
from clo_gen.io.toml import Record
from clo_gen.models import diffusion, recovery
from clo_gen.models.diffusion import DiffusionConfig
from clo_gen.models.recovery import Recovery
from clo_gen.train.loop import Task, TrainConfig, fit, start

FIT = TrainConfig(epochs=150, batch=256, learning_rate=2e-3, evaluate_every=10, weight_decay=1e-2)


class RecoveryTraining(Record):
    """Which charge-offs the severity at default is learned from, and how they are split."""

    file: str  # CSV or Parquet with one row a loan, see io.sba
    train_until: Month = "2008-12"
    stop_until: Month = "2009-12"  # the months since train_until decide when to stop
    features: tuple[str, ...] = tuple(name for name in FEATURES if name != "term")
    least_sector: Positive = 100  # training charge-offs that a sector needs for its own input
    limit: Annotated[float, Field(gt=0)] = 2.0  # standard deviations at which features saturate
    hidden: Positive = 16
    layers: Positive = 1
    steps: Annotated[int, Field(ge=2, le=64)] = 8


@dataclasses.dataclass(frozen=True)
class RecoveryData:
    """Charge-offs with the model's inputs; train, stop and test follow each other in time."""

    charge_offs: ChargeOffs
    inputs: np.ndarray  # [N, F]
    part: np.ndarray  # [N] "train", "stop" or "test"
    model: Recovery  # untrained (params None), with the normalisation of the training part
    config: RecoveryTraining
    kind: str = "user"

    @property
    def source(self):
        return self.charge_offs.source

    def rows(self, *names):
        """{severity [n], features [n, F]} of the parts named."""
        rows = np.isin(self.part, names)
        return {"severity": self.charge_offs.severity[rows], "features": self.inputs[rows]}


def load(config: RecoveryTraining, folder=pathlib.Path("."), before=None):
    """RecoveryData of the file that `config` names, relative to `folder`.

    A model `before` (warm start) lends its inputs, sizes and normalisation.
    Raises InputError for a bad file, an unknown feature or a split that leaves a part too small.
    """
    unknown = sorted(set(config.features) - set(FEATURES))
    if unknown:
        raise InputError(f"features: {', '.join(unknown)}; want some of {', '.join(FEATURES)}")
    charge_offs = read_charge_offs(pathlib.Path(folder) / config.file)
    month = charge_offs.month
    part = np.where(month <= pd.Period(config.train_until), "train",
                    np.where(month <= pd.Period(config.stop_until), "stop", "test"))
    for name in ("train", "stop", "test"):
        if (part == name).sum() < 50:
            raise InputError(f"{charge_offs.source}: {(part == name).sum()} charge-offs to {name} "
                             f"on; want at least 50 (months {month[0]} to {month[-1]}, trained "
                             f"until {config.train_until}, stopped until {config.stop_until})")
    train = part == "train"
    sectors, counts = np.unique(charge_offs.sector[train], return_counts=True)
    sectors = sectors[counts >= config.least_sector]
    columns = [charge_offs.features[:, FEATURES.index(name)] for name in config.features]
    inputs = np.column_stack(columns + [charge_offs.sector == s for s in sectors])
    names = (*config.features, *(f"sector_{s}" for s in sectors))
    model = _untrained(config, charge_offs.severity[train], inputs[train], names)
    if before is not None:
        if before.names != names:
            raise InputError(f"{charge_offs.source}: the earlier model reads "
                             f"{', '.join(before.names)}; the data give {', '.join(names)}")
        model = before.replace(params=None, trained_until=config.stop_until)
    return RecoveryData(charge_offs, inputs, part, model, config)


def _untrained(config, severity, inputs, names):
    cfg = DiffusionConfig(condition=len(names), atoms=((1.0,),), hidden=config.hidden,
                          layers=config.layers, steps=config.steps)
    spread = inputs.std(0)
    return Recovery(None, jnp.asarray(inputs.mean(0)),
                    jnp.asarray(np.where(spread > 1e-9, spread, np.inf)),
                    jnp.asarray(config.limit), diffusion.fit_normalisation(severity[:, None], cfg),
                    names, config.stop_until)


def task(data: RecoveryData, config=None, *, parts=("train",)):
    """Training problem: one example is one charge-off; the score is its negative log-density.

    `parts` are trained on; the score is that of the stopping months.
    """
    del config  # the sizes are in data.model.cfg

    def loss(params, batch, key, progress):
        del progress
        inputs = recovery.condition(data.model, batch["features"])
        return diffusion.loss(params, data.model.cfg, key, batch["severity"][:, None], inputs)

    def score(params, held_out):
        model = data.model.replace(params=params)
        return -recovery.log_density(model, held_out["severity"], held_out["features"]).mean()

    def init(key):
        return diffusion.init(key, data.model.cfg)

    return Task(init=init, loss=loss, score=score, train=data.rows(*parts),
                held_out=data.rows("stop"))


def assemble(params, data: RecoveryData, config=None):
    """The trained Recovery."""
    del config
    return jax.tree.map(jnp.asarray, data.model.replace(params=params))


def monitor(before: Recovery, data: RecoveryData):
    """(training, new) frames: monthly means of the severity and of every input."""
    frame = pd.DataFrame(np.column_stack([data.charge_offs.severity, data.inputs]),
                         columns=["severity", *data.model.names])
    frame = frame.groupby(data.charge_offs.month).mean()
    until = pd.Period(before.trained_until, "M")
    return frame.loc[:until], frame.loc[until + 1:]


def refit(data: RecoveryData, config, epochs, params=None):
    """Params trained for `epochs` epochs on every month before the test, from `params` on.

    A first fit is stopped by the stopping months and gives `epochs`; the severity drifts, and those
    months are the latest.
    """
    again = dataclasses.replace(config, epochs=epochs, evaluate_every=epochs)
    whole = task(data, parts=("train", "stop"))
    return fit(whole, again, state=start(whole, again, params))[0]

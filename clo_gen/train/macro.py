"""Training data of level 1: overlapping windows of real macro history, split by time.

A window is 13 months of history and the months after them; it belongs to a split only when all of
its months do, so no month is seen by two splits.
"""

import dataclasses
import functools
import pathlib
from typing import Annotated, Literal

import jax
import numpy as np
import pandas as pd
from pydantic import Field

from clo_gen.assembly import load_macro
from clo_gen.io.problems import InputError, Problems
from clo_gen.io.toml import Record
from clo_gen.models import macro_cvae, macro_start, regimes
from clo_gen.models.macro_start import MEMORY
from clo_gen.train.loop import Task, TrainConfig

FIT = TrainConfig(epochs=200, batch=128, learning_rate=5e-3)
SPLITS = ("train", "held_out", "test")
Month = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]


class MacroTraining(Record):
    """Which history level 1 learns from; the defaults use the embedded series."""

    source: str = "embedded"  # or a CSV file
    layout: Literal["fred", "fed", "wide"] = "fred"
    units: Literal["fraction", "percent"] = "fraction"  # of a wide file
    credit_spread: Literal["embedded", "baa"] = "embedded"
    series: Annotated[tuple[str, ...], Field(min_length=3)] = (
        "gdp_growth_yoy", "unemployment_rate", "inflation_yoy", "policy_rate", "treasury_10y",
        "credit_spread_cp", "industrial_production_yoy", "employment_growth_yoy")
    window: Annotated[int, Field(ge=24, le=240)] = 60  # months
    held_out_from: Month = "2000-01"  # months before it train, months from it on stop early
    test_from: Month = "2010-01"
    until: Month | None = None  # nothing later is seen
    leave_out: tuple[Month, Month] | None = ("2020-03", "2021-06")  # without weight in training
    use_all: bool = False  # train on every window: for use after the test, which then says nothing


@dataclasses.dataclass(frozen=True)
class MacroData:
    """History, its windows by split, and what a model kept from an earlier training."""

    frame: pd.DataFrame  # months x series, fractions
    keep: np.ndarray  # [H] bool, False in months that are left out
    ends: dict  # split -> [N] rows after the last month of each window
    window: int
    kind: str
    source: str
    notes: tuple[str, ...]
    config: MacroTraining
    start: macro_start.MacroStart | None = None  # of an earlier model

    @property
    def series(self):
        return tuple(self.frame.columns)

    @property
    def values(self):
        return self.frame.to_numpy()

    def windows(self, split):
        """[N, 13 + window, M] fractions."""
        return np.stack([self.values[e - self.window - MEMORY: e] for e in self.ends[split]])

    def kept(self, split):
        """[N, window] bool: months of each window that are not left out."""
        return np.stack([self.keep[e - self.window: e] for e in self.ends[split]])

    def labels(self, split):
        """[N] index into regimes.LABELS."""
        return np.array([regimes.label(w, self.series, MEMORY) for w in self.windows(split)])

    def span(self, split):
        """First and last month of the windows of a split, in words."""
        rows = self.ends[split]
        first = self.frame.index[rows[0] - self.window - MEMORY]
        seen = ", SEEN IN TRAINING" if self.config.use_all and split != "train" else ""
        return f"{first} to {self.frame.index[rows[-1] - 1]}{seen}"

    def training_months(self):
        """Rows [H'] of the months that training windows cover."""
        return np.arange(self.ends["train"][0] - self.window - MEMORY, self.ends["train"][-1])


def _split_ends(config, index):
    first = {"train": 0, "held_out": index.searchsorted(pd.Period(config.held_out_from, "M")),
             "test": index.searchsorted(pd.Period(config.test_from, "M"))}
    last = {"train": first["held_out"], "held_out": first["test"], "test": len(index)}
    whole = config.window + MEMORY
    return {s: np.arange(first[s] + whole, last[s] + 1) for s in SPLITS}


def _judge(config):
    problems = Problems("macro.data")
    for name in regimes.NEEDED:
        if name not in config.series:
            problems.add("series", ", ".join(config.series), f"{name} among them: the regime "
                         "labels are read from it")
    if not config.held_out_from < config.test_from:
        problems.add("test_from", config.test_from, f"a month after {config.held_out_from}")
    if config.leave_out and config.leave_out[0] > config.leave_out[1]:
        problems.add("leave_out", list(config.leave_out), "a first month, then a last one")
    problems.raise_if_any()


def load(config: MacroTraining = MacroTraining(), folder=pathlib.Path("."), before=None):  # noqa: B008
    """MacroData of the config; `before` is an earlier model whose units and skip are kept.

    Raises InputError for bad files, unknown series and splits without a window.
    """
    _judge(config)
    until = pd.Period(config.until, "M") if config.until else None
    history = load_macro(config, pathlib.Path(folder), until)
    frame = history.until(until, config.series)
    if before is not None and before.series != tuple(frame.columns):
        raise InputError(f"{history.source}: the model holds {', '.join(before.series)}; "
                         f"the data {', '.join(frame.columns)}; want the same series")
    keep = np.ones(len(frame), bool)
    if config.leave_out:
        first, last = (pd.Period(m, "M") for m in config.leave_out)
        keep = np.asarray((frame.index < first) | (frame.index > last))
    ends = _split_ends(config, frame.index)
    for split in SPLITS:
        if not len(ends[split]):
            raise InputError(f"{history.source}: {frame.index[0]} to {frame.index[-1]} leave no "
                             f"{split} window of {config.window} months and {MEMORY} before; want "
                             "other dates in held_out_from, test_from or a longer history")
    if config.use_all:
        every = np.arange(config.window + MEMORY, len(frame) + 1)
        ends = {"train": every, "held_out": every, "test": ends["test"]}
    kind = "real" if config.source == "embedded" else "user"
    return MacroData(frame, keep, ends, config.window, kind, history.source, history.notes, config,
                     None if before is None else before.start)


def start_of(data: MacroData, cfg):
    """MacroStart of the training months, or that of the earlier model."""
    if data.start is not None:
        kept = data.start.loadings.shape[1], *data.start.basis.shape
        if kept != (cfg.latent, data.window, cfg.waves):
            raise InputError(f"{data.source}: (latent, window, waves) were {kept}, now "
                             f"{(cfg.latent, data.window, cfg.waves)}; want the same to go on")
        return data.start
    rows = data.training_months()
    windows = data.window, data.ends["train"] - rows[0], data.labels("train")
    return macro_start.fit(data.values[rows], data.series, data.keep[rows], windows,
                           waves=cfg.waves, latent=cfg.latent, shrink=cfg.shrink)


def _examples(data, split, start):
    x = np.asarray(jax.jit(macro_start.to_standard)(start, data.windows(split)))
    return {"window": x.astype(np.float32),
            "label": regimes.one_hot(data.labels(split)).astype(np.float32),
            "weight": data.kept(split).astype(np.float32)}


def task(data: MacroData, cfg) -> Task:
    """The training problem of one macro CVAE."""
    start = start_of(data, cfg)

    def init(key):
        return macro_cvae.init(key, cfg, start)

    def loss(params, batch, key, progress):
        return macro_cvae.loss(params, cfg, start, batch, key, progress)

    return Task(init=init, loss=loss,
                score=lambda params, batch: macro_cvae.score(params, cfg, start, batch),
                train=_examples(data, "train", start), held_out=_examples(data, "held_out", start))


def assemble(params, data: MacroData, cfg):
    """The trained Cvae."""
    share = np.bincount(data.labels("train"), minlength=len(regimes.LABELS)) / len(
        data.ends["train"])
    return macro_cvae.Cvae(params, start_of(data, cfg), share, cfg, data.series,
                           str(data.frame.index[data.ends["held_out"][-1] - 1]))


def monitor(before, data: MacroData):
    """(training, new): one-step surprises of the model `before`, in standard deviations, in the
    months it learned from and in those after them (frames, months x series)."""
    standard = functools.partial(macro_start.to_standard, before.start)
    x = np.asarray(jax.jit(standard)(data.values))
    white = np.asarray(jax.jit(macro_start.white_residuals)(before.start, x))
    frame = pd.DataFrame(white, index=data.frame.index[MEMORY:], columns=data.frame.columns)
    known = frame.index <= pd.Period(before.trained_until, "M")
    return frame[known], frame[~known]


def label_table(data: MacroData):
    """Frame: how many windows of each split bear each label."""
    found = {split: np.bincount(data.labels(split), minlength=len(regimes.LABELS))
             for split in SPLITS}
    return pd.DataFrame(found, index=list(regimes.LABELS))


def slump_table(frame):
    """Frame: each slump of the history, its months, and whether it was deep or inflated."""
    found = regimes.slumps(frame.to_numpy(), tuple(frame.columns))
    rows = np.flatnonzero(found["slump"])
    spells = np.split(rows, np.flatnonzero(np.diff(rows) > 6) + 1) if len(rows) else []
    return pd.DataFrame([{"first": frame.index[r[0]], "last": frame.index[r[-1]],
                          "deep": bool(found["deep"][r].any()),
                          "inflated": bool(found["inflated"][r].any())} for r in spells])

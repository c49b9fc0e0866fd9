"""Transition counts of any source with the macro months before them, split by time or trust."""

import dataclasses
import pathlib
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from clo_gen import assembly as runs
from clo_gen.io import cohort_counts, synthetic_counts
from clo_gen.io.config import MacroConfig, Month, Positive
from clo_gen.io.config import TransitionConfig as BaselineConfig
from clo_gen.io.panel import CountHistory
from clo_gen.io.problems import InputError
from clo_gen.io.toml import Record
from clo_gen.models.transition import HISTORY, Transformer


class TransitionTraining(Record):
    """Which counts level 2 learns from, and which months are for what."""

    source: Literal["rating_events", "cohort_counts", "synthetic"] = "rating_events"
    file: str = "embedded"  # or a CSV; cohort counts are never embedded
    macro: str = "embedded"  # or a CSV
    macro_layout: Literal["fred", "fed", "wide"] = "fred"
    series: Annotated[tuple[str, ...], Field(min_length=2)] = (
        "gdp_growth_yoy", "unemployment_rate", "policy_rate", "credit_spread_cp")
    covariates: tuple[str, ...] = ("gdp_growth_yoy", "unemployment_rate_change_12m")
    train_from: Month | None = None
    held_out_from: Month = "2003-01"  # early stopping looks at the months from here
    test_from: Month = "2004-01"  # to here; nothing after is seen in training
    test_until: Month | None = None
    leave_out: tuple[Month, ...] = ()  # months that are not used at all
    leave_out_trusts: tuple[str, ...] = ()  # tested, never trained on
    prior_months: Annotated[float, Field(gt=0)] = 5000.0  # loan-months that a cohort's prior weighs
    loans: Positive = 3000  # synthetic: loans in each state, cohort and month
    seed: Annotated[int, Field(ge=0)] = 0  # synthetic


@dataclasses.dataclass(frozen=True)
class TransitionData:
    """Counts, what is known of the cohorts, and the macro months before each."""

    config: TransitionTraining
    kind: str  # real, user or synthetic
    source: str
    counts: CountHistory
    ages: np.ndarray  # [T, C]
    features: np.ndarray  # [C, F]
    groups: tuple[int, ...]  # [C] risk group whose average a cohort is shrunk to
    windows: np.ndarray  # [T, HISTORY + 1, M] macro months that end with each month
    macro: pd.DataFrame  # all macro months known before the test
    trained_on: np.ndarray  # [C] bool
    truth: np.ndarray | None = None  # [T, C, S, S] of synthetic counts
    before: Transformer | None = None  # the model that a warm start continues

    def part(self, name):
        """Row numbers of "train", "held_out", "known" (both) or "test"."""
        c, months = self.config, self.counts.months
        first = pd.Period(c.train_from or months[0], "M")
        held, test = pd.Period(c.held_out_from, "M"), pd.Period(c.test_from, "M")
        last = pd.Period(c.test_until or months[-1], "M")
        spans = {"train": (first, held - 1), "held_out": (held, test - 1),
                 "known": (first, test - 1), "test": (test, last)}
        if name == "test" and c.leave_out_trusts:
            spans["test"] = (months[0], last)
        low, high = spans[name]
        inside = (months >= low) & (months <= high)
        return np.flatnonzero(inside & ~months.isin(pd.PeriodIndex(list(c.leave_out), freq="M")))

    def months(self, name):
        """{"window", "age", "counts"} of one part, as models.transition takes them."""
        rows = self.part(name)
        seen = self.trained_on if name != "test" or self.trained_on.all() else ~self.trained_on
        return {"window": self.windows[rows], "age": self.ages[rows],
                "counts": self.counts.counts[rows] * seen[:, None, None]}


def load(config: TransitionTraining, folder=pathlib.Path("."), before=None):
    """TransitionData named by `config`; file names are relative to `folder`.

    `before` is a model to go on from: its scaling is kept. Raises InputError for bad input.
    """
    source = MacroConfig(source=config.macro, layout=config.macro_layout, series=config.series)
    macro = runs.load_macro(source, folder, None)
    truth: Any = None
    trusts: tuple[str, ...] = ()
    if config.source == "rating_events":
        counts = runs.load_counts(BaselineConfig(events=config.file), folder)
    elif config.source == "synthetic":
        counts, truth = _synthetic(config, macro)
    else:
        if config.file == "embedded":
            raise InputError("file: cohort counts are not shipped; want a CSV file")
        cohorts = cohort_counts.read_cohort_counts(pathlib.Path(folder) / config.file)
        counts, trusts = cohorts.counts, cohorts.trusts
    size = len(counts.cohorts)
    ages, features, groups = np.full((len(counts.months), size), np.inf), np.zeros((size, 0)), (
        (0,) * size)
    if trusts:
        ages, groups = cohorts.ages(counts.months), cohorts.bands
        features = np.column_stack([np.asarray(groups) - 2.0, cohorts.first.year - 2017.0])
    elif truth is not None:
        features, groups = np.array(synthetic_counts.WEAKNESS)[:, None], tuple(range(size))
    unknown = sorted(set(config.leave_out_trusts) - set(trusts))
    if unknown:
        raise InputError(f"leave_out_trusts: {', '.join(unknown)}; want some of "
                         f"{', '.join(dict.fromkeys(trusts)) or 'none'}")
    if before is not None:
        _check_inputs(before, config, features)
    kind = ("synthetic" if truth is not None else
            "real" if config.file == "embedded" else "user")
    return TransitionData(
        config, kind, counts.source, counts, ages, features, groups,
        _windows(macro, config.series, counts.months),
        macro.until(pd.Period(config.test_from, "M") - 1, config.series),
        np.array([t not in config.leave_out_trusts for t in trusts or ("",) * size]), truth, before)


def _check_inputs(before, config, features):
    """Raises InputError when an earlier model reads other inputs."""
    old = (before.series, before.covariates, before.cohorts.features.shape[1])
    new = (tuple(config.series), tuple(config.covariates), features.shape[1])
    if old != new:
        raise InputError(f"transition: the earlier model reads (series, covariates, features) "
                         f"{old}, now {new}; want the same for a warm start")


def _synthetic(config, macro):
    if tuple(config.series) != synthetic_counts.SERIES:
        raise InputError("series: synthetic counts follow " + ", ".join(synthetic_counts.SERIES))
    last = pd.Period(config.test_until or macro.frame.index[-1], "M")
    return synthetic_counts.synthetic_counts(macro.until(last, config.series), loans=config.loans,
                                             seed=config.seed)


def _windows(macro, series, months):
    """[T, HISTORY + 1, M] macro months up to each of `months`. Raises InputError when short."""
    frame = macro.until(months[-1], series)
    first = frame.index.get_indexer([months[0]])[0]
    if first < HISTORY or frame.index[-1] < months[-1]:
        raise InputError(f"{macro.source}: {frame.index[0]} to {frame.index[-1]}; want macro from "
                         f"{months[0] - HISTORY} to {months[-1]} for the transition counts")
    values = frame.to_numpy()
    return np.stack([values[first + i - HISTORY: first + i + 1] for i in range(len(months))])

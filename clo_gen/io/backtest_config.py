"""Backtest configs: TOML -> frozen records."""

import pathlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import pandas as pd
import pydantic
from pydantic import Field

from clo_gen.io.config import (
    FactorConfig,
    MacroConfig,
    Month,
    Positive,
    TransitionConfig,
    load_overridden,
)
from clo_gen.io.files import FileName
from clo_gen.io.problems import InputError
from clo_gen.io.toml import Record, parse

Level = Annotated[float, Field(gt=0.5, lt=1.0)]
RatingModel = Literal["constant", "logit", "constant_own", "logit_own"]


class RatingBacktest(Record):
    """[ratings]: forecasts of default counts from rating histories, models refitted each year."""

    events: str = "embedded"  # or a CSV of rating actions
    first_origin: Month = "2001-01"  # the first fit knows the months before
    horizons: Annotated[tuple[Annotated[int, Field(ge=1, le=36)], ...], Field(min_length=1)] = (
        12, 3)
    models: Annotated[tuple[RatingModel, ...], Field(min_length=1)] = (
        "constant_own", "logit_own", "constant", "logit")
    own_months: Annotated[float, Field(gt=0)] = 1.0  # weight of the published averages in "_own"
    paths: Annotated[int, Field(ge=100, le=100_000)] = 1000
    macro: MacroConfig = MacroConfig(series=("gdp_growth_yoy", "unemployment_rate", "policy_rate",
                                             "credit_spread_cp"))
    transitions: TransitionConfig = TransitionConfig()
    factors: FactorConfig = FactorConfig()


class CountBacktest(Record):
    """[yearly] or [monthly]: a binomial mixture fitted to the periods before, period by period."""

    file: str
    first: Positive  # periods known before the first forecast
    window: Positive | None = None  # periods that a fit looks back; None: all
    groups: tuple[str, ...] | None = None  # ratings or cohorts to use; None: all
    parameter_draws: Annotated[int, Field(ge=0, le=1000)] = 32  # 0: the estimate stands for itself
    leave_out: tuple[Month, ...] = ()  # months that are not used at all (cohort counts)


class LoanBacktest(Record):
    """[loans]: forecasts of single loans, by a logistic regression and by a trained level."""

    loans: str | None = None  # auto panel: one row a loan
    panel: str | None = None  # and one row a loan and month
    fit_month: Month = "2017-12"  # the regression learns the outcomes of the year after it
    test_month: Month = "2018-12"  # and forecasts those of the year after this
    run: str | None = None  # a folder written by clo-gen train with a trajectory level
    paths: Annotated[int, Field(ge=8, le=10_000)] = 64

    @pydantic.model_validator(mode="after")
    def _complete(self):
        if (self.loans is None) != (self.panel is None) or self.panel is self.run is None:
            raise ValueError("the files loans and panel, or run, or all three")
        if pd.Period(self.fit_month, "M") + 12 > pd.Period(self.test_month, "M"):
            raise ValueError("a test_month at least twelve months after fit_month")
        return self


class SeverityBacktest(Record):
    """[severity]: charge-offs of small-business loans whose severities are fitted."""

    file: str


class ClassBacktest(Record):
    """[classes]: a run whose loss probabilities are set beside the rates of the ratings."""

    run: str  # a folder written by clo-gen run


class BacktestConfig(Record):
    name: FileName
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    levels: Annotated[tuple[Level, ...], Field(min_length=1)] = (0.90, 0.95, 0.99)
    draws: Annotated[int, Field(ge=50, le=10_000)] = 200  # bootstrap
    ratings: RatingBacktest | None = None
    yearly: CountBacktest | None = None
    monthly: CountBacktest | None = None
    loans: LoanBacktest | None = None
    severity: SeverityBacktest | None = None
    classes: ClassBacktest | None = None


_FILES = (("yearly", "file"), ("monthly", "file"), ("severity", "file"), ("loans", "run"),
          ("loans", "loans"), ("loans", "panel"), ("classes", "run"), ("ratings", "events"),
          ("ratings", "macro", "source"), ("ratings", "macro", "run"),
          ("ratings", "transitions", "events"), ("ratings", "transitions", "run"))
PARTS = ("ratings", "yearly", "monthly", "loans", "severity", "classes")


def read_backtest(path: pathlib.Path | None = None,
                  overrides: Sequence[str] = ()) -> BacktestConfig:
    """BacktestConfig of a TOML file, file names made absolute; without `path` the shipped one.

    Raises InputError with every problem.
    """
    path, data, source = load_overridden(path, "backtest.toml", overrides)
    for *tables, key in _FILES:
        part: Any = data
        for table in tables:
            part = part.get(table) if isinstance(part, dict) else None
        if isinstance(part, dict) and isinstance(part.get(key), str) and part[key] != "embedded":
            part[key] = str((path.parent / part[key]).resolve())
    config = parse(data, BacktestConfig, source)
    if all(getattr(config, part) is None for part in PARTS):
        raise InputError(f"{source}: nothing to test; want at least one table of "
                         + ", ".join(PARTS))
    return config

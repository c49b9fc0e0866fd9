"""Run config and scenario table: TOML -> frozen records; each default once, on its field."""

import datetime
import pathlib
import tomllib
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from clo_gen.io import limits
from clo_gen.io.files import FileName, exists
from clo_gen.io.macro import SERIES
from clo_gen.io.problems import InputError, Problems
from clo_gen.io.tables import config_path
from clo_gen.io.toml import Record, load_toml, parse
from clo_gen.models import regimes, scenarios

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
Month = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]


class SyntheticTape(Record):
    """Loan terms drawn around stated averages; labelled synthetic wherever it appears."""

    obligors: Annotated[int, Field(gt=0, le=100_000)] = 200
    spread_bps: Annotated[float, Field(gt=0, le=2000)] = 336.0
    rating_weights: dict[str, Share]
    seed: Annotated[int, Field(ge=0)] = 1


class TapeConfig(Record):
    file: str | None = None
    columns: str | None = None  # column map (TOML) for a file with other headers
    synthetic: SyntheticTape | None = None


class MacroConfig(Record):
    source: str = "embedded"  # or a CSV file
    layout: Literal["fred", "fed", "wide"] = "fred"
    units: Literal["fraction", "percent"] = "fraction"  # of a wide file
    credit_spread: Literal["embedded", "baa"] = "embedded"  # baa: read through the package arch
    series: Annotated[tuple[str, ...], Field(min_length=2)]
    generator: Literal["var", "block_bootstrap", "cvae", "paths"] = "var"
    paths: str | None = None  # paths: a CSV of macro paths, as clo-gen scenario writes it
    run: str | None = None  # cvae: the folder that clo-gen train wrote
    lags: Annotated[int, Field(ge=1, le=12)] = 2
    block_months: Annotated[int, Field(ge=2, le=120)] = 24
    fit_from: Month = "1985-01"
    leave_out: tuple[Month, Month] | None = None  # first and last month the VAR does not fit


class TransitionConfig(Record):
    events: str = "embedded"  # rating events CSV
    model: Literal["logit", "constant", "transformer"] = "logit"
    run: str | None = None  # transformer: the folder that clo-gen train wrote
    covariates: tuple[str, ...] = ("gdp_growth_yoy", "unemployment_rate_change_12m")
    prior_months: Annotated[float, Field(gt=0)] = 12_000.0  # weight of the S&P 1981-2016 prior
    ridge: Annotated[float, Field(ge=0)] = 1.0
    saturation: Annotated[float, Field(gt=0)] = 3.0  # standard deviations of a covariate
    macro_effect: Annotated[float, Field(ge=0, le=20)] = 1.0  # multiplies the logit's slopes
    worse_log_odds: Annotated[float, Field(ge=-5, le=5)] = 0.0  # added to the logit's worse moves
    reference: tuple[Month, Month] = ("1981-01", "2016-12")  # years of the prior's averages
    test_from: Month = "2004-01"  # the held-out check fits before and tests from here on


class TrajectoryConfig(Record):
    """Level 3; read in mode "trajectory" only."""

    run: str  # the folder that clo-gen train wrote


class CalibrationConfig(Record):
    """What clo-gen calibrate found for this model."""

    run: str  # the folder that it wrote


class PrepaymentConfig(Record):
    cpr: Share = 0.20
    spread_sensitivity: Annotated[float, Field(ge=0, le=10)] = 0.5  # of log CPR per point of spread
    spread_series: str = "credit_spread_cp"


class RecoveryConfig(Record):
    lag_months: Annotated[int, Field(ge=0, le=60)] = 12
    by_lien: dict[Literal["first", "second", "unsecured"], Share] = {
        "first": 0.60, "second": 0.30, "unsecured": 0.35}


class FactorConfig(Record):
    """Standard deviations of the log-odds of worse moves, by source (defaults assumed)."""

    cohort: Annotated[float, Field(ge=0, le=3)] = 0.30
    industry: Annotated[float, Field(ge=0, le=3)] = 0.30
    region: Annotated[float, Field(ge=0, le=3)] = 0.15
    persistence: Annotated[float, Field(ge=0, lt=1)] = 0.95


class Curve(Record):
    """A forward curve: yearly rates by month after the cut-off, linear between, flat beyond."""

    months: Annotated[tuple[int, ...], Field(min_length=1)]
    rates: Annotated[tuple[float, ...], Field(min_length=1)]


class RunConfig(Record):
    name: FileName
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    paths: Annotated[int, Field(ge=2, le=10_000_000)] = 1000
    block: Annotated[int, Field(ge=1, le=65_536)] | None = None  # paths at once on a device; None:
    # what suits the platform and --memory. A path's last bits depend on it, on nothing else
    mode: Literal["markov", "expected", "trajectory"] = "markov"
    temperature: Annotated[float, Field(ge=0, le=10)] = 0.0  # of the coverage tests; 0 is hard
    scenarios: Annotated[tuple[FileName, ...], Field(min_length=1)]
    scenario_file: str = "scenarios.toml"
    deal: str
    tape: TapeConfig
    macro: MacroConfig
    transitions: TransitionConfig = TransitionConfig()
    trajectory: TrajectoryConfig | None = None
    calibration: CalibrationConfig | None = None
    prepayment: PrepaymentConfig = PrepaymentConfig()
    recovery: RecoveryConfig = RecoveryConfig()
    factors: FactorConfig = FactorConfig()
    indices: dict[str, str | Curve] = {"SOFR": "policy_rate"}


class Shape(Record):
    peak_month: Positive
    hold_months: Annotated[int, Field(ge=0)] = 0
    decay_months: Positive


class ScenarioTerms(Record):
    shift: dict[str, Annotated[float, Field(ge=-100, le=100)]] = {}  # percentage points
    multiplier: dict[str, Annotated[float, Field(gt=0, le=100)]] = {}
    label: Literal[regimes.LABELS] | None = None  # of a learned generator; None: the name's own


class ScenarioTable(Record):
    label_months: Positive = 60  # the label holds so long, then baseline
    shape: dict[str, Shape]
    scenarios: dict[str, ScenarioTerms]


_FILES = ("run", "paths", "deal", "file", "columns", "source", "events", "scenario_file", "counts",
          "default_counts", "severities", "loans", "months")


def set_value(data: dict[str, Any], assignment: str) -> None:
    """Puts one `a.b=value` (TOML value; bare text counts as a string) into nested dict `data`.

    The name of a file or folder that exists is taken from the current folder, as on any command
    line; another one stays relative to the config, as in the config itself.
    """
    key, equals, text = assignment.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {assignment}: want key=value, such as macro.lags=3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # no TOML value
        value = text
    *parents, leaf = key.strip().split(".")
    if leaf in _FILES and isinstance(value, str) and exists(value):
        value = str(pathlib.Path(value).resolve())
    if len(parents) > limits.DEPTH:
        raise InputError(f"--set {assignment[:80]}: nested too deeply; want a key of the config")
    for parent in parents:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):
            raise InputError(f"--set {assignment}: {parent} is a value, not a table")
    data[leaf] = value


def load_overridden(
        path: str | pathlib.Path | None, shipped: str,
        overrides: Iterable[str]) -> tuple[pathlib.Path, dict[str, Any], pathlib.Path | str]:
    """(path, TOML data with the `overrides` set, what to call the source) of a config file; without
    `path` that of the name `shipped`."""
    path = pathlib.Path(config_path(shipped) if path is None else path)
    data = load_toml(path)
    for assignment in overrides:
        set_value(data, assignment)
    return path, data, f"{path} with {', '.join(overrides)}" if overrides else path


def read_config(path: str | pathlib.Path | None = None,
                overrides: Iterable[str] = ()) -> tuple[RunConfig, pathlib.Path]:
    """(RunConfig, folder) from TOML; without `path` the shipped quickstart.

    `overrides` are `key=value` texts; file names in the config are relative to `folder`. Rates are
    fractions, times months, spreads basis points. Raises InputError with every problem.

    >>> config, folder = cg.read_config(overrides=["paths=200", "prepayment.cpr=0.15"])
    >>> config.paths, config.prepayment.cpr, config.scenarios
    (200, 0.15, ('baseline', 'adverse', 'severely_adverse', 'stagflation'))
    """
    file, data, source = load_overridden(path, "quickstart.toml", overrides)
    config = parse(data, RunConfig, source)
    problems = Problems(source)
    _check(config, problems)
    problems.raise_if_any()
    return config, file.parent


def _check(config, problems):
    tape, macro = config.tape, config.macro
    if (tape.file is None) == (tape.synthetic is None):
        problems.say("tape: want either file or synthetic (on the command line: --tape FILE)")
    if tape.synthetic and abs(sum(tape.synthetic.rating_weights.values()) - 1.0) > 1e-6:
        problems.add("tape.synthetic.rating_weights", sum(tape.synthetic.rating_weights.values()),
                     "weights that add to 1")
    for name in macro.series:
        if name not in SERIES:
            problems.add("macro.series", name, "one of " + ", ".join(SERIES))
    for table, learned in (("macro", macro.generator == "cvae"),
                           ("transitions", config.transitions.model == "transformer")):
        if learned != (getattr(config, table).run is not None):
            problems.say(f"{table}.run: " + ("missing; want the folder of a training run"
                                             if learned else "only a learned model has one"))
    if (macro.generator == "paths") != (macro.paths is not None):
        problems.say("macro.paths: " + ("missing; want the CSV of clo-gen scenario"
                                        if macro.paths is None else
                                        'only generator = "paths" reads it'))
    if macro.generator == "paths" and len(config.scenarios) != 1:
        problems.add("scenarios", ", ".join(config.scenarios), "one name: given paths are the "
                     "scenario, such as --set 'scenarios=[\"baseline\"]'")
    t = config.transitions
    if t.model != "logit" and (t.macro_effect, t.worse_log_odds) != (1.0, 0.0):
        problems.say("transitions: macro_effect and worse_log_odds are read by model = \"logit\"")
    if config.mode == "trajectory" and config.trajectory is None:
        problems.say("trajectory.run: missing; want the folder of a training run")
    bases = {c.removesuffix("_change_12m") for c in config.transitions.covariates}
    followed = {s for s in config.indices.values() if isinstance(s, str)}
    for place, names in (("transitions.covariates", bases), ("indices", followed),
                         ("prepayment.spread_series", {config.prepayment.spread_series})):
        for name in sorted(names - set(macro.series)):
            problems.add(place, name, "one of macro.series: " + ", ".join(macro.series))
    for name, curve in config.indices.items():
        if isinstance(curve, Curve) and (len(curve.months) != len(curve.rates)
                                         or list(curve.months) != sorted(set(curve.months))):
            problems.say(f"indices.{name}: want months in rising order, and as many rates")
    if not config.indices:
        problems.say("indices: want at least one index")


def read_scenarios(path: str | pathlib.Path, wanted: Iterable[str],
                   series: tuple[str, ...], months: int) -> dict[str, scenarios.Scenario]:
    """{name: models.scenarios.Scenario} of the `wanted` names over `months` months and `series`.

    Raises InputError for an unknown scenario, series or key.
    """
    table = parse(load_toml(path), ScenarioTable, path)
    problems = Problems(path)
    groups = {"credit_spread": [s for s in series if s.startswith("credit_spread")]}
    known = {*SERIES, "credit_spread"}
    for name in wanted:
        if name not in table.scenarios:
            problems.add("scenario", name, "one of " + ", ".join(table.scenarios))
    for name, terms in table.scenarios.items():
        for key in (*terms.shift, *terms.multiplier):
            if key not in known or key not in table.shape:
                problems.add(f"scenarios.{name}", key, "a series that has a shape: "
                             + ", ".join(s for s in table.shape if s in known))
    problems.raise_if_any()
    shape = np.zeros((months, len(series)))
    for key, s in table.shape.items():
        for member in groups.get(key, [key] if key in series else []):
            shape[:, series.index(member)] = scenarios.shape_of(
                months, s.peak_month, s.hold_months, s.decay_months)

    def row(given, neutral, scale):
        values = np.full(len(series), neutral)
        for key, value in given.items():
            for member in groups.get(key, [key] if key in series else []):
                values[series.index(member)] = value * scale
        return values

    def label(name):
        own = name if name in regimes.LABELS else "baseline"
        weights = np.tile(regimes.one_hot(0), (months, 1))
        weights[: table.label_months] = regimes.one_hot(
            regimes.LABELS.index(table.scenarios[name].label or own))
        return weights

    never_negative = ("unemployment_rate", "policy_rate", "treasury", "credit_spread")
    lower = np.array([0.0 if s.startswith(never_negative) else -np.inf for s in series])
    return {name: scenarios.Scenario(row(table.scenarios[name].shift, 0.0, 0.01),
                                     row(table.scenarios[name].multiplier, 1.0, 1.0), shape, lower,
                                     label(name))
            for name in wanted}


def curve_table(indices: dict[str, str | Curve],
                months: int) -> tuple[np.ndarray, tuple[str | None, ...]]:
    """Forward curves [months + 1, I] from month 0, and the macro series (or None) of each index."""
    curves, follows = np.zeros((months + 1, len(indices))), []
    for i, source in enumerate(indices.values()):
        follows.append(source if isinstance(source, str) else None)
        if not isinstance(source, str):
            curves[:, i] = np.interp(np.arange(months + 1), source.months, source.rates)
    return curves, tuple(follows)


def cutoff_month(closing: datetime.date) -> pd.Period:
    """Last month of history known at `closing`: the month before."""
    return pd.Period(closing, "M") - 1

"""Level 1 as an object: paths of a macro model, free, conditional, held or replayed.

    model = read_macro_model("runs/stage1")        # after `clo-gen train`
    model.generate_conditional({"gdp_growth_yoy": {"month": 12, "value": -0.04},
                                "unemployment_rate": {"month": 24, "value": 0.10}})

Reference: methodology, Custom Conditioning. Everything here runs in double precision whatever the
caller's setting: conditions are met to a hundredth of a basis point.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from clo_gen.assembly import HISTORY_MONTHS, load_macro, load_market
from clo_gen.io import conditions as condition_io
from clo_gen.io import macro_paths
from clo_gen.io.config import MacroConfig, RunConfig, cutoff_month, read_scenarios
from clo_gen.io.deal import read_deal
from clo_gen.io.macro import MacroHistory
from clo_gen.io.problems import InputError
from clo_gen.io.tables import config_path
from clo_gen.io.toml import load_toml
from clo_gen.learned import calibrated, load_learned
from clo_gen.models import (
    conditioning,
    macro_baseline,
    macro_cvae,
    posterior_paths,
    reach,
    regimes,
    scenario_paths,
)
from clo_gen.models.posterior_paths import Start
from clo_gen.models.scenarios import Scenario

CAPACITY = 4  # rows of the program that serves few conditions; more take the next power of four
TOLERANCE = 1e-5  # how far a value may lie from its condition


@dataclasses.dataclass(frozen=True)
class ConditionalPaths:
    """Paths that meet conditions, and how much was asked for."""

    values: np.ndarray  # [N, T, M] fractions
    log_density: np.ndarray  # [N] prior log-density of each path's noise
    usual_log_density: float  # its mean over unconditional paths
    met: np.ndarray  # [N] bool; candidates that miss are replaced, so all are True
    conditions: tuple  # K of io.conditions.Condition
    quantile: np.ndarray  # [K, 2] prior quantile of each condition's low and high
    distance: float  # standard deviations of noise to the likeliest path that meets them all
    effective: float  # effective number of candidates drawn from; far under N the paths
    # meet the conditions, but their law is not to be trusted
    candidates: int
    series: tuple[str, ...]


def _double(tree):
    return jax.tree.map(lambda x: jnp.asarray(x, float) if jnp.issubdtype(
        jnp.asarray(x).dtype, jnp.floating) else jnp.asarray(x), tree)


def _in_double(method):
    """`method` of a MacroModel whose arrays are double, run in double precision."""

    @functools.wraps(method)
    def run(self, *args, **kwargs):
        with jax.enable_x64(True):
            own = dataclasses.replace(self, **{name: _double(getattr(self, name))
                                               for name in ("model", "history", "scenarios")})
            return method(own, *args, **kwargs)

    return run


@dataclasses.dataclass(frozen=True)
class MacroModel:
    """A fitted macro model, where it starts and the scenarios it knows."""

    model: Any  # models.macro_baseline.Var or models.macro_cvae.Cvae
    verbs: ModuleType  # models.macro_baseline or models.macro_cvae: noise_size and decode
    history: jax.Array | np.ndarray  # [H, M] months up to the cut-off date
    series: tuple[str, ...]  # M names
    scenarios: dict  # name -> models.scenarios.Scenario over the T months of a path

    def scenario_of(self, scenario: str | Scenario) -> Scenario:
        """The Scenario itself where a name is given."""
        if not isinstance(scenario, str):
            return _double(scenario)
        if scenario not in self.scenarios:
            raise InputError(f"scenario: {scenario!r}; want one of {', '.join(self.scenarios)}")
        return self.scenarios[scenario]

    @_in_double
    def generate(self, n: int, key: jax.Array | None = None,
                 scenario: str | Scenario = "baseline") -> np.ndarray:
        """Paths [n, T, M], fractions: path i is the one that the graph draws for path i of `key`.

        Without `key` (a typed key) the paths are the same each time.

        >>> model = cg.macro_model_of(*cg.read_config(), months=24)
        >>> model.generate(3, scenario="adverse").shape
        (3, 24, 6)
        """
        start = Start(self.model, self.history, self.scenario_of(scenario))
        noise = posterior_paths.prior(start, _key(key), verbs=self.verbs, count=n)
        return np.asarray(posterior_paths.decode(start, noise, verbs=self.verbs))

    @_in_double
    def generate_conditional(self, conditions: Mapping[str, dict | list[dict]], n: int = 500, *,
                             key: jax.Array | None = None, scenario: str | Scenario = "baseline",
                             sds: float = 8.0) -> ConditionalPaths:
        """ConditionalPaths: `n` draws of the model given that every condition holds.

        `conditions` is {series: dict or list of dicts}; a dict holds a `month` from 1 (or `months`)
        with a `value`, or `low` and `high`, or it holds a `path` from month 1 on (None where free).
        A condition that asks for more than `sds` standard deviations of the model's noise is out
        of reach. Raises InputError with every problem; what is out of reach is named with the
        range that is not. Without `key` the draws are the same each time.

        >>> model = cg.macro_model_of(*cg.read_config(), months=24)
        >>> paths = model.generate_conditional({"unemployment_rate": {"month": 12, "value": 0.06}},
        ...                                    n=50)
        >>> after_a_year = paths.values[:, 11, paths.series.index("unemployment_rate")]
        >>> paths.values.shape, np.allclose(after_a_year, 0.06, atol=1e-5)
        ((50, 24, 6), True)
        """
        chosen = self.scenario_of(scenario)
        judged = condition_io.judge(conditions, self.series, chosen.shape.shape[0], chosen.lower)
        return _conditional(self, judged, chosen, n, key, sds)

    @_in_double
    def hold(self, path: np.ndarray, n: int = 1, *, key: jax.Array | None = None,
             scenario: str | Scenario = "baseline") -> np.ndarray:
        """Paths [n, T, M] in which `path` [t, M] is held and the model fills what is nan.

        Where the first months are complete and the others free, the model goes on from the path as
        from its own history (the scenario's later months included); else it is conditioned on what
        is given, however unlikely that is.
        """
        chosen, path = self.scenario_of(scenario), np.asarray(path, float)
        months = chosen.shape.shape[0]
        path = path[:months]
        whole = np.isfinite(path).all(1)
        full = len(path) if whole.all() else int(np.argmin(whole))
        if full and np.isnan(path[full:]).all():
            return _continued(self, path[:full], chosen, n, key)
        path = np.maximum(path, np.asarray(chosen.lower))
        judged = condition_io.judge({name: {"path": path[:, m]} for m, name
                                     in enumerate(self.series)}, self.series, months, chosen.lower)
        return _conditional(self, judged, chosen, n, key, None).values

    @_in_double
    def replay(self, macro: MacroHistory, start: str, how: str = "differences") -> np.ndarray:
        """Path [t, M], t <= T, that repeats the real months of `macro` (io.macro.MacroHistory) from
        `start` ("2007-12") on; `hold` goes on where they end. `how`: models.scenario_paths.replay.
        """
        if how not in scenario_paths.HOW:
            raise InputError(f"how: {how!r}; want one of {', '.join(scenario_paths.HOW)}")
        baseline = self.scenario_of("baseline")
        real = macro_paths.real_months(macro, self.series, start, baseline.shape.shape[0])
        return np.asarray(scenario_paths.replay(real, np.asarray(self.history[-1]),
                                                np.asarray(baseline.lower), how))

    @_in_double
    def blend(self, knots: Mapping[str, list[tuple[int, float]]]) -> Scenario:
        """Scenario from {name: [(month, weight), ...]}, weights linear between the months named."""
        months = self.scenario_of("baseline").shape.shape[0]
        names, weights = macro_paths.weights_over_time(knots, self.scenarios, months)
        return scenario_paths.blend([self.scenarios[name] for name in names], jnp.asarray(weights))


def read_macro_model(run: str | pathlib.Path, months: int = 60,
                     until: pd.Period | None = None) -> MacroModel:
    """MacroModel of the CVAE of a training run, over the `months` months after its history.

    The history is the one that the run was trained on, up to `until` (Period; None: its end). The
    four standard scenarios have their overlays calibrated. Raises InputError when `run` has none.

    >>> model = cg.read_macro_model("runs/stage1")  # a run of clo-gen train
    >>> model.generate(5, scenario="adverse").shape[:2]
    (5, 60)
    """
    cvae, _ = load_learned(run, "macro", macro_cvae.Cvae)
    data = load_toml(pathlib.Path(run) / "config.toml")["macro"]["data"]
    config = MacroConfig(series=cvae.series, **{
        name: data[name] for name in ("source", "layout", "units", "credit_spread")})
    until = until or (pd.Period(data["until"], "M") if "until" in data else None)
    frame = load_macro(config, pathlib.Path("."), until).until(until, cvae.series)
    history = frame.to_numpy()[-HISTORY_MONTHS:]
    table = read_scenarios(config_path("scenarios.toml"), regimes.LABELS, cvae.series, months)
    with jax.enable_x64(True):
        table = calibrated(cvae, table, history)
    return MacroModel(cvae, macro_cvae, history, cvae.series, table)


def macro_model_of(config: RunConfig, folder: pathlib.Path,
                   months: int | None = None) -> MacroModel:
    """MacroModel of a run config's own generator, VAR or CVAE, at the deal's closing, over `months`
    months (None: the deal's). Its scenarios are the config's and the baseline.

    Raises InputError for bad input, and for a generator that is no map of normal noise.

    >>> model = cg.macro_model_of(*cg.read_config(), months=24)
    >>> list(model.scenarios)
    ['baseline', 'adverse', 'severely_adverse', 'stagflation']
    """
    verbs = {"var": macro_baseline, "cvae": macro_cvae}.get(config.macro.generator)
    if verbs is None:
        raise InputError(f"macro.generator: {config.macro.generator!r}; want var or cvae, which "
                         "draw macro paths from normal noise")
    deal = read_deal(pathlib.Path(folder) / config.deal)
    wanted = tuple(dict.fromkeys(("baseline", *config.scenarios)))
    with jax.enable_x64(True):
        market = load_market(config.model_copy(update={"scenarios": wanted}), folder,
                             cutoff_month(deal.terms.closing), months or deal.months)
    return MacroModel(market.params, verbs, market.recent, config.macro.series, market.scenarios)


def _key(key):
    return jax.random.key(0) if key is None else key


def _continued(model, path, scenario, n, key):
    """Paths [n, T, M] that begin with `path` [t, M] and go on from there."""
    done, months = path.shape[0], scenario.shape.shape[0]
    begun = np.broadcast_to(path, (n, *path.shape))
    if done == months:
        return np.array(begun)
    history = jnp.concatenate([model.history, path])[-model.history.shape[0]:]
    start = Start(model.model, history, scenario_paths.after(scenario, done))
    noise = posterior_paths.prior(start, _key(key), verbs=model.verbs, count=n)
    rest = posterior_paths.decode(start, noise, verbs=model.verbs)
    return np.concatenate([begun, rest], axis=1)


def _rows(judged, series, lower):
    """Rows of `judged` conditions, padded, in the terms of a model without bounds below."""
    capacity = CAPACITY
    while capacity < len(judged):
        capacity *= 4

    def padded(values, fill):
        return jnp.asarray([*values, *[fill] * (capacity - len(judged))])

    column = [series.index(c.series) for c in judged]
    # At the bound a whole half-line of the model's values shows as that one value.
    low = [-np.inf if c.low <= lower[m] else c.low
           for c, m in zip(judged, column, strict=True)]
    return reach.Rows(padded([c.month - 1 for c in judged], 0), padded(column, 0),
                      padded(low, 0.0), padded([c.high for c in judged], 0.0),
                      padded([True] * len(judged), False))


def _conditional(model, judged, scenario, n, key, sds):
    """ConditionalPaths of judged conditions; `sds` None: nothing is out of reach."""
    start = Start(model.model, model.history, scenario)
    lower = np.asarray(scenario.lower)
    rows, count = _rows(judged, model.series, lower), len(judged)
    limits = np.array([8.0 if sds is None else sds] * 2, float)
    limits[1] += np.sqrt(count - 1.0)
    found = posterior_paths.prospect(start, rows, limits, verbs=model.verbs)
    distance = float(jnp.linalg.norm(found.likeliest.noise))
    if sds is not None:
        alone = np.where(found.miss <= TOLERANCE, found.distance, np.inf)
        condition_io.refuse_unreachable(judged, condition_io.Asked(
            limits, alone[:count], distance if found.likeliest.miss <= TOLERANCE else np.inf,
            np.asarray(found.alone)[:count], np.asarray(found.together)[:count],
            np.array([lower[model.series.index(c.series)] for c in judged])))
    drawn = posterior_paths.posterior(start, reach.narrowed(rows, found), found.likeliest,
                                      _key(key), n, verbs=model.verbs)
    if drawn.met < n:
        raise InputError(f"conditions: {drawn.met} of {drawn.candidates} draws of the model could "
                         f"be moved to meet them, {n} paths are wanted; want conditions nearer to "
                         "what the model expects")
    values = np.asarray(posterior_paths.decode(start, drawn.noise, verbs=model.verbs))
    usual = -0.5 * drawn.noise.shape[1] * (1.0 + np.log(2.0 * np.pi))
    return ConditionalPaths(
        values, np.asarray(conditioning.log_density(drawn.noise)), usual,
        _met(values, judged, model.series), judged, np.asarray(found.quantile)[:count], distance,
        drawn.effective, drawn.candidates, model.series)


def _met(values, judged, series):
    """[N] bool: every condition holds in the path itself."""
    out = np.ones(len(values), bool)
    for c in judged:
        value = values[:, c.month - 1, series.index(c.series)]
        out &= (value >= c.low - TOLERANCE) & (value <= c.high + TOLERANCE)
    return out

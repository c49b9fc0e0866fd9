"""Rolling forecasts of default counts from rating histories, by the transition models of a run.

At the start of each year the transition models and the macro VAR are fitted to the months before
it; then, horizon after horizon, macro paths are drawn from the last month known, every rating is
pushed through the path's matrices, and the defaults of the obligors then rated are a mixture of
binomials over the paths.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from clo_gen import rng
from clo_gen.assembly import HISTORY_MONTHS, fit_macro, fit_transitions, load_macro
from clo_gen.evaluate.backtest import CountForecast
from clo_gen.io import default_counts
from clo_gen.io.config import read_scenarios
from clo_gen.io.panel import read_rating_events, transition_counts
from clo_gen.io.problems import InputError
from clo_gen.io.tables import config_path, data_path
from clo_gen.models import (
    loan_states,
    macro_baseline,
    prepayment,
    systematic,
    transition_baseline,
)
from clo_gen.risk.counts import mixture_pmf
from clo_gen.states import RATING

NAMES = {
    "constant_own": "constant, earlier counts alone",
    "logit_own": "logit, earlier counts alone",
    "constant": "constant, S&P prior as in runs",
    "logit": "logit, S&P prior as in runs",
}
PRIOR_NOTE = "the prior's averages span 1981-2016 and so include the years forecast"


@dataclasses.dataclass(frozen=True)
class RatingForecasts:
    """Forecasts of counts, and of the single obligors behind them; what came."""

    counts: list  # [CountForecast], one a model and horizon
    obligors: dict  # {(model, horizon): (obligor [N], forecast [N], defaulted [N] bool)}
    outcomes: dict  # {horizon: io.default_counts.DefaultCounts by rating}
    source: str


def default_rates(model, generator, loadings, market, key, paths):
    """Probabilities [N, R] of default of each live state on N paths, factors included.

    market is (recent macro [H, M], scenario, series, withdrawal rate a month). All obligors share
    one cohort factor: the histories name no industry or region. Withdrawn ratings are lost from
    sight, so no default of theirs is seen.
    """
    recent, scenario, series, withdrawal = market
    months, space = scenario.shape.shape[0], model.space
    live = len(space.live)
    cohort = jnp.zeros(live, int)

    def one(number):
        own = rng.path_key(key, number)
        path = macro_baseline.sample(generator, own, recent, scenario, series)
        matrices = prepayment.add(transition_baseline.predict(model, path),
                                  jnp.broadcast_to(withdrawal, (months,)), space).matrix[0]
        odds = jnp.exp(systematic.sample(loadings, rng.sources(own), months, (1, 1, 1)).cohort)

        def month(weights, x):
            matrix, shift = x
            return loan_states.push(matrix[None], space, weights, cohort,
                                    jnp.broadcast_to(shift, (live,))), None

        start = jnp.eye(space.size)[:live]
        return jax.lax.scan(month, start, (matrices, odds[:, 0]))[0][:, space.default]

    return jax.vmap(one)(jnp.arange(paths))


@functools.cache
def _compiled(series, paths):
    def run(model, generator, loadings, recent, scenario, withdrawal, key):
        return default_rates(model, generator, loadings, (recent, scenario, series, withdrawal),
                             key, paths)

    return jax.jit(run)


@dataclasses.dataclass(frozen=True)
class _Known:
    """What is fitted to the months before one year."""

    models: dict
    generator: Any
    withdrawal: float


def _fit(config, counts, macro, panel, year_start):
    last = year_start - 1
    train = counts.between(counts.months[0], last - 1)  # a move counts in the month it leaves
    models: dict = {}
    for suffix, strength in (("", config.transitions.prior_months), ("_own", config.own_months)):
        wanted = [m for m in config.models if m.endswith("_own") == bool(suffix)]
        if wanted:
            settings = config.transitions.model_copy(update={"prior_months": strength})
            fitted = fit_transitions(settings, train, macro, config.macro.series, known_until=last)
            models |= {name: fitted[name.removesuffix("_own")] for name in wanted}
    generator = fit_macro(config.macro, macro, last)[0]
    return _Known(models, generator, default_counts.withdrawal_rate(panel, last))


def _origins(config, panel, counts, horizon):
    """Months at which a forecast starts: one horizon after the other, whole ones only."""
    first = pd.Period(config.first_origin, "M")
    last = default_counts.last_origin(panel, horizon)
    if first < counts.months[0] + 12 or first + 2 * horizon > last:
        raise InputError(f"ratings.first_origin: {first}; want at least twelve months of "
                         f"histories before (they start {counts.months[0]}) and three horizons of "
                         f"{horizon} months after (they end {last + horizon - 1})")
    return pd.period_range(first, last, freq="M")[::horizon]


def rating_forecasts(config, folder, *, seed=0, on_step=lambda text: None):
    """RatingForecasts of a RatingBacktest. Raises InputError for bad files or settings."""
    if config.macro.generator == "cvae" or config.transitions.model == "transformer":
        raise InputError("ratings: a learned level has seen the years forecast; want the models "
                         "that are refitted each year")
    embedded = config.events == "embedded"
    path = data_path("rating_events_1999_2005.csv") if embedded else folder / config.events
    panel = read_rating_events(path, RATING)
    counts = transition_counts(panel, RATING, path.name)
    macro = load_macro(config.macro, folder, counts.months[-1])
    origins = {h: _origins(config, panel, counts, h) for h in config.horizons}
    loadings = jax.tree.map(lambda x: jnp.asarray(x, float),
                            systematic.Loadings(**config.factors.model_dump()))
    known: dict = {}
    found: dict = {}
    for horizon in config.horizons:
        scenario = read_scenarios(config_path("scenarios.toml"), ["baseline"],
                                  config.macro.series, horizon)["baseline"]
        for number, origin in enumerate(origins[horizon]):
            year = max(pd.Period(f"{origin.year}-01", "M"), origins[horizon][0])
            if year not in known:
                on_step(f"ratings: fitting before {year}")
                known[year] = _fit(config, counts, macro, panel, year)
            recent = macro.until(origin - 1, config.macro.series).to_numpy()[-HISTORY_MONTHS:]
            key = rng.path_key(rng.path_key(jax.random.key(seed), horizon), number)
            run = _compiled(config.macro.series, config.paths)
            for name, model in known[year].models.items():
                rates = run(model, known[year].generator, loadings, recent, scenario,
                            known[year].withdrawal, jax.random.clone(key))
                found.setdefault((name, horizon), []).append(np.asarray(rates))
    return RatingForecasts(*_collect(panel, origins, found), source=path.name)


def _collect(panel, origins, found):
    """(count forecasts, single forecasts, tables of what came) from default rates
    {(model, horizon): [[N, R]]}."""
    counts, single, tables, live = [], {}, {}, len(RATING.live)
    for (name, horizon), rates in found.items():
        outcomes = [default_counts.panel_outcomes(panel, o, horizon, RATING)
                    for o in origins[horizon]]
        sizes = np.stack([np.bincount(state, minlength=live) for _, state, _ in outcomes])
        lost = np.stack([np.bincount(state[bad], minlength=live) for _, state, bad in outcomes])
        periods = tuple(map(str, origins[horizon]))
        tables[horizon] = default_counts.DefaultCounts(
            periods, RATING.live, sizes.astype(float), lost.astype(float), "rating histories")
        counts.append(CountForecast(
            data=f"rating histories, {horizon} months ahead", model=NAMES[name],
            periods=periods,
            masses=tuple(mixture_pmf(n, p) for n, p in zip(sizes, rates, strict=True)),
            observed=lost.sum(1), obligors=sizes.sum(1),
            note="" if name.endswith("_own") else PRIOR_NOTE))
        forecast = [p.mean(0)[state] for p, (_, state, _) in zip(rates, outcomes, strict=True)]
        single[NAMES[name], horizon] = (
            np.concatenate([who for who, *_ in outcomes]), np.concatenate(forecast),
            np.concatenate([bad for *_, bad in outcomes]))
    return counts, single, tables

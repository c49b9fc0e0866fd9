"""From a run config to the graph's arguments: read, judge, fit."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from clo_gen import learned, provenance
from clo_gen.cash.schedule import schedule
from clo_gen.io import tables
from clo_gen.io.config import MacroConfig, RunConfig, curve_table, cutoff_month, read_scenarios
from clo_gen.io.deal import LoadedDeal, read_deal
from clo_gen.io.deal_arrays import purchases
from clo_gen.io.deal_terms import DealTerms
from clo_gen.io.given_paths import read_paths
from clo_gen.io.macro import MacroHistory, moodys_baa, read_macro
from clo_gen.io.panel import CountHistory, read_rating_events, transition_counts
from clo_gen.io.problems import InputError, Problems
from clo_gen.io.synthetic import LABEL, synthetic_tape
from clo_gen.io.tape import ColumnMap, LoadedTape, judge_tape, read_column_map, read_tape
from clo_gen.models import (
    macro_baseline,
    macro_cvae,
    prepayment,
    scenario_paths,
    systematic,
    transition,
    transition_baseline,
)
from clo_gen.pipeline import Inputs, Params, Setup, index_now
from clo_gen.states import RATING

HISTORY_MONTHS = 13  # kept before the path: lags and twelve-month changes


@dataclasses.dataclass(frozen=True)
class Assembly:
    """All that a run needs, and where it came from."""

    config: RunConfig
    setup: Setup
    params: Params
    inputs: Inputs
    scenarios: dict
    tape: LoadedTape
    deal: LoadedDeal
    macro: MacroHistory
    counts: CountHistory
    provenance: dict  # macro, transitions, tape -> {"kind": real or synthetic, "source", "notes"}


def _double(tree):
    """Every floating leaf in the widest dtype that is switched on."""
    return jax.tree.map(lambda x: jnp.asarray(x, float) if jnp.issubdtype(
        jnp.asarray(x).dtype, jnp.floating) else jnp.asarray(x), tree)


def load_macro(config: Any, folder: str | pathlib.Path, until: pd.Period | None) -> MacroHistory:
    """MacroHistory named by the config's [macro], as it stood at the end of month `until`."""
    embedded = config.source == "embedded"
    path = (tables.data_path("macro_monthly_1959_2026.csv") if embedded
            else folder / config.source)
    extra = moodys_baa() if config.credit_spread == "baa" else None
    history = read_macro(path, layout="fred" if embedded else config.layout, units=config.units,
                         extra=extra, until=until)
    return dataclasses.replace(history, source=path.name) if embedded else history


def load_counts(config: Any, folder: Any) -> CountHistory:
    """CountHistory of the rating events named by the config's [transitions]."""
    embedded = config.events == "embedded"
    path = (tables.data_path("rating_events_1999_2005.csv") if embedded
            else folder / config.events)
    panel = read_rating_events(path, RATING)
    return transition_counts(panel, RATING, path.name if embedded else path)


def prior_matrix() -> np.ndarray:
    """Monthly S&P 1981-2016 matrix [S, S] in the rating space: the prior of the counts."""
    matrix = np.zeros((RATING.size, RATING.size))
    matrix[:8, :8] = transition_baseline.monthly_root(tables.sp_annual_matrix())
    return matrix


def fit_transitions(config: Any, counts: CountHistory, macro: MacroHistory, series: Any,
                    known_until: pd.Period | None = None) -> dict[str, transition_baseline.Logit]:
    """{name: Logit} fitted to `counts`: "prior", "constant", "logit_free" and "logit".

    "constant" is the posterior mean of counts and prior. "logit_free" keeps the level of the years
    fitted; "logit" is recentred so that it averages to "constant" over the prior's years (those
    up to `known_until`, a Period, when it is given).
    """
    z = covariates_at(config.covariates, macro, series, counts.months)
    prior = prior_matrix()

    def constant(base):
        return transition_baseline.constant(base, config.covariates, RATING, z.mean(0), z.std(0),
                                            config.saturation)

    total = counts.counts.sum((0, 1))
    nothing = np.zeros_like(total)
    models = {"prior": constant(transition_baseline.posterior_mean(nothing, prior, 1.0, RATING)),
              "constant": constant(transition_baseline.posterior_mean(
                  total, prior, config.prior_months, RATING))}
    free, converged = transition_baseline.fit_logit(models["constant"], counts.counts.sum(1), z,
                                                    config.ridge)
    if not converged:
        double = jnp.zeros(()).dtype == np.float64
        raise InputError("transitions: the logit did not converge; want " + (
            'fewer covariates, a larger ridge, or model = "constant"' if double
            else 'double precision: jax.config.update("jax_enable_x64", True)'))
    last = pd.Period(config.reference[1], "M")
    last = last if known_until is None else min(last, known_until)
    years = pd.period_range(config.reference[0], last, freq="M")
    reference = covariates_at(config.covariates, macro, series, years)
    logit = jax.jit(transition_baseline.with_macro_effect)(
        free, config.macro_effect, config.worse_log_odds, reference)
    return models | {"logit_free": free, "logit": logit}


def covariates_at(names: Sequence[str], macro: MacroHistory, series: Sequence[str],
                  months: Any) -> np.ndarray:
    """Covariates [len(months), Z] of real history."""
    frame = macro.until(months[-1], series)
    first = frame.index.get_indexer(pd.PeriodIndex([months[0]]))[0]
    if first < 12:
        raise InputError(f"{macro.source}: history starts {frame.index[0]}; want at least twelve "
                         f"months before the transition counts, which start {months[0]}")
    values = frame.to_numpy()
    paths = jax.jit(transition_baseline.covariate_paths, static_argnums=(0, 1))
    return np.asarray(paths(names, series, values[first:], values[:first]))


def fit_macro(config: MacroConfig, macro: MacroHistory,
              last_month: pd.Period) -> tuple[Any, np.ndarray, pd.Period, pd.Period]:
    """(generator params, recent history [H, M], first month, last month) up to `last_month`.

    A learned generator is not fitted here: its params are None.
    """
    frame = macro.until(last_month, config.series)
    recent = frame.to_numpy()[-HISTORY_MONTHS:]
    sample = frame.loc[config.fit_from:]
    if len(sample) < 120:
        raise InputError(f"{macro.source}: {len(sample)} months from {config.fit_from} to "
                         f"{frame.index[-1]}; want at least 120 to fit a macro generator")
    keep = np.ones(len(sample), bool)
    if config.leave_out:
        first, last = (pd.Period(m, "M") for m in config.leave_out)
        keep = ~((sample.index >= first) & (sample.index <= last))
    try:
        params = None
        if config.generator == "var":
            params = macro_baseline.fit_var(sample.to_numpy(), config.lags, keep)
        elif config.generator == "block_bootstrap":
            params = macro_baseline.fit_block_bootstrap(sample.to_numpy(), recent[-1],
                                                        config.block_months)
    except ValueError as error:  # the history does not suit the generator
        raise InputError(f"{macro.source}: {error}") from None
    return params, recent, sample.index[0], sample.index[-1]


@dataclasses.dataclass(frozen=True)
class Market:
    """The macro side of a run."""

    history: MacroHistory
    params: Any  # of the generator
    sample: Callable  # its verb
    recent: np.ndarray  # [H, M] the last months known
    first: pd.Period  # first month of the config's fit_from
    last: pd.Period  # last month known
    seen: pd.Period  # last month that the generator learned from
    scenarios: dict
    trained: dict | None  # what a learned generator says of its data


def load_market(config: RunConfig, folder: pathlib.Path, last_month: pd.Period,
                months: int) -> Market:
    """Market known at the end of `last_month`, with scenarios over `months` months."""
    macro = load_macro(config.macro, folder, last_month)
    params, recent, first, last = fit_macro(config.macro, macro, last_month)
    sample: Callable = macro_baseline.sample
    series, seen, about = config.macro.series, last, None
    wanted = dict.fromkeys(("baseline", *config.scenarios))
    table = read_scenarios(folder / config.scenario_file, wanted, series, months)
    if config.macro.generator == "cvae":
        sample = macro_cvae.sample
        params, about = learned.learned_macro(config.macro, folder)
        seen = pd.Period(params.trained_until, "M")
        # The regime labels shift the paths already; the overlays supply the rest.
        table = learned.calibrated(params, table, recent)
    if config.macro.paths is not None:
        sample = scenario_paths.sample
        params = scenario_paths.PathSet(jnp.asarray(read_paths(
            folder / config.macro.paths, series, config.scenarios[0], months)))
    return Market(macro, params, sample, recent, first, last, seen,
                  {name: table[name] for name in config.scenarios}, about)


def load_transitions(config: RunConfig, folder: str | pathlib.Path, counts: CountHistory,
                     macro: MacroHistory) -> tuple[Any, Callable, dict | None]:
    """(transition model, its verb predict, what a learned one says of its data or None)."""
    c, series = config.transitions, config.macro.series
    if c.model == "transformer":
        model, about = learned.learned_transitions(c, folder, series)
        return model, transition.predict, about | {"seen": pd.Period(model.trained_until, "M")}
    return fit_transitions(c, counts, macro, series)[c.model], transition_baseline.predict, None


def load_trajectory(config: RunConfig, folder: str | pathlib.Path) -> tuple[Any, dict | None]:
    """(Trajectory, what it says of its data) in mode "trajectory", else (None, None)."""
    if config.mode != "trajectory":
        return None, None
    model, about = learned.learned_trajectory(config.trajectory, folder, config.macro.series)
    return (jax.tree.map(jnp.asarray, model),
            about | {"seen": pd.Period(model.trained_until, "M")})


def load_tape(config: RunConfig, folder: pathlib.Path, deal_terms: DealTerms,
              frame: pd.DataFrame | None = None) -> LoadedTape:
    """LoadedTape of a DataFrame of tape columns, or as named by the config: a file, or synthetic
    terms of the deal's target par."""
    indices = tuple(config.indices)
    common: dict[str, Any] = {"cutoff": deal_terms.closing, "space": RATING, "indices": indices,
                              "recovery_by_lien": config.recovery.by_lien}
    if frame is not None:
        return read_tape(frame, **common)
    if config.tape.file:
        columns = read_column_map(folder / config.tape.columns) if config.tape.columns else None
        return read_tape(folder / config.tape.file, columns=columns or ColumnMap(), **common)
    s = config.tape.synthetic
    assert s is not None  # the config names a file or synthetic terms
    frame = synthetic_tape(obligors=s.obligors, par=deal_terms.target_par,
                           cutoff=deal_terms.closing, rating_weights=s.rating_weights,
                           spread_bps=s.spread_bps, seed=s.seed)
    return judge_tape(frame, source=f"{LABEL} terms", **common)


def _check_maturities(tape, deal):
    """Loans that outlive the notes are sold at their maturity, if the deal says at what price."""
    if deal.terms.call is not None:
        return
    late = np.flatnonzero(np.asarray(tape.tape.maturity) > deal.months)
    problems = Problems(tape.source)
    for row in late:
        loan = tape.frame.iloc[row]
        problems.add(f"row {row + 2} ({loan['loan_id']}), maturity_date",
                     str(loan["maturity_date"].date()),
                     f"a date up to the deal's maturity {deal.terms.maturity}, or a deal with "
                     "[call] prices, at which long-dated loans are sold then")
    problems.raise_if_any()


def assemble(config: RunConfig, folder: pathlib.Path, *,
             frame: pd.DataFrame | None = None) -> Assembly:
    """Assembly of a run: all files read and judged, all models fitted or loaded, as arrays.

    A DataFrame `frame` of tape columns replaces the config's tape. Arrays are in the widest
    precision switched on; fitting wants double. Raises InputError for any bad file or combination.

    >>> a = cg.assemble(*cg.read_config(overrides=["tape.synthetic.obligors=24",
    ...                                            "deal=deals/static_amortising.toml"]))
    >>> a.deal.classes, len(a.tape.frame), a.inputs.tape.balance.shape
    (('A', 'B', 'C', 'junior'), 24, (24,))
    >>> {part: about["kind"] for part, about in a.provenance.items()}
    {'macro': 'real', 'transitions': 'real', 'tape': 'synthetic', 'deal': 'synthetic'}
    """
    terms = read_deal(folder / config.deal).terms
    tape = load_tape(config, folder, terms, frame)
    deal = read_deal(folder / config.deal, par=tape.par)
    _check_maturities(tape, deal)
    if terms.index not in config.indices:
        raise InputError(f"{deal.source}: index: {terms.index!r}; want one of "
                         f"{', '.join(config.indices)} (run config, [indices])")
    market = load_market(config, folder, cutoff_month(terms.closing), deal.months)
    macro, series = market.history, config.macro.series
    counts = load_counts(config.transitions, folder)
    transition_model, predict, trained = load_transitions(config, folder, counts, macro)
    spread = macro.until(market.last, series).loc[str(market.first):,
                                                  config.prepayment.spread_series]
    curves, follows = curve_table(config.indices, deal.months)
    columns = tuple(-1 if name is None else series.index(name) for name in follows)
    loadings = systematic.Loadings(**config.factors.model_dump())
    lives, lives_about = load_trajectory(config, folder)
    params = Params(
        macro=market.params,
        transition=transition_model,
        prepayment=prepayment.Prepayment(
            cpr=jnp.asarray(config.prepayment.cpr, float),
            sensitivity=jnp.asarray(config.prepayment.spread_sensitivity, float),
            reference=jnp.asarray(spread.mean(), float), series=config.prepayment.spread_series),
        loadings=loadings,
    )
    loans = _double(tape.tape)
    today = jax.jit(index_now, static_argnums=2)(market.recent, curves, columns)
    inputs = Inputs(tape=loans, schedule=jax.jit(schedule)(loans, deal.calendar, today),
                    deal=deal.deal, calendar=deal.calendar, curves=jnp.asarray(curves),
                    history=jnp.asarray(market.recent),
                    purchases=purchases(deal.terms, RATING.live))
    setup = Setup(
        space=RATING, mode=config.mode,
        recovery_lag=config.recovery.lag_months,
        groups=(len(tape.cohorts), len(tape.industries), len(tape.regions)),
        series=series, index_columns=columns, note_index=tuple(config.indices).index(terms.index),
        waterfall=deal.waterfall,
        macro_sample=market.sample, transition_predict=predict,
        first_month=(cutoff_month(terms.closing) + 1).ordinal,
    )
    params, inputs, fitted_to = learned.with_knobs(config.calibration, folder, _double(params),
                                                   _double(inputs), tape, series)
    # Level 3 keeps the dtype of its own config.
    return Assembly(config, setup, params.replace(trajectory=lives), inputs,
                    {name: _double(s) for name, s in market.scenarios.items()}, tape, deal, macro,
                    counts, provenance.of_run(config, counts, tape, deal, market,
                                              (trained, lives_about, fitted_to)))

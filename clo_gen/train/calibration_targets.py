"""What a corporate run is calibrated to: historical figures with their 95 % intervals."""

import dataclasses
import json
import pathlib
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from clo_gen.assembly import HISTORY_MONTHS, Assembly
from clo_gen.io import tables
from clo_gen.io.default_counts import read_default_counts
from clo_gen.io.problems import InputError, Problems
from clo_gen.io.sba import read_charge_offs
from clo_gen.io.toml import Record
from clo_gen.models.knobs import LIENS, pairs_of
from clo_gen.models.macro_baseline import Var
from clo_gen.states import RATING
from clo_gen.train.calibration import Target, bootstrap, rate_target

FITTED_YEARS = (1, 3)  # horizons of the default rates
CHECKED_YEARS = (5,)  # horizons that are compared, not fitted
BUCKETS = {"AAA to BBB": (0, 1, 2, 3), "BB": (4,), "B": (5,), "CCC": (6,)}
SPECULATIVE = (4, 5, 6)
LEAST_DEFAULTS = 5  # in a stretch of years of the rating histories


class CorporateTargets(Record):
    """[corporate]: which run is calibrated, and to what."""

    run: str = "quickstart.toml"  # run config whose model is calibrated
    # Issuer-years behind the S&P averages. The embedded table has none; these are assumed, and
    # lower than the true ones: about those of its first twenty years.
    issuer_years: dict[str, Annotated[float, Field(gt=0)]] = {
        "AAA": 3000, "AA": 9000, "A": 15000, "BBB": 10000, "BB": 7000, "B": 7500, "CCC": 800}
    default_counts: str | None = None  # CSV with year, rating, firms and defaults
    severities: str | None = None  # charge-offs, as io.sba reads them
    severity_lien: str = "unsecured"  # what those severities stand for
    macro_block: Annotated[int, Field(ge=12, le=120)] = 36  # months that stay together


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Targets by group, in the order of the model's values, with what the model must follow."""

    targets: dict  # group -> [Target]
    checks: dict  # group -> [Target], only compared
    pools: np.ndarray  # [HISTORY_MONTHS + T, M] macro months of the static pools
    starts: np.ndarray  # [Y] month in which each pool starts
    histories: np.ndarray  # [HISTORY_MONTHS + T', M] macro months of the rating histories
    exposure: np.ndarray  # [T', R] obligors by month and rating
    by_year: np.ndarray  # [., T'] 1 where a month belongs to a stretch of years
    mix: np.ndarray  # [Y', R] firms of `default_counts`; Y' = 0 without
    mix_starts: np.ndarray  # [Y'] the pools that they are
    lien: int  # into LIENS, of the severities
    notes: tuple[str, ...]


def evidence_of(config: CorporateTargets, a: Assembly, folder=pathlib.Path(".")):
    """Evidence for the run `a`. Raises InputError for bad files and settings."""
    _judge(config)
    last = a.macro.frame.index[-1]
    first, until = (pd.Period(month, "M") for month in a.config.transitions.reference)
    span = pd.period_range(first, min(until, last), freq="M")
    starts = np.flatnonzero(span.month == 1)
    targets, checks, notes = _published(config)
    targets |= _histories(a.counts)
    if isinstance(a.params.macro, Var):
        targets |= _macro(a, config.macro_block)
    else:
        notes.append("macro: only a VAR's shocks are calibrated; this run has another generator")
    mix, mix_starts = np.zeros((0, len(RATING.live))), np.zeros(0, int)
    if config.default_counts:
        group, mix, mix_starts = _dispersion(pathlib.Path(folder) / config.default_counts,
                                             span[starts].year)
        targets |= group
    else:
        notes.append("loadings: nothing embedded says how far yearly default rates scatter")
    if config.severities:
        targets |= _severities(pathlib.Path(folder) / config.severities)
    else:
        notes.append("recovery: nothing embedded holds severities; the run's assumptions stay")
    notes.append("prepayment: rating histories hold none; the run's assumption stays")
    exposure = a.counts.counts.sum((1, 3))[:, :len(RATING.live)]
    lost = a.counts.counts[..., list(SPECULATIVE), RATING.default].sum((1, 2))
    stretches = _pooled_years(a.counts.months.year, lost)
    by_year = np.array([a.counts.months.year.isin(years) for years in stretches], float)
    return Evidence(targets, checks, _window(a, span), starts, _window(a, a.counts.months),
                    exposure, by_year, mix, mix_starts, LIENS.index(config.severity_lien),
                    tuple(notes))


def _judge(config):
    problems = Problems("corporate")
    for rating in RATING.live:
        if rating not in config.issuer_years:
            problems.say(f"issuer_years: no {rating}; want one number for each of "
                         + ", ".join(RATING.live))
    for rating in sorted(set(config.issuer_years) - set(RATING.live)):
        problems.add("issuer_years", rating, "one of " + ", ".join(RATING.live))
    if config.severity_lien not in LIENS:
        problems.add("severity_lien", config.severity_lien, "one of " + ", ".join(LIENS))
    problems.raise_if_any()


def _window(a, months):
    """[HISTORY_MONTHS + len(months), M] macro values that end with `months`."""
    frame = a.macro.until(months[-1], a.setup.series)
    first = frame.index.get_indexer([months[0]])[0]
    if first < HISTORY_MONTHS or frame.index[-1] < months[-1]:
        raise InputError(f"{a.macro.source}: {frame.index[0]} to {frame.index[-1]}; want macro "
                         f"from {months[0] - HISTORY_MONTHS} to {months[-1]} to calibrate")
    return frame.to_numpy()[first - HISTORY_MONTHS: first + len(months)]


def _published(config):
    """(targets, checks, notes) of the S&P averages 1981-2016, withdrawn ratings included."""
    table = json.loads(tables.data_path("sp_cumulative_1981_2016.json").read_text())
    source, live = "S&P global corporates 1981-2016", RATING.live
    matrices = dict(zip(table["horizons_years"], np.array(table["P"]), strict=True))
    trials, size = [config.issuer_years[r] for r in live], len(live)

    def group(name, rates, rows, years=1, fitted=True):
        # A window of several years shares all but one with the next.
        return {name: [rate_target(name, live[i], rates[i], trials[i] / years, source,
                                   fitted=fitted) for i in rows]}

    p, every = matrices[1], range(size)
    targets: dict = {}
    for years in FITTED_YEARS:
        targets |= group(f"default rate, {_horizon(years)}", matrices[years][:, size], every, years)
    targets |= group("upgrade rate, 1 year", np.tril(p[:size, :size], -1).sum(1), every[1:])
    targets |= group("downgrade rate, 1 year", np.triu(p[:size, :size], 1).sum(1), every[:-1])
    targets |= group("withdrawal rate, 1 year", p[:, size + 1], every)
    checks: dict = {}
    for years in CHECKED_YEARS:
        checks |= group(f"default rate, {_horizon(years)}", matrices[years][:, size], every, years,
                        False)
    return targets, checks, [
        "S&P intervals: Wilson's, with issuer-years that are assumed (the table has none) and "
        "below the true ones"]


def _horizon(years):
    return f"{years} year" + "s" * (years > 1)


def _histories(counts):
    """Yearly default rates of the rating histories, by rating and by year."""
    live = len(RATING.live)
    at_risk = counts.counts.sum((1, 3))[:, :live] / 12.0
    lost = counts.counts.sum(1)[:, :live, RATING.default]
    source = f"rating histories {counts.months[0]} to {counts.months[-1]}"
    by_rating, by_year = "default rate, histories", "default rate, histories BB to CCC"

    def target(group, name, n, d):
        return rate_target(group, name, min(d / n, 1.0), n, source)

    out = {by_rating: [target(by_rating, name, at_risk[:, list(rows)].sum(),
                              lost[:, list(rows)].sum()) for name, rows in BUCKETS.items()],
           by_year: []}
    for years in _pooled_years(counts.months.year, lost[:, list(SPECULATIVE)].sum(1)):
        now = counts.months.year.isin(years)
        n, d = (x[now][:, list(SPECULATIVE)].sum() for x in (at_risk, lost))
        name = f"{years[0]}-{years[-1]}" if len(years) > 1 else str(years[0])
        out[by_year].append(target(by_year, name, n, d))
    return out


def _pooled_years(year, lost):
    """Years in stretches of at least LEAST_DEFAULTS defaults: fewer say little of a rate."""
    groups, current = [], []
    for y in sorted(set(year)):
        current.append(int(y))
        if lost[year.isin(current)].sum() >= LEAST_DEFAULTS:
            groups.append(current)
            current = []
    return [*groups[:-1], groups[-1] + current] if groups else [current]


def _macro(a, block):
    """Volatilities and correlations of yearly changes since the VAR's first month."""
    c, series = a.config.macro, a.setup.series
    frame = a.macro.until(a.macro.frame.index[-1], series).loc[c.fit_from:]
    keep = np.ones(len(frame), bool)
    if c.leave_out:
        keep = ~((frame.index >= c.leave_out[0]) & (frame.index <= c.leave_out[1]))
    values = frame.to_numpy()
    changes = (values[12:] - values[:-12])[keep[12:] & keep[:-12]]
    source = f"{a.macro.source} from {c.fit_from}"
    volatility, correlation = "volatility of yearly change", "correlation of yearly changes"
    rows, columns = np.tril_indices(len(series), -1)

    def group(name, labels, statistic):
        low, high = bootstrap(statistic, changes, block)
        return {name: [Target(name, label, float(v), float(lo), float(hi), source)
                       for label, v, lo, hi in zip(labels, statistic(changes), low, high,
                                                   strict=True)]}

    return group(volatility, series, lambda x: x.std(0)) | group(
        correlation, [f"{i} / {j}" for i, j in pairs_of(series)],
        lambda x: np.corrcoef(x.T)[rows, columns])


def _dispersion(path, years):
    """(target of how yearly default rates scatter, firms [Y', R], rows of `years`)."""
    counts, problems = read_default_counts(path), Problems(path)
    names = [{"C": "CCC", "CCC/C": "CCC"}.get(g, g) for g in counts.groups]
    for rating in sorted(set(names) - set(RATING.live)):
        problems.add("rating", rating, "one of " + ", ".join(RATING.live))
    problems.raise_if_any()
    place = np.array([[name == r for r in RATING.live] for name in names], float)
    firms, lost, worst = counts.obligors @ place, counts.defaults @ place, list(SPECULATIVE)
    year = np.array(counts.periods, int)
    known = np.isin(year, years) & (firms[:, worst].sum(1) > 0)
    if known.sum() < 10:
        raise InputError(f"{path}: {known.sum()} years with firms rated BB to CCC between "
                         f"{years[0]} and {years[-1]}; want at least 10")
    n, d = (x[known][:, worst].sum(1) for x in (firms, lost))

    def scatter(rows):
        rate, count = rows[:, 1] / rows[:, 0], rows[:, 0]
        noise = (rate * (1.0 - rate) / count).mean()
        return np.sqrt(np.maximum(rate.var(ddof=1) - noise, 0.0))[None]

    rows = np.column_stack([n, d])
    low, high = bootstrap(scatter, rows, 3)
    name = "scatter of yearly default rates"
    target = Target(name, "BB to CCC", float(scatter(rows)[0]), float(low[0]), float(high[0]),
                    str(path))
    return {name: [target]}, firms[known], np.flatnonzero(np.isin(years, year[known]))


def _severities(path):
    """Mean and standard deviation of recoveries, 1 less the charge-offs' severities."""
    found = read_charge_offs(path)
    recovery = 1.0 - np.clip(found.severity, 0.0, 1.0)

    def moments(x):
        return np.array([x.mean(), x.std()])

    low, high = bootstrap(moments, recovery, 100)
    value = moments(recovery)
    return {"recovery": [Target("recovery", name, float(value[i]), float(low[i]), float(high[i]),
                                f"{len(recovery)} charge-offs of {path}")
                         for i, name in enumerate(("mean", "standard deviation"))]}

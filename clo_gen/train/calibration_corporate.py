"""Stage 3 for corporate runs: what a run's model says of each target, and the fit.

Default, upgrade, downgrade and withdrawal rates by rating are those of static pools that start each
January and live through the macro months that really followed, in `expected` mode; factors are
averaged over. What is withdrawn from sight leaves the pool at a rate of its own, so the published
shares of all issuers are compared like with like, without an adjustment for withdrawn ratings.
Reference: methodology, Stage 3: Calibration.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.flatten_util import ravel_pytree

from clo_gen import rng
from clo_gen.assembly import HISTORY_MONTHS, Assembly
from clo_gen.models import knobs as named
from clo_gen.models import loan_states, systematic
from clo_gen.models.knobs import Knobs
from clo_gen.models.macro_baseline import Var
from clo_gen.pipeline import Params
from clo_gen.records import MacroPath
from clo_gen.states import RATING
from clo_gen.train.calibration import fit
from clo_gen.train.calibration_targets import (
    BUCKETS,
    CHECKED_YEARS,
    FITTED_YEARS,
    SPECULATIVE,
    Evidence,
)

PRIOR = {"default": 1.0, "better": 1.0, "worse": 1.0, "macro_slope": 0.5, "loadings": 0.5,
         "prepayment": 0.5, "macro_volatility": 0.5, "macro_correlation": 0.5, "recovery": 1.5,
         "recovery_spread": 1.5, "withdrawal": 1.0, "level": 2.0}  # standard deviations
_COHORTS, _OTHERS = 4, 2  # paths of the cohort factor, and of the other factors for each


class Sources(struct.PyTreeNode):
    """What tells the sources apart from the model: calibrated too, but no part of a run."""

    withdrawal: jax.Array  # [R] log scale of the withdrawal rates
    level: jax.Array  # [BUCKETS] log-odds of default in the rating histories, beside the S&P's


class Data(struct.PyTreeNode):
    """All arrays that the model's values depend on, beside the knobs."""

    params: Params
    pools: jax.Array  # see Evidence
    starts: jax.Array
    histories: jax.Array
    exposure: jax.Array
    by_year: jax.Array
    mix: jax.Array
    mix_starts: jax.Array
    withdrawal: jax.Array  # [R] yearly rate that Sources.withdrawal scales
    recovery: jax.Array  # [] rate that the severities' lien is assumed to have


def calibrate(a: Assembly, evidence: Evidence):
    """(Calibration, Knobs) of a run's model; parameters without evidence stay at 0."""
    knobs = named.neutral(RATING.live, a.setup.series, a.params)
    size = len(RATING.live)
    sources = Sources(jnp.zeros(size), jnp.zeros(len(BUCKETS)))
    flat, unravel = ravel_pytree((knobs, sources))
    names = [*named.names(knobs), *(f"withdrawal.{r}" for r in RATING.live),
             *(f"level.{bucket}" for bucket in BUCKETS)]
    prior = np.array([PRIOR[name.partition(".")[0]] for name in names])
    start = np.zeros(len(flat))
    lien = named.LIENS[evidence.lien]
    if "recovery" in evidence.targets:
        start[names.index(f"recovery_spread.{lien}")] = 1.0  # at 0 its sign is not yet chosen
    withdrawn = [t.value for t in evidence.targets["withdrawal rate, 1 year"]]
    data = Data(a.params, *(jnp.asarray(getattr(evidence, f.name))
                            for f in dataclasses.fields(Data)[1:8]),
                withdrawal=jnp.asarray(withdrawn),
                recovery=jnp.asarray(a.config.recovery.by_lien[lien]))  # type: ignore[index]
    groups = evidence.targets | evidence.checks

    def model(x, data):
        found = predicted(*unravel(x), data, evidence.lien, setup=a.setup)
        return jnp.concatenate([found[name] for name in groups])

    done = fit(model, data, tuple(t for group in groups.values() for t in group), names, prior,
               start)
    return dataclasses.replace(done, notes=evidence.notes), unravel(jnp.asarray(done.x))[0]


def predicted(knobs: Knobs, sources: Sources, data: Data, lien, *, setup):
    """{group: values} of the model under `knobs`; see calibration_targets for the groups."""
    transition = named.transitions(data.params.transition, knobs)
    macro = named.macro(data.params.macro, knobs)
    years = max(*FITTED_YEARS, *CHECKED_YEARS)
    pools = static_pools(transition, knobs, sources, data, setup=setup, years=years)
    whole = pools.mean(0)  # over factor paths: [years, Y, R, S]
    out: dict = {}
    for year in range(1, years + 1):
        inside = data.starts + 12 * year <= data.pools.shape[0] - HISTORY_MONTHS
        share = (whole[year - 1] * inside[:, None, None]).sum(0) / inside.sum()
        out |= _rates(share, f"{year} year" + "s" * (year > 1))
    out |= _of_histories(transition, sources.level, data, setup)
    if isinstance(macro, Var):
        volatility, correlation = yearly_changes(macro)
        out |= {"volatility of yearly change": volatility,
                "correlation of yearly changes": correlation}
    if data.mix.shape[0]:
        out["scatter of yearly default rates"] = _scatter(pools[:, 0], data)
    mean, deviation = named.recovery_moments(data.recovery, knobs.recovery[lien],
                                             knobs.recovery_spread[lien])
    return out | {"recovery": jnp.stack([mean, deviation])}


def _rates(share, horizon):
    """Rates of a pool [R, S] of one obligor a rating, after `horizon`."""
    size = len(RATING.live)
    live = share[:, :size]
    return {f"default rate, {horizon}": share[:, RATING.default],
            f"withdrawal rate, {horizon}": share[:, RATING.prepaid],
            f"upgrade rate, {horizon}": jnp.tril(live, -1).sum(1)[1:],
            f"downgrade rate, {horizon}": jnp.triu(live, 1).sum(1)[:-1]}


def path_of(window, series):
    """MacroPath over all but the first HISTORY_MONTHS of `window` [., M]."""
    return MacroPath(window[:HISTORY_MONTHS], window[HISTORY_MONTHS:], series)


def static_pools(transition, knobs, sources, data: Data, *, setup, years):
    """[N, years, Y, R, S] states of obligors by first rating, a year apart, on N paths of
    the cohort factor; the other factors are averaged over.

    Prepayment is not in it: rating histories do not show it.
    """
    matrix = setup.transition_predict(transition, path_of(data.pools, setup.series)).matrix[0]
    stay = jnp.exp(-data.withdrawal * jnp.exp(sources.withdrawal) / 12.0)
    matrix = withdraw(matrix, 1.0 - stay)
    odds = _factor_odds(data.params.loadings, knobs.loadings, matrix.shape[0])
    size, last = len(RATING.live), matrix.shape[0] - 1
    first = jnp.eye(size, RATING.size, dtype=matrix.dtype)
    cohort = jnp.zeros(size, int)

    def live(odds, start):
        def month(weights, m):
            t = jnp.minimum(start + m, last)
            return loan_states.push(matrix[t][None], RATING, weights, cohort,
                                    jnp.broadcast_to(odds[t], size)), None

        def year(weights, y):
            weights, _ = jax.lax.scan(month, weights, 12 * y + jnp.arange(12))
            return weights, weights

        return jax.lax.scan(year, first, jnp.arange(years))[1]

    pools = jax.vmap(jax.vmap(live, (None, 0), 1), (0, None))(odds, data.starts)
    return pools.reshape(_COHORTS, _OTHERS, *pools.shape[1:]).mean(1)


def _factor_odds(loadings, log_scale, months):
    """[N, T] odds of worse moves on factor paths; their mean is 1 in every month.

    It is 1 over all paths by construction of the shifts; these few are made to meet it, or their
    noise in a recession would pass for a level.
    """
    scale, key = jnp.exp(log_scale), jax.random.key(0)
    loadings = loadings.replace(cohort=loadings.cohort * scale, industry=loadings.industry * scale,
                                region=loadings.region * scale)

    def one(number):
        sources = rng.sources(rng.path_key(key, number // _OTHERS)).replace(
            factor=rng.path_key(key, number))
        s = systematic.sample(loadings, sources, months, (1, 1, 1))
        return jnp.exp(s.cohort + s.industry + s.region)[:, 0]

    odds = jax.vmap(one)(jnp.arange(_COHORTS * _OTHERS))
    return odds / odds.mean(0)


def withdraw(matrix, rate):
    """Matrices [T, S, S] in which survivors of default are lost from sight at `rate` [R]."""
    size = len(RATING.live)
    by_state = jnp.concatenate([rate, jnp.zeros(RATING.size - size)])[:, None]
    is_default = np.arange(RATING.size) == RATING.default
    kept = jnp.where(is_default, matrix, matrix * (1.0 - by_state))
    return kept.at[..., RATING.prepaid].add((matrix - kept).sum(-1))


def _of_histories(transition, level, data, setup):
    """Yearly default rates of the rating histories, at the months and mix that they have."""
    matrix = setup.transition_predict(transition, path_of(data.histories, setup.series)).matrix[0]
    size = len(RATING.live)
    p = matrix[:, :size, RATING.default]
    bucket = [next(n for n, rows in enumerate(BUCKETS.values()) if r in rows) for r in range(size)]
    odds = jnp.exp(level)[np.array(bucket)]
    p = p * odds / (1.0 - p + p * odds)
    lost, n = data.exposure * p, data.exposure / 12.0
    by_rating = [lost[:, list(rows)].sum() / n[:, list(rows)].sum() for rows in BUCKETS.values()]
    worst = list(SPECULATIVE)
    by_year = (data.by_year @ lost[:, worst].sum(1)) / (data.by_year @ n[:, worst].sum(1))
    return {"default rate, histories": jnp.stack(by_rating),
            "default rate, histories BB to CCC": by_year}


def _scatter(first_year, data):
    """[1] standard deviation over years and factor paths of the default rate of BB to CCC."""
    worst = list(SPECULATIVE)
    p = first_year[:, data.mix_starts][:, :, worst, RATING.default]
    mix = data.mix[:, worst]
    rate = (p * mix).sum(-1) / mix.sum(-1)
    return jnp.std(rate)[None]


def yearly_changes(model: Var):
    """(volatility [M], correlations [M (M - 1) / 2]) of twelve-month changes of a stationary VAR.

    The stationary covariance sums the response to every past shock, by doubling.
    """
    p, m = model.lags.shape[:2]
    step = jnp.eye(m * p, k=-m).at[:m].set(jnp.concatenate(list(model.lags), axis=1))
    covariance = jnp.zeros((m * p, m * p)).at[:m, :m].set(model.chol @ model.chol.T)
    power = step
    for _ in range(14):
        covariance = covariance + power @ covariance @ power.T
        power = power @ power
    later = (jnp.linalg.matrix_power(step, 12) @ covariance)[:m, :m]
    change = 2.0 * covariance[:m, :m] - later - later.T
    volatility = jnp.sqrt(jnp.diag(change))
    rows, columns = np.tril_indices(m, -1)
    return volatility, (change / volatility / volatility[:, None])[rows, columns]

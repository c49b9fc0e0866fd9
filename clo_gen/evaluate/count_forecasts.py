"""Rolling forecasts of default counts: the one-factor binomial mixture of the periods before."""

import numpy as np

from clo_gen.evaluate.backtest import CountForecast
from clo_gen.io.default_counts import DefaultCounts
from clo_gen.risk import asset_correlation, counts

_NODES = 31  # of the factor, for each draw of the parameters


def _windows(table: DefaultCounts, config):
    """(periods forecast [O], defaults and obligors [O, T, R] known before each, zero elsewhere)."""
    alive = table.obligors.sum(1) > 0
    number = np.cumsum(alive) - alive  # periods with obligors before each
    origins = np.flatnonzero(alive & (number >= config.first))
    period = np.arange(len(alive))
    known = period < origins[:, None]
    if config.window is not None:
        known &= period >= origins[:, None] - config.window
    return origins, known[:, :, None] * table.defaults, known[:, :, None] * table.obligors


def _masses(found, row, obligors, draws, generator):
    """Forecast of one period: nodes of the factor for each draw of thresholds and correlation."""
    free = found.free[row][None]
    if draws and found.converged[row]:
        free = generator.multivariate_normal(found.free[row], found.covariance[row], draws,
                                             method="eigh")
    z, weights = counts.factor_nodes(_NODES if len(free) > 1 else 201)
    rho = 1.0 / (1.0 + np.exp(-free[:, -1]))
    rates = np.concatenate([counts.conditional_rates(k, r, z)
                            for k, r in zip(free[:, :-1], rho, strict=True)])
    return counts.mixture_pmf(obligors, rates, np.tile(weights, len(free)) / len(free))


def rolling_forecasts(table: DefaultCounts, config, *, data, seed=0):
    """[CountForecast]: the mixture, then independent defaults at the same rates, as a baseline.

    The mixture is fitted at each period to the periods before it alone, with the weak prior of
    asset_correlation (short windows hold little on the correlation). With parameter_draws the
    forecast averages over the estimate's normal uncertainty. A group without obligors in the
    periods known is left out of a forecast and of what it is compared with.
    """
    origins, defaults, obligors = _windows(table, config)
    if len(origins) < 3:
        raise ValueError(f"{len(origins)} periods to forecast after the first {config.first}; "
                         "want at least 3")
    found = asset_correlation.estimate_batch(defaults, obligors, asset_correlation.WEAK)
    generator = np.random.default_rng(seed)
    history = obligors.sum(1) > 0
    present, came = table.obligors[origins] * history, table.defaults[origins] * history
    masses = tuple(_masses(found, i, present[i], config.parameter_draws, generator)
                   for i in range(len(origins)))
    failed = int((~found.converged).sum())
    common = dict(data=data, periods=tuple(table.periods[t] for t in origins),
                  observed=came.sum(1).astype(int), obligors=present.sum(1).astype(int))
    rho = found.correlation
    note = (f"correlation {rho[0]:.3f} at first, {rho[-1]:.3f} at last"
            + (f"; {failed} fits did not converge" if failed else ""))
    rates = (defaults.sum(1) + 0.5) / (obligors.sum(1) + 1.0)
    baseline = tuple(counts.mixture_pmf(n, p[None]) for n, p in zip(present, rates, strict=True))
    return [CountForecast(model="one-factor mixture", masses=masses, note=note, **common),
            CountForecast(model="independent defaults", masses=baseline, **common)]

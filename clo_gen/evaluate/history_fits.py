"""Rows of fits: distributions of counts and shares, and asset correlation, of real history."""

import numpy as np

from clo_gen.risk import families, fits
from clo_gen.risk.asset_correlation import asset_correlation

BLOCK = 3  # periods: neighbouring years and months are alike


def _rows(data, found, note=""):
    best = found[0].aic
    return [{"data": data, "family": f.family, "observations": f.observations,
             "parameters": "; ".join(f"{n} {v:.4g}" for n, v in zip(f.names, f.values,
                                                                    strict=True)),
             "intervals": "; ".join(f"{n} {a:.4g} to {b:.4g}" for n, a, b in zip(
                 f.names, f.low, f.high, strict=True)),
             "log_likelihood": f.log_likelihood, "aic": f.aic, "bic": f.bic,
             "aic_above_best": f.aic - best, "converged": f.converged,
             "note": "; ".join(filter(None, (note, f.note)))} for f in found]


def count_fit_rows(data, table, draws, seed):
    """Rows of every family of counts, fitted to the defaults of all groups together by period."""
    alive = table.obligors.sum(1) > 0
    x = np.stack([table.defaults.sum(1), table.obligors.sum(1)], axis=1)[alive]
    if len(np.unique(x[:, 0] / x[:, 1])) < 3:
        return []
    return _rows(data, fits.fit_all(families.COUNT, x, draws=draws, block=BLOCK, seed=seed))


def share_fit_rows(data, x, draws, seed, note=""):
    """Rows of every family on [0, 1], fitted to independent shares x [N]."""
    return _rows(data, fits.fit_all(families.UNIT, x, draws=draws, seed=seed), note)


_ALONE = 10  # periods from which a group's own correlation is worth a number


def correlation_rows(data, table, draws, seed):
    """Rows of the asset correlation: all groups with one factor, then, in histories of ten periods
    or more, each group alone that has defaults in at least three of them."""
    alive = table.obligors.sum(1) > 0
    defaults, obligors = table.defaults[alive], table.obligors[alive]
    groups = np.arange(len(table.groups))
    often = (defaults > 0).sum(0) >= 3
    wanted = [("all groups", groups >= 0)]
    if len(defaults) >= _ALONE and 1 < often.sum() <= 7:
        wanted += [(table.groups[r], groups == r) for r in np.flatnonzero(often)]
    rows = []
    for name, kept in wanted:
        if (defaults * kept).sum() == 0 or len(defaults) < 3:
            continue
        c = asset_correlation(defaults * kept, obligors * kept, draws=draws, seed=seed)
        rows.append({"data": data, "groups": name, "periods": c.years,
                     "defaults": int((defaults * kept).sum()), "correlation": c.correlation,
                     "std_error": c.error, "low": c.low, "high": c.high,
                     "bias_corrected": c.corrected, "bootstrap_low": c.bootstrap_low,
                     "bootstrap_high": c.bootstrap_high, "log_likelihood": c.log_likelihood,
                     "gain_over_independence": c.gain, "converged": c.converged})
    return rows

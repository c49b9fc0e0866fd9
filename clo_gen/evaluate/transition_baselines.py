"""Held-out check of the transition baselines on real counts: fitted before, tested after."""

import jax
import numpy as np
import pandas as pd

from clo_gen.assembly import covariates_at, fit_transitions
from clo_gen.models.transition_baseline import log_likelihood, predict_at

LABELS = {
    "prior": "S&P 1981-2016 averages alone",
    "constant": "constant matrix: counts with the prior",
    "logit": "logit on macro, recentred to the constant matrix (used in runs)",
    "logit_free": "logit on macro, level of the years fitted",
}


def held_out_transitions(config, counts, macro, series):
    """Table (dict) of each baseline's score on the months from `config.test_from` on.

    Scores are log-likelihoods per obligor-month (higher is better). `difference` is to the constant
    matrix, with a standard error over months. Defaults are expected and seen in the test months.
    """
    train = counts.between(counts.months[0], _before(config.test_from))
    test = counts.between(config.test_from, counts.months[-1])
    models = fit_transitions(config, train, macro, series, known_until=train.months[-1])
    z = covariates_at(config.covariates, macro, series, test.months)
    observed = test.counts.sum(1)
    total = float(observed.sum())
    score = jax.jit(jax.vmap(log_likelihood, in_axes=(None, 0, 0)))
    per_month = {name: np.asarray(score(m, observed[:, None], z[:, None]))
                 for name, m in models.items()}
    predict = jax.jit(predict_at)
    exposure = test.counts.sum((1, 3))[:, : len(test.space.live)]
    default = test.space.default
    live = len(test.space.live)
    rows = {}
    for name, model in models.items():
        difference = per_month[name] - per_month["constant"]
        expected = float((exposure * np.asarray(predict(model, z))[:, :live, default]).sum())
        rows[name] = {
            "model": LABELS[name],
            "log_likelihood": per_month[name].sum() / total,
            "difference": difference.sum() / total,
            "difference_error": difference.std(ddof=1) * np.sqrt(len(difference)) / total,
            "defaults_expected": expected,
        }
    seen = float(observed[:, :live, default].sum())
    best = max(rows, key=lambda name: rows[name]["log_likelihood"])
    return {
        "fitted": f"{train.months[0]} to {train.months[-1]}",
        "tested": f"{test.months[0]} to {test.months[-1]}",
        "obligor_months": total,
        "defaults_seen": seen,
        "models": rows,
        "verdict": _verdict(rows, best, seen),
        "caveat": "the prior's averages span 1981-2016 and so include the test years; the test "
                  "holds few defaults, so it mostly scores rating migration",
    }


def _before(month):
    return pd.Period(month, "M") - 1


def _verdict(rows, best, seen):
    gain, error = rows["logit"]["difference"], rows["logit"]["difference_error"]
    used = "beats" if gain > 0 else "does not beat"
    return (f"the logit used in runs {used} the constant matrix by {abs(gain):.5f} +- {error:.5f} "
            f"of log-likelihood an obligor-month; it expects "
            f"{rows['logit']['defaults_expected']:.0f} defaults where {seen:.0f} were seen; best "
            f"score: {rows[best]['model']}")

"""Forecasts that single loans default within a year, scored: AUC, Gini, Brier and its parts.

Two forecasters of the auto panel beside the cohort matrix: a logistic regression on what is known
of each loan, fitted to the outcomes of an earlier year, and a trained trajectory level.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from clo_gen.evaluate.trajectory import sampled_year
from clo_gen.risk import discrimination
from clo_gen.solve.newton import newton

MONTHS = 12


@dataclasses.dataclass(frozen=True)
class LoanForecast:
    """Probabilities of default of single loans, and what came."""

    data: str
    model: str
    probability: np.ndarray  # [N]
    defaulted: np.ndarray  # [N] bool
    cluster: np.ndarray  # [N] the loan or obligor, which may come more than once
    note: str = ""


def discrimination_row(forecast, *, bins=10):
    """Row (dict): AUC and Gini with intervals, Brier score and its parts.

    Intervals (95 %) let the rows of one loan or obligor depend on each other; nan where no default
    happened, or nothing else.
    """
    p, bad = forecast.probability, forecast.defaulted
    rank = discrimination.ranking(p, bad, cluster=forecast.cluster)
    parts = discrimination.brier(p, bad, bins=bins)
    interval = discrimination.mean_interval((p - bad) ** 2, forecast.cluster)
    return {"data": forecast.data, "model": forecast.model, "loans": rank.loans,
            "defaults": rank.defaults, "expected": float(p.sum()),
            "auc": rank.auc, "auc_low": rank.low, "auc_high": rank.high, "gini": rank.gini,
            "gini_low": rank.gini_interval[0], "gini_high": rank.gini_interval[1],
            "brier": parts.score, "brier_low": interval[0], "brier_high": interval[1],
            "brier_of_the_rate": parts.uncertainty, "brier_skill": parts.skill,
            "reliability": parts.reliability, "resolution": parts.resolution,
            "note": forecast.note}


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """Loans of a panel at one month, and whether they default within a year."""

    features: np.ndarray  # [N, F] nan where unknown
    state: np.ndarray  # [N] int
    band: np.ndarray  # [N] int
    defaulted: np.ndarray  # [N] bool
    ids: np.ndarray  # [N]


def outcomes(panel, month):
    """Outcomes of the loans live at the end of `month` (Period); those lost from sight within the
    year, other than by default or prepayment, are left out."""
    live, default = len(panel.space.live), panel.space.default
    _, part = panel.since(month.ordinal)
    state = part.state[:, : MONTHS + 1]
    seen = (state >= 0).sum(1)
    last = state[np.arange(len(state)), seen - 1]
    keep = (state[:, 0] < live) & ((seen == MONTHS + 1) | (last >= live))
    part, state, last = part.take(keep), state[keep], last[keep]
    left = part.balance[:, 0] / part.due
    known = np.column_stack([part.features, part.missed[:, 0], part.age, left / part.term])
    return Outcomes(known, state[:, 0], part.band, last == default, part.ids)


def _design(o, mean, scale, states):
    filled = np.where(np.isfinite(o.features), (o.features - mean) / scale, 0.0)
    return np.column_stack([np.ones(len(filled)), np.clip(filled, -4.0, 4.0),
                            np.eye(states)[o.state][:, 1:]])


def logistic_forecast(train, test, states, *, ridge=1.0):
    """Probabilities [N] of `test`: ridge logistic regression on the Outcomes of an earlier year."""
    mean, scale = np.nanmean(train.features, 0), np.nanstd(train.features, 0)
    scale = np.where(scale > 0, scale, 1.0)
    x, new = (jnp.asarray(_design(o, mean, scale, states)) for o in (train, test))

    def objective(free, data):
        x, y = data
        logit = x @ free
        loss = (jax.nn.softplus(logit) - y * logit).sum() + 0.5 * ridge * (free[1:] ** 2).sum()
        return loss / len(y)

    fitted = jax.jit(lambda *data: newton(objective, jnp.zeros(x.shape[1]), data))(
        x, jnp.asarray(train.defaulted, float))
    return np.asarray(jax.nn.sigmoid(new @ fitted.x)), bool(fitted.converged)


def panel_forecasts(panel, fit_month, test_month):
    """[LoanForecast] of an auto panel: the logistic regression and the rate of each risk band.

    The outcomes fitted end before `test_month` (Period): fit_month + 12 is at most it.
    """
    train, test = outcomes(panel, fit_month), outcomes(panel, test_month)
    p, converged = logistic_forecast(train, test, len(panel.space.live))
    bands = int(max(train.band.max(), test.band.max())) + 2
    loans, lost = (np.bincount(train.band + 1, w, bands) for w in (None, train.defaulted))
    overall = train.defaulted.mean()
    rate = (lost + 50.0 * overall) / (loans + 50.0)
    data = f"auto loans from {test_month}, 12 months ahead"
    note = f"fitted to {len(train.ids)} loans from {fit_month}, {train.defaulted.sum()} defaults"
    return [LoanForecast(data, "logistic regression", p, test.defaulted, test.ids,
                         note + ("" if converged else "; did not converge")),
            LoanForecast(data, "rate of the risk band", rate[test.band + 1], test.defaulted,
                         test.ids, note)]


def trained_forecasts(model, data, *, paths, seed=0):
    """[LoanForecast] of a trained trajectory level on each of its test splits, and of its cohort
    matrices: the share of `paths` sampled lives that default within twelve months."""
    out = []
    for split, (loans, first, _) in data.tests.items():
        counts, came, before, cohort = sampled_year(model, data, loans, first, months=MONTHS,
                                                    paths=paths, seed=seed)
        months = came.shape[1]
        whole = came[:, -1] >= 0
        default = model.space.default
        bad = came[whole, -1] == default
        matrix = np.linalg.matrix_power(np.asarray(model.cohort_matrix, float), months)
        label = f"{split}, {data.kind}, {months} months ahead"
        note = f"{(~whole).sum()} loans out of sight left out"
        p = counts[whole, months - 1, default] / paths
        out += [LoanForecast(label, "trajectory level", p, bad, np.arange(len(p)), note),
                LoanForecast(label, "cohort matrix",
                             matrix[cohort[whole], before[whole], default], bad,
                             np.arange(len(p)), note)]
    return out

"""What the pictures of a run show, as JSON data: made of the paths once, drawn from the folder."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from clo_gen.assembly import Assembly
from clo_gen.deal.tranche import attachment_points
from clo_gen.outcomes import Outcome
from clo_gen.pipeline import transitions_of
from clo_gen.records import MacroPath

BAND = (0.05, 0.5, 0.95)
MATRIX_PATHS = 64  # macro paths that the transition matrices are averaged over
MATRIX_YEARS = 6
BINS = 60
CLASS_LEVELS = np.linspace(0.0, 1.0, 41)  # of a class's loss
DIGITS = 6  # significant, of every number
CUT = 3.0  # coverage ratios above it are drawn there: a class that is nearly repaid has any ratio


def chart_data(a: Assembly, results):
    """JSON data of every chart from {scenario: Outcome}: shares of par, ratios, fractions.

    Bands are [low, median, high] of BAND over the first paths (outcomes.CURVES), means and failure
    probabilities over all; transition matrices are yearly: products of monthly ones, which are
    plain means over the cohorts; then the mean over the first MATRIX_PATHS macro paths. Cohort,
    industry and region factors are left out.
    """
    top = max(float(r.numbers.loss.max()) for r in results.values())
    edges = np.linspace(0.0, top + 1e-9, BINS + 1)
    matrices = jax.jit(functools.partial(_yearly_matrices, a))
    return {
        "classes": _structure(a),
        "series": list(a.setup.series),
        "months": a.deal.months,
        "states": [str(s) for s in a.setup.space.states],
        "dates": {"years": _plain(a.deal.calendar.years),
                  "pay": [str(d) for d in a.deal.payment_dates]},
        "tests": [{"name": t.name, "kind": t.kind, "trigger": t.trigger, "through": t.through}
                  for t in a.deal.terms.tests],
        "loss_edges": _plain(edges),
        "scenarios": {name: _scenario(a, r, edges, matrices) for name, r in results.items()},
    }


def _structure(a):
    terms, deal = a.deal.terms, a.deal
    attachment, detachment = attachment_points(deal.deal, deal.priority)
    notes = [{"spread_bps": n.spread_bps, "rate": n.rate, "rating": n.rating} for n in terms.notes]
    notes.append({"spread_bps": None, "rate": None, "rating": ""})
    return [{"name": name, "balance": float(balance) * deal.par, "attachment": float(low),
             "detachment": float(high), **extra}
            for name, balance, low, high, extra in zip(
                deal.classes, np.asarray(deal.deal.balance), attachment, detachment, notes,
                strict=True)]


def _scenario(a, r: Outcome, edges, matrices):
    curves, means = r.curves, r.means
    counts, _ = np.histogram(r.numbers.loss, edges)
    macro = np.quantile(curves.macro, BAND, axis=0)
    return {
        "macro": {name: _plain(macro[:, :, m]) for m, name in enumerate(a.setup.series)},
        "defaults": _cumulative(curves.default, means.default),
        "losses": _cumulative(curves.booked_loss, means.booked_loss),
        "stock": _plain(means.opening),
        "loss_density": _plain(counts / counts.sum() / np.diff(edges)),
        "cash": {"fees": _plain(means.fees)} | {
            name: {"interest": _plain(means.tranche_interest[:, k]),
                   "principal": _plain(means.tranche_principal[:, k])}
            for k, name in enumerate(a.deal.classes)},
        "class_loss": {name: _exceedance(r.numbers.tranche_loss[:, k])
                       for k, name in enumerate(a.deal.classes)},
        "tests": {test.name: {
            "ratio": _plain(np.quantile(np.minimum(curves.ratio[:, :, q], CUT), BAND, axis=0)),
            "fail": _plain(r.failing[:, q])} for q, test in enumerate(a.deal.terms.tests)},
        "matrices": _plain(matrices(curves.macro[:MATRIX_PATHS])),
    }


def _cumulative(curves, mean):
    low, _, high = np.quantile(np.cumsum(curves, axis=1, dtype=np.float64), BAND, axis=0)
    return _plain(np.stack([low, np.cumsum(mean), high]))


def _exceedance(loss):
    """P(loss > x) at x = 0, 0.025 ... 1 of the class's balance."""
    return _plain((loss[:, None] > CLASS_LEVELS + 1e-9).mean(0))


def _yearly_matrices(a, macro):
    """[Y, S, S]: mean over paths `macro` [n, T, M] of each year's transition matrix."""
    years = min(MATRIX_YEARS, macro.shape[1] // 12)
    if not years:
        return jnp.zeros((0, a.setup.space.size, a.setup.space.size))

    def one(values):
        path = MacroPath(a.inputs.history, values.astype(a.inputs.history.dtype), a.setup.series)
        months = transitions_of(a.params, path, a.setup).matrix.mean(0)[: 12 * years]
        size = months.shape[-1]
        return jax.vmap(lambda year: jax.lax.scan(
            lambda m, step: (m @ step, None), jnp.eye(size, dtype=months.dtype), year)[0])(
                months.reshape(years, 12, size, size))

    return jax.vmap(one)(macro).mean(0)


def _plain(values):
    """Nested lists with DIGITS significant digits; null where a number is not finite."""
    if np.ndim(values):
        return [_plain(v) for v in np.asarray(values)]
    return float(f"{float(values):.{DIGITS}g}") if np.isfinite(values) else None

"""From the paths kept to the tables of a run: summary.json, tranches.csv, coverage.csv."""

import importlib.metadata
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from clo_gen import __version__
from clo_gen.assembly import Assembly
from clo_gen.deal.tranche import attachment_points, closing_oc_ratios
from clo_gen.io.json_data import read_json
from clo_gen.io.problems import InputError
from clo_gen.io.tables import sp_default_table
from clo_gen.outcomes import CURVES, Outcome, PathNumbers, keep
from clo_gen.pipeline import PathResult
from clo_gen.risk.losses import note_losses, tail, yearly_rate
from clo_gen.risk.rating import implied_rating, rating_name

LEVELS = (0.90, 0.95, 0.99, 0.999)
DEFINITIONS = {
    "expected_loss": "portfolio: lifetime loss of the initial pool (not of what is "
                     "reinvested) over its par, loans already in default "
                     "at the cut-off included; class: principal unpaid "
                     "at maturity over original balance (subordinated notes: balance not "
                     "covered by all distributions)",
    "loss_probability": "principal or interest unpaid at maturity above 1e-9",
    "expected_unpaid_interest": "interest deferred or missed at maturity, compounded at "
                                "the note rate until then, over original balance",
    "wal_years": "mean over paths that repay principal, of the principal repaid; "
                 "never_repaid is the share of the other paths",
    "closing_oc_ratio": "pool par, defaulted loans at par and no haircut, over the debt of "
                        "the class and its seniors; credit_enhancement: par junior to it",
    "detachment": "share of initial par lost at which the class is wiped out; it is hit at "
                  "its credit_enhancement",
    "implied_rating": "best rating whose S&P 1981-2016 default rate over the class's WAL "
                      "is at least the upper 95 % limit of its loss probability",
    "default_rate_by_year": "new defaults over mean opening par of the year",
    "historical_default_rate": "of the initial pool's performing par, by letter, what S&P's "
                               "average one-year default rates of 1981-2016 would be",
    "irr": "mean over paths of the effective yearly yield bought at par (equity at its "
           "price); -1 when nothing comes back; irr_not_converged: share of paths left out",
    "price": "mean present value at the realised index plus the class's own spread, "
             "equity at the hurdle rate",
    "std_error": "Monte Carlo standard error of the expected loss",
    "broken_paths": "numbers of the paths with a value that is not finite, and where; they "
                    "are in no other figure. Path i has the key fold_in(key(seed), i)",
    "bands": f"quantiles over paths of months and dates: the first {CURVES:,} paths; means "
             "and failure probabilities: all",
}


def _number(x):
    """A float for JSON: nan and infinities become null."""
    x = float(x)
    return x if np.isfinite(x) else None


def _quiet_mean(x):
    """Mean over paths, ignoring nan; nan where no path has a number."""
    counts = np.isfinite(x).sum(0)
    return np.where(counts > 0, np.where(np.isfinite(x), x, 0.0).sum(0) / np.maximum(counts, 1),
                    np.nan)


def _pool_losses(loss):
    t = tail(jnp.asarray(loss), LEVELS)
    out = {"expected_loss": float(t.mean), "std_error": float(t.mean_error)}
    for i, level in enumerate(LEVELS):
        label = f"{level * 100:g}".replace(".", "_")
        out |= {f"var_{label}": float(t.var[i]), f"var_{label}_std_error": float(t.var_error[i]),
                f"cvar_{label}": float(t.cvar[i]),
                f"cvar_{label}_std_error": float(t.cvar_error[i])}
    return out


def _portfolio(r: Outcome):
    years = {"default_rate_by_year": r.means.default,
             "prepayment_rate_by_year": r.means.prepayment}
    out = _pool_losses(r.numbers.loss)
    for name, events in years.items():
        rates = yearly_rate(jnp.asarray(events), jnp.asarray(r.means.opening))
        out[name] = [_number(rate) for rate in rates]
    return out


def _tranche(n: PathNumbers, k):
    losses = note_losses(jnp.asarray(n.tranche_loss[:, k]), jnp.asarray(n.unpaid_interest[:, k]))
    irr, wal = n.irr[:, k], n.wal_years[:, k]
    known = irr[np.isfinite(irr)]
    return {
        "loss_probability": float(losses.probability),
        "loss_probability_std_error": float(losses.probability_error),
        "expected_loss": float(losses.expected_loss),
        "expected_loss_std_error": float(losses.expected_loss_error),
        "expected_unpaid_interest": float(losses.expected_unpaid_interest),
        "wal_years": _number(_quiet_mean(wal)),
        "never_repaid": float(np.isnan(wal).mean()),
        "irr": _number(known.mean()) if len(known) else None,
        "irr_median": _number(np.median(known)) if len(known) else None,
        "irr_not_converged": float(1.0 - len(known) / len(irr)),
        "price": float(n.price[:, k].mean()),
        "imputed_loss": float(losses.imputed_loss),
        "implied_rating": _implied_rating(float(losses.probability), len(irr), wal),
    }


def _implied_rating(p, paths, wal):
    """Rating whose historical default rate over the class's WAL is at least its loss probability.

    The upper 95 % limit of that probability counts, which is 3 / paths where no path lost.
    """
    upper = p + max(1.96 * np.sqrt(p * (1.0 - p) / paths), (3.0 - 3.0 * p) / paths)
    table = sp_default_table()
    return rating_name(table, implied_rating(upper, float(_quiet_mean(wal)), table))


def pool_risk(paths: PathResult) -> pd.Series:
    """The pool's loss over paths [N]: expected_loss and, at 90, 95, 99 and 99.9 %, var_* and
    cvar_*, each with its Monte Carlo standard error; shares of initial par. See risk.losses.tail.

    >>> cg.pool_risk(cg.simulate_scenario(a, "adverse", 32)).round(2).head(4)
    expected_loss       0.11
    std_error           0.01
    var_90              0.19
    var_90_std_error    0.02
    dtype: float64
    """
    return pd.Series(_pool_losses(paths.loss))


def class_risk(a: Assembly, paths: PathResult) -> pd.DataFrame:
    """Class numbers over paths [N], one row a class, senior first; DEFINITIONS says what they mean.
    Shares of original balance, years and yearly yields; nan where there is none.

    >>> paths = cg.simulate_scenario(a, "adverse", 32)
    >>> cg.class_risk(a, paths)[["expected_loss", "wal_years", "price"]].round(2)
            expected_loss  wal_years  price
    class
    A                0.00       2.32   1.00
    B                0.03       5.26   0.97
    C                0.23       5.79   0.82
    junior           0.56        NaN   0.32
    """
    numbers = jax.tree.map(np.asarray, keep(paths).numbers)
    rows = [_tranche(numbers, k) for k in range(len(a.deal.classes))]
    return pd.DataFrame(rows, index=pd.Index(a.deal.classes, name="class"))


def _versions():
    names = ("jax", "jaxlib", "flax", "jaxopt", "numpy", "pandas")
    return {"clo_gen": __version__} | {n: importlib.metadata.version(n) for n in names}


def summarise(a: Assembly, results: dict[str, Outcome]) -> dict[str, Any]:
    """The content of summary.json from {scenario: Outcome}.

    Raises InputError where fewer than two paths of a scenario are finite.
    """
    deal, scenarios = a.deal, {}
    for name, r in results.items():
        if len(r.path) < 2:
            raise InputError(f"scenario {name}: {len(r.broken)} of {a.config.paths} paths have "
                             "numbers that are not finite, so there is nothing to average; "
                             "--check names the operation they come from")
        tranches = {c: _tranche(r.numbers, k) for k, c in enumerate(deal.classes)}
        scenarios[name] = {"portfolio": _portfolio(r), "tranches": tranches,
                           "broken_paths": {str(k): v for k, v in sorted(r.broken.items())}}
    error = max(float(np.max(r.numbers.conservation_error)) for r in results.values())
    attachment, detachment = attachment_points(deal.deal, deal.priority)
    oc = np.asarray(closing_oc_ratios(deal.deal, deal.priority))
    return {
        "name": a.config.name,
        "paths": a.config.paths,
        "seed": a.config.seed,
        "mode": a.config.mode,
        "scenarios": scenarios,
        "pool": {
            "loans": len(a.tape.frame),
            "defaulted_at_cutoff": float(jnp.sum(jnp.where(
                a.inputs.tape.state == a.setup.space.default, a.inputs.tape.balance, 0.0))),
            "historical_default_rate": _historical_default_rate(a),
        },
        "deal": {
            "name": deal.terms.name,
            "par": deal.par,
            "currency": deal.terms.currency,
            "payment_dates": [str(d) for d in deal.payment_dates],
            "credit_enhancement": dict(zip(deal.classes, map(float, attachment), strict=True)),
            "detachment": dict(zip(deal.classes, map(float, detachment), strict=True)),
            "closing_oc_ratio": dict(zip(deal.classes[:-1], map(float, oc), strict=True)),
        },
        "cash_conservation_error": error,
        "data": a.provenance,
        "versions": _versions(),
        "definitions": DEFINITIONS,
    }


def _historical_default_rate(a):
    """What an average year of S&P's 1981-2016 would see default of the pool's performing par, or
    None where states are not its ratings."""
    table, tape = sp_default_table(), a.inputs.tape
    state, par = np.asarray(tape.state), np.asarray(tape.balance)
    performing = state < len(a.setup.space.live)
    if a.setup.space.live != table.names or not par[performing].sum() > 0:
        return None
    first_year = np.asarray(table.rate[:, int(np.flatnonzero(table.years == 1)[0])])
    return float(np.average(first_year[state[performing]], weights=par[performing]))


def read_summary(folder: str | pathlib.Path) -> dict[str, Any]:
    """The content of a run folder's summary.json. Raises InputError where there is none."""
    try:
        summary = read_json(pathlib.Path(folder) / "summary.json")
    except (OSError, ValueError):
        summary = None
    if not (isinstance(summary, dict) and {"scenarios", "deal", "pool"} <= summary.keys()):
        raise InputError(f"{folder}: no run; want a folder written by clo-gen run")
    return summary


def tranche_table(summary: dict[str, Any]) -> pd.DataFrame:
    """Rows of tranches.csv: one a scenario and class."""
    rows = []
    for name, scenario in summary["scenarios"].items():
        for tranche, numbers in scenario["tranches"].items():
            rows.append({"scenario": name, "class": tranche,
                         "credit_enhancement": summary["deal"]["credit_enhancement"][tranche],
                         "detachment": summary["deal"]["detachment"][tranche],
                         **numbers})
    return pd.DataFrame(rows)


def coverage_table(a: Assembly, results: dict[str, Outcome]) -> pd.DataFrame:
    """Rows of coverage.csv: one a scenario, test and payment date.

    Quantiles of ratios are over the first paths (outcomes.CURVES), probabilities over all;
    `cushion_median` is the median ratio less the trigger. A class with nothing outstanding has the
    ratio deal.coverage.PAID_OFF.
    """
    rows = []
    for name, r in results.items():
        for q, test in enumerate(a.deal.terms.tests):
            low, middle, high = np.quantile(r.curves.ratio[:, :, q], [0.05, 0.5, 0.95], axis=0)
            rows.append(pd.DataFrame({
                "scenario": name, "test": test.name, "date": a.deal.payment_dates,
                "trigger": test.trigger, "ratio_p05": low, "ratio_median": middle,
                "ratio_p95": high, "cushion_median": middle - test.trigger,
                "fail_probability": r.failing[:, q]}))
    columns = ["scenario", "test", "date", "trigger"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)

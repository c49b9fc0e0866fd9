"""Stage 3 for auto loans: hazards calibrated to the default and repayment rates of cohorts (trust
and risk band), and the expected loss of a trust that they have not seen.

The terms of models.loan_hazards are fitted to all loan-months first; cohort effects then take up
what they leave of a cohort's rate. A trust left out has no effects: it is forecast from its loans'
terms alone. Reference: methodology, Stage 3: Calibration.
"""

import dataclasses
import pathlib
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field
from scipy.special import expit

from clo_gen.io.auto_lives import AutoLives, read_auto_lives
from clo_gen.io.cohort_counts import BANDS
from clo_gen.io.config import Month
from clo_gen.io.problems import InputError
from clo_gen.io.table import Column, read_judged
from clo_gen.io.toml import Record
from clo_gen.models import loan_hazards
from clo_gen.models.knobs import recovery_moments
from clo_gen.models.loan_hazards import TERMS, LoanHazards
from clo_gen.solve import logistic
from clo_gen.train.calibration import (
    Calibration,
    Target,
    bootstrap,
    compare,
    fit,
    parameters,
    rate_target,
)

KINDS = ("default", "prepaid")
_TERM_PRIOR, _COHORT_PRIOR = 5.0, 0.5  # standard deviations, log-odds


class AutoTargets(Record):
    """[auto]: the loans whose cohorts are calibrated to."""

    loans: str  # CSV or Parquet with one row a loan, see io.auto_lives
    until: Month = "2020-02"  # forbearance follows: missed payments were agreed then
    severities: str | None = None  # CSV or Parquet with loss_gross and lgd_at_chargeoff
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.10  # of a held-out trust's loss


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Expected against realised loss of a trust that the calibration has not seen."""

    trust: str
    loans: int
    defaults: int
    expected_defaults: float
    loss: float  # realised default balance x severity, share of the first balance
    low: float  # 95 % interval of it, by resampling loans
    high: float
    before: float  # expected, by the bands' average hazards of the other trusts
    after: float  # expected, calibrated on the other trusts
    ratio_before: float  # nan where nothing was lost
    ratio: float
    within: bool  # |ratio - 1| <= tolerance; False where nothing was lost
    fit: Calibration  # of the other trusts


@dataclasses.dataclass(frozen=True)
class AutoResult:
    """What the calibration on all trusts found, and every trust left out once."""

    calibration: Calibration
    hazards: LoanHazards
    held_out: tuple[HeldOut, ...]
    severity: float  # dollar-weighted; 1 where no charge-offs are given
    severity_fit: Calibration | None


def calibrate(config: AutoTargets, folder=pathlib.Path("."), *, on_stage=lambda text: None):
    """AutoResult of the files that `config` names, relative to `folder`. Raises InputError."""
    folder = pathlib.Path(folder)
    on_stage("reading loans")
    lives = read_auto_lives(folder / config.loans, config.until)
    trusts = list(dict.fromkeys(lives.trust))
    if len(trusts) < 2:
        raise InputError(f"{lives.source}: one trust, {trusts[0]}; want at least two, so that "
                         "one can be left out")
    severity, severity_fit = 1.0, None
    if config.severities:
        severity, severity_fit = severities(folder / config.severities)
    held_out = []
    for trust in trusts:
        on_stage(f"without {trust}")
        train, test = lives.take(lives.trust != trust), lives.take(lives.trust == trust)
        held_out.append(left_out(trust, train, test, severity, config.tolerance))
    on_stage("all trusts")
    calibration, hazards = fit_lives(lives)
    return AutoResult(calibration, hazards, tuple(held_out), severity, severity_fit)


def fit_lives(lives: AutoLives):
    """(Calibration, LoanHazards) of the cohorts of `lives`, by penalised maximum likelihood."""
    cohorts, index = cohorts_of(lives)
    terms, x = [], _design(lives)
    rows, records, converged, singular = [], [], True, []
    survivors = lives.at_risk & ~lives.default
    prior = np.full(len(TERMS), _TERM_PRIOR)
    for kind, risk, outcome in (("default", lives.at_risk, lives.default),
                                ("prepaid", survivors, lives.prepaid)):
        y, cohort = outcome[risk], index[np.nonzero(risk)[0]]
        b, covariance, done = logistic.fit(x[risk], y, prior)
        # What the data alone say, in units of the prior.
        information = np.linalg.inv(covariance) * _TERM_PRIOR**2 - np.eye(len(prior))
        singular += np.sqrt(np.maximum(np.linalg.eigvalsh(information), 0.0)).tolist()
        records += parameters([f"{kind}.{term}" for term in TERMS], b,
                              np.sqrt(np.diag(covariance)), prior)
        effects = _cohort_effects(x[risk] @ b, y, cohort, len(cohorts))
        records += parameters([f"{kind}.cohort.{name}" for name in cohorts], effects.value,
                              effects.error, np.full(len(cohorts), _COHORT_PRIOR))
        rows += _cohort_rows(kind, lives, (cohorts, index), effects, risk, outcome)
        terms.append(b)
        converged = converged and done and effects.converged
    kept = np.array([s for s in singular if s > 1e-8 * max(singular)])
    return Calibration(tuple(rows), tuple(records), len(kept), float(kept.max() / kept.min()),
                       converged, np.array([r.value for r in records])), LoanHazards(
                           *(jnp.asarray(b) for b in terms))


class Effects(NamedTuple):
    """What cohorts add to the log-odds of the terms."""

    value: np.ndarray  # [C]
    error: np.ndarray  # [C]
    events: np.ndarray  # [C] expected number with the effects
    slope: np.ndarray  # [C] of that number in the effect
    converged: bool


def _cohort_effects(log_odds, outcome, cohort, size):
    """Effects of `size` cohorts on loan-months with `log_odds` [N] by the terms."""
    (value, error, events, slope), converged = np.zeros((4, size)), True
    for c in range(size):
        here = cohort == c
        b, covariance, done = logistic.fit(np.ones((here.sum(), 1)), outcome[here],
                                           np.array([_COHORT_PRIOR]), log_odds[here])
        p = expit(log_odds[here] + b[0])
        value[c], error[c] = b[0], np.sqrt(covariance[0, 0])
        events[c], slope[c], converged = p.sum(), (p * (1.0 - p)).sum(), converged and done
    return Effects(value, error, events, slope, converged)


def cohorts_of(lives: AutoLives):
    """(names trust/band, index [L] into them) of the cohorts that have loans."""
    pairs = [f"{t}/{BANDS[b]}" for t, b in zip(lives.trust, lives.band, strict=True)]
    names, index = np.unique(pairs, return_inverse=True)
    return tuple(names.tolist()), index


def _design(lives):
    return np.asarray(loan_hazards.design(jnp.asarray(lives.rate), jnp.asarray(lives.start_balance),
                                          jnp.asarray(lives.age)))


def band_hazards(lives: AutoLives):
    """Average monthly (default, repayment) rates [BANDS] by band; a band without loans takes those
    of the nearest band that has some. This is what stage 1 says of a cohort without history."""
    size, out = len(BANDS), []
    months = np.bincount(lives.band, lives.at_risk.sum(1), size)
    filled = np.flatnonzero(months)
    near = np.array([filled[np.abs(filled - b).argmin()] for b in range(size)])
    for events in (lives.default, lives.prepaid):
        out.append((np.bincount(lives.band, events.sum(1), size) / np.maximum(months, 1.0))[near])
    return tuple(out)


def _cohort_rows(kind, lives, cohorts_index, effects, risk, outcome):
    """Comparisons of every cohort's rate over the months seen, as a share of its loans."""
    cohorts, index = cohorts_index
    average = band_hazards(lives)[KINDS.index(kind)][lives.band]
    loans = np.bincount(index, minlength=len(cohorts)).astype(float)
    before = np.bincount(index, average * risk.sum(1), len(cohorts)) / loans
    group = f"{kind} rate of cohort"
    observed = np.bincount(index, outcome.sum(1), len(cohorts))
    targets = [rate_target(group, name, d / n, n, lives.source)
               for name, d, n in zip(cohorts, observed, loans, strict=True)]
    return compare(targets, before, effects.events / loans, effects.slope * effects.error / loans)


def expected_defaults(lives: AutoLives, default, prepaid):
    """(expected number of defaults, expected defaulting balance) over the months seen, from the
    first of them on; `default` and `prepaid` [L, T] are monthly probabilities."""
    alive = np.asarray(loan_hazards.living(default, prepaid, lives.seen))
    lost = alive * np.asarray(default) * lives.seen
    return float(lost.sum()), float((lost * lives.balance).sum())


def left_out(trust, train: AutoLives, test: AutoLives, severity, tolerance):
    """HeldOut of `test`, calibrated on `train`. Nothing of `test` but the loans' terms is read."""
    calibration, hazards = fit_lives(train)
    terms = (jnp.asarray(test.rate), jnp.asarray(test.start_balance), jnp.asarray(test.age))
    count, after = expected_defaults(test, *jax.jit(loan_hazards.monthly)(hazards, *terms))
    bands = (x[test.band][:, None] * np.ones(test.age.shape) for x in band_hazards(train))
    _, before = expected_defaults(test, *bands)
    rows = np.column_stack([(test.default * test.balance).sum(1), test.start_balance])

    def ratio(rows):
        return np.array([severity * rows[:, 0].sum() / rows[:, 1].sum()])

    share, (low, high) = float(ratio(rows)[0]), bootstrap(ratio, rows, 1)
    before, after = (float(severity * x / rows[:, 1].sum()) for x in (before, after))
    old, new = (x / share if share > 0 else np.nan for x in (before, after))
    within = abs(new - 1.0) <= tolerance
    return HeldOut(trust, len(rows), int(test.default.sum()), count, share, float(low[0]),
                   float(high[0]), before, after, old, new, within, calibration)


def severities(path):
    """(severity, Calibration of a logit-normal law) of charge-offs, weighted by dollars."""
    table, problems = read_judged(path, (Column("loss_gross", "number"),
                                         Column("lgd_at_chargeoff", "number")))
    problems.raise_if_any()
    table = table.dropna()
    table = table[table["loss_gross"] > 0]
    if len(table) < 30:
        raise InputError(f"{path}: {len(table)} charge-offs with a balance; want at least 30")
    rows = np.column_stack([np.clip(table["lgd_at_chargeoff"], 0.0, 1.0), table["loss_gross"]])

    def moments(rows):
        mean = np.average(rows[:, 0], weights=rows[:, 1])
        return np.array([mean, np.sqrt(np.average((rows[:, 0] - mean) ** 2, weights=rows[:, 1]))])

    value, (low, high) = moments(rows), bootstrap(moments, rows, 1)
    targets = [Target("severity", name, float(value[i]), float(low[i]), float(high[i]),
                      f"{len(rows)} charge-offs of {path}")
               for i, name in enumerate(("mean", "standard deviation"))]

    def model(x, half):
        mean, deviation = recovery_moments(half, -x[0], x[1])
        return jnp.stack([1.0 - mean, deviation])

    done = fit(model, jnp.asarray(0.5), targets, ["severity", "severity_spread"],
               np.array([1.5, 1.5]), np.array([0.0, 1.0]))
    return done.comparisons[0].after, done

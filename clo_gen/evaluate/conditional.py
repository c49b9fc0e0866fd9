"""Do conditional paths follow the law of the model they come from?

Random feasible conditions are met by `generate_conditional` and, from many prior draws, by
rejection: those that come near every point condition (regression then takes out what is left of
the distance) and lie in every range. Means and spreads of the two are compared in all other months
where sampling error leaves something to compare.

Reference: Beaumont, Zhang and Balding (2002), Approximate Bayesian computation in population
genetics, Genetics 162, for the regression step.
"""

import dataclasses
import time

import jax
import numpy as np

from clo_gen.macro_model import MacroModel
from clo_gen.scores import Metric

NEAR = 0.1  # prior standard deviations from a point condition that rejection accepts
FEWEST, MOST = 400, 10_000  # accepted draws that make a comparison, and that are enough for it
NARROW = 0.05  # cells whose spread is under this share of the prior's are left out: what rejection
# shows there is its own tolerance
AGREES = 0.25  # standard deviations of a mean, relative difference of a spread
ERRORS = 4.0  # a cell is compared where that many standard errors are within AGREES


@dataclasses.dataclass(frozen=True)
class Trial:
    """One random set of conditions."""

    conditions: dict  # as generate_conditional takes them
    count: int
    seconds: float
    miss: float  # largest distance of a path to a condition, fractions
    distance: float
    effective: float  # share of the candidates
    accepted: int  # prior draws, by rejection
    mean: float  # worst difference of means in other months, in standard deviations there
    spread: float  # worst relative difference of standard deviations there; both nan if too few
    prior_mean: float  # the same two of unconditional paths
    prior_spread: float
    compared: float  # share of the cells that were compared


def random_conditions(draws, series, generator):
    """One to three conditions on different series that a random path of `draws` [P, T, M] meets."""
    path, width = draws[generator.integers(len(draws))], draws.std(0)
    out = {}
    for m in generator.choice(len(series), generator.integers(1, 4), replace=False):
        t = int(generator.integers(2, path.shape[0]))
        value = float(path[t, m])
        out[series[m]] = {"month": t + 1, "value": value}
        if generator.random() < 0.3:
            room = width[t, m] * generator.uniform(0.5, 2.0)
            low = value - room * generator.random()
            out[series[m]] = {"month": t + 1, "low": low, "high": low + room}
    return out


def _cells(conditions, series):
    for name, c in conditions.items():
        where = (c["month"] - 1, series.index(name))
        yield where, c.get("low", c.get("value")), c.get("high", c.get("value"))


def _near(block, conditions, series, width):
    keep = np.ones(len(block), bool)
    for (t, m), low, high in _cells(conditions, series):
        slack = NEAR * width[t, m] if low == high else 0.0
        keep &= (block[:, t, m] >= low - slack) & (block[:, t, m] <= high + slack)
    return block[keep]


def _adjusted(accepted, conditions, series):
    """Accepted paths moved along their regression on how far they are from the point conditions."""
    off = [accepted[:, t, m] - low for (t, m), low, high in _cells(conditions, series)
           if low == high]
    if not off:
        return accepted
    design = np.column_stack([np.ones(len(accepted)), *off])
    flat = accepted.reshape(len(accepted), -1)
    slope = np.linalg.lstsq(design, flat, rcond=None)[0]
    return (flat - design[:, 1:] @ slope[1:]).reshape(accepted.shape)


def _resolved(values, wanted, width):
    """Cells [T, M] that are not narrow and whose sampling errors are small beside AGREES."""
    sd = wanted.std(0)
    live = sd > NARROW * width
    moment = ((wanted - wanted.mean(0)) ** 4).mean(0) / np.where(live, sd, 1.0) ** 4
    rate = 1.0 / len(values) + 1.0 / len(wanted)
    error = np.sqrt(np.maximum(1.0, (moment - 1.0) / 4.0) * rate)
    return live & (ERRORS * error <= AGREES)


def difference(values, wanted, cells):
    """Worst (difference of means in sds, relative difference of sds) of `values` [N, T, M] against
    `wanted` [A, T, M] over `cells` [T, M] bool."""
    mean, sd = wanted.mean(0)[cells], wanted.std(0)[cells]
    return (float((np.abs(values.mean(0)[cells] - mean) / sd).max()),
            float(np.abs(values.std(0)[cells] / sd - 1.0).max()))


def _bounded(conditions, series, lower):
    """Whether a point condition lies on a bound, where rejection cannot come near it."""
    return any(low == high and low <= lower[m] + 1e-9
               for (_, m), low, high in _cells(conditions, series))


def trials(model: MacroModel, sets=100, paths=(500, 2000), draws=1_000_000, seed=0,
           scenario="baseline"):
    """[Trial] of `sets` random sets of conditions; `draws` prior paths serve the rejection.

    `paths`: conditional paths that are timed, and those whose law is compared.
    """
    generator, block = np.random.default_rng(seed), min(draws, 20_000)
    lower = np.asarray(model.scenario_of(scenario).lower)
    known = model.generate(block, jax.random.key(seed + 1), scenario)
    wanted: list = []
    while len(wanted) < sets:
        one = random_conditions(known, model.series, generator)
        if not _bounded(one, model.series, lower):
            wanted.append(one)
    width = known.std(0)
    accepted: list[list] = [[] for _ in wanted]
    for b in range(draws // block):
        prior = model.generate(block, jax.random.key(seed + 1000 + b), scenario)
        for kept, one in zip(accepted, wanted, strict=True):
            if sum(map(len, kept)) < MOST:
                kept.append(_near(prior, one, model.series, width)[:MOST])
    model.generate_conditional(wanted[0], paths[0], scenario=scenario)  # compiles
    return [_trial(model, one, np.concatenate(kept), known, (paths, jax.random.key(seed + 2 + i)),
                   scenario)
            for i, (one, kept) in enumerate(zip(wanted, accepted, strict=True))]


def _miss(values, conditions, series):
    off = [np.maximum(low - values[:, t, m], values[:, t, m] - high).max()
           for (t, m), low, high in _cells(conditions, series)]
    return max(0.0, float(np.max(off)))


def _trial(model, conditions, accepted, known, run, scenario):
    (paths, many), key = run
    began = time.perf_counter()
    got = model.generate_conditional(conditions, paths, key=key, scenario=scenario)
    seconds, close = time.perf_counter() - began, (np.nan,) * 5
    if len(accepted) >= FEWEST:
        law = _adjusted(accepted, conditions, model.series)
        values = model.generate_conditional(conditions, many, key=key, scenario=scenario).values
        cells = _resolved(values, law, known.std(0))
        for where, low, high in _cells(conditions, model.series):
            cells[where] &= low != high
        if cells.any():
            close = (*difference(values, law, cells), *difference(known[:many], law, cells),
                     float(cells.mean()))
    return Trial(conditions, len(conditions), seconds, _miss(got.values, conditions, model.series),
                 got.distance, got.effective / got.candidates, len(accepted), *close)


def evaluate(found, kind=""):
    """[Metric] of `found` ([Trial]); `kind` names the model."""
    compared = [t for t in found if not np.isnan(t.mean)]
    agree = [max(t.mean, t.spread) <= AGREES for t in compared]
    split = f"{len(found)} random sets of 1 to 3 conditions{kind and ', ' + kind}"
    rejection = (f"{len(compared)} sets with at least {FEWEST} draws accepted, "
                 f"{np.mean([t.compared for t in compared]):.0%} of their cells")
    prior = "unconditional paths"
    return [
        Metric("condition miss, worst", max(t.miss for t in found) * 1e4, "bp", target="< 5",
               split=split),
        Metric("mean against rejection, worst cell of a set, median over sets",
               float(np.median([t.mean for t in compared])), "sd",
               float(np.median([t.prior_mean for t in compared])), prior, "< 0.25", split,
               note=rejection),
        Metric("spread against rejection, worst cell of a set, median over sets",
               float(np.median([t.spread for t in compared])), "relative",
               float(np.median([t.prior_spread for t in compared])), prior, "< 0.25", split,
               note=rejection),
        Metric("sets whose every cell agrees within 25 %", float(np.mean(agree)), "share",
               float(np.mean([max(t.prior_mean, t.prior_spread) <= AGREES for t in compared])),
               prior, "1", split, better="higher", note=rejection),
        Metric("time a set, worst", max(t.seconds for t in found), "s", target="< 2", split=split,
               note=f"median {np.median([t.seconds for t in found]):.3f} s, after compilation"),
    ]

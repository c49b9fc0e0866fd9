"""Severity at default on the test months: CRPS, log score and calibration beside baselines.

All baselines see every charge-off before the test, the stopping months included:
`constant` one law for all (the atom at 1, a beta below it, a uniform above), its CRPS that of the
empirical law; `groups` the empirical law by months on the books (quarters) and size (halves), and
the same parametric law by group for the log score; `linear` least squares on the model's own inputs
with the empirical law of its residuals.
"""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from clo_gen.io.sba import FEATURES
from clo_gen.models import recovery
from clo_gen.models.recovery import Recovery
from clo_gen.scores import Metric, block_bootstrap, crps_ensemble
from clo_gen.train.recovery import RecoveryData

_DRAWS = 400
_BLOCK = 100  # charge-offs in a row that are resampled together


def drawn(model: Recovery, features, seed=0):
    """Severities [draws, N] of loans with `features` [N, F]."""
    keys = jax.random.split(jax.random.key(seed), _DRAWS)
    draw = jax.jit(lambda m, k, x: jax.lax.map(lambda one: recovery.sample(m, one, x), k))
    return np.asarray(draw(model, keys, jnp.asarray(features)), float)


def groups_of(data: RecoveryData):
    """Group [N] int of each charge-off, by cut points of those before the test."""
    known = data.part != "test"
    group = np.zeros(len(known), int)
    for name, parts in (("months_on_books", 4), ("log_disbursed", 2)):
        x = data.charge_offs.features[:, FEATURES.index(name)]
        cuts = np.quantile(x[known], np.arange(1, parts) / parts)
        group = group * parts + np.searchsorted(cuts, x, side="right")
    return group


def empirical(known, group_known, group_test, seed=0):
    """Severities [draws, n]: draws with replacement from the known ones of the same group."""
    generator = np.random.default_rng(seed)
    out = np.empty((_DRAWS, len(group_test)))
    for g in np.unique(group_test):
        pool = known[group_known == g]
        columns = group_test == g
        out[:, columns] = generator.choice(pool if len(pool) else known, (_DRAWS, columns.sum()))
    return out


def linear(data: RecoveryData, seed=0):
    """Severities [draws, n]: least squares on the model's inputs plus a residual at random."""
    known, test = data.rows("train", "stop"), data.rows("test")

    def design(rows):
        z = np.asarray(recovery.condition(data.model, rows["features"]))
        return np.column_stack([np.ones(len(z)), z])

    weights, *_ = np.linalg.lstsq(design(known), known["severity"], rcond=None)
    residual = known["severity"] - design(known) @ weights
    draws = np.random.default_rng(seed).choice(residual, (_DRAWS, len(test["severity"])))
    return np.maximum(design(test) @ weights + draws, 0.0)


def parametric_log_density(known, observed):
    """Log-density of `observed` under the law fitted to `known`; counting at the atom 1."""
    below = known[known < 1.0]
    mean, variance = below.mean(), below.var()
    strength = mean * (1.0 - mean) / variance - 1.0
    shares = np.array([(known < 1.0).sum(), (known == 1.0).sum(), (known > 1.0).sum()]) + 0.5
    shares = shares / shares.sum()
    inside = np.clip(observed, 1e-3, 1.0 - 1e-6)
    beta = stats.beta.logpdf(inside, mean * strength, (1.0 - mean) * strength)
    return np.select([observed < 1.0, observed == 1.0], [np.log(shares[0]) + beta,
                                                         np.log(shares[1])], np.log(shares[2]))


def uniformity(samples, observed, seed=0):
    """Kolmogorov distance of the probability integral transform from uniform; ties at random."""
    below = (samples < observed).mean(0)
    equal = (samples == observed).mean(0)
    rank = below + equal * np.random.default_rng(seed).random(len(observed))
    return float(stats.kstest(rank, "uniform").statistic)


def _against(value, baseline):
    """90 % interval of the mean difference of two series of scores."""
    low, high = block_bootstrap(value - baseline, _BLOCK)
    return {"low": low, "high": high, "note": "interval: value less baseline"}


def evaluate(model: Recovery, data: RecoveryData):
    """list[Metric] of the test months, one for each score and baseline."""
    known, test = data.rows("train", "stop"), data.rows("test")
    seen = test["severity"]
    group, before = groups_of(data), data.part != "test"
    samples = {
        "constant": empirical(known["severity"], group[before] * 0, group[~before] * 0),
        "groups": empirical(known["severity"], group[before], group[~before]),
        "linear": linear(data)}
    mine = drawn(model, test["features"])
    month = data.charge_offs.month[~before]
    split = f"test {month[0]} to {month[-1]}, {len(seen)} charge-offs"
    crps = {name: crps_ensemble(s, seen) for name, s in samples.items()}
    own = crps_ensemble(mine, seen)
    out = [Metric("severity CRPS", own.mean(), "", score.mean(), name, split=split,
                  **_against(own, score)) for name, score in crps.items()]
    point = np.abs(known["severity"].mean() - seen)
    out.append(Metric("severity CRPS", own.mean(), "", point.mean(), "constant mean", split=split,
                      **_against(own, point)))
    logs = {"constant beta": parametric_log_density(known["severity"], seen),
            "beta by group": _by_group(known["severity"], group[before], seen, group[~before])}
    density = np.asarray(jax.jit(recovery.log_density)(model, seen, test["features"]), float)
    out += [Metric("severity log score", density.mean(), "nats", score.mean(), name, split=split,
                   better="higher", **_against(density, score)) for name, score in logs.items()]
    out += [Metric("severity PIT distance", uniformity(mine, seen), "", uniformity(s, seen), name,
                   split=split) for name, s in samples.items()]
    error = (mine.mean(0) - seen) ** 2
    return out + [Metric("severity mean squared error", error.mean(), "",
                         ((s.mean(0) - seen) ** 2).mean(), name, split=split,
                         **_against(error, (s.mean(0) - seen) ** 2))
                  for name, s in samples.items()]


def _by_group(known, group_known, seen, group_seen):
    out = np.empty(len(seen))
    for g in np.unique(group_seen):
        pool = known[group_known == g]
        rows = group_seen == g
        out[rows] = parametric_log_density(pool if len(pool) > 20 else known, seen[rows])
    return out

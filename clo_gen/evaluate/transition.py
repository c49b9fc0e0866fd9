"""Level 2 on its test months: likelihood, accuracy and Brier scores beside the baselines.

Baselines: the constant matrix of each cohort, the logit with the same information (both fitted to
every month before the test, the held-out block included), and persistence (nothing moves).
"""

import dataclasses

import jax
import numpy as np

from clo_gen.models import transition
from clo_gen.models.transition import Transformer
from clo_gen.models.transition_network import speaks
from clo_gen.scores import Metric, block_bootstrap
from clo_gen.train.transition import linear_model
from clo_gen.train.transition_data import TransitionData

_BLOCK = 6  # months of the block bootstrap
_SILENT = "the held-out months gave the network no support, so the model is its logit"


def predicted(model: Transformer, months):
    """Matrices [N, C, S, S] of each month and cohort of `months`."""
    return np.asarray(jax.jit(transition.matrices_at)(model, months))


def constant_matrix(model, data):
    """The constant-matrix baseline as a Transformer."""
    return linear_model(data, dataclasses.replace(model.config, time="discrete"), "known",
                        slopes=False)


def logit(model, data):
    """The logit baseline as a Transformer, fitted to every month before the test."""
    return linear_model(data, dataclasses.replace(model.config, time="discrete"), "known")


def log_scores(matrix, counts):
    """Log-likelihoods [N] of counts [N, C, S, S] by month."""
    logs = np.log(np.where(matrix > 0, matrix, 1e-300))
    return (counts * np.where(counts > 0, logs, 0.0)).sum((1, 2, 3))


def brier_scores(matrix, counts):
    """Sums [N] over loans of the squared distance between forecast and what happened."""
    distance = 1.0 - 2.0 * matrix + (matrix**2).sum(-1, keepdims=True)
    return (counts * distance).sum((1, 2, 3))


def hits(matrix, counts):
    """Loans [N] whose most likely next state is the one that happened."""
    likely = np.take_along_axis(counts, matrix.argmax(-1)[..., None], -1)
    return likely.sum((1, 2, 3))


def _difference(value, baseline, exposure):
    """90 % interval of (value - baseline) per loan-month, blocks of months resampled."""
    low, high = block_bootstrap((value - baseline) / exposure.mean(), _BLOCK)
    return {"low": low, "high": high, "note": "interval: value less baseline"}


def evaluate(model: Transformer, data: TransitionData):
    """[Metric] on the test part."""
    months, rows = data.months("test"), data.part("test")
    seen = months["counts"].sum((1, 2, 3)) > 0
    months, rows = {name: x[seen] for name, x in months.items()}, rows[seen]
    counts, space = months["counts"], data.counts.space
    exposure = counts.sum((1, 2, 3))
    total = exposure.sum()
    split = f"test {data.counts.months[rows[0]]} to {data.counts.months[rows[-1]]}"
    if data.config.leave_out_trusts:
        split += f", {', '.join(data.config.leave_out_trusts)} left out of training"
    ours = predicted(model, months)
    others = {"constant matrix": predicted(constant_matrix(model, data), months),
              "logit": predicted(logit(model, data), months)}
    metrics = []
    for label, score, better, unit in (
            ("transition log-likelihood", log_scores, "higher", "nats a loan-month"),
            ("transition Brier score", brier_scores, "lower", "")):
        value = score(ours, counts)
        for name, matrix in others.items():
            baseline = score(matrix, counts)
            metrics.append(Metric(label, value.sum() / total, unit, baseline.sum() / total, name,
                                  f"no worse than the {name}", split, better=better,
                                  **_difference(value, baseline, exposure)))
    metrics += _default_metrics(ours, others, counts, space, split)
    right, stay = hits(ours, counts), hits(np.broadcast_to(np.eye(space.size), ours.shape), counts)
    low, high = block_bootstrap(100.0 * right / exposure, _BLOCK)
    metrics.append(Metric("transition accuracy", 100.0 * right.sum() / total, "%",
                          100.0 * stay.sum() / total, "persistence", "> 85 %", split, low, high,
                          "higher", "nearly all months are stays, so persistence is hard to beat; "
                          "the likelihood tells more"))
    if data.truth is not None:
        metrics += _distances(data.truth[rows], ours, others, space, split)
    if not speaks(model.params["network"]):
        metrics = [dataclasses.replace(m, note=f"{_SILENT}; {m.note}".removesuffix("; "))
                   for m in metrics]
    return metrics


def _default_metrics(ours, others, counts, space, split):
    """Brier score of default within the month, and defaults expected against seen."""
    live, d = len(space.live), space.default
    exposure, seen = counts[:, :, :live].sum(-1), counts[:, :, :live, d]

    def brier(matrix):
        p = matrix[:, :, :live, d]
        return (seen * (1.0 - p) ** 2 + (exposure - seen) * p**2).sum((1, 2))

    def expected(matrix):
        return float((exposure * matrix[:, :, :live, d]).sum())

    total = exposure.sum()
    value = brier(ours)
    metrics = [Metric("default Brier score", value.sum() / total, "", brier(m).sum() / total, name,
                      f"no worse than the {name}", split,
                      **_difference(value, brier(m), exposure.sum((1, 2))))
               for name, m in others.items()]
    baseline = expected(others["constant matrix"])
    return metrics + [Metric("defaults expected", expected(ours), f"where {seen.sum():.0f} were "
                             "seen", baseline, "constant matrix", "", split, better="")]


def kl(truth, matrix, live):
    """Mean Kullback-Leibler divergence (nats a live row) of `matrix` [N, C, S, S] from `truth`."""
    positive = truth > 0
    ratio = np.log(np.where(positive, truth, 1.0) / np.where(positive, matrix, 1.0))
    return float((truth * ratio)[:, :, :live].sum(-1).mean())


def _distances(truth, ours, others, space, split):
    live = len(space.live)
    value = kl(truth, ours, live)
    return [Metric("KL divergence from the truth", value, "nats a loan-month",
                   kl(truth, matrix, live), name,
                   "at most half the logit's" if name == "logit" else "", split,
                   note="synthetic counts of a known truth")
            for name, matrix in others.items()]

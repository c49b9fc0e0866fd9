"""Level 3 on held-out loan-months: states against cohort matrices and persistence, payments.

One month ahead, all scores read the true past. A year ahead, lives are sampled from the end of the
stopping months on, and only macro is known.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from clo_gen.evaluate.loan_payments import payment_metrics, recovery_metrics
from clo_gen.evaluate.loan_resampling import by_loan, interval
from clo_gen.models import trajectory
from clo_gen.scores import Metric
from clo_gen.train.trajectory_data import (
    by_month,
    cohort_matrices,
    loans_of,
    macro_of,
    payment_kinds,
)

_AGE_BAND = 12.0  # months of a loan's age in the finer cohort matrix
_AGE_BANDS = 8


def evaluate(model, data, *, draws=512, paths=64, seed=0):
    """list[Metric] on the test splits of `data`; those of synthetic loans say so in their split.

    Payments and recoveries are measured where the panel has any.
    """
    label = " (synthetic)" if data.kind == "synthetic" else ""
    out = []
    for split, (loans, first, last) in data.tests.items():
        history = data.split(loans, first, last)
        out += state_metrics(model, data.train, history, split + label)
        if model.cfg.payments:
            out += payment_metrics(model, history, split + label, draws=draws, seed=seed)
        out += path_metrics(model, data, loans, first, split=split + label, paths=paths, seed=seed)
    if not model.cfg.payments:
        return out
    return out + recovery_metrics(model, history, data.train, split + label, draws=draws, seed=seed)


def baseline_rows(model, train, history):
    """{name: probabilities [R, S]} of the counted months of `history`, fitted to `train`.

    Persistence stays with the training share of stays and spreads the rest evenly over the moves
    that training saw from any state.
    """
    keep, space = history.counted, model.space
    before = history.before.state[keep]
    cohort = by_month(history)[keep]
    matrix = np.asarray(model.cohort_matrix, float)

    def aged(h):
        band = np.clip(h.before.age // _AGE_BAND, 0, _AGE_BANDS - 1).astype(int)
        return by_month(h) * _AGE_BANDS + band

    finer = cohort_matrices(space, train, aged(train), len(model.cohorts) * _AGE_BANDS + 1, 300.0)
    stays = (train.state == train.before.state)[train.counted].mean()
    moves = matrix[-1] > 0
    other = moves & ~np.eye(space.size, dtype=bool)
    lazy = stays * np.eye(space.size) + (1.0 - stays) * other / np.maximum(other.sum(1), 1)[:, None]
    return {"cohort matrix": matrix[cohort, before], "persistence": lazy[before],
            "cohort matrix by band and age": finer[aged(history)[keep], before]}


def state_metrics(model, train, history, split):
    """list[Metric] of the state one month ahead: log-likelihood and accuracy a loan-month."""
    keep = np.asarray(history.counted)
    logs = np.asarray(jax.jit(trajectory.forecast)(model, history)[0])[keep]
    state, loan = history.state[keep], np.nonzero(keep)[0]
    row = np.arange(len(state))
    rows = baseline_rows(model, train, history)
    out = []
    for name, probability in rows.items():
        theirs = np.log(np.maximum(probability[row, state], 1e-12))
        out.append(_mean("state log-likelihood", logs[row, state], theirs, (loan, len(keep)),
                         unit="nats a month", baseline_name=name, target="above", split=split,
                         better="higher"))
    hit = logs.argmax(1) == state
    others = {"persistence": history.before.state[keep] == state,
              "cohort matrix": rows["cohort matrix"].argmax(1) == state}
    return out + [_mean("state accuracy, one month ahead", hit, other, (loan, len(keep)),
                        unit="share", baseline_name=name, target="> 0.80", split=split,
                        better="higher") for name, other in others.items()]


def _mean(name, ours, theirs, where, **more):
    """Metric of a mean over rows beside a baseline's, with the interval of the difference."""
    sums = by_loan(*where, ours, theirs, np.ones(len(ours)))
    low, high = interval(lambda t: (t[0] - t[1]) / t[2], sums)
    return Metric(name, float(np.mean(ours)), baseline=float(np.mean(theirs)), low=low, high=high,
                  note="interval: of the difference, loans drawn again", **more)


def sampled_year(model, data, loans, first, *, months, paths, seed):
    """State counts [L, months, S] of `paths` sampled lives from month `first` (text) on.

    Returns (counts, states as they came [L, months], states before [L], cohorts [L]) of those of
    `loans` [L] bool that live at the start and were seen as long before as the model looks back;
    those months are replayed.
    """
    start = pd.Period(first, "M").ordinal
    seen = model.cfg.window * model.cfg.layers
    rows, part = data.panel.since(start - seen - 1)
    before = part.state[:, seen]
    chosen = np.flatnonzero(loans[rows] & (before >= 0) & (before < len(part.space.live)))
    part, before = part.take(chosen), before[chosen]
    cohorts = np.asarray(data.history.cohort)[rows[chosen]]
    observed = (_seen(part)[:, 1: seen + 1].T, payment_kinds(part)[:, 1: seen + 1].T,
                (part.payment / part.due[:, None])[:, 1: seen + 1].T.astype(np.float32),
                part.balance[:, 2: seen + 2].T.astype(np.float32))
    lives = trajectory.start(model, jax.tree.map(jnp.asarray, loans_of(part, cohorts)))
    macro = macro_of(model.series)
    past, future = (_macro(macro, a, b) for a, b in ((start - seen, start),
                                                     (start, start + months)))
    counts = jax.jit(_sample_counts)(
        model, lives, (past, np.arange(start - seen, start), observed), (future, start),
        jax.random.split(jax.random.key(seed), paths))
    return np.asarray(counts), _seen(part)[:, seen + 1: seen + 1 + months], before, cohorts


def _seen(panel):
    """States [L, T]: an absorbing one is carried on, -1 where a loan is out of sight."""
    end = np.maximum((panel.state >= 0).sum(1) - 1, 0)
    last = panel.state[np.arange(len(end)), end]
    ended = np.where(last >= len(panel.space.live), last, -1)
    return np.where(panel.state >= 0, panel.state, ended[:, None])


def _macro(frame, first, after):
    months = pd.PeriodIndex.from_ordinals(np.arange(first, after), freq="M")  # type: ignore[attr-defined]
    return frame.reindex(months).to_numpy(np.float32)


def _sample_counts(model, lives, past, future, keys):
    def seen(lives, x):
        macro, month, observed = x
        return trajectory.replay(model, lives, macro, month, observed), None

    lives, _ = jax.lax.scan(seen, lives, past)
    macro, first = future

    def path(counts, key):
        _, states, _ = trajectory.sample(model, key, lives, macro, first)
        return counts + jax.nn.one_hot(states, model.space.size, dtype=counts.dtype), None

    shape = (macro.shape[0], lives.loans.state.shape[0], model.space.size)
    counts = jax.lax.scan(path, jnp.zeros(shape), keys)[0]
    return jnp.moveaxis(counts, 0, 1)


def path_metrics(model, data, loans, first, *, split, paths, seed, months=12):
    """list[Metric] a year ahead: sequence accuracy and the Brier score of default."""
    counts, came, before, cohort = sampled_year(model, data, loans, first, months=months,
                                                paths=paths, seed=seed)
    months = came.shape[1]
    default = model.space.default
    matrix = np.asarray(model.cohort_matrix, float)
    power, powers = np.eye(model.space.size)[before], []
    for _ in range(months):
        power = np.einsum("ls,lsk->lk", power, matrix[cohort])
        powers.append(power)
    chain = np.stack(powers, axis=1)
    where = np.arange(len(came)), len(came)
    seen = came >= 0
    share = np.maximum(seen.sum(1), 1)

    def right(guess):
        return ((guess == came) & seen).sum(1) / share

    modal = right(counts.argmax(2)[:, :months])
    out = [_mean(f"state sequence accuracy, {months} months free-running", modal, other, where,
                 unit="share", baseline_name=name, target="> 0.80", split=split, better="higher")
           for name, other in (("persistence", right(before[:, None])),
                               ("cohort matrix", right(chain.argmax(2))))]
    whole = seen[:, -1]  # a loan out of sight before the year ends says nothing of its default
    defaulted, where = came[whole, -1] == default, (np.arange(whole.sum()), int(whole.sum()))
    chance = counts[whole, months - 1, default] / paths
    chain = chain[whole]
    brier = [(p - defaulted) ** 2 for p in (chance, chain[:, -1, default], np.zeros(len(chain)))]
    names = "cohort matrix", "persistence (no default)"
    note = (f"{int(defaulted.sum())} of {len(chain)} loans defaulted, {(~whole).sum()} went out of "
            f"sight and are left out; expected by the model "
            f"{chance.sum():.1f}, by the cohort matrix {chain[:, -1, default].sum():.1f}")
    for name, other in zip(names, brier[1:], strict=True):
        metric = _mean(f"Brier score of default within {months} months", brier[0], other, where,
                       unit="", baseline_name=name, target="below", split=split)
        out.append(Metric(**(vars(metric) | {"note": f"{note}; {metric.note}"})))
    return out

"""Payments and recoveries of level 3 against the contract, in dollars, one month ahead.

The contract's forecast of a month is the schedule, at most what is owed: min(due, balance (1 +
rate / 12)). On the trust AART 2017-3 its RMSE over all 43 months is $543.7 where the loan lives on
(states other than prepaid and default at the month's end; partial prepayments included) and $43.0
where, besides, it pays more than nothing and at most 1.5 times the schedule. Months that pay
nothing are left out of the second figure: with them it is $133.7, since the contract expects the
schedule of a borrower who misses.

Three forecasts: `given state` knows the state at the end of the month (the methodology's v_t given
s_t); `ahead, living` draws it, among live states; `ahead` draws it among all, so that payments in
full are in it and it is scored on every month. The point forecast is the mean of the draws.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from clo_gen.evaluate.loan_resampling import by_loan, interval
from clo_gen.models import diffusion, loan_payments, trajectory
from clo_gen.scores import Metric, crps_ensemble

FORECASTS = ("given state", "ahead, living", "ahead")
_SMALL = 1.5  # schedules: months that pay at most that are also scored by themselves


class Rows(struct.PyTreeNode):
    """Loan-months [R] to forecast, with what the model has seen before them."""

    before: Any
    hidden: jax.Array  # [R, D]
    repeat: jax.Array  # [R]
    logs: jax.Array  # [R, S]
    state: jax.Array  # [R] int, as it came
    due: jax.Array  # [R] dollars, at most what is owed
    owed: jax.Array  # [R] dollars


def rows_of(model, history, keep):
    """Rows of the loan-months `keep` [L, T] of a History (NumPy)."""
    logs, hidden, repeat = jax.jit(trajectory.forecast)(model, history)
    before, hidden, repeat, logs, state = jax.tree.map(
        lambda x: np.asarray(x)[keep], (history.before, hidden, repeat, logs, history.state))
    terms = jax.tree.map(lambda x: x[np.nonzero(keep)[0]], history.terms)
    owed = before.left * terms.due * (1.0 + terms.rate / 12.0)
    return Rows(before, hidden, repeat, logs, state, np.minimum(terms.due, owed), owed)


def _draw(model, rows, forecast, key):
    space, (state_key, payment_key) = model.space, jax.random.split(key)
    live = jnp.arange(space.size) < len(space.live)
    logs = rows.logs if forecast == "ahead" else jnp.where(live, rows.logs, -jnp.inf)
    state = rows.state
    if forecast != "given state":
        state = trajectory.draw_state(state_key, jax.nn.log_softmax(logs))
    share, _, _ = loan_payments.draw(model, payment_key, rows.hidden, rows.before, rows.repeat,
                                     state)
    paid = jnp.minimum(share * rows.due, rows.owed)
    return jnp.where(state == space.prepaid, rows.owed, paid)


def payment_draws(model, rows, forecast, key, draws):
    """Payments [draws, R] in dollars, drawn by one of FORECASTS."""
    one = functools.partial(_draw, forecast=forecast)
    many = jax.jit(lambda model, rows, keys: jax.lax.map(lambda k: one(model, rows, key=k), keys))
    return np.asarray(many(model, rows, jax.random.split(key, draws)))


def payment_metrics(model, history, split, *, draws, seed):
    """list[Metric] of the three forecasts on the counted months of `history`."""
    counted = np.asarray(history.counted)
    living = counted & (np.asarray(history.state) < len(model.space.live))
    out = []
    for number, forecast in enumerate(FORECASTS):
        keep = counted if forecast == "ahead" else living
        rows = rows_of(model, history, keep)
        loan = np.nonzero(keep)[0]
        paid = history.share[keep] * history.terms.due[loan]
        key = jax.random.fold_in(jax.random.key(seed), number)
        sampled = payment_draws(model, rows, forecast, key, draws)
        out += _scores(f"payment, {forecast}", split, (sampled, paid, np.asarray(rows.due)),
                       (loan, len(counted)), history.share[keep])
    return out


def _rmse(name, split, errors, where, **more):
    """Metric of the RMSE of `errors` = (ours [R], contract's [R]); `where` = (loan [R], loans)."""
    ours, contract = errors
    sums = by_loan(*where, ours**2, contract**2, np.ones_like(ours))
    total = sums.sum(0)

    def gain(t):
        return np.sqrt(t[0] / t[2]) - np.sqrt(t[1] / t[2])

    low, high = interval(gain, sums)
    return Metric(name, float(np.sqrt(total[0] / total[2])), "$",
                  float(np.sqrt(total[1] / total[2])), "contract", split=split, low=low, high=high,
                  **more)


def _scores(name, split, data, where, share):
    sampled, paid, due = data
    loan, loans = where
    mean, median = sampled.mean(0), np.median(sampled, axis=0)
    contract = due - paid
    gap = "interval: of the difference to the contract, loans drawn again"
    small = (paid > 0) & (share <= _SMALL)
    crps, absolute = crps_ensemble(sampled, paid), np.abs(contract)
    sums = by_loan(loan, loans, crps, absolute, np.ones_like(crps))
    low, high = interval(lambda t: (t[0] - t[1]) / t[2], sums)
    out = [_rmse(f"{name}: RMSE", split, (mean - paid, contract), where, target="below contract",
                 note=f"mean of the draws; {gap}"),
           Metric(f"{name}: CRPS", float(crps.mean()), "$", float(absolute.mean()),
                  "contract (absolute error)", "5 % below contract", split, low, high, note=gap)]
    if not name.endswith("ahead"):
        part, place = f"{name}, pays 0 to {_SMALL} schedules: RMSE", (loan[small], loans)
        for point, words, target in ((mean, "mean", "< 100"), (median, "median", "")):
            out.append(_rmse(part, split, ((point - paid)[small], contract[small]), place,
                             target=target, note=f"{words} of the draws; {gap}"))
    return out


def recovery_metrics(model, history, train, split, *, draws, seed):
    """list[Metric] of recoveries at default (shares of the balance) on the counted months."""
    def recovered(h):
        return np.asarray(h.counted) & np.isfinite(h.recovery)

    keep = recovered(history)
    if keep.sum() < 5:
        return []
    known = np.asarray(train.recovery)[recovered(train)]
    observed = np.asarray(history.recovery)[keep]
    inputs = loan_payments.recovery_condition(
        jax.tree.map(lambda x: jnp.asarray(x[keep]), history.before))
    one = functools.partial(diffusion.sample, model.params["recovery"], model.cfg.recovery_head)
    sampled = jax.jit(lambda keys: jax.lax.map(lambda k: one(k, inputs)[:, 0], keys))(
        jax.random.split(jax.random.key(seed), draws))
    scores = {"model": crps_ensemble(np.clip(np.asarray(sampled), 0.0, 1.0), observed),
              "mean of the training defaults": np.abs(known.mean() - observed),
              "the training defaults themselves": crps_ensemble(
                  np.repeat(known[:, None], len(observed), axis=1), observed)}
    out = []
    for name in list(scores)[1:]:
        sums = np.stack([scores["model"], scores[name], np.ones_like(observed)], axis=1)
        low, high = interval(lambda t: (t[0] - t[1]) / t[2], sums)
        out.append(Metric("recovery at default: CRPS", float(scores["model"].mean()), "of balance",
                          float(scores[name].mean()), name, "", split, low, high,
                          note=f"{len(observed)} defaults, {len(known)} in training; interval: of "
                               "the difference"))
    return out

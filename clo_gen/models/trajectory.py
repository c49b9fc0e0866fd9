"""Level 3: loan trajectories, states by an autoregressive transformer, payments by diffusion.

    s_t ~ Cat(softmax(h_t W_s + log P_cohort(s_{t-1}, :) + hazard))
    v_t = Denoise(eps_t, s_t, h_t)

W_s and the hazard start at zero, so an untrained model lives by its cohort matrix exactly, and what
that matrix excludes never happens. The hazard is added to the logit of default alone: two
piecewise-linear functions, of the loan's age and of the payments missed in a row, which time a
default within its state. A payment is nothing, the schedule, last month's odd amount again
(atoms), or a draw of the diffusion head. Prepayment in full is a state and pays what is owed.
Reference: methodology, Level 3.
"""

from typing import Any

import jax
import jax.numpy as jnp

from clo_gen.models import diffusion, loan_cash, loan_payments
from clo_gen.models import trajectory_network as network
from clo_gen.models.trajectory_network import Before, TrajectoryConfig
from clo_gen.models.trajectory_records import History, Lives, Loans, Trajectory
from clo_gen.states import StateSpace


def init(key: jax.Array, cfg: TrajectoryConfig, space: StateSpace) -> dict:
    """Params of an untrained model: the cohort matrix, and payments of no shape yet."""
    first, second, third = jax.random.split(key, 3)
    hazard = {name: jnp.zeros(len(knots), cfg.dtype) for name, knots in
              (("age", cfg.age_knots), ("missed", cfg.missed_knots))}
    params = {"network": network.init(first, cfg, space.size), "hazard": hazard}
    if cfg.payments:
        params |= {"payments": diffusion.init(second, cfg.head),
                   "recovery": diffusion.init(third, cfg.recovery_head)}
    return params


def state_logits(model: Trajectory, effect: jax.Array, before: Before,
                 rows: jax.Array) -> jax.Array:
    """Log-probabilities [..., S] given h W_s `effect` [..., S] and the cohort's `rows` [..., S]."""
    hazard, cfg, dtype = model.params["hazard"], model.cfg, jnp.dtype(model.cfg.dtype)
    shift = (network.hats(before.age.astype(dtype), cfg.age_knots) @ hazard["age"]
             + network.hats(before.missed.astype(dtype), cfg.missed_knots) @ hazard["missed"])
    effect = effect.at[..., model.space.default].add(shift)
    possible = (rows > 0) & jnp.asarray(model.space.mask)[before.state]
    base = jnp.log(jnp.where(possible, rows, 1.0)).astype(dtype)
    return jax.nn.log_softmax(jnp.where(possible, base + effect, -jnp.inf), axis=-1)


def forecast(model: Trajectory, history: History,
             matrix: jax.Array | None = None) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Teacher-forced pass: (state log-probabilities [..., T, S], h, repeat logits [..., T]).

    `matrix` [C, S, S] replaces the model's cohort matrix.
    """
    h = history
    matrix = model.cohort_matrix if matrix is None else matrix
    tokens = network.tokens(model.cfg, model.norm, h.facts[..., None, :], h.before, h.macro,
                            h.month)
    hidden, effect, repeat = network.full(model.params["network"], model.cfg, model.space.size,
                                          tokens)
    rows = matrix[h.cohort[..., None], h.before.state]
    return state_logits(model, effect, h.before, rows), hidden, repeat


def loss(model: Trajectory, key: jax.Array,
         history: History) -> tuple[jax.Array, dict[str, jax.Array]]:
    """(loss [], its parts) a counted loan-month: states, repeated payments, values.

    Differentiate with respect to `model.params`. The states' part is the negative log-likelihood.
    """
    logs, hidden, repeat = forecast(model, history)
    counted = history.counted
    chosen = jnp.take_along_axis(logs, jnp.maximum(history.state, 0)[..., None], -1)[..., 0]
    count = jnp.maximum(counted.sum(), 1).astype(logs.dtype)
    states = -jnp.where(counted, jnp.maximum(chosen, -30.0), 0.0).sum() / count
    parts = {"states": states}
    if model.cfg.payments:
        parts |= loan_payments.loss(model, key, hidden, repeat, history)
    total: Any = sum(parts.values())
    return total, parts


def draw_state(key: jax.Array, logs: jax.Array) -> jax.Array:
    """State [L] drawn from log-probabilities [L, S]; what has probability 0 never comes."""
    chance = jnp.exp(logs)
    total = jnp.cumsum(chance, axis=-1)
    uniform = jax.random.uniform(key, logs.shape[:-1], logs.dtype) * total[:, -1]
    last = logs.shape[-1] - 1 - jnp.argmax(chance[:, ::-1] > 0, axis=-1)
    return jnp.minimum((uniform[:, None] >= total).sum(-1), last)


def start(model: Trajectory, loans: Loans) -> Lives:
    """Lives of `loans` before their first month."""
    return Lives(loans, network.empty_cache(model.cfg, loans.state.shape[0]),
                 jnp.zeros((), jnp.int32))


def _before(model, loans):
    left = loans.debt.balance / loans.terms.due
    ahead = jnp.log(jnp.maximum(left, 0.1) / loan_cash.annuity(loans.terms, loans.age))
    state = jnp.minimum(loans.state, len(model.space.live) - 1)  # absorbed: read, never used
    return Before(state, loans.kind, loans.share, loans.missed, loans.age, left,
                  jnp.where(loans.terms.term > 0, ahead, 0.0))


def look(model: Trajectory, lives: Lives, macro: jax.Array, month: jax.Array | int) -> tuple:
    """(Before, h [L, D], h W_s [L, S], repeat logit [L], cache) of one month not yet drawn."""
    before = _before(model, lives.loans)
    token = network.tokens(model.cfg, model.norm, lives.loans.facts, before, macro, month)
    return before, *network.step(model.params["network"], model.cfg, token, lives.cache,
                                 lives.count)


def _close(model, lives, state, payment, cache):
    """(Lives, state [L], Payment) after a month; `payment` = (share, kind, recovery) [L] each."""
    loans, space, (share, kind, recovery) = lives.loans, model.space, payment
    was = loans.state < len(space.live)
    state = jnp.where(was, state, loans.state).astype(loans.state.dtype)
    flags = (was & (state < len(space.live)), was & (state == space.prepaid),
             was & (state == space.default))
    money = loans.debt.balance.dtype
    debt, cash = loan_cash.settle(loans.terms, loans.debt, share.astype(money),
                                  recovery.astype(money), flags)
    state = jnp.where(flags[0] & (debt.balance <= 0), space.matured, state)
    # Only where payments are seen does the state say whether one was missed.
    missed = jnp.where(state == 0, 0, loans.missed + 1) if model.cfg.payments else loans.missed
    loans = loans.replace(
        state=state, kind=kind.astype(loans.kind.dtype), share=share.astype(loans.share.dtype),
        missed=missed.astype(loans.missed.dtype), age=loans.age + 1, debt=debt)
    return Lives(loans, cache, lives.count + 1), cash


def advance(model: Trajectory, lives: Lives, matrix: jax.Array, macro: jax.Array, key: jax.Array,
            month: jax.Array | int) -> tuple[Lives, Any]:
    """(Lives, Payment [L]) after one drawn month.

    `matrix` [C, S, S] holds that month's cohort matrices, `macro` [M] the raw series, `month` [] is
    counted from 1970-01 and picks the draws of `key` too. Absorbed loans stay and pay nothing.
    """
    before, hidden, effect, repeat, cache = look(model, lives, macro, month)
    rows = matrix[lives.loans.cohort, before.state]
    state_key, payment_key = jax.random.split(jax.random.fold_in(key, month))
    state = draw_state(state_key, state_logits(model, effect, before, rows))
    drawn = loan_payments.draw(model, payment_key, hidden, before, repeat, state)
    return _close(model, lives, state, drawn, cache)


def replay(model: Trajectory, lives: Lives, macro: jax.Array, month: jax.Array | int,
           observed: tuple[jax.Array, ...]) -> Lives:
    """Lives after an observed month: `observed` = (state, kind, share, closing balance) [L] each.

    What is observed of a loan after its end is not read.
    """
    cache = look(model, lives, macro, month)[-1]
    was = lives.loans.state < len(model.space.live)
    state, kind, share, balance = observed
    state = jnp.where(was, state, lives.loans.state).astype(lives.loans.state.dtype)
    lives, _ = _close(model, lives, state, (share, kind, jnp.zeros_like(share)), cache)
    debt = lives.loans.debt.replace(balance=balance.astype(lives.loans.debt.balance.dtype))
    return lives.replace(loans=lives.loans.replace(state=state, debt=debt))


def sample(model: Trajectory, key: jax.Array, lives: Lives, macro: jax.Array, first_month: int, *,
           matrices: jax.Array | None = None) -> tuple[Lives, jax.Array, Any]:
    """(Lives, states [T, L], Payment [T, L]) of T further months of sampled lives.

    `macro` [T, M] raw; `matrices` [C, T, S, S] (as records.Transitions) replace the model's cohort
    matrix month by month. Nothing limits T: attention reaches back by lag, age counts on.
    """
    def month(lives, x):
        t, macro_t, matrix = x
        lives, cash = advance(model, lives, model.cohort_matrix if matrix is None else matrix,
                              macro_t, key, first_month + t)
        return lives, (lives.loans.state, cash)

    by_month = None if matrices is None else jnp.moveaxis(matrices, 1, 0)
    xs = (jnp.arange(macro.shape[0]), macro, by_month)
    lives, (states, cash) = jax.lax.scan(month, lives, xs)
    return lives, states, cash

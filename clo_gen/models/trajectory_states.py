"""Mode `trajectory`: the states of a pool's loans drawn by level 3, month by month.

The pool's own matrices (level 2, prepayment and the systematic odds included) stand where the
cohort matrix of training stood, so a model whose W_s and hazard are zero lives exactly as `markov`
does. Payments follow the contract: what a model has learnt of payments holds for its own loans, in
`trajectory.sample`.
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.models import trajectory
from clo_gen.models.loan_cash import SCHEDULE, Debt, Terms
from clo_gen.models.loan_states import MODES, Mode, rows_of
from clo_gen.models.trajectory_records import Lives, Loans, Trajectory
from clo_gen.records import MacroPath, Tape

_BULLET = 100.0  # balance over monthly payment, as in the rating histories: 1 of interest a month


class Lived(struct.PyTreeNode):
    """What passes from month to month."""

    state: jax.Array  # [L] int
    lives: Lives
    log_prob: jax.Array  # [L] log-probability of the last move


def loans_of(model: Trajectory, tape: Tape) -> Loans:
    """Loans of a `tape` at the cut-off date, as level 3 reads them.

    Of the model's facts a tape knows the rating; others are unknown (nan).
    """
    size, dtype = tape.state.shape[0], jnp.dtype(model.cfg.dtype)
    known = {"first_rating": tape.state.astype(dtype)}
    nothing = jnp.full(size, jnp.nan, dtype)
    zero, one = jnp.zeros(size, dtype), jnp.ones(size, dtype)
    return Loans(
        facts=jnp.stack([known.get(name, nothing) for name in model.facts], axis=-1),
        cohort=tape.cohort, state=tape.state, kind=jnp.full(size, SCHEDULE), share=one,
        missed=zero, age=zero, terms=Terms(one, 0.12 * one, zero),
        debt=Debt(_BULLET * one, zero))


def mode(model: Trajectory, path: MacroPath, first_month: int) -> Mode:
    """Mode of a pool on one macro path; `first_month` counts from 1970-01."""
    markov = MODES["markov"]
    columns = jnp.asarray([path.series.index(name) for name in model.series])
    macro = path.values[:, columns]

    def start(space, tape):
        lives = trajectory.start(model, loans_of(model, tape))
        return Lived(tape.state, lives, jnp.zeros(tape.state.shape[0], model.cfg.dtype))

    def advance(space, tape, before, matrix, odds, month, key):
        lives = before.lives
        seen, _, effect, _, cache = trajectory.look(model, lives, macro[month],
                                                    first_month + month)
        # Absorbed loans are seen in a live state: what is read of them is never used.
        rows = rows_of(matrix, space, seen.state, tape.cohort, odds.astype(matrix.dtype))
        live = jnp.arange(space.size) < len(space.live)
        was = before.state < len(space.live)
        logs = trajectory.state_logits(model, effect, seen, rows)
        drawn = trajectory.draw_state(jax.random.fold_in(key, month), logs)
        drawn = jnp.where(was, drawn, before.state).astype(before.state.dtype)
        matures = (drawn < len(space.live)) & (month + 1 >= tape.maturity)
        state = jnp.where(matures, space.matured, drawn).astype(before.state.dtype)
        chance = jnp.take_along_axis(logs, drawn[:, None], axis=1)[:, 0]
        staying = jax.nn.logsumexp(jnp.where(live, logs, -jnp.inf), axis=1)
        chance = jnp.where(was, jnp.where(matures, staying, chance), 0.0)
        loans = lives.loans.replace(state=state, age=lives.loans.age + 1)
        return Lived(state, Lives(loans, cache, lives.count + 1), chance)

    return Mode(
        dtype=markov.dtype,
        start=start,
        matrices=lambda matrix, space: matrix.astype(jnp.float32),
        advance=advance,
        flows=lambda space, before, after: markov.flows(space, before.state, after.state),
        weights=lambda after, space: markov.weights(after.state, space),
        par_by_state=lambda space, par, after: markov.par_by_state(space, par, after.state),
        log_prob=lambda space, tape, before, after, *_: after.log_prob,
    )

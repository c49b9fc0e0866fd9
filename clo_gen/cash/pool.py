"""From monthly sums to Collections: recoveries arrive late, losses are booked with them."""

import jax
import jax.numpy as jnp

from clo_gen.cash.loans import MonthCash
from clo_gen.records import Collections, Tape

WRITE_OFF = 36  # months in default after which a defaulted loan is carried at nothing


def _later(x, lag):
    """x [T] delayed: by `lag` months (static int), or by shares `lag` [J] 0, 1, ... months."""
    if jnp.ndim(lag):
        return jnp.convolve(x, lag)[: x.shape[0]]
    return jnp.concatenate([jnp.zeros(lag, x.dtype), x])[: x.shape[0]]


def _at_the_latest(lag, last):
    """`lag` as _later reads it, with everything gone after `last` months."""
    if not jnp.ndim(lag):
        return min(lag, last)
    early = jnp.concatenate([lag, jnp.zeros(last, lag.dtype)])[:last]
    return jnp.concatenate([early, (1.0 - early.sum())[None]])


def _opening_shares(age, lag, months):
    """[T, L] share of loans `age` [L] months in default at the cut-off that leaves each month.

    Whatever is overdue leaves in the first month.
    """
    t = jnp.arange(months)[:, None]
    if not jnp.ndim(lag):
        return t == jnp.maximum(lag - age, 1) - 1
    last = lag.shape[0]
    left = 1.0 - jnp.cumsum(lag)[jnp.minimum(age, last - 1)]
    overdue = (left < 1e-9) | (age >= last)
    due = jnp.concatenate([lag, jnp.zeros(1, lag.dtype)])[jnp.minimum(age + 1 + t, last)]
    return jnp.where(overdue, t == 0, due / jnp.where(overdue, 1.0, left))


def collections(tape: Tape, sums: MonthCash, is_default: jax.Array, lag: jax.Array | int,
                defaulted_price: jax.Array | float, *, write_off: int = WRITE_OFF) -> Collections:
    """Collections of one path from MonthCash [T].

    `is_default` [L] marks loans in default at the cut-off date. Recoveries come `lag` months after
    default (static), or spread as shares `lag` [J] that sum to 1, the same for every loan. After
    `write_off` months in default (static) a loan is carried at nothing, recovered or not.
    """
    months = sums.default.shape[0]
    carried_for = _at_the_latest(lag, write_off)
    at_start = jnp.where(is_default, tape.balance, 0.0)
    carried_at_start = at_start * jnp.minimum(tape.recovery_rate, defaulted_price)
    opening = _opening_shares(tape.default_age, lag, months)
    opening_carried = _opening_shares(tape.default_age, carried_for, months)
    resolved = _later(sums.default, lag) + opening @ at_start
    recovery = _later(sums.recoverable, lag) + opening @ (at_start * tape.recovery_rate)
    value_out = _later(sums.carried, carried_for) + opening_carried @ carried_at_start
    return Collections(
        interest=sums.interest,
        scheduled_principal=sums.scheduled_principal,
        prepayment=sums.prepayment,
        default=sums.default,
        recovery=recovery,
        loss=resolved - recovery,
        performing=sums.performing,
        defaulted=at_start.sum() + jnp.cumsum(sums.default - resolved),
        defaulted_value=carried_at_start.sum() + jnp.cumsum(sums.carried - value_out),
        ccc_par=sums.ccc_par[:, None],
        ccc_value=sums.ccc_value[:, None],
        carrying_haircut=sums.carrying_haircut,
        par_by_state=sums.par_by_state,
    )


def conservation_error(tape: Tape, collections: Collections) -> jax.Array:
    """Largest breach [] of either conservation law of records.Collections, share of par."""
    c = collections
    out = c.scheduled_principal + c.prepayment + c.default + c.performing
    start = jnp.sum(tape.balance) - (c.defaulted[0] - c.default[0] + c.recovery[0] + c.loss[0])
    month = jnp.abs(out - jnp.concatenate([start[None], c.performing[:-1]])).max()
    paid = c.scheduled_principal + c.prepayment + c.recovery + c.loss
    total = paid.sum() + c.performing[-1] + c.defaulted[-1] - jnp.sum(tape.balance)
    return jnp.maximum(month, jnp.abs(total))

"""From monthly sums to Collections: recoveries arrive late, losses are booked with them."""

import jax.numpy as jnp

from clo_gen.cash.loans import MonthCash
from clo_gen.records import Collections, Tape


def _later(x, lag):
    """x [T] shifted `lag` months later (static int), zeros first."""
    return jnp.concatenate([jnp.zeros(lag, x.dtype), x])[: x.shape[0]]


def _opening_defaults(tape: Tape, is_default, lag, months, value):
    """[T]: `value` [L] of loans in default at the cut-off, in the month they recover."""
    month = jnp.maximum(lag - tape.default_age, 1) - 1
    return jnp.zeros(months, value.dtype).at[month].add(jnp.where(is_default, value, 0.0))


def collections(tape: Tape, sums: MonthCash, is_default, lag, defaulted_price):
    """Collections of one path from MonthCash [T].

    `is_default` [L] marks loans in default at the cut-off date, whose recovery comes `lag` months
    after their default; `lag` is a static number of months, the same for every loan.
    """
    months = sums.default.shape[0]
    carry_rate = jnp.minimum(tape.recovery_rate, defaulted_price)

    def opening(value):
        return _opening_defaults(tape, is_default, lag, months, value)

    resolved = _later(sums.default, lag) + opening(tape.balance)
    recovery = _later(sums.recoverable, lag) + opening(tape.balance * tape.recovery_rate)
    value_out = _later(sums.carried, lag) + opening(tape.balance * carry_rate)
    at_start = jnp.where(is_default, tape.balance, 0.0)
    defaulted = at_start.sum() + jnp.cumsum(sums.default - resolved)
    value = (at_start * carry_rate).sum() + jnp.cumsum(sums.carried - value_out)
    return Collections(
        interest=sums.interest,
        scheduled_principal=sums.scheduled_principal,
        prepayment=sums.prepayment,
        default=sums.default,
        recovery=recovery,
        loss=resolved - recovery,
        performing=sums.performing,
        defaulted=defaulted,
        defaulted_value=value,
        ccc_par=sums.ccc_par,
        ccc_value=sums.ccc_value,
    )


def conservation_error(tape: Tape, collections: Collections):
    """Largest breach [] of either conservation law of records.Collections, share of par."""
    c = collections
    out = c.scheduled_principal + c.prepayment + c.default + c.performing
    start = jnp.sum(tape.balance) - (c.defaulted[0] - c.default[0] + c.recovery[0] + c.loss[0])
    month = jnp.abs(out - jnp.concatenate([start[None], c.performing[:-1]])).max()
    paid = c.scheduled_principal + c.prepayment + c.recovery + c.loss
    total = paid.sum() + c.performing[-1] + c.defaulted[-1] - jnp.sum(tape.balance)
    return jnp.maximum(month, jnp.abs(total))

"""From a loan's state and payment share to its cash: what is due, what is owed, who is paid off.

A payment is a share of the month's schedule. Money is in any one unit, rates are yearly.
"""

import jax
import jax.numpy as jnp
from flax import struct

NONE, SCHEDULE, SAME, OTHER = range(4)  # kinds of payment; SAME: last month's amount again
SCHEDULE_WIDTH = 0.01  # a share this near 1 is the schedule
_TENTH = 10.0


class Terms(struct.PyTreeNode):
    """What a loan has agreed to, [L] each."""

    due: jax.Array  # level payment a month
    rate: jax.Array  # yearly
    term: jax.Array  # months at origination; 0: unknown


class Debt(struct.PyTreeNode):
    """What a loan owes at the start of a month, [L] each."""

    balance: jax.Array
    accrued: jax.Array  # interest of earlier months not yet paid; it bears no interest


class Payment(struct.PyTreeNode):
    """Cash of one loan-month, [L] each; after absorption all of it is 0."""

    payment: jax.Array  # interest and principal received, without recoveries
    interest: jax.Array
    principal: jax.Array
    prepayment: jax.Array  # the part of the principal beyond the schedule
    default: jax.Array  # balance charged off
    recovery: jax.Array  # of it, paid in time
    balance: jax.Array  # at the end of the month


def to_scale(share: jax.Array) -> jax.Array:
    """Payment share of the schedule -> the scale on which it is learnt: 0 at the schedule.

    asinh(10 (share - 1)) is linear within a tenth of the schedule and logarithmic far above it,
    where partial prepayments are.
    """
    return jnp.arcsinh(_TENTH * (share - 1.0))


def from_scale(y: jax.Array) -> jax.Array:
    """Inverse of `to_scale`; beyond 200 schedules it saturates."""
    return 1.0 + jnp.sinh(jnp.clip(y, -8.3, 8.3)) / _TENTH


def owed(terms: Terms, debt: Debt) -> jax.Array:
    """Balance [L] with all interest up to the end of the month: more is never paid."""
    return debt.balance * (1.0 + terms.rate / 12.0) + debt.accrued


def annuity(terms: Terms, age: jax.Array) -> jax.Array:
    """Balance over level payment [L] of a loan on schedule at `age` months (at least 1 left)."""
    monthly = terms.rate / 12.0
    left = jnp.maximum(terms.term - age, 1.0)
    bears = monthly > 0
    rate = jnp.where(bears, monthly, 1.0)
    return jnp.where(bears, -jnp.expm1(-left * jnp.log1p(rate)) / rate, left)


def settle(terms: Terms, debt: Debt, share: jax.Array, recovery: jax.Array,
           flags: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[Debt, Payment]:
    """(Debt after the month, Payment) of `share` [L] of the schedule in a live month.

    `flags` = (live, prepays, defaults) [L] bool, exclusive: what the loan is after its draw. A
    prepaid loan pays all it owes, a defaulted one nothing but `recovery` [L] of its balance, one
    that was absorbed before nothing at all. Interest is paid before principal.
    """
    live, prepays, defaults = flags
    total = owed(terms, debt)
    due = jnp.minimum(terms.due, total)
    paid = jnp.where(live, jnp.clip(share * due, 0.0, total), 0.0)
    paid = jnp.where(prepays, total, paid)
    all_interest = debt.accrued + debt.balance * terms.rate / 12.0
    interest = jnp.minimum(paid, all_interest)
    # Whoever pays all has no balance left, to the last bit.
    principal = jnp.where(paid >= total, debt.balance, paid - interest)
    principal = jnp.where(live | prepays, principal, 0.0)
    scheduled = jnp.maximum(due - all_interest, 0.0)
    charged = jnp.where(defaults, debt.balance, 0.0)
    balance = jnp.where(live, debt.balance - principal, 0.0)
    after = Debt(balance, jnp.where(live & (balance > 0), all_interest - interest, 0.0))
    return after, Payment(
        payment=paid, interest=interest, principal=principal,
        prepayment=jnp.maximum(principal - scheduled, 0.0), default=charged,
        recovery=charged * jnp.clip(recovery, 0.0, 1.0), balance=balance)

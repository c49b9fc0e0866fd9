"""Collections under assumption vectors: default, prepayment and severity rates, no draws.

Each line of the tape stands for many loans, of which a share defaults and a share prepays every
period. The cash rules are those of the simulation: cash.loans and cash.pool. Periods may be months
or quarters, as the schedule and the vectors say; "month" in those modules then means a period.
Lines under different vectors: split the tape and add the Collections.
"""

import jax
import jax.numpy as jnp

from clo_gen.cash import loans, pool
from clo_gen.records import Collections, Deal, Flows, Schedule, Tape, Vectors
from clo_gen.states import StateSpace


def period_rate(yearly: jax.Array | float, years: jax.Array) -> jax.Array:
    """Rate over `years` that compounds to `yearly`: 1 - (1 - yearly)^years."""
    some_left = yearly < 1.0
    return jnp.where(some_left, 1.0 - jnp.where(some_left, 1.0 - yearly, 1.0) ** years, 1.0)


def outcome_shares(vectors: Vectors) -> jax.Array:
    """Share [T, 3] of what was live at the start that survives, prepays and defaults in a period.

    Prepayment is of what did not default.
    """
    default = period_rate(vectors.cdr, vectors.years)
    prepay = period_rate(vectors.cpr, vectors.years)
    stay = (1.0 - default) * (1.0 - prepay)
    before = jnp.cumprod(jnp.concatenate([jnp.ones_like(stay[:1]), stay[:-1]]))
    return before[:, None] * jnp.stack([stay, (1.0 - default) * prepay, default], axis=1)


def _one_outcome(tape: Tape, space: StateSpace):
    """Flows [3, L] of loans that all survive, all prepay or all default; states stay."""
    live = (tape.state < len(space.live)).astype(tape.balance.dtype)
    survive, prepay, default = jnp.eye(3, dtype=live.dtype)[:, :, None] * live
    is_ccc = tape.state == space.distressed_index
    return Flows(survive=survive, prepay=prepay, default=default,
                 distressed=jnp.where(is_ccc, survive, 0.0))


def accrued_interest(tape: Tape, schedule: Schedule,
                     index: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Interest [T, L] accrued of a living loan at the start and at the end of each period."""
    def period(start, x):
        contract, rates = x
        end = loans.accrue(tape, contract, rates, start)
        return jnp.where(contract.pays, 0.0, end), (start, end)

    return jax.lax.scan(period, jnp.zeros_like(tape.balance), (schedule, index))[1]


def collections(tape: Tape, schedule: Schedule, vectors: Vectors, deal: Deal, index: jax.Array, *,
                space: StateSpace, lag: int, prepay_first: bool = False,
                write_off: int = pool.WRITE_OFF) -> Collections:
    """Collections [T] under `vectors`, differentiable in them.

    `index` [T, I] is the rate of each index. `lag` and `write_off` are in periods, `lag` a static
    number or shares [J] (cash.pool). What defaults in a period recovers 1 - its severity; loans in
    default at the cut-off recover their own rate. `prepay_first` is the order in cash.loans.
    """
    values = loans.carrying(tape, deal, schedule.opening.shape[0])
    severity = vectors.severity[:, None] if vectors.severity.ndim == 1 else vectors.severity
    recovery = jnp.broadcast_to(1.0 - severity, schedule.opening.shape)
    at_maturity = jnp.broadcast_to(vectors.default_at_maturity, tape.balance.shape)
    states = (tape.state[:, None] == jnp.arange(len(space.live))).astype(tape.balance.dtype)

    def period(contract, accrued, recovery_rate, shares):
        loan = tape.replace(recovery_rate=recovery_rate, default_at_maturity=at_maturity)

        def cash(flows):
            sums, _ = loans.month_cash(loan, contract, accrued, flows, values,
                                       prepay_first=prepay_first)
            live_par = flows.survive * (contract.opening - contract.principal)
            return sums.replace(par_by_state=live_par @ states)

        # Cash is linear in the flows, and every loan has the same shares: summing over the loans
        # before weighing leaves numbers per period, so a vmap over default rates costs no loans.
        sums = jax.vmap(cash)(_one_outcome(tape, space))
        return jax.tree.map(lambda x: jnp.tensordot(shares, x, 1), sums)

    sums = jax.vmap(period)(schedule, accrued_interest(tape, schedule, index), recovery,
                            outcome_shares(vectors))
    return pool.collections(tape, sums, tape.state == space.default, lag, deal.defaulted_price,
                            write_off=write_off)

"""What each loan's contract pays while the loan lives; independent of the path."""

import jax
import jax.numpy as jnp

from clo_gen.records import Calendar, Schedule, Tape


def amortised_balance(rate: jax.Array, months: jax.Array | int, paid: jax.Array | int,
                      per_year: int = 12) -> jax.Array:
    """Share of the original balance left after `paid` of `months` level payments.

    `rate` is yearly; a rate of zero gives straight-line amortisation. Payments fall `per_year`
    times a year: periods that are not months count in place of months.
    """
    monthly = rate / per_year
    has_rate = jnp.abs(monthly) > 1e-9
    growth = 1.0 + jnp.where(has_rate, monthly, 1.0)
    level = (growth**months - growth**paid) / (growth**months - 1.0)
    return jnp.where(has_rate, level, 1.0 - paid / months)


def outstanding(tape: Tape, months: int, index_now: jax.Array, *, per_year: int = 12) -> jax.Array:
    """Share [T, L] of today's balance that the contract leaves after each month, but for a balloon.

    `index_now` [I] is each index at the cut-off date; floating level-pay loans amortise at
    today's rate, as in a contract that fixes its amortisation table at closing.
    """
    t = jnp.arange(1, months + 1)[:, None]
    rate = tape.coupon + tape.floating * (jnp.maximum(index_now[tape.index], tape.floor)
                                          + tape.spread)
    amortises = tape.amortization_months > 0
    term = jnp.where(amortises, tape.amortization_months, 1)
    since_payment = (t + tape.payment_offset) % tape.payment_months
    paid = jnp.clip(jnp.where(t >= tape.maturity, t, t - since_payment), 0, term)
    left = jnp.where(tape.straight_line > 0, 1.0 - paid / term,
                     amortised_balance(rate, term, paid, per_year))
    return jnp.where(amortises, left, 1.0)


def schedule(tape: Tape, calendar: Calendar, index_now: jax.Array, *, left: jax.Array | None = None,
             per_year: int = 12) -> Schedule:
    """Schedule [T, L] of every loan.

    Principal falls on the loan's payment months and whatever is left at maturity (bullet and
    balloon); a loan that matures after month T is then still there. Interest follows the path; the
    principal does not. `left` [T, L] replaces `outstanding`, for loans with a plan of their own:
    outstanding(...).at[:, loan].set(1 - cumulative share repaid).
    """
    months = calendar.month_fraction.shape[1]
    t = jnp.arange(1, months + 1)[:, None]
    left = outstanding(tape, months, index_now, per_year=per_year) if left is None else left
    pays = ((t + tape.payment_offset) % tape.payment_months == 0) | (t == tape.maturity)
    is_balloon = (tape.amortization_months == 0) | (tape.amortization_months > tape.maturity)
    closing = tape.balance * jnp.where(t < tape.maturity, left, 0.0)
    opening = jnp.concatenate([tape.balance[None], closing[:-1]])
    return Schedule(
        opening=opening,
        principal=opening - closing,
        year_fraction=calendar.month_fraction[tape.day_count].T,
        pays=pays & (t <= tape.maturity),
        balloon=is_balloon & (t == tape.maturity),
    )

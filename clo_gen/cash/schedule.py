"""What each loan's contract pays while the loan lives; independent of the path."""

import jax.numpy as jnp

from clo_gen.records import Calendar, Schedule, Tape


def amortised_balance(rate, months, paid):
    """Share of the original balance left after `paid` of `months` level payments.

    `rate` is yearly; a rate of zero gives straight-line amortisation.
    """
    monthly = rate / 12.0
    has_rate = jnp.abs(monthly) > 1e-9
    growth = 1.0 + jnp.where(has_rate, monthly, 1.0)
    level = (growth**months - growth**paid) / (growth**months - 1.0)
    return jnp.where(has_rate, level, 1.0 - paid / months)


def schedule(tape: Tape, calendar: Calendar, index_now):
    """Schedule [T, L] of every loan; floating level-pay loans amortise at today's rate.

    `index_now` [I] is each index at the cut-off date. Principal falls on the loan's payment months
    and whatever is left at maturity (bullet and balloon). Interest follows the path; the principal
    schedule does not, as in a contract that fixes its amortisation table at closing.
    """
    months = calendar.month_fraction.shape[1]
    t = jnp.arange(1, months + 1)[:, None]
    maturity = tape.maturity
    rate = tape.coupon + tape.floating * (jnp.maximum(index_now[tape.index], tape.floor)
                                          + tape.spread)
    pays = ((t + tape.payment_offset) % tape.payment_months == 0) | (t == maturity)
    pays = pays & (t <= maturity)
    amortises = tape.amortization_months > 0
    term = jnp.where(amortises, jnp.maximum(tape.amortization_months, 1), 1)

    def left(t):
        """Share of today's balance after month t's payment, before the balloon."""
        last_paid = jnp.where(t >= maturity, t, t - (t + tape.payment_offset) % tape.payment_months)
        paid = jnp.clip(last_paid, 0, term)
        return jnp.where(amortises, amortised_balance(rate, term, paid), 1.0)

    closing = tape.balance * jnp.where(t < maturity, left(t), 0.0)
    opening = jnp.concatenate([tape.balance[None], closing[:-1]])
    return Schedule(
        opening=opening,
        principal=opening - closing,
        year_fraction=calendar.month_fraction[tape.day_count].T,
        pays=pays,
    )

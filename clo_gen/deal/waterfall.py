"""Runs a waterfall: one scan over payment dates, in each the deal's lists of steps, in order.

What comes in is paid, held or spent on collateral. Written for one path: vmap for many.

Reference: indenture, Priority of Payments; methodology, Level 4.
"""

import jax
import jax.numpy as jnp

from clo_gen.deal import reinvestment
from clo_gen.deal.claims import ACCELERATED, claims_of
from clo_gen.deal.dates import dates_of
from clo_gen.deal.limits import Ledger
from clo_gen.deal.pay import in_branch, pay_list
from clo_gen.deal.payment_date import Opened, close_date, open_date
from clo_gen.deal.standing import at_closing
from clo_gen.deal.steps import Waterfall
from clo_gen.numerics import greater, lesser
from clo_gen.records import Calendar, Collections, Deal, NewCollateral, TrancheCash


def _pay_date(s, xs, deal, waterfall, new, temperature):
    """Pays one date; returns the next Standing and what was paid."""
    p, date, period = xs
    opened = in_branch(p >= 0, lambda: open_date(s, p, date, period, deal, waterfall, new,
                                                 temperature))
    ledger = _pay_lists(waterfall, opened, p >= 0)
    return in_branch(p >= 0, lambda: close_date(s, p, date, opened, ledger, deal, waterfall, new))


def _pay_lists(waterfall, opened: Opened, runs):
    """Ledger after the lists that run; `runs` as for in_branch."""
    none, tests = jnp.zeros_like(opened.cash[0]), len(waterfall.tests)
    ledger = Ledger(owed=opened.today.billed, cash=opened.cash, ratio=(None,) * tests,
                    cure=(none,) * tests)
    claims = claims_of(waterfall)
    for which, listed in enumerate(waterfall.lists):
        if which == ACCELERATED and listed == waterfall.call:
            continue  # the call's list pays both
        ledger = pay_list(listed, ledger, opened.today, which, claims, waterfall, runs)
    return ledger


def run_waterfall(deal: Deal, waterfall: Waterfall, collections: Collections, index: jax.Array,
                  temperature: jax.Array | float, *, calendar: Calendar,
                  new: NewCollateral | None = None) -> TrancheCash:
    """TrancheCash [P, K] of one path.

    `index` [P] fixes the floating notes for each period, `temperature` [] softens tests, calls and
    events of default (0 is hard), `new` says what collateral bought with principal becomes; without
    it nothing is bought. Differentiable in the deal, the collections, the index, `new` and
    `temperature`.
    """
    dates = dates_of(deal, calendar, collections, index)
    periods = None if new is None else reinvestment.periods(new)
    temperature = jnp.asarray(temperature, deal.balance.dtype)

    def one_date(standing, xs):
        return _pay_date(standing, xs, deal, waterfall, new, temperature)

    # Reverse mode keeps one Standing a date and pays the date again: far less memory.
    one_date = jax.checkpoint(one_date, prevent_cse=False)
    return jax.lax.scan(one_date, at_closing(deal, new),
                        (jnp.arange(index.shape[0]), dates, periods))[1]


def conservation_error(deal: Deal, cash: TrancheCash, collections: Collections,
                       calendar: Calendar) -> jax.Array:
    """Largest breach [] over the life of the deal of: cash in = cash paid, held or reinvested;
    opening balance - principal = closing balance; nothing paid or owed is negative.
    `cash` is the TrancheCash that run_waterfall returned."""
    c, k = collections, cash
    alive = 1.0 - jnp.cumsum(k.called) + k.called
    own = jax.ops.segment_sum(c.interest + c.scheduled_principal + c.prepayment + c.recovery,
                              calendar.period, k.called.shape[0])
    came = (alive * own + k.sold + k.hedged + k.from_bought).sum()
    came = came if deal.reserves is None else came + deal.reserves.initial.sum()
    paid = k.interest.sum() + k.principal.sum() + k.fees.sum() + k.incentive.sum()
    held = k.left[-1] + k.reserve[-1].sum()
    notes = (deal.balance - k.principal.sum(0) - k.balance[-1])[:-1]
    lowest = lesser(lesser(k.balance.min(), k.unpaid.min()), lesser(
        k.interest.min(), k.principal.min()))
    negative = greater(-lowest, 0.0)
    unbalanced = jnp.abs(came - paid - k.reinvested.sum() - held)
    return greater(greater(unbalanced, jnp.abs(notes).max()), negative)

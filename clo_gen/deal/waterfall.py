"""Runs a waterfall: one scan over payment dates, in each the deal's lists of steps, in order.

What comes in is paid, held or spent on collateral. Written for one path: vmap for many.

Reference: indenture, Priority of Payments; methodology, Level 4.
"""

import jax
import jax.numpy as jnp

from clo_gen.deal import coverage, events, reinvestment
from clo_gen.deal.claims import ACCELERATED, ACCOUNTS, LISTS, claims_of
from clo_gen.deal.dates import dates_of
from clo_gen.deal.limits import Ledger, Today
from clo_gen.deal.pay import in_branch, pay_list
from clo_gen.deal.standing import (
    Standing,
    accrued_fees,
    at_closing,
    bill,
    targets,
    with_hedges,
)
from clo_gen.deal.steps import Waterfall
from clo_gen.numerics import greater, lesser, scalars
from clo_gen.records import Calendar, Collections, Deal, NewCollateral, TrancheCash


def _events(s, deal, date, collateral, cash, fee, temperature):
    """(called, accelerated now, accelerated from the next date on, sale proceeds)."""
    called = sale = jnp.zeros_like(s.alive)
    now = later = s.accelerated
    if deal.call is not None:
        sale = events.sale_proceeds(deal.call, collateral)
        accrued = 1.0 + date.rate * date.note_fraction
        owed = ((s.balance + s.unpaid) * accrued)[:-1].sum() + s.fee_unpaid.sum() + fee.sum()
        called = events.call_weight(deal, sale, cash.sum(), owed, s.call_need * date.call_growth,
                                    collateral, date, temperature)
    if deal.event_of_default is not None:
        event = deal.event_of_default
        breach = events.breach(event, collateral, cash[1], s.balance, s.unpaid, temperature)
        later = 1.0 - (1.0 - s.accelerated) * (1.0 - breach)
        now = event.same_date * later + (1.0 - event.same_date) * s.accelerated
    return called, now, later, called * sale


def _pay_date(s, xs, deal, waterfall, new, temperature):
    """Pays one date; returns the next Standing and what was paid."""
    p, date, period = xs
    claims = claims_of(waterfall)
    stock, received = None, reinvestment.no_cash(s.alive)
    opening, closing = date.opening, date.collateral.performing
    if new is not None:
        opening = opening + s.bought.par.sum()
        stock, received = reinvestment.live_a_period(new, s.bought, period, p)
        closing = closing + stock.par.sum()
    collateral = reinvestment.whole_collateral(date.collateral, stock, s.alive, deal, new)
    interest = s.alive * (date.interest + received.interest + date.hedge_in)
    principal = s.alive * (date.principal + received.principal)
    cash = s.accounts.at[: len(ACCOUNTS)].add(jnp.stack([interest, principal]))
    fee = s.alive * accrued_fees(deal, date, opening, closing)
    called, accelerated, later, sold = _events(s, deal, date, collateral, cash, fee, temperature)
    ordinary = (1.0 - called) * (1.0 - accelerated)
    apart = (1.0 - called) * accelerated
    if waterfall.accelerated == waterfall.call:
        called_too, apart = called + apart, 0.0 * apart
    else:
        called_too = called
    weight = jnp.stack([ordinary, apart, called_too])[:, None]
    target = (weight * targets(deal, s.balance, collateral, date)).ravel()
    cash = (weight * cash).at[-1, 1].add(sold).ravel()
    if deal.call is not None:  # hedge payments accrue on a call date whatever the fees do
        accrual = 1.0 - called * (1.0 - deal.call.fee_accrual)
        fee = fee * with_hedges(deal, accrual * jnp.ones_like(deal.fee_rate), 1.0)
    billed = bill(s, deal, date, fee, cash)
    unscheduled = s.alive * (date.unscheduled + received.prepayment)
    today = Today(
        date=date, deal=deal, new=new, billed=_apart(billed, p),
        collateral=collateral,
        # What is sold is still in the collateral: its proceeds do not count again.
        adjusted=coverage.adjusted_par(collateral, -sold, deal.ccc_limit), interest=interest,
        target=target, temperature=temperature,
        allowance=date.after_reinvesting * deal.reinvest_after * ordinary * unscheduled)
    ledger = _pay_lists(waterfall, today, _apart(cash, p), p)
    owed, cash = in_branch(p >= 0, lambda: (jnp.stack(ledger.owed), jnp.stack(ledger.cash)),
                           (billed, cash))
    after = _close(s, today, billed, owed, cash, claims, called, later)
    if new is not None:
        spent = (billed - owed)[claims.purchase]
        after = after.replace(bought=reinvestment.buy(new, stock, spent, after.alive, p))
    none = jnp.zeros_like(s.alive)
    known = dict(
        ratio=_stack([none if r is None else r for r in ledger.ratio], none),
        cure=_stack(ledger.cure, none), sold=sold, hedged=s.alive * date.hedge_in,
        called=s.alive * called,
        accelerated=accelerated, from_bought=s.alive * (received.interest + received.principal),
        bought=none if new is None else after.alive * after.bought.par.sum())
    return after, _record(today, billed, owed, claims, after, known)


def _stack(values, like):
    return jnp.stack(values) if len(values) else jnp.zeros(0, like.dtype)


def _apart(x, p):
    """The elements of x as scalars, computed once."""
    return in_branch(p >= 0, lambda: scalars(x), (x[0],) * x.shape[0])


def _pay_lists(waterfall, today: Today, cash, p):
    """Ledger after the lists that run; `p` is the number of the date."""
    none, tests = jnp.zeros_like(cash[0]), len(waterfall.tests)
    ledger = Ledger(owed=today.billed, cash=cash, ratio=(None,) * tests, cure=(none,) * tests)
    claims, always = claims_of(waterfall), p >= 0
    for which, listed in enumerate(waterfall.lists):
        if which == ACCELERATED and listed == waterfall.call:
            continue  # the call's list pays both
        ledger = pay_list(listed, ledger, today, which, claims, waterfall, always)
    return ledger


def _close(s, today: Today, billed, owed, cash, claims, called, later):
    """The next Standing, bought collateral apart."""
    k, f, date, deal, paid = claims.classes, claims.fees, today.date, today.deal, billed - owed
    capped, fee = slice(claims.capped_fee(0), claims.fee(0)), slice(claims.fee(0), claims.fee(f))
    equity = paid[claims.principal(k - 1)] + paid[claims.residual]
    unpaid = owed[:k] + owed[k: 2 * k]
    if deal.event_of_default is not None:
        missed = events.missed_interest(deal.event_of_default, unpaid,
                                        billed[:k] + billed[k: 2 * k], today.temperature)
        later = 1.0 - (1.0 - later) * (1.0 - missed)
    return Standing(
        balance=owed[2 * k: 3 * k],
        unpaid=unpaid,
        fee_unpaid=(owed[fee] + owed[capped]) * with_hedges(deal, deal.fee_carried, 1.0),
        fee_used=s.fee_used * (1.0 - date.new_year) + paid[capped],
        hurdle=s.hurdle * date.growth - equity,
        call_need=s.call_need * date.call_growth - equity,
        accounts=cash.reshape(len(LISTS), -1).sum(0),
        alive=s.alive * (1.0 - called),
        accelerated=later,
        bought=None,
    )


def _record(today: Today, billed, owed, claims, after, known):
    k, f, paid = claims.classes, claims.fees, billed - owed
    capped, fee = slice(claims.capped_fee(0), claims.fee(0)), slice(claims.fee(0), claims.fee(f))
    return TrancheCash(
        interest=(paid[:k] + paid[k: 2 * k]).at[-1].set(paid[claims.residual]),
        principal=paid[2 * k: 3 * k],
        balance=after.balance,
        unpaid=after.unpaid,
        rate=today.date.rate,
        fees=paid[fee] + paid[capped],
        fee_unpaid=after.fee_unpaid,
        incentive=paid[claims.incentive],
        reinvested=paid[claims.purchase],
        reserve=after.accounts[2:],
        left=after.accounts[:2].sum(),
        **known,
    )


def run_waterfall(deal: Deal, waterfall: Waterfall, collections: Collections, index, temperature,
                  *, calendar: Calendar, new: NewCollateral | None = None):
    """TrancheCash [P, K] of one path.

    `index` [P] fixes the floating notes for each period, `temperature` [] softens tests, calls and
    events of default (0 is hard), `new` says what collateral bought with principal becomes; without
    it nothing is bought. Differentiable in the deal, the collections, the index, `new` and
    `temperature`.
    """
    dates = dates_of(deal, calendar, collections, index)
    periods = None if new is None else reinvestment.periods(new)

    def one_date(standing, xs):
        return _pay_date(standing, xs, deal, waterfall, new, temperature)

    # Reverse mode keeps one Standing a date and pays the date again: far less memory.
    one_date = jax.checkpoint(one_date, prevent_cse=False)
    return jax.lax.scan(one_date, at_closing(deal, new),
                        (jnp.arange(index.shape[0]), dates, periods))[1]


def conservation_error(deal: Deal, cash: TrancheCash, collections: Collections,
                       calendar: Calendar):
    """Largest breach [] over the life of the deal of: cash in = cash paid, held or reinvested;
    opening balance - principal = closing balance; nothing paid or owed is negative."""
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

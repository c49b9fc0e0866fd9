"""A payment date before and after its steps: what it brings, and what it leaves behind."""

import functools
import operator
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.deal import coverage, events, reinvestment
from clo_gen.deal.claims import ACCOUNTS, claims_of
from clo_gen.deal.dates import Date
from clo_gen.deal.limits import Ledger, Today
from clo_gen.deal.standing import Standing, accrued_fees, bill, targets, with_hedges
from clo_gen.deal.steps import Waterfall
from clo_gen.numerics import safe_ratio, scalars
from clo_gen.records import Deal, NewCollateral, TrancheCash


class Opened(struct.PyTreeNode):
    """A date whose cash and events are known and of which nothing has been paid."""

    today: Today
    cash: tuple  # A scalars, by account
    stock: reinvestment.Bought | None
    from_bought: jax.Array  # []
    sold: jax.Array  # []
    called: jax.Array  # []
    accelerated: jax.Array  # [] on this date
    later: jax.Array  # [] from the next date on


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


def _weights(waterfall: Waterfall, called, accelerated):
    """[3, 1] share of the date's cash that each list pays; of equal lists the call's pays both."""
    ordinary = (1.0 - called) * (1.0 - accelerated)
    apart = (1.0 - called) * accelerated
    if waterfall.accelerated == waterfall.call:
        called, apart = called + apart, 0.0 * apart
    return jnp.stack([ordinary, apart, called])[:, None]


def open_date(s: Standing, p: Any, date: Date, period: Any, deal: Deal, waterfall: Waterfall,
              new: NewCollateral | None, temperature: jax.Array) -> Opened:
    """Opened: collateral lives a period, cash comes in, events are judged, claims are billed."""
    stock, received = None, reinvestment.no_cash(s.alive)
    opening, closing = date.opening, date.collateral.performing
    if new is not None and s.bought is not None:
        opening = opening + s.bought.par.sum()
        stock, received = reinvestment.live_a_period(new, s.bought, period, p)
        closing = closing + stock.par.sum()
    collateral = reinvestment.whole_collateral(date.collateral, stock, s.alive, deal, new)
    interest = s.alive * (date.interest + received.interest + date.hedge_in)
    principal = s.alive * (date.principal + received.principal)
    cash = s.accounts.at[: len(ACCOUNTS)].add(jnp.stack([interest, principal]))
    fee = s.alive * accrued_fees(deal, date, opening, closing)
    called, accelerated, later, sold = _events(s, deal, date, collateral, cash, fee, temperature)
    weight = _weights(waterfall, called, accelerated)
    target = (weight * targets(deal, s.balance, collateral, date)).ravel()
    cash = (weight * cash).at[-1, 1].add(sold).ravel()
    if deal.call is not None:  # hedge payments accrue on a call date whatever the fees do
        accrual = 1.0 - called * (1.0 - deal.call.fee_accrual)
        fee = fee * with_hedges(deal, accrual * jnp.ones_like(deal.fee_rate), 1.0)
    billed = bill(s, deal, date, fee, cash)
    unscheduled = s.alive * (date.unscheduled + received.prepayment)
    # What is sold is still in the collateral: its proceeds do not count again.
    adjusted = coverage.adjusted_par(collateral, -sold, deal.ccc_limit)
    today = Today(
        billed=billed, adjusted=adjusted, interest=interest, target=scalars(target),
        per_par=tuple(safe_ratio(interest, opening, 0.0) for interest, opening in zip(
            billed, scalars(s.balance), strict=False)),
        counted=None if new is None else reinvestment.counted_per_spent(
            new, deal.discount_threshold),
        trigger=scalars(deal.trigger), tested=scalars(date.tested),
        diverted=scalars(deal.diversion * date.diverting), incentive=deal.incentive,
        reinvesting=date.reinvesting,
        allowance=date.after_reinvesting * deal.reinvest_after * weight[0, 0] * unscheduled,
        temperature=temperature)
    return Opened(today, scalars(cash), stock, s.alive * (received.interest + received.principal),
                  sold, called, accelerated, later)


def close_date(s: Standing, p: jax.Array, date: Date, opened: Opened, ledger: Ledger, deal: Deal,
               waterfall: Waterfall, new: NewCollateral | None) -> tuple[Standing, TrancheCash]:
    """(Standing for the next date, TrancheCash of this one) once all steps are paid."""
    claims, today = claims_of(waterfall), opened.today
    classes, fees = range(claims.classes), range(claims.fees)
    owed = ledger.owed
    paid = tuple(b - o for b, o in zip(today.billed, owed, strict=True))
    equity = paid[claims.principal(claims.classes - 1)] + paid[claims.residual]
    unpaid = jnp.stack([owed[claims.interest(k)] + owed[claims.unpaid(k)] for k in classes])
    later = opened.later
    if deal.event_of_default is not None:
        due = [today.billed[claims.interest(k)] + today.billed[claims.unpaid(k)] for k in classes]
        missed = events.missed_interest(deal.event_of_default, unpaid, jnp.stack(due),
                                        today.temperature)
        later = 1.0 - (1.0 - later) * (1.0 - missed)
    alive = s.alive * (1.0 - opened.called)
    fee_unpaid = _stack([owed[claims.fee(f)] + owed[claims.capped_fee(f)] for f in fees], alive)
    after = Standing(
        balance=jnp.stack([owed[claims.principal(k)] for k in classes]),
        unpaid=unpaid,
        fee_unpaid=fee_unpaid * with_hedges(deal, deal.fee_carried, 1.0),
        fee_used=s.fee_used * (1.0 - date.new_year) + _stack(
            [paid[claims.capped_fee(f)] for f in fees], alive),
        hurdle=s.hurdle * date.growth - equity,
        call_need=s.call_need * date.call_growth - equity,
        accounts=jnp.stack([functools.reduce(operator.add, ledger.cash[a::claims.accounts_of_list])
                            for a in range(claims.accounts_of_list)]),
        alive=alive,
        accelerated=later,
        bought=None if new is None or opened.stock is None else reinvestment.buy(
            new, opened.stock, paid[claims.purchase], alive, p),
    )
    return after, _record(s, date, opened, ledger, after, paid, claims)


def _record(s, date, opened, ledger, after, paid, claims):
    none = jnp.zeros_like(s.alive)
    interest = [paid[claims.interest(k)] + paid[claims.unpaid(k)]
                for k in range(claims.classes - 1)]
    return TrancheCash(
        interest=jnp.stack([*interest, paid[claims.residual]]),
        principal=jnp.stack([paid[claims.principal(k)] for k in range(claims.classes)]),
        balance=after.balance,
        unpaid=after.unpaid,
        rate=date.rate,
        ratio=_stack([none if r is None else r for r in ledger.ratio], none),
        cure=_stack(ledger.cure, none),
        fees=_stack([paid[claims.fee(f)] + paid[claims.capped_fee(f)]
                     for f in range(claims.fees)], none),
        fee_unpaid=after.fee_unpaid,
        incentive=paid[claims.incentive],
        sold=opened.sold,
        hedged=s.alive * date.hedge_in,
        from_bought=opened.from_bought,
        reinvested=paid[claims.purchase],
        bought=none if after.bought is None else after.alive * after.bought.par.sum(),
        reserve=after.accounts[len(ACCOUNTS):],
        accelerated=opened.accelerated,
        called=s.alive * opened.called,
        left=after.accounts[: len(ACCOUNTS)].sum(),
    )


def _stack(values, like):
    return jnp.stack(values) if len(values) else jnp.zeros(0, like.dtype)

"""A deal's terms as arrays: money as a share of the pool's par."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from clo_gen.cash.new_collateral import Purchases
from clo_gen.io.deal_terms import DealTerms
from clo_gen.io.payment_calendar import lag_periods, term_periods
from clo_gen.io.problems import Problems
from clo_gen.records import Call, Deal, EventOfDefault, Hedges, Reserves


def ranks_through(terms: DealTerms) -> dict[str, int]:
    """{class: number of the last class that ranks pari passu with it, its own when none does}."""
    groups = [n.group or n.name for n in terms.notes]
    return {n.name: len(groups) - 1 - groups[::-1].index(n.group or n.name) for n in terms.notes}


def to_deal(terms: Any, par: float, dates_count: int) -> Deal:
    notes, fees = terms.notes, terms.fees

    def column(values, equity):
        return jnp.asarray([*values, equity], float)

    def array(values):
        return jnp.asarray(list(values), float)

    new = [n.refinance or n for n in notes]
    return Deal(
        balance=column((n.balance / par for n in notes), terms.equity.balance / par),
        coupon=column((n.rate or 0.0 for n in notes), 0.0),
        spread=column(((n.spread_bps or 0.0) / 1e4 for n in notes), 0.0),
        floor=column((n.floor_bps / 1e4 for n in notes), 0.0),
        floating=column((n.spread_bps is not None for n in notes), 0.0),
        new_coupon=column((n.rate or 0.0 for n in new), 0.0),
        new_spread=column(((n.spread_bps or 0.0) / 1e4 for n in new), 0.0),
        fee_rate=array(f.rate for f in fees),
        fee_closing=array({"opening": 0.0, "average": 0.5, "closing": 1.0}[f.basis] for f in fees),
        fee_amount=array(f.amount / par for f in fees),
        fee_cap=array(np.inf if f.cap is None else f.cap / par for f in fees),
        fee_carried=array(f.carried for f in fees),
        fee_interest=array(f.interest for f in fees),
        trigger=array(t.trigger for t in (*terms.tests, *terms.diversions)),
        diversion=array(d.share for d in terms.diversions),
        ccc_limit=jnp.asarray(terms.ccc_limit, float),
        ccc_price=jnp.asarray(terms.ccc_price, float),
        defaulted_price=jnp.asarray(terms.defaulted_price, float),
        discount_threshold=jnp.asarray(terms.discount_threshold, float),
        long_dated_value=jnp.asarray(terms.long_dated_value, float),
        hurdle=jnp.asarray(terms.hurdle_irr, float),
        incentive=jnp.asarray(terms.incentive_share, float),
        equity_price=jnp.asarray(terms.equity.price, float),
        reinvest_after=jnp.asarray(terms.reinvestment.after if terms.reinvestment else 0.0, float),
        call=_call(terms.call), event_of_default=_event(terms),
        hedges=_hedges(terms, par, dates_count), reserves=_reserves(terms, par),
    )


def _call(call):
    if call is None:
        return None
    optional = {name: None if getattr(call, name) is None
                else jnp.asarray(getattr(call, name), float)
                for name in ("collateral_below", "equity_irr")}
    return Call(price_performing=jnp.asarray(call.price_performing, float),
                price_defaulted=jnp.asarray(call.price_defaulted, float),
                fee_accrual=jnp.asarray(call.fees_accrue, float), **optional)


def _event(terms):
    event = terms.event_of_default
    if event is None:
        return None
    covers = np.arange(len(terms.notes) + 1) <= ranks_through(terms)[event.through]
    strict = covers & ~np.array([*(n.deferrable for n in terms.notes), True])
    return EventOfDefault(
        covers=jnp.asarray(covers, float), trigger=jnp.asarray(event.trigger, float),
        on_missed_interest=jnp.asarray(strict & event.missed_interest, float),
        same_date=jnp.asarray(event.effective == "same", float))


def _hedges(terms, par, count):
    if not terms.hedges:
        return None
    notional = []
    for hedge in terms.hedges:
        given = np.atleast_1d(hedge.notional)[:count]
        notional.append(np.pad(given, (0, count - len(given)), mode="edge") / par)
    return Hedges(notional=jnp.asarray(np.array(notional).T),
                  rate=jnp.asarray([h.rate for h in terms.hedges], float),
                  premium=jnp.asarray([h.premium for h in terms.hedges], float),
                  is_swap=jnp.asarray([h.kind == "swap" for h in terms.hedges], float))


def _reserves(terms, par):
    if not terms.reserves:
        return None
    names = [n.name for n in terms.notes]
    of_notes = np.zeros((len(terms.reserves), len(names) + 1))
    for i, reserve in enumerate(terms.reserves):
        for name, share in reserve.of_notes.items():
            of_notes[i, names.index(name)] = share
    return Reserves(initial=jnp.asarray([r.initial / par for r in terms.reserves], float),
                    amount=jnp.asarray([r.amount / par for r in terms.reserves], float),
                    rate=jnp.asarray([r.rate for r in terms.reserves], float),
                    of_notes=jnp.asarray(of_notes))


def purchases(terms: DealTerms, live: tuple[str, ...] | None = None) -> Purchases | None:
    """Purchases of a deal with reinvestment (else None); `live` names the states of the pool's
    loans, none when the collateral comes from a file. Raises InputError for an unknown rating."""
    r = terms.reinvestment
    if r is None:
        return None
    if live is not None and r.rating not in live:
        problems = Problems("deal")
        problems.add("reinvestment.rating", r.rating, "one of " + ", ".join(live))
        problems.raise_if_any()
    mix = [1.0] if live is None else [float(name == r.rating) for name in live]
    return Purchases(
        mix=jnp.asarray(mix), price=jnp.asarray(r.price, float),
        spread=jnp.asarray(r.spread_bps / 1e4, float), floor=jnp.asarray(r.floor_bps / 1e4, float),
        recovery_rate=jnp.asarray(r.recovery, float), term=term_periods(terms),
        lag=lag_periods(terms))

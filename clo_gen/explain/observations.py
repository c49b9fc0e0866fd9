"""What is allowed in a deal but worth a second look."""

import datetime

import numpy as np

from clo_gen.explain.words import listed, money, percent
from clo_gen.io.dates import months_between
from clo_gen.io.deal import LoadedDeal
from clo_gen.io.deal_terms import FeeTerms


def closing_ratio(loaded: LoadedDeal, through: str) -> float:
    """Par at closing over class `through`, its equals and everything senior to it."""
    names, groups = [n.name for n in loaded.terms.notes], loaded.priority[:-1]
    debt = sum(n.balance for n, g in zip(loaded.terms.notes, groups, strict=True)
               if g <= groups[names.index(through)])
    return loaded.par / debt


def yearly_cost(loaded: LoadedDeal, index: float) -> float:
    """Note interest and senior fees of the first year, share of par, at a flat `index`."""
    def rate(note):
        return note.rate if note.rate is not None else (
            max(index, note.floor_bps / 1e4) + note.spread_bps / 1e4)

    notes = sum(n.balance * rate(n) for n in loaded.terms.notes)
    fees = sum(min(invoiced(loaded, f), np.inf if f.cap is None else f.cap)
               for f in loaded.terms.fees if f.rank == "senior")
    return (notes + fees) / loaded.par


def invoiced(loaded: LoadedDeal, fee: FeeTerms) -> float:
    """What a fee asks for in the first year."""
    payments = 12 / loaded.terms.payment_months if fee.per == "payment" else 1
    return payments * (fee.rate * loaded.par + fee.amount)


def observations(loaded: LoadedDeal, index: float) -> list[str]:
    """Sentences about unusual terms; none when nothing stands out."""
    return [*_tests(loaded), *_diversions(loaded), *_untested(loaded), *_money(loaded, index),
            *_fees(loaded), *_reserves(loaded), *_dates(loaded)]


def _tests(loaded):
    """Triggers that the deal does not meet on its first day."""
    event = loaded.terms.event_of_default
    checked = [(t.name, t.through, t.trigger)
               for t in (*loaded.terms.tests, *loaded.terms.diversions)
               if getattr(t, "kind", "oc") == "oc"]
    checked += [] if event is None else [("the event of default", event.through, event.trigger)]
    for name, through, trigger in checked:
        ratio = closing_ratio(loaded, through)
        if ratio < trigger:
            yield (f"{name}: the trigger of {percent(trigger)} is above the closing ratio of "
                   f"{percent(ratio)}, so it fails on day one.")


def _diversions(loaded):
    """A diversion should start before the test of the same class takes all interest."""
    for d in loaded.terms.diversions:
        for t in loaded.terms.tests:
            if t.kind == "oc" and t.through == d.through and d.trigger <= t.trigger:
                yield (f"{d.name}: its trigger of {percent(d.trigger)} is not above the "
                       f"{percent(t.trigger)} of {t.name}, which acts first.")


def _untested(loaded):
    """Classes that no coverage test reaches."""
    terms, groups = loaded.terms, loaded.priority
    names = [n.name for n in terms.notes]
    last = max((groups[names.index(t.through)] for t in terms.tests), default=-1)
    without = [n for n, g in zip(names, groups, strict=False) if g > last]
    if without:
        yield (f"no coverage test covers {listed(without)}: no interest is turned to principal "
               "for their sake.")


def _money(loaded, index):
    terms = loaded.terms
    cost, bought = yearly_cost(loaded, index), terms.reinvestment
    if bought is not None:
        yields = max(index, bought.floor_bps / 1e4) + bought.spread_bps / 1e4
        if yields < cost:
            yield (f"at an index of {percent(index)}, interest on the notes and senior fees cost "
                   f"{percent(cost)} of par a year; loans bought pay {percent(yields)}.")
    raised = sum(n.balance for n in terms.notes) + terms.equity.balance * terms.equity.price
    if raised < loaded.par * (1 - 1e-9):
        yield (f"notes and equity raise {money(raised)}, less than the par of "
               f"{money(loaded.par)}: the pool must have been bought below par.")


def _fees(loaded):
    for fee in loaded.terms.fees:
        if fee.cap is not None and invoiced(loaded, fee) <= fee.cap:
            yield (f"the cap of {money(fee.cap)} on {fee.name} does not bind: "
                   f"{money(invoiced(loaded, fee))} is invoiced in the first year.")


def _reserves(loaded):
    for reserve in loaded.terms.reserves:
        steps = [s for steps in loaded.lists.values() for s in steps]
        filled = any(s["op"] == "fund_reserve" and s["reserve"] == reserve.name for s in steps)
        target = reserve.amount or reserve.rate or any(reserve.of_notes.values())
        if not reserve.initial and not (filled and target):
            yield (f"the {reserve.name} is never funded: nothing is paid in at closing, and "
                   + ("no step fills it." if target else "its target is zero."))
        elif reserve.initial and not target:
            yield f"the {reserve.name} has no target: all of it is released on the first date."
        elif not any(s.get("from") == reserve.name and s["op"] not in (
                "release_reserve", "move_all") for s in steps):
            yield f"the {reserve.name} pays nothing: no step draws on it."


def _dates(loaded):
    r, call = loaded.terms.reinvestment, loaded.terms.call
    if r is None:
        return
    if call is not None and call.non_call_end is not None and call.non_call_end > r.end:
        yield (f"the non-call period ends on {call.non_call_end}, after the reinvestment period "
               f"({r.end}).")
    last = last_purchase(loaded)
    due = [d for d in loaded.payment_dates if d <= r.end]
    if last is None:
        yield (f"nothing can be bought: a loan of {r.term_months} months would outlive the notes "
               "on every payment date.")
    elif due and last < due[-1]:
        yield (f"purchases stop on {last}, {months_between(last, due[-1])} months before the "
               f"reinvestment period ends: loans of {r.term_months} months must mature with "
               "the notes at the latest.")


def last_purchase(loaded: LoadedDeal) -> datetime.date | None:
    """Last payment date on which all principal may be reinvested."""
    buying = np.flatnonzero(np.asarray(loaded.calendar.reinvesting))
    return loaded.payment_dates[buying[-1]] if len(buying) else None

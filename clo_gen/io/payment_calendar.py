"""Payment dates of a deal and what they are for: accruals, resets, reinvestment, calls."""

import dataclasses
import datetime
from typing import Any

import jax.numpy as jnp
import numpy as np

from clo_gen.io import dates
from clo_gen.io.deal_terms import DealTerms
from clo_gen.records import Calendar


def scheduled_dates(terms: DealTerms) -> list[datetime.date]:
    """Scheduled payment dates: the due days, before any business-day roll."""
    payments = [terms.first_payment]
    while payments[-1] < terms.maturity:
        payments.append(dates.add_months(terms.first_payment,
                                         terms.payment_months * len(payments)))
    return payments


def calendar_of(terms: DealTerms) -> tuple[tuple[datetime.date, ...], int, Calendar]:
    """(payment dates as paid, months, Calendar)."""
    months = dates.whole_months(terms.closing, terms.maturity)
    grid = [dates.add_months(terms.closing, t) for t in range(months + 1)]
    due = scheduled_dates(terms)
    paid = [dates.roll(d, terms.business_days) for d in due]
    # A date distributes the months collected by then; a month that ends later waits.
    last = np.array([dates.whole_months(terms.closing, d) for d in due]) - 1
    month_fraction = np.array([dates.fractions(grid, c) for c in dates.DAY_COUNTS])
    return tuple(paid), months, payment_calendar(
        terms, paid, last, month_fraction, np.searchsorted(last, np.arange(months)), due)


def by_period(calendar: Calendar, count: int) -> Calendar:
    """The first `count` payment dates of a Calendar, for collections that come by period."""
    periods = jnp.arange(count)
    months = {"month_fraction", "period", "last_month", "reset_month"}
    first = {f.name: getattr(calendar, f.name)[:count] for f in dataclasses.fields(calendar)
             if f.name not in months}
    return Calendar(month_fraction=jnp.zeros((len(dates.DAY_COUNTS), count)), period=periods,
                    last_month=periods, reset_month=periods - 1, **first)


def calendar_of_periods(
        terms: DealTerms,
        pay_dates: tuple[datetime.date, ...]) -> tuple[tuple[datetime.date, ...], int, Calendar]:
    """(payment dates, number of periods, Calendar) of payment dates that come from a file."""
    count = len(pay_dates)
    nothing = np.zeros((len(dates.DAY_COUNTS), count))
    return tuple(pay_dates), count, payment_calendar(
        terms, list(pay_dates), np.arange(count), nothing, np.arange(count), list(pay_dates))


def payment_calendar(terms: DealTerms, paid: Any, last: Any, month_fraction: Any, period: Any,
                     due: Any) -> Calendar:
    """Calendar of a deal that pays on `paid`; `last` [P] is each date's last collection month."""
    ends, count = [terms.closing, *paid], len(paid)
    by_count = {c: dates.fractions(ends, c) for c in dates.DAY_COUNTS}
    notes = [by_count[n.day_count] for n in terms.notes] + [np.zeros(count)]
    fees = [np.ones(count) if f.per == "payment" else by_count[f.day_count] for f in terms.fees]
    carried = [by_count[f.day_count] for f in terms.fees]
    deal_year = np.array([dates.months_between(terms.closing, d) - 1 for d in due]) // 12
    due = np.array(due)
    buying, after, lasting = _reinvestment_dates(terms, due)
    call = terms.call
    refinanced = [due > n.refinance.date if n.refinance else np.zeros(count, bool)
                  for n in terms.notes] + [np.zeros(count, bool)]
    can_call = np.full(count, call is not None and (
        call.collateral_below is not None or call.equity_irr is not None))
    if call is not None and call.non_call_end is not None:
        can_call &= due >= call.non_call_end
    # Whatever collateral is left when the notes mature is sold.
    must_call = (np.zeros(count, bool) if call is None
                 else (due == call.date) | (due >= terms.maturity))
    tested = [due >= (t.applies_from or terms.closing) for t in terms.tests] + [
        np.ones(count, bool) for _ in terms.diversions]
    diverting = [lasting if not d.always else np.ones(count, bool) for d in terms.diversions]

    def column(values, width):
        return jnp.asarray(np.array(values, float).reshape(width, count).T)

    return Calendar(
        month_fraction=jnp.asarray(month_fraction), period=jnp.asarray(period),
        last_month=jnp.asarray(last),
        reset_month=jnp.asarray(np.concatenate([[-1], last[:-1]])),
        note_fraction=column(notes, len(notes)), fee_fraction=column(fees, len(fees)),
        carried_fraction=column(carried, len(carried)),
        is_last=jnp.asarray(due >= terms.maturity, float),
        years=jnp.asarray([(d - terms.closing).days / 365.0 for d in paid]),
        new_year=jnp.asarray(np.diff(deal_year, prepend=-1) > 0, float),
        refinanced=column(refinanced, len(refinanced)),
        tested=column(tested, len(tested)), diverting=column(diverting, len(diverting)),
        reinvesting=jnp.asarray(buying, float), after_reinvesting=jnp.asarray(after, float),
        can_call=jnp.asarray(can_call, float), call_date=jnp.asarray(must_call, float))


def _reinvestment_dates(terms, due):
    """(dates that reinvest all, dates that may reinvest a share, dates in the period) [P] bool.

    What is bought must mature before the notes, so purchases stop a loan's term before maturity.
    """
    r, count = terms.reinvestment, len(due)
    if r is None:
        return (np.zeros(count, bool),) * 3
    lasting = due <= r.end
    matures_in_time = np.arange(count) + term_periods(terms) < len(scheduled_dates(terms))
    return lasting & matures_in_time, ~lasting & matures_in_time & (r.after > 0), lasting


def term_periods(terms: Any) -> int:
    """Payment periods from a purchase to its maturity."""
    return -(-terms.reinvestment.term_months // terms.payment_months)


def lag_periods(terms: Any) -> int:
    """Payment periods from a default of bought collateral to its recovery."""
    return -(-terms.reinvestment.lag_months // terms.payment_months)

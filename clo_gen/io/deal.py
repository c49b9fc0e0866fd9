"""Deal TOML -> Deal, its waterfall and its calendar. All user data about deals is judged here."""

import dataclasses
import datetime
import pathlib
from typing import Any

import numpy as np

from clo_gen.deal import steps
from clo_gen.io.deal_arrays import ranks_through, to_deal
from clo_gen.io.deal_checks import (
    check_dates,
    check_event_dates,
    check_events,
    check_names,
    check_notes,
    check_tests,
)
from clo_gen.io.deal_terms import DealTerms
from clo_gen.io.payment_calendar import (
    by_period,
    calendar_of,
    calendar_of_periods,
    scheduled_dates,
)
from clo_gen.io.problems import Problems
from clo_gen.io.standard import standard_lists
from clo_gen.io.steps import Names, check_order_of_payments, resolve
from clo_gen.io.toml import load_toml, parse
from clo_gen.records import Calendar, Deal


@dataclasses.dataclass(frozen=True)
class LoadedDeal:
    """A judged deal. Money in `deal` is a share of `par`."""

    terms: DealTerms
    deal: Deal
    waterfall: steps.Waterfall
    calendar: Calendar
    payment_dates: tuple[datetime.date, ...]
    months: int  # from closing to maturity
    par: float
    lists: dict  # the waterfall's lists with names, standard ones written out
    source: str

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes, senior first, equity last."""
        return (*(note.name for note in self.terms.notes), self.terms.equity.name)

    @property
    def priority(self) -> np.ndarray:
        """Rank of each of the K classes: pari passu classes have the same."""
        return np.array([*_ranks(self.terms), len(self.terms.notes)])

    @property
    def tests(self) -> tuple[str, ...]:
        """Names of the Q tests: coverage tests, then diversions."""
        return (*(t.name for t in self.terms.tests), *(d.name for d in self.terms.diversions))

    @property
    def fees(self) -> tuple[str, ...]:
        """Names of the fees, then of the hedges."""
        return (*(f.name for f in self.terms.fees), *(h.name for h in self.terms.hedges))


def read_deal(path: str | pathlib.Path, *, par: float | None = None) -> LoadedDeal:
    """LoadedDeal from TOML. `par` (currency) is the pool's par; without it the target par.

    Raises InputError with every problem: unknown keys, names, orders of dates, debt above the pool.

    >>> deal = cg.read_deal("configs/deals/us_bsl.toml")
    >>> deal.classes[-3:], deal.par, str(deal.payment_dates[0])
    (('D-2', 'E', 'subordinated'), 550000000.0, '2026-01-15')
    >>> deal.deal.balance.round(3)[-2:]  # [K] share of par
    Array([0.035, 0.089], dtype=float64)
    """
    return load_deal(parse(load_toml(path), DealTerms, path), path, par=par)


def load_deal(terms: DealTerms, source: pathlib.Path | str, *, par: float | None = None,
              lists: dict[str, list[dict[str, Any]]] | None = None,
              pay_dates: tuple[datetime.date, ...] | None = None,
              problems: Problems | None = None) -> LoadedDeal:
    """LoadedDeal from parsed terms; raises InputError as read_deal does.

    `lists` replaces the waterfall's lists; `pay_dates` are the payment dates when a file gives
    them, each with collections of its own; `problems` holds what was found wrong before.
    """
    problems = problems or Problems(source)
    par = terms.target_par if par is None else par
    check_names(terms, problems)
    check_notes(terms, par, problems)
    check_tests(terms, problems)
    dated = check_dates(terms, problems) if pay_dates is None else True
    names = _names(terms)
    lists = lists or standard_lists(terms)
    check_events(terms, lists, problems)
    before = len(problems.found)
    resolved = resolve(lists, names, problems)
    if len(problems.found) == before:
        check_order_of_payments(names, resolved, [n.deferrable for n in terms.notes], problems)
    if dated:
        check_event_dates(terms, pay_dates or scheduled_dates(terms), problems)
    problems.raise_if_any()
    waterfall = _waterfall(terms, resolved)
    payment_dates, months, calendar = (calendar_of(terms) if pay_dates is None
                                       else calendar_of_periods(terms, pay_dates))
    return LoadedDeal(terms, to_deal(terms, par, len(payment_dates)), waterfall,
                      calendar, payment_dates, months, float(par), lists, str(source))


def first_periods(deal: LoadedDeal, count: int) -> LoadedDeal:
    """The deal on its first `count` payment dates only, with collections by payment period."""
    hedges = deal.deal.hedges
    if hedges is not None:
        hedges = hedges.replace(notional=hedges.notional[:count])
    return dataclasses.replace(deal, deal=deal.deal.replace(hedges=hedges),
                               payment_dates=deal.payment_dates[:count],
                               calendar=by_period(deal.calendar, count), months=count)


def _ranks(terms):
    """Rank of each note: the number of the last one pari passu with it."""
    through = ranks_through(terms)
    return tuple(through[note.name] for note in terms.notes)


def _tests(terms):
    """Tests of the deal, then of its diversions."""
    through = ranks_through(terms)
    made = [*((t.kind, t.through) for t in terms.tests),
            *(("oc", d.through) for d in terms.diversions)]
    return tuple(steps.Test(kind, tuple(range(through.get(name, -1) + 1))) for kind, name in made)


def _names(terms):
    tests = tuple(t.name for t in terms.tests)
    r = terms.reinvestment
    of_purchase = ([i for i, t in enumerate(terms.tests) if t.kind == "oc"]
                   if r is None or r.tests is None else
                   [tests.index(name) for name in r.tests if name in tests])
    return Names(
        notes=tuple(n.name for n in terms.notes), fees=tuple(f.name for f in terms.fees),
        hedges=tuple(h.name for h in terms.hedges), tests=tests,
        diversions=tuple(d.name for d in terms.diversions),
        reserves=tuple(r.name for r in terms.reserves),
        priority=_ranks(terms), test_notes=tuple(test.notes for test in _tests(terms)),
        reinvests=r is not None,
        diverts_to_notes=tuple(d.to == "notes" for d in terms.diversions),
        reinvestment_tests=tuple(of_purchase))


def _waterfall(terms, resolved):
    return steps.Waterfall(
        steps=resolved["interest"] + resolved["principal"],
        tests=_tests(terms),
        deferrable=(*(n.deferrable for n in terms.notes), False),
        accelerated=resolved["accelerated"], call=resolved["call"], fees=len(terms.fees),
        hedges=len(terms.hedges), reserves=tuple(r.name for r in terms.reserves))

"""What can be wrong with a deal's terms; every complaint goes to one Problems."""

from typing import Any

from clo_gen.deal.claims import ACCOUNTS
from clo_gen.io import dates
from clo_gen.io.deal_terms import DealTerms
from clo_gen.io.payment_calendar import scheduled_dates
from clo_gen.io.problems import Problems


def check_names(terms: Any, problems: Any) -> None:
    names = [n.name for n in terms.notes] + [terms.equity.name]
    paid = [f.name for f in (*terms.fees, *terms.hedges)]
    for kind, listed in (("notes", names), ("fees and hedges", paid),
                         ("tests", [t.name for t in (*terms.tests, *terms.diversions)]),
                         ("reserves", [*ACCOUNTS, *(r.name for r in terms.reserves)])):
        for name in dict.fromkeys(n for n in listed if listed.count(n) > 1):
            problems.add(kind, name, "each name once")


def check_notes(terms: DealTerms, par: float, problems: Problems) -> None:
    for i, note in enumerate(terms.notes):
        place = f"notes[{i + 1}] ({note.name})"
        if (note.spread_bps is None) == (note.rate is None):
            problems.say(f"{place}: want either spread_bps or rate")
        for where, terms_of in ((place, note), (f"{place}.refinance", note.refinance)):
            if terms_of is not None and 0 < (terms_of.spread_bps or 0.0) < 10:
                problems.add(f"{where}, spread_bps", terms_of.spread_bps,
                             "basis points, 0 or at least 10 (135 is 1.35 %)")
        new = note.refinance
        if new is not None and ((note.rate is None) != (new.rate is None)
                                or (note.spread_bps is None) != (new.spread_bps is None)):
            problems.say(f"{place}.refinance: want a new "
                         + ("spread_bps" if note.rate is None else "rate") + ", as the class has")
    groups = [n.group for n in terms.notes]
    for group in dict.fromkeys(g for g in groups if g):
        places = [i for i, g in enumerate(groups) if g == group]
        if places != list(range(places[0], places[-1] + 1)):
            problems.add("notes, group", group, "pari passu classes next to each other")
    debt = sum(n.balance for n in terms.notes)
    if debt > par * (1 + 1e-9):
        problems.say(f"notes: debt of {debt:,.0f} {terms.currency} is larger than the pool's par "
                     f"of {par:,.0f}; want at most the par (a tape of the deal's size, or "
                     "smaller notes)")


def _check_through(place, name, terms, problems):
    known = [n.name for n in terms.notes]
    if name not in known:
        problems.add(f"{place}, through", name, "a debt class: " + ", ".join(known))


def check_tests(terms: Any, problems: Any) -> None:
    for i, test in enumerate(terms.tests):
        place = f"tests[{i + 1}] ({test.name})"
        _check_through(place, test.through, terms, problems)
        if test.kind == "oc" and test.trigger <= 1.0:
            problems.add(f"{place}, trigger", test.trigger, "an OC trigger above 1 (1.2 is 120 %)")
        if test.applies_from and not terms.closing <= test.applies_from <= terms.maturity:
            problems.add(f"{place}, applies_from", str(test.applies_from),
                         f"a date from {terms.closing}, the closing, to {terms.maturity}, the "
                         "maturity")
    for i, test in enumerate(terms.diversions):
        place = f"diversions[{i + 1}] ({test.name})"
        _check_through(place, test.through, terms, problems)
        if test.trigger <= 1.0:
            problems.add(f"{place}, trigger", test.trigger, "a trigger above 1 (1.05 is 105 %)")
        if terms.reinvestment is None and not test.always:
            problems.say(f"{place}: applies in the reinvestment period only, and the deal has none;"
                         " want [reinvestment], or always = true")
    known = [t.name for t in terms.tests]
    for name in (terms.reinvestment.tests or ()) if terms.reinvestment else ():
        if name not in known:
            problems.add("reinvestment.tests", name, "one of " + (", ".join(known) or "(none)"))
    for i, reserve in enumerate(terms.reserves):
        for name in reserve.of_notes:
            if name not in [n.name for n in terms.notes]:
                problems.add(f"reserves[{i + 1}] ({reserve.name}), of_notes", name,
                             "a debt class: " + ", ".join(n.name for n in terms.notes))


def check_events(terms: DealTerms, lists: dict[str, list[dict[str, Any]]],
                 problems: Problems) -> None:
    """What happens and where the cash then goes must both be there."""
    event = terms.event_of_default
    if event is not None:
        _check_through("event_of_default", event.through, terms, problems)
        if not lists["accelerated"]:
            problems.say("waterfall.accelerated: missing; want the list that rules after an event "
                         "of default")
    elif lists["accelerated"]:
        problems.say("waterfall.accelerated: no event_of_default ever leads to it")
    if terms.call is not None and not lists["call"]:
        problems.say("waterfall.call: missing; want the list that distributes a call's proceeds")
    if terms.call is None and lists["call"]:
        problems.say("waterfall.call: there is no [call] that leads to it")
    for name in ("interest", "principal"):
        if not lists[name]:
            problems.say(f'waterfall.{name}: missing; want a list of steps, or standard = "US"')


def check_dates(terms: DealTerms, problems: Problems) -> bool:
    """Whether the payment dates exist."""
    if not terms.closing < terms.first_payment <= terms.maturity:
        problems.say(f"dates: closing {terms.closing}, first_payment {terms.first_payment}, "
                     f"maturity {terms.maturity}; want closing < first_payment <= maturity")
    elif dates.months_between(terms.closing, terms.maturity) > 480:
        problems.add("maturity", str(terms.maturity), "a date within 40 years of closing")
    elif dates.whole_months(terms.closing, terms.first_payment) < 1:
        problems.add("first_payment", str(terms.first_payment), "a date a month after closing")
    elif scheduled_dates(terms)[-1] != terms.maturity:
        near = scheduled_dates(terms)[-2:]
        problems.add("maturity", str(terms.maturity), "a payment date, such as "
                     + " or ".join(map(str, near)))
    else:
        return True
    return False


def check_event_dates(terms: DealTerms, payments: Any, problems: Problems) -> None:
    r, call = terms.reinvestment, terms.call
    if r is not None and not terms.closing <= r.end <= terms.maturity:
        problems.add("reinvestment.end", str(r.end), "a date between closing and maturity")
    if r is not None and r.term_months >= dates.months_between(terms.closing, terms.maturity):
        problems.add("reinvestment.term_months", r.term_months,
                     "loans that mature before the notes")
    if call is not None:
        end = call.non_call_end
        if end is not None and not terms.closing <= end <= terms.maturity:
            problems.add("call.non_call_end", str(end), "a date between closing and maturity")
        if call.date is not None and call.date not in payments:
            problems.add("call.date", str(call.date), f"a payment date, such as "
                         f"{min(payments, key=lambda d: abs((d - call.date).days))}")
        if call.date is not None and end is not None and call.date < end:
            problems.say(f"call: date {call.date} lies in the non-call period, which ends {end}")
    for i, hedge in enumerate(terms.hedges):
        if isinstance(hedge.notional, tuple) and len(hedge.notional) > len(payments):
            problems.add(f"hedges[{i + 1}] ({hedge.name}), notional", f"{len(hedge.notional)} "
                         "numbers", f"at most one for each of the {len(payments)} payment dates")
    for i, note in enumerate(terms.notes):
        if note.refinance is not None and note.refinance.date not in payments[:-1]:
            problems.add(f"notes[{i + 1}] ({note.name}), refinance.date", str(note.refinance.date),
                         "a payment date before maturity")

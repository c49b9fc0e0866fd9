"""A deal in words: what it consists of, who is paid in which order, what stands out.

For a reader who knows CLOs and wants to see whether a file says what was meant.
"""

import numpy as np

from clo_gen.deal.tranche import attachment_points
from clo_gen.explain.observations import closing_ratio, observations, yearly_cost
from clo_gen.explain.payments import TITLES, purchase_tests, sentences
from clo_gen.explain.words import listed, money, percent, table, wrapped
from clo_gen.io.deal import LoadedDeal


def explain_deal(loaded: LoadedDeal, *, index: float = 0.04) -> str:
    """Text of a deal for a terminal, under 100 columns; costs are stated at a flat `index`."""
    parts = [_heading(loaded), *_capital_structure(loaded), "", *_equity(loaded, index)]
    for title, lines in (("Fees", _fees(loaded)), ("Tests", _tests(loaded)),
                         ("Features", _features(loaded))):
        parts += ["", title, *(lines or ["  none"])]
    for name, steps in loaded.lists.items():
        if steps:
            parts += ["", TITLES[name], *_payments(loaded, name, steps)]
    seen = [wrapped(text[0].upper() + text[1:], "  - ") for text in observations(loaded, index)]
    return "\n".join([*parts, "", "Worth a look", *(seen or ["  nothing stands out"])])


def _payments(loaded, name, steps):
    """Numbered sentences of one list."""
    if name == "call" and steps == loaded.lists["accelerated"]:
        return ["  as after an event of default"]
    return [wrapped(text, f"{i + 1:3d}. ")
            for i, text in enumerate(sentences(loaded.terms, name, steps))]


def _heading(loaded):
    t, payments = loaded.terms, loaded.payment_dates
    every = {1: "every month", 12: "every year"}.get(t.payment_months,
                                                     f"every {t.payment_months} months")
    roll = "" if t.business_days == "none" else f" ({t.business_days} business day)"
    text = [t.name + (f": {t.source}" if t.source else ""),
            f"{t.currency} {money(loaded.par)} par. Closing {t.closing}, {len(payments)} payments "
            f"from {payments[0]}, {every}{roll}, maturity {payments[-1]}.", ""]
    return "\n".join([*(wrapped(line) for line in text[:2]), text[2]])


def _capital_structure(loaded):
    t, groups = loaded.terms, loaded.priority
    attach, detach = (np.asarray(x) for x in attachment_points(loaded.deal, groups))
    rows = [("class", "rating", "balance", "share", "coupon", "if unpaid", "group",
             "attach", "detach", "OC")]
    for i, n in enumerate(t.notes):
        coupon = (percent(n.rate) + " fixed" if n.rate is not None
                  else f"{t.index} + {percent(n.spread_bps / 1e4)}")
        rows.append((n.name, n.rating, money(n.balance), _tenths(n.balance / loaded.par), coupon,
                     "deferred" if n.deferrable else "missed", n.group, _tenths(attach[i]),
                     _tenths(detach[i]), _tenths(closing_ratio(loaded, n.name))))
    e = t.equity
    rows.append((e.name, "", money(e.balance), _tenths(e.balance / loaded.par), "residual", "",
                 "", _tenths(attach[-1]), _tenths(detach[-1]), ""))
    return table(rows, left=(0, 1, 4, 5, 6))


def _tenths(share):
    return f"{100 * share:.1f} %"


def _equity(loaded, index):
    t = loaded.terms
    debt = sum(n.balance for n in t.notes)
    cost = yearly_cost(loaded, index)
    text = [f"Equity of {money(t.equity.balance)} at {percent(t.equity.price)} pays "
            f"{money(t.equity.balance * t.equity.price)} for the {money(loaded.par - debt)} of par "
            "above the debt.",
            f"At {t.index} of {percent(index)}, interest on the notes and senior fees cost "
            f"{percent(cost)} of par a year."]
    text += [f"{n.name} is refinanced on {n.refinance.date}, to "
             + (percent(n.refinance.rate) if n.refinance.rate is not None
                else f"{t.index} + {percent(n.refinance.spread_bps / 1e4)}") + "."
             for n in t.notes if n.refinance]
    return [wrapped(" ".join(text), "  ")]


def _fees(loaded):
    lines = []
    for f in loaded.terms.fees:
        parts = ([f"{percent(f.rate, 3)} of {f.basis} par a year"] if f.rate else []) + (
            [money(f.amount) + " a " + f.per] if f.amount else [])
        if f.rate and f.per == "payment":
            parts[0] = f"{percent(f.rate, 3)} of {f.basis} par a payment"
        cap = "" if f.cap is None else f", capped at {money(f.cap)} a deal year"
        kept = "" if f.carried else "; what is unpaid lapses"
        interest = f"; what is unpaid earns {percent(f.interest)}" if f.interest else ""
        lines.append(wrapped(f"{f.name}: {' + '.join(parts) or 'nothing'}, {f.rank}{cap}{kept}"
                             f"{interest}.", "  ", "    "))
    return lines


def _tests(loaded):
    t = loaded.terms
    if not (t.tests or t.diversions):
        return []
    rows = [("test", "kind", "through", "trigger", "at closing", "cushion")]
    for test in (*t.tests, *t.diversions):
        kind = getattr(test, "kind", "diversion")
        ratio = None if kind == "ic" else closing_ratio(loaded, test.through)
        rows.append((test.name, kind.upper() if len(kind) == 2 else kind, test.through,
                     percent(test.trigger), "" if ratio is None else percent(ratio),
                     "" if ratio is None else percent(ratio - test.trigger)))
    ccc = (f" less the market-value haircut of what exceeds {percent(t.ccc_limit)} in CCC"
           if t.ccc_limit < 1 else "")
    haircuts = (f"Par counts{ccc}; defaults at the lower of {percent(t.defaulted_price)} and their "
                f"recovery; loans bought below {percent(t.discount_threshold)} at their price.")
    later = [wrapped(f"{test.name} applies from {test.applies_from}.", "  ")
             for test in t.tests if test.applies_from]
    return [*table(rows, left=(0, 1, 2)), *later, wrapped(haircuts, "  ")]


def _features(loaded):
    t = loaded.terms
    text = [*_diversions(t), *_reserves(t), *_hedges(t), _reinvestment(t), _call(loaded), _event(t)]
    return [wrapped(line, "  ", "    ") for line in text]


def _diversions(t):
    for d in t.diversions:
        use = "buys collateral" if d.to == "collateral" else "repays notes"
        when = "at any time" if d.always else "in the reinvestment period"
        yield (f"Diversion {d.name}: below {percent(d.trigger)} through {d.through}, {when}, "
               f"{percent(d.share)} of the interest left {use}.")


def _reserves(t):
    for r in t.reserves:
        target = [money(r.amount)] if r.amount else []
        target += [f"{percent(r.rate)} of par"] if r.rate else []
        target += [f"{percent(share)} of {name}" for name, share in r.of_notes.items()]
        yield (f"Reserve {r.name}: {money(r.initial)} at closing, target "
               f"{' + '.join(target) or 'zero'}.")


def _hedges(t):
    for h in t.hedges:
        sizes = h.notional if isinstance(h.notional, tuple) else (h.notional,)
        size = money(sizes[0]) + (f" going to {money(sizes[-1])}" if sizes[-1] != sizes[0] else "")
        does = (f"pays {percent(h.rate)} and receives {t.index}" if h.kind == "swap"
                else f"receives what {t.index} exceeds {percent(h.rate)} by")
        premium = f", for {percent(h.premium)} a year" if h.premium else ""
        yield f"Hedge {h.name}: a {h.kind} on {size}; the deal {does}{premium}."


def _reinvestment(t):
    r = t.reinvestment
    if r is None:
        return "Reinvestment: none; principal repays the notes."
    tests = purchase_tests(t)
    after = f", then {percent(r.after)} of prepayments" if r.after else ""
    return (f"Reinvestment: until {r.end}{after}, while {listed(tests) or 'no test'} "
            f"{'pass' if len(tests) != 1 else 'passes'}; assumed are {r.rating} loans at "
            f"{percent(r.price)}, {t.index} + {percent(r.spread_bps / 1e4)}, {r.term_months} "
            f"months, recovering {percent(r.recovery)}.")


def _call(loaded):
    c = loaded.terms.call
    if c is None:
        return "Call: none, and no loan may mature after the notes."
    when = [f"on {c.date}"] if c.date else []
    when += [f"once par is below {percent(c.collateral_below)}"] if c.collateral_below else []
    when += [f"once it gives equity {percent(c.equity_irr)}"] if c.equity_irr is not None else []
    start = f" from {c.non_call_end}" if c.non_call_end else ""
    prices = f"{percent(c.price_performing)} (defaulted {percent(c.price_defaulted)})"
    if not when:
        return f"Call: none; what is left at maturity is sold at {prices}."
    return (f"Call: {listed(when, 'or')}{start}, collateral sold at {prices}; what is left at "
            "maturity too.")


def _event(t):
    e = t.event_of_default
    if e is None:
        return "Event of default: none."
    missed = (" or missed interest of a class that may not defer" if e.missed_interest else "")
    return (f"Event of default: par below {percent(e.trigger)} of {e.through} and senior to it"
            f"{missed}; accelerates from the {e.effective} payment date.")

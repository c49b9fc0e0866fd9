"""A deal with its collections as JSON data of the schema clo_waterfall_oracle_v1 (io.oracle reads
it). What the schema cannot say is refused, term by term: nothing is left out in silence."""

import jax.numpy as jnp
import numpy as np

from clo_gen.deal.dates import note_rates
from clo_gen.io.collections import LoadedCollections
from clo_gen.io.deal import LoadedDeal
from clo_gen.io.oracle import BASES, OPS, SCHEMA, SHARING
from clo_gen.io.problems import Problems

_WORDS = {ours: theirs for theirs, ours in OPS.items() if ours is not None}
_BASIS = {ours: theirs for theirs, ours in BASES.items()}
_NUMERATOR = ["end_performing", "principal_account"]


def oracle_data(deal: LoadedDeal, collections: LoadedCollections, *, expected=None):
    """The JSON data; `expected` is what jobs.waterfall.as_json makes of the distribution.

    Note rates are written by payment date, so floating notes need the index of the collections.
    Raises InputError with every term that the schema has no words for.
    """
    problems = Problems(f"{deal.source}, as {SCHEMA}")
    _refuse_terms(deal, collections, problems)
    terms, dates = deal.terms, [str(d) for d in collections.pay_dates]
    through = {name: [n.name for n in terms.notes[: k + 1]] for k, name in enumerate(
        n.name for n in terms.notes)}
    writer = _Steps(terms, through, problems)
    ordinary = writer.listed("interest", deal.lists) + writer.listed("principal", deal.lists)
    accelerated, call = (writer.listed(name, deal.lists) for name in ("accelerated", "call"))
    fees = [_fee(f, i, problems) for i, f in enumerate(terms.fees)]
    problems.raise_if_any()
    index = np.zeros(len(dates)) if collections.index is None else collections.index
    rates = np.asarray(note_rates(deal.deal, jnp.asarray(index), deal.calendar.refinanced))
    data = {
        "closing": str(terms.closing), "first_payment": dates[0],
        "payment_frequency_months": terms.payment_months,
        "initial_performing_balance": deal.par,
        "notes": [{"name": n.name, "balance": n.balance, "day_count": n.day_count,
                   "rate_by_pay_date": dict(zip(dates, rates[:, k].tolist(), strict=True))}
                  for k, n in enumerate(terms.notes)] + [
                 {"name": terms.equity.name, "balance": terms.equity.balance, "type": "equity"}],
        "fees": fees,
        "oc_tests": [{"name": t.name, "denominator": through[t.through], "trigger": t.trigger,
                      "numerator": _NUMERATOR} for t in terms.tests],
        "waterfall": ordinary, "accelerated_waterfall": accelerated, "call_waterfall": call}
    event = terms.event_of_default
    if event is not None:
        data["event_of_default"] = {
            "denominator": through[event.through], "trigger": event.trigger,
            "numerator": _NUMERATOR, "effective": f"{event.effective} payment date"}
    if terms.call is not None:
        sale = {"op": "liquidate_collateral", "to": "principal",
                "price_performing": terms.call.price_performing,
                "price_defaulted": terms.call.price_defaulted}
        data["call_waterfall"] = [sale, *call]
        data["call_date"] = None if terms.call.date is None else str(terms.call.date)
    return {"id": terms.name, "schema": SCHEMA, "deal": data,
            "period_inputs": _rows(collections, deal.par, dates)} | (
                {} if expected is None else {"expected": expected})


def _rows(collections, par, dates):
    c = collections.collections
    opening = c.performing + c.scheduled_principal + c.prepayment + c.default
    money = {"begin_performing": opening, "interest": c.interest,
             "scheduled_principal": c.scheduled_principal, "prepayment": c.prepayment,
             "default": c.default, "recovery": c.recovery, "loss": c.loss,
             "end_performing": c.performing}
    return [{"pay_date": date} | {name: float(x[p]) * par for name, x in money.items()}
            for p, date in enumerate(dates)]


def _refuse_terms(deal, collections, problems):
    terms, c = deal.terms, collections.collections
    for name in ("hedges", "reserves", "reinvestment"):
        if getattr(terms, name):
            problems.say(f"{name}: the schema has none")
    for i, note in enumerate(terms.notes):
        if not note.deferrable:
            problems.say(f"notes[{i + 1}] ({note.name}): not deferrable; every class of the schema "
                         "defers what interest it is not paid")
        if note.group:
            problems.say(f"notes[{i + 1}] ({note.name}): pari passu with others; classes of the "
                         "schema rank one after the other")
    for i, test in enumerate(terms.tests):
        if test.kind != "oc":
            problems.say(f"tests[{i + 1}] ({test.name}): an {test.kind.upper()} test; the schema "
                         "has OC tests only")
        if test.applies_from:
            problems.say(f"tests[{i + 1}] ({test.name}), applies_from: tests of the schema apply "
                         "from the first payment date")
    for i, diversion in enumerate(terms.diversions):
        if diversion.to != "collateral" or not diversion.always:
            problems.say(f"diversions[{i + 1}] ({diversion.name}): want to = \"collateral\" and "
                         "always = true, as the schema diverts")
    if terms.call is not None:
        given = terms.call
        if given.fees_accrue or given.non_call_end is not None or (
                given.collateral_below is not None or given.equity_irr is not None):
            problems.say("call: want a date or the prices alone, and fees_accrue = false; the "
                         "schema has no conditions of a call")
    if terms.event_of_default is not None and terms.event_of_default.missed_interest:
        problems.say("event_of_default.missed_interest: the schema knows the ratio only")
    if collections.pay_dates[-1] != terms.maturity:
        problems.say(f"the collections end on {collections.pay_dates[-1]}; want them to reach the "
                     f"maturity, {terms.maturity}, which the schema takes from them")
    carried = float(np.abs(c.defaulted_value).max()) + float(np.abs(c.carrying_haircut).max())
    if carried > 0 or (terms.ccc_limit < 1 and float(np.abs(c.ccc_par).max()) > 0):
        problems.say("coverage: defaulted, discounted or CCC par is carried at a value; the "
                     "schema's ratios hold performing par and cash only")


def _fee(fee, i, problems):
    place = f"fees[{i + 1}] ({fee.name})"
    if fee.per != "payment" or fee.cap is not None or fee.interest or fee.basis not in _BASIS:
        problems.say(f"{place}: want per = \"payment\", no cap, no interest and the opening or "
                     "closing par as basis: the schema's fees are due by payment")
    if fee.rate and fee.amount:
        problems.say(f"{place}: a rate and an amount; want two fees")
    common = {"name": fee.name, "per": "payment period", "carry": fee.carried}
    if fee.rate:
        return common | {"kind": "rate", "rate": fee.rate, "basis": _BASIS.get(fee.basis)}
    return common | {"kind": "fixed", "amount": fee.amount}


class _Steps:
    """Steps of a deal file in the words of the schema."""

    def __init__(self, terms, through, problems):
        self.terms, self.through, self.problems = terms, through, problems
        self.tests = {t.name: t for t in terms.tests}
        self.diversions = {d.name: d for d in terms.diversions}

    def listed(self, name, lists):
        usual = "interest" if name == "interest" else "principal"
        return [step for i, given in enumerate(lists[name])
                for step in self._of(given, f"waterfall.{name}[{i + 1}]", usual)]

    def _of(self, given, place, usual):
        op = _WORDS.get(given["op"])
        if op is None or given.get("capped"):
            self.problems.add(place, given["op"], "one of " + ", ".join(_WORDS)
                              + (", not capped" if given.get("capped") else ""))
            return []
        step = {"op": op, "from": given.get("from", usual)}
        step |= {key: given[key] for key in ("fee", "to") if key in given}
        step |= {key: [given[key]] if isinstance(given[key], str) else list(given[key])
                 for key in ("notes", "order") if key in given}
        if len(step.get("notes", ())) > 1:
            step["allocation"] = SHARING.get(op, "none")
        if op == "equity_to_hurdle":
            step["irr"] = self.terms.hurdle_irr
        if op == "pay_incentive":
            step["share"] = self.terms.incentive_share
        if op == "divert_to_principal":
            found = self.diversions[given["diversion"]]
            step |= {"max_share": found.share, "trigger": found.trigger,
                     "denominator": self.through[found.through]}
        if op != "oc_cure_pay_principal":
            return [step]
        names = [given["tests"]] if isinstance(given["tests"], str) else given["tests"]
        if len(names) > 1:
            self.problems.add(place, ", ".join(names), "one test a step")
        return [step | {"test": name} for name in names]

"""Reads deals of the JSON schema clo_waterfall_oracle_v1: terms, steps and collections in one file.

The schema's steps become those of a deal file, so that both are judged by the same rules.
"""

import dataclasses
import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd

from clo_gen.io.collections import OPTIONAL, REQUIRED, LoadedCollections, judge_collections
from clo_gen.io.deal import LoadedDeal, load_deal
from clo_gen.io.deal_terms import DealTerms
from clo_gen.io.json_data import read_json
from clo_gen.io.oracle_terms import OracleDeal, OracleFile
from clo_gen.io.problems import InputError, Problems
from clo_gen.io.toml import parse

SCHEMA = "clo_waterfall_oracle_v1"
OPS = {"pay_fee": "pay_fee", "pay_note_interest": "pay_all_interest",
        "pay_note_principal": "pay_note_principal", "pay_equity_principal": "pay_equity_principal",
        "pay_residual_to_equity": "pay_residual_to_equity", "equity_to_hurdle": "equity_to_hurdle",
        "pay_incentive": "pay_incentive", "move_all": "move_all",
        "oc_cure_pay_principal": "cure_tests", "divert_to_principal": "divert",
        "liquidate_collateral": None}
_NEEDS = {"divert_to_principal": ("max_share", "trigger", "denominator"),
          "equity_to_hurdle": ("irr",), "pay_incentive": ("share",),
          "oc_cure_pay_principal": ("test",)}  # beyond what a deal file's step needs
SHARING = {"pay_note_interest": "pro_rata_by_amount_due", "pay_note_principal":
            "pro_rata_by_balance"}
BASES = {"begin_performing": "opening", "end_performing": "closing"}


@dataclasses.dataclass(frozen=True)
class OracleCase:
    """A deal with its collections, and what the file expects (None when it does not say)."""

    deal: LoadedDeal
    collections: LoadedCollections
    expected: dict | None


def read_oracle(path: str | pathlib.Path) -> OracleCase:
    """OracleCase of a JSON file. Raises InputError with every problem found."""
    path = pathlib.Path(path)
    case = read_json(path)
    if not isinstance(case, dict) or case.get("schema") != SCHEMA:
        raise InputError(f"{path}: schema: want a JSON object with schema = {SCHEMA!r}")
    return _read(parse(case, OracleFile, path), path)


def _read(case, path):
    given, problems = case.deal, Problems(path)
    par = given.initial_performing_balance
    rows = pd.DataFrame(list(case.period_inputs))
    rows = rows[[c for c in rows if c in (*REQUIRED, *OPTIONAL)]].map(_scalar)
    # The schema's numerators hold performing par and cash only, so defaulted par counts nothing.
    none = DefaultedTerms(jnp.zeros(()), jnp.ones(()))
    collections = judge_collections(rows, problems, par=par, deal=none)
    terms = _Terms(given, problems)
    lists = terms.lists()
    data = terms.as_dict(case.id or path.stem,
                         (given.closing,) if collections is None else collections.pay_dates)
    problems.raise_if_any()
    deal = load_deal(parse(data, DealTerms, path), path, par=par, lists=lists,
                     pay_dates=collections.pay_dates, problems=problems)
    rates = terms.rates([str(d) for d in collections.pay_dates])
    problems.raise_if_any()
    deal = dataclasses.replace(deal, deal=deal.deal.replace(coupon=jnp.asarray(rates)))
    collections = dataclasses.replace(collections, index=np.zeros(len(rates)))
    return OracleCase(deal, collections, case.expected)


def _scalar(value):
    """A number or text as it is; what is neither as text, which judge_collections refuses."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if number or isinstance(value, str) else str(value)


@dataclasses.dataclass(frozen=True)
class DefaultedTerms:
    """What judge_collections reads of a deal."""

    defaulted_price: Any
    ccc_price: Any


class _Terms:
    """Turns the schema's `deal` into the terms and lists of a deal file, once."""

    def __init__(self, given: OracleDeal, problems):
        self.given, self.problems = given, problems
        self.notes = [n for n in given.notes if n.type != "equity"]
        self.names = [n.name for n in self.notes]
        for name in {n for n in self.names if self.names.count(n) > 1}:
            problems.add("deal.notes", name, "each name once")
        self.tests: dict = {}
        self.diversions: list = []
        self.hurdle, self.incentive, self.sale = 0.0, 0.0, None
        for i, test in enumerate(given.oc_tests):
            self._add_test(test.name, test, f"deal.oc_tests[{i + 1}] ({test.name})")
            self._check_numerator(test.numerator, f"deal.oc_tests[{i + 1}] ({test.name})")
        if given.event_of_default is not None:
            self._check_numerator(given.event_of_default.numerator, "deal.event_of_default")

    def _check_numerator(self, numerator, place):
        if sorted(numerator) != ["end_performing", "principal_account"]:
            self.problems.add(f"{place}.numerator", ", ".join(numerator),
                              "end_performing and principal_account")

    def _through(self, denominator, place):
        """Last class of a denominator that lists a class and everything senior to it."""
        unknown = [n for n in denominator if n not in self.names]
        for name in unknown:
            self.problems.add(f"{place}.denominator", name, "one of " + ", ".join(self.names))
        if not unknown and sorted(denominator) != sorted(self.names[: len(denominator)]):
            self.problems.add(f"{place}.denominator", ", ".join(denominator),
                              "a class and everything senior to it")
        return None if unknown else self.names[len(denominator) - 1]

    def _add_test(self, name, given, place):
        self.tests[name] = {"name": name, "kind": "oc", "trigger": given.trigger,
                            "through": self._through(given.denominator, place)}

    def lists(self):
        ordinary = self._steps("waterfall", self.given.waterfall)
        # Steps run in the file's order: the second list is what follows the last from interest.
        cut = max((i + 1 for i, s in enumerate(ordinary) if s.get("from") == "interest"), default=0)
        return {"interest": ordinary[:cut], "principal": ordinary[cut:],
                "accelerated": self._steps("accelerated_waterfall",
                                           self.given.accelerated_waterfall),
                "call": self._steps("call_waterfall", self.given.call_waterfall)}

    def _steps(self, name, listed):
        out = []
        for i, step in enumerate(listed):
            place = f"deal.{name}[{i + 1}]"
            if step.op not in OPS:
                self.problems.add(f"{place}.op", step.op, "one of " + ", ".join(OPS))
            elif step.op == "liquidate_collateral":
                if i or name != "call_waterfall" or step.to != "principal":
                    self.problems.say(f"{place} (liquidate_collateral): want it first in "
                                      "call_waterfall, to the principal account")
                self.sale = step
            else:
                out.append(self._step(step, f"{place} ({step.op})"))
        return out

    def _step(self, step, place):
        missing = [k for k in _NEEDS.get(step.op, ()) if getattr(step, k) is None]
        for key in missing:
            self.problems.say(f"{place}.{key}: missing")
        if len(step.notes or ()) > 1 and step.allocation not in (None, SHARING.get(step.op)):
            self.problems.add(f"{place}.allocation", step.allocation, SHARING.get(step.op, "none"))
        given = {"from": step.account, "fee": step.fee, "to": step.to, "order": step.order,
                 "notes": step.notes}
        out = {"op": OPS[step.op]} | {k: v for k, v in given.items() if v is not None}
        return out if missing else out | self._terms_of(step, place)

    def _terms_of(self, step, place):
        """Keys of the step that name a term; the term is noted."""
        if step.op == "oc_cure_pay_principal":
            if step.trigger is not None and step.denominator is not None:
                self._add_test(step.test, step, place)
            return {"tests": (step.test,)}
        if step.op == "divert_to_principal":
            name = f"diversion {len(self.diversions) + 1}"
            self.diversions.append({
                "name": name, "trigger": step.trigger, "share": step.max_share, "always": True,
                "through": self._through(step.denominator, place)})
            return {"diversion": name}
        if step.op == "equity_to_hurdle":
            self.hurdle = self._the_same(self.hurdle, step.irr, f"{place}.irr")
        elif step.op == "pay_incentive":
            self.incentive = self._the_same(self.incentive, step.share, f"{place}.share")
        return {}

    def _the_same(self, before, value, place):
        """One hurdle and one share a deal: steps in several lists must agree."""
        if before not in (0.0, value):
            self.problems.add(place, value, f"{before:g}, as in the step before")
        return value

    def as_dict(self, name, pay_dates):
        """The deal file; what it lacks is in `problems`."""
        given = self.given
        equity = [{"name": n.name, "balance": n.balance} for n in given.notes if n.type == "equity"]
        if len(equity) != 1:
            self.problems.say("deal.notes: want exactly one of type equity")
            equity = [{"name": "equity", "balance": 1.0}]
        for note in self.notes:
            if note.accrues_from not in (None, given.closing):
                self.problems.add(f"deal.notes ({note.name}).accrues_from", str(note.accrues_from),
                                  f"the closing date, {given.closing}")
        return {
            "name": name, "source": SCHEMA, "target_par": given.initial_performing_balance,
            "closing": given.closing, "first_payment": pay_dates[0], "maturity": pay_dates[-1],
            "index": "none", "payment_months": given.payment_frequency_months,
            "hurdle_irr": self.hurdle, "incentive_share": self.incentive, "ccc_limit": 1.0,
            "defaulted_price": 0.0, "equity": equity[0],
            "notes": [{"name": n.name, "balance": n.balance, "deferrable": True,
                       "day_count": n.day_count, "rate": 0.0} for n in self.notes],
            "fees": [self._fee(f, f"deal.fees[{i + 1}] ({f.name})")
                     for i, f in enumerate(given.fees)],
            "tests": list(self.tests.values()), "diversions": self.diversions,
            "waterfall": {}} | self._events()

    def _fee(self, fee, place):
        if fee.kind not in ("fixed", "rate"):
            self.problems.add(f"{place}.kind", fee.kind, "fixed or rate")
        if fee.kind == "rate" and fee.basis not in BASES:
            self.problems.add(f"{place}.basis", fee.basis, "one of " + ", ".join(BASES))
        return {"name": fee.name, "per": "payment", "carried": fee.carry,
                "rate": fee.rate if fee.kind == "rate" else 0.0,
                "amount": fee.amount if fee.kind == "fixed" else 0.0,
                "basis": BASES.get(fee.basis, "opening")}

    def _events(self):
        out, event, sale = {}, self.given.event_of_default, self.sale
        if self.given.call_date is not None or sale is not None:
            out["call"] = {"price_performing": sale.price_performing if sale else 0.0,
                           "price_defaulted": sale.price_defaulted if sale else 0.0,
                           "fees_accrue": False, "date": self.given.call_date}
        if event is not None:
            out["event_of_default"] = {
                "through": self._through(event.denominator, "deal.event_of_default"),
                "trigger": event.trigger, "missed_interest": False,
                "effective": "same" if "same" in event.effective else "next"}
        return out

    def rates(self, pay_dates):
        """Note rates [P, K] by payment date."""
        out = np.zeros((len(pay_dates), len(self.notes) + 1))
        for k, note in enumerate(self.notes):
            place, by_date = f"deal.notes ({note.name})", note.rate_by_pay_date
            if (by_date is None) == (note.rate is None):
                self.problems.say(f"{place}: want either rate or rate_by_pay_date")
                continue
            for p, date in enumerate(pay_dates):
                if by_date is not None and date not in by_date:
                    self.problems.add(f"{place}.rate_by_pay_date", "missing", f"a rate on {date}")
                else:
                    out[p, k] = note.rate if by_date is None else by_date[date]
        return out

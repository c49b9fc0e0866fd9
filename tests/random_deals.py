"""Random deals for the waterfall's laws: structures through the rules of deal files, then draws.

A structure is a deal file as a dict, with features switched on by its seed; `draws` gives terms,
collections and index paths of one shape, so that a structure compiles once.
"""

import dataclasses
import datetime
import functools

import jax
import numpy as np

from clo_gen.cash.new_collateral import from_rates
from clo_gen.deal.waterfall import run_waterfall
from clo_gen.io.dates import add_months
from clo_gen.io.deal import load_deal
from clo_gen.io.deal_arrays import purchases
from clo_gen.io.deal_terms import DealTerms
from clo_gen.io.standard import standard_lists
from clo_gen.io.toml import parse

DATES, MONTHS, PAR = 8, 24, 100e6
CLOSING = datetime.date(2025, 1, 15)
FEATURES = (
    "fee_cap", "fee_basis", "fee_interest", "fee_not_carried", "reserve", "reserve_of_notes", "oc",
    "ic", "divert_to_collateral", "divert_to_notes", "reinvest", "reinvest_after", "refinance",
    "call_date", "call_below", "call_irr", "event_same", "event_next", "pari_passu", "no_deferral",
    "incentive", "swap", "cap", "european", "hand_made", "rolled", "late_tests",
)


def pay_date(p):
    """Payment date number p, from 1."""
    return add_months(CLOSING, 3 * p)


def features(seed):
    """The features of structure `seed`: about half of all, each in many structures."""
    r = np.random.default_rng([seed, 1])
    on = {name for name in FEATURES if r.random() < 0.5}
    for one, other in (("event_same", "event_next"), ("european", "hand_made")):
        on -= {other} if one in on else set()
    return on - (set() if "reinvest" in on else {"divert_to_collateral", "reinvest_after"})


def _notes(r, on):
    count = int(r.integers(3, 6))
    sizes = r.uniform(0.5, 1.5, count) * np.array([6.0, 1.5, 1.0, 0.8, 0.6])[:count]
    out = []
    for k, share in enumerate(sizes / sizes.sum()):
        note = {"name": "ABCDE"[k], "balance": float(share * 0.88 * PAR),
                "day_count": ("ACT/360", "30/360", "ACT/365F", "ACT/ACT")[r.integers(4)],
                "deferrable": k >= (count if "no_deferral" in on else 1)}
        kind = "rate" if r.random() < 0.3 else "spread_bps"
        note[kind] = float(0.04 + 0.02 * k if kind == "rate" else 100.0 + 100.0 * k)
        if "refinance" in on and k < 2:
            note["refinance"] = {"date": pay_date(3 + k), kind: note[kind] * 0.7}
        if "pari_passu" in on and k in (1, 2):
            note |= {"group": "mezzanine", "deferrable": out[1]["deferrable"] if k == 2
                     else note["deferrable"]}
        out.append(note)
    return out


def _fees(on):
    trustee = {"name": "trustee", "rate": 0.0004, "amount": 60_000.0}
    senior = {"name": "senior", "rate": 0.0015, "amount": 10_000.0, "per": "payment"}
    junior = {"name": "junior", "rate": 0.003, "rank": "subordinated"}
    if "fee_cap" in on:
        trustee["cap"] = 70_000.0
    if "fee_basis" in on:
        senior["basis"], junior["basis"] = "average", "closing"
    if "fee_interest" in on:
        junior["interest"] = 0.05
    if "fee_not_carried" in on:
        senior["carried"] = False
    return [trustee, senior, junior]


def _tests(r, on, notes):
    """Tests of about every second class, and diversions below them."""
    debt = np.cumsum([n["balance"] for n in notes]) / PAR
    groups = [n.get("group") or n["name"] for n in notes]
    ends = [k for k in range(len(notes)) if k + 1 == len(notes) or groups[k] != groups[k + 1]]
    tests = [{"name": f"{notes[k]['name']} {kind}", "kind": kind, "through": notes[k]["name"],
              "trigger": float(trigger)}
             for k in ends[:3] for kind, trigger in (("oc", 1 + 0.97 * (1 / debt[k] - 1)),
                                                     ("ic", r.uniform(1.0, 1.6))) if kind in on]
    for test in tests if "late_tests" in on else ():
        test["applies_from"] = pay_date(2 if test["kind"] == "oc" else 3)
    last = notes[-1]["name"]
    wanted = [to for to in ("collateral", "notes") if f"divert_to_{to}" in on]
    diversions = [{"name": f"to {to}", "through": last, "share": 0.4 + 0.2 * i, "to": to,
                   "trigger": float(1 / debt[-1]), "always": to == "notes"}
                  for i, to in enumerate(wanted)]
    return tests, diversions


def _events(r, on, notes):
    out = {}
    if "reinvest" in on:
        out["reinvestment"] = {
            "end": pay_date(5), "term_months": 9, "lag_months": 6, "recovery": 0.4,
            "price": float(r.choice([0.75, 0.97])), "after": 0.6 if "reinvest_after" in on else 0.0}
    if on & {"call_date", "call_below", "call_irr"}:
        call = {"price_performing": 0.98, "price_defaulted": 0.3,
                "fees_accrue": bool(r.random() < 0.5)}
        call |= {"date": pay_date(7)} if "call_date" in on else {}
        call |= {"collateral_below": 0.3} if "call_below" in on else {}
        call |= {"equity_irr": 0.15} if "call_irr" in on else {}
        out["call"] = call | {"non_call_end": pay_date(3)}
    if on & {"event_same", "event_next"}:
        out["event_of_default"] = {
            "through": notes[1]["name"], "trigger": 1.0 + float(r.uniform(0.1, 0.3)),
            "effective": "same" if "event_same" in on else "next",
            "missed_interest": bool(r.random() < 0.6)}
    return out


def _accounts(on):
    out = {"hedges": [], "reserves": []}
    if "swap" in on:
        out["hedges"].append({"name": "swap", "kind": "swap", "rate": 0.035,
                              "notional": [float(PAR) * x for x in (0.3, 0.3, 0.2, 0.1)]})
    if "cap" in on:
        out["hedges"].append({"name": "cap", "kind": "cap", "rate": 0.04, "premium": 0.001,
                              "notional": 0.2 * PAR})
    if "reserve" in on:
        out["reserves"].append({"name": "expenses", "initial": 300_000.0, "amount": 400_000.0})
    if "reserve_of_notes" in on:
        out["reserves"].append({"name": "liquidity", "rate": 0.002, "of_notes": {"A": 0.01},
                                "amount": 50_000.0})
    return out


def _by_hand(lists):
    """Standard lists as another deal might write them: interest in one claim, interest that is left
    joins principal, equity principal before the residual."""
    out = {}
    for name, listed in lists.items():
        steps = []
        for step in listed:
            op = step["op"]
            if op == "pay_note_interest" and name in ("accelerated", "call"):
                step = step | {"op": "pay_all_interest"}
            if op == "pay_residual_to_equity" and name == "interest":
                step = {"op": "move_all", "to": "principal"}
            elif op == "pay_residual_to_equity":
                steps.append({"op": "pay_equity_principal"})
            if not (name == "interest" and op in ("equity_to_hurdle", "pay_incentive")):
                steps.append(step)
        out[name] = steps
    return out


def structure(seed, on=None, junior=False):
    """A deal file as a dict; `on` replaces the features that the seed would switch on, `junior`
    adds a class below all others, above equity."""
    r, on = np.random.default_rng([seed, 2]), features(seed) if on is None else set(on)
    notes = _notes(r, on)
    tests, diversions = _tests(r, on, notes)
    events = _events(r, on, notes)
    if junior:
        notes.append({"name": "Z", "balance": 0.05 * PAR, "spread_bps": 900.0, "deferrable": True})
    given = {
        "name": f"random {seed}", "target_par": PAR, "closing": CLOSING,
        "first_payment": pay_date(1), "maturity": pay_date(DATES), "notes": notes,
        "business_days": "following" if "rolled" in on else "none",
        "equity": {"name": "equity", "balance": 0.12 * PAR, "price": 0.9}, "fees": _fees(on),
        "tests": tests, "diversions": diversions, "hurdle_irr": 0.08,
        "incentive_share": 0.2 if "incentive" in on else 0.0, "ccc_limit": 0.06,
        "waterfall": {"standard": "European" if "european" in on else "US"},
    } | _accounts(on) | events
    if "hand_made" in on:
        lists = _by_hand(standard_lists(parse(given, DealTerms, "random")))
        given["waterfall"] = {name: steps for name, steps in lists.items() if steps}
    return given


def load(given):
    return load_deal(parse(given, DealTerms, given["name"]), given["name"])


@dataclasses.dataclass(frozen=True)
class Case:
    """A loaded structure with its compiled batch run: (draws, temperature) -> TrancheCash [N]."""

    loaded: object
    run: object


@functools.cache
def case(seed):
    return case_of(structure(seed))


def case_of(given):
    loaded = load(given)

    @jax.jit
    def run(draws, temperature):
        return jax.vmap(lambda d: run_draw(loaded, d, temperature))(draws)

    return Case(loaded, run)


def run_draw(loaded, draw, temperature):
    """TrancheCash of one draw."""
    index, calendar, bought = draw["index"], draw["calendar"], purchases(loaded.terms)
    new = None
    if bought is not None:
        bought = bought.replace(price=bought.price * draw["price"])
        new = from_rates(bought, draw["cdr"], draw["cpr"], index, calendar)
    return run_waterfall(draw["deal"], loaded.waterfall, draw["collections"], index, temperature,
                         calendar=calendar, new=new)

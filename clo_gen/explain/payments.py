"""The steps of a waterfall as sentences."""

from typing import Any

from clo_gen.explain.words import listed, percent
from clo_gen.io.deal_terms import DealTerms

TITLES = {
    "interest": "Interest proceeds, on ordinary dates",
    "principal": "Principal proceeds, on ordinary dates",
    "accelerated": "All proceeds, after an event of default",
    "call": "All proceeds, on a call and at maturity",
}


def sentences(terms: DealTerms, name: str, steps: list[dict[str, Any]]) -> list[str]:
    """One sentence a step of the list `name`."""
    return [sentence(terms, name, step) for step in steps]


def sentence(terms: DealTerms, name: str, step: dict[str, Any]) -> str:
    """What a step (a dict as in a deal file) does, in one sentence."""
    own = name if name in ("interest", "principal") else "principal"
    account = step.get("from", own)
    text = _words(terms, step)
    if account == own or step["op"] in ("release_reserve", "move_all"):
        return text[0].upper() + text[1:]
    return f"From {_account(account)}: {text}"


def _account(name):
    return f"{name} proceeds" if name in ("interest", "principal") else f"the {name}"


def _names(value):
    return [value] if isinstance(value, str) else list(value)


def _shared(notes, how):
    """Names of notes, and how they share when there are several."""
    notes = _names(notes)
    return listed(notes) + (f", pro rata by {how}" if len(notes) > 1 else "")


def _words(terms, step):
    equity = terms.equity.name
    match step["op"]:
        case "pay_fee":
            cap = ", up to its yearly cap" if step.get("capped") else ""
            return f"pay the {step['fee']} fee{cap}."
        case "pay_hedge":
            return f"pay what is owed on the {step['hedge']}."
        case "pay_note_interest":
            return f"pay interest on {_shared(step['notes'], 'amount due')}."
        case "pay_deferred_interest":
            return f"pay deferred interest of {_shared(step['notes'], 'amount due')}."
        case "pay_all_interest":
            return f"pay current and deferred interest on {_shared(step['notes'], 'amount due')}."
        case "pay_note_principal":
            return f"repay {_shared(step['notes'], 'balance')}."
        case "cure_tests" | "divert" | "reinvest":
            return _tested(terms, step)
        case "fund_reserve":
            return f"fill the {step['reserve']} up to its target."
        case "release_reserve":
            return (f"move what the {step['from']} holds above its target to "
                    f"{_account(step['to'])}.")
        case "move_all":
            return f"move all of {_account(step.get('from', 'principal'))} to " \
                   f"{_account(step['to'])}."
        case "pay_equity_principal":
            return f"pay {equity} up to its balance."
        case "equity_to_hurdle":
            return f"pay {equity} until its IRR since closing is {percent(terms.hurdle_irr)}."
        case "pay_incentive":
            return f"pay the manager {percent(terms.incentive_share)} of what is left, once " \
                   f"{equity} has reached {percent(terms.hurdle_irr)}."
        case "pay_residual_to_equity":
            return f"pay the rest to {equity}."
    raise ValueError(f"{step['op']} is not an operation of a waterfall")


def _tested(terms, step):
    """Steps that depend on coverage tests."""
    if step["op"] == "cure_tests":
        tests = _names(step["tests"])
        passing = {1: "it passes", 2: "both pass"}.get(len(tests), "all pass")
        return f"if {listed(tests, 'or')} fails: repay {_order(step)} until {passing}."
    if step["op"] == "divert":
        d = next(d for d in terms.diversions if d.name == step["diversion"])
        until = "" if d.always else f", until {terms.reinvestment.end}"
        use = "buys collateral" if d.to == "collateral" else f"repays {_order(step)}"
        return (f"if {d.name} fails{until}: {percent(d.share)} of what is left, at most what "
                f"restores the ratio, {use}.")
    if terms.reinvestment is None:
        return "buy nothing: the deal has no reinvestment."
    tests = step.get("tests", purchase_tests(terms))
    condition = f", while {listed(_names(tests))} {'pass' if len(tests) > 1 else 'passes'}"
    after = (f"; afterwards with up to {percent(terms.reinvestment.after)} of prepayments"
             if terms.reinvestment.after else "")
    return (f"until {terms.reinvestment.end}, buy collateral with all that is left{after}"
            f"{condition if tests else ''}.")


def _order(step):
    return (f"{listed(_names(step['order']))}, in this order," if "order" in step
            else "the tested class and those senior to it, senior first,")


def purchase_tests(terms: Any) -> list[str]:
    """Names of the tests that must pass for principal to be reinvested."""
    given = terms.reinvestment.tests
    return [t.name for t in terms.tests if t.kind == "oc"] if given is None else list(given)

"""Lists of steps written by hand: what is wrong in them, and in the terms they name, is said."""

import datetime

import pytest

from clo_gen.io.deal import load_deal
from clo_gen.io.deal_terms import DealTerms
from clo_gen.io.problems import InputError
from clo_gen.io.toml import parse


def small_deal(**changes):
    """A deal with two classes and hand-made lists, as a dict; `changes` replace keys."""
    steps = dict(
        interest=[dict(op="pay_fee", fee="trustee"), dict(op="pay_note_interest", notes=["A"]),
                  dict(op="pay_note_interest", notes=["B"]),
                  dict(op="pay_deferred_interest", notes=["B"]),
                  dict(op="cure_tests", tests=["B OC"]), dict(op="pay_residual_to_equity")],
        principal=[dict(op="pay_note_principal", notes=["A", "B"]),
                   dict(op="pay_residual_to_equity")])
    lists = {k: changes.pop(k) for k in ("interest", "principal", "accelerated", "call")
             if k in changes}
    return dict(
        name="small", target_par=100.0, closing=datetime.date(2025, 1, 15),
        first_payment=datetime.date(2025, 4, 15), maturity=datetime.date(2026, 1, 15),
        notes=[dict(name="A", balance=60.0, rate=0.05),
               dict(name="B", balance=20.0, rate=0.08, deferrable=True)],
        equity=dict(name="equity", balance=20.0), fees=[dict(name="trustee", rate=0.001)],
        tests=[dict(name="B OC", kind="oc", through="B", trigger=1.1)],
        waterfall=steps | lists) | changes


def refuse(match, **changes):
    with pytest.raises(InputError, match=match):
        load_deal(parse(small_deal(**changes), DealTerms, "small"), "small")


def edit(name, at, **keys):
    """The list `name` of the small deal with step `at` changed, or removed without keys."""
    steps = list(small_deal()["waterfall"][name])
    steps[at: at + 1] = [steps[at] | keys] if keys else []
    return {name: steps}


@pytest.mark.parametrize("changes,message", [
    (edit("interest", 1, op="pay_coupon"), r"interest\[2\].op: 'pay_coupon'; want one of pay_fee"),
    (edit("interest", 1, notes=["Z"]), r"\(pay_note_interest\).notes: 'Z'; want one of A, B"),
    (edit("interest", 1, notes=["A", "A"]), "notes: 'A'; want each name once"),
    (edit("interest", 1, notes=[{"a": 1}]), "want one of A, B"),
    (edit("interest", 1, notes=[]), "notes: .*want a list of names"),
    (edit("interest", 0, fee="bank"), r"\(pay_fee\).fee: 'bank'; want one of trustee"),
    (edit("interest", 0, caped=True), "caped: unknown key, perhaps capped"),
    (edit("interest", 0, capped=1), "capped: 1; want true or false"),
    (edit("interest", 4, tests=["C OC"]), r"\(cure_tests\).tests: 'C OC'; want one of B OC"),
    (edit("interest", 0, **{"from": "reserve"}), "from: 'reserve'; want an account: interest, pri"),
    (edit("interest", 2), "no step pays the interest of note B"),
    (edit("interest", 3), "no step pays the deferred interest of note B"),
    (edit("principal", 0, notes=["A"]), "no step pays the principal of note B"),
    (edit("interest", 0), "no step pays the fee trustee"),
    (edit("interest", 4), "no step cures the test B OC"),
    (edit("interest", 5), "want pay_residual_to_equity .* as the last step from the interest acc"),
    (edit("interest", 5, op="pay_incentive"), "want equity_to_hurdle before pay_incentive"),
    (edit("interest", 5, op="move_all", to="interest"), "cash moves in a cycle between interest"),
    (dict(interest=[dict(op="move_all", to="principal"),
                    {"op": "move_all", "from": "principal", "to": "interest"}]),
     "cash moves in a cycle between interest and principal"),
    (dict(event_of_default=dict(through="A", trigger=1.0)), "waterfall.accelerated: missing"),
    (dict(call=[dict(op="pay_residual_to_equity")]), r"there is no \[call\] that leads to it"),
    (dict(diversions=[dict(name="D", through="B", trigger=1.05)]), "or always = true"),
    (dict(diversions=[dict(name="D", through="B", trigger=1.05, always=True)]),
     "no step makes the diversion D"),
    (dict(diversions=[dict(name="D", through="Q", trigger=0.9, always=True)]), "3 problems"),
    (dict(reserves=[dict(name="R", amount=1.0)]), "no step releases the reserve R"),
    (edit("principal", 1, op="move_all", to="interest"),
     "cash moves from principal to interest after the last step that pays out all of it"),
    (dict(reserves=[dict(name="interest")]), "reserves: 'interest'; want each name once"),
    (dict(reserves=[dict(name="R", of_notes={"Q": 0.1})]), "of_notes: 'Q'; want a debt class"),
    (dict(hedges=[dict(name="S", kind="swap", notional=1.0, rate=0.03)]),
     "no step pays the hedge S"),
    (dict(hedges=[dict(name="S", kind="swap", notional=[], rate=0.03)]), "at least 1 item"),
    (dict(reinvestment=dict(end=datetime.date(2025, 7, 15), term_months=3, tests=["x"])),
     "reinvestment.tests: 'x'; want one of B OC"),
])
def test_bad_lists_and_terms_are_refused(changes, message):
    refuse(message, **changes)


def test_the_small_deal_itself_is_good():
    assert load_deal(parse(small_deal(), DealTerms, "small"), "small").classes[-1] == "equity"

"""Standard priorities of payments, written out from a deal's classes, fees and tests.

The steps are dicts as a deal file has them, so that they can be printed, copied and changed.
"""

from itertools import groupby, takewhile
from typing import Any

from clo_gen.io.deal_terms import DealTerms

LISTS = ("interest", "principal", "accelerated", "call")


def _groups(terms):
    """Debt classes by priority, those of one pari passu group together: [[NoteTerms]]."""
    return [list(g) for _, g in groupby(terms.notes, key=lambda n: n.group or f"\0{n.name}")]


def _names(notes):
    return [n.name for n in notes]


def _step(op, **keys):
    return {"op": op, **keys}


def _senior(terms):
    fees = [_step("pay_fee", fee=f.name, **({"capped": True} if f.cap is not None else {}))
            for f in terms.fees if f.rank == "senior"]
    return fees + [_step("pay_hedge", hedge=h.name) for h in terms.hedges]


def _subordinated(terms):
    """Junior fees, what senior fees left above their caps, then equity."""
    fees = [_step("pay_fee", fee=f.name) for f in terms.fees if f.rank == "subordinated"]
    over_cap = [_step("pay_fee", fee=f.name) for f in terms.fees
                if f.rank == "senior" and f.cap is not None]
    share = [_step("equity_to_hurdle"), _step("pay_incentive")] if terms.incentive_share else []
    return [*fees, *over_cap, *share, _step("pay_residual_to_equity")]


def _deferred(group):
    names = _names(n for n in group if n.deferrable)
    return [_step("pay_deferred_interest", notes=names)] if names else []


def _tests_through(terms, group):
    """Tests of the classes of one group; those of its last class cover all of it."""
    return [t.name for t in terms.tests if t.through in _names(group)]


def _classes_from_interest(terms):
    """Interest, then the class's tests; deferred interest after them (US) or before (European)."""
    out, waiting = [], []
    european = terms.waterfall.standard == "European"
    groups = _groups(terms)
    last_tested = max((i for i, g in enumerate(groups) if _tests_through(terms, g)), default=-1)
    for i, group in enumerate(groups):
        out.append(_step("pay_note_interest", notes=_names(group)))
        if european or i > last_tested:
            out += _deferred(group)
        else:
            waiting += _deferred(group)
        tests = _tests_through(terms, group)
        if tests:
            out.append(_step("cure_tests", tests=tests))
            out += waiting
            waiting = []
    return out + waiting


def _interest(terms):
    release = [_step("release_reserve", **{"from": r.name, "to": "interest"})
               for r in terms.reserves]
    divert = [_step("divert", diversion=d.name) for d in terms.diversions]
    fund = [_step("fund_reserve", reserve=r.name) for r in terms.reserves]
    return [*release, *_senior(terms), *_classes_from_interest(terms), *divert, *fund,
            *_subordinated(terms)]


def _principal(terms):
    """Senior shortfalls (from reserves first), cures and purchases, then classes in sequence."""
    groups = _groups(terms)
    senior = list(takewhile(lambda g: not any(n.deferrable for n in g), groups))
    junior = groups[len(senior):]
    interest = [_step("pay_note_interest", notes=_names(g)) for g in senior]
    reserves = [{**step, "from": r.name} for r in terms.reserves for step in interest]
    buys = []
    if terms.reinvestment is not None:
        buys = [_step("cure_tests", tests=tests) for g in groups
                if (tests := _tests_through(terms, g))]
        buys.append(_step("reinvest"))
    out = [*reserves, *_senior(terms), *interest, *buys]
    out += [_step("pay_note_principal", notes=_names(g)) for g in senior]
    for group in junior:
        out += [_step("pay_note_interest", notes=_names(group)), *_deferred(group),
                _step("pay_note_principal", notes=_names(group))]
    return out + _subordinated(terms)


def _one_waterfall(terms):
    """All cash in one sequence: each class's interest and principal before the next class."""
    out = [_step("move_all", **{"from": r.name, "to": "principal"}) for r in terms.reserves]
    out.append(_step("move_all", **{"from": "interest", "to": "principal"}))
    out += [{**step, "capped": False} if step["op"] == "pay_fee" else step
            for step in _senior(terms)]
    for group in _groups(terms):
        out += [_step("pay_note_interest", notes=_names(group)), *_deferred(group),
                _step("pay_note_principal", notes=_names(group))]
    return [{k: v for k, v in s.items() if k != "capped"} for s in out] + [
        s for s in _subordinated(terms) if not _is_over_cap(terms, s)]


def _is_over_cap(terms, step):
    """Fees have no cap after acceleration: nothing of a senior fee is left for later."""
    return step["op"] == "pay_fee" and any(
        f.name == step["fee"] and f.rank == "senior" for f in terms.fees)


def standard_lists(terms: DealTerms) -> dict[str, list[dict[str, Any]]]:
    """{list name: steps} of a deal; lists that it gives itself replace the standard ones."""
    w = terms.waterfall
    given = {name: getattr(w, name) for name in LISTS}
    if w.standard is not None:
        made = {"interest": _interest(terms), "principal": _principal(terms)}
        if terms.event_of_default is not None:
            made["accelerated"] = _one_waterfall(terms)
        if terms.call is not None:
            made["call"] = _one_waterfall(terms)
        given = {name: made.get(name) if steps is None else steps for name, steps in given.items()}
    return {name: list(steps or ()) for name, steps in given.items()}


def as_toml(lists: dict[str, list[dict[str, Any]]]) -> str:
    """The lists as a deal file would have them."""
    def value(x):
        if isinstance(x, bool):
            return "true" if x else "false"
        if isinstance(x, list | tuple):
            return "[" + ", ".join(value(v) for v in x) + "]"
        return f'"{x}"' if isinstance(x, str) else str(x)

    out = ["[waterfall]"]
    for name, steps in lists.items():
        if steps:
            out += [f"{name} = ["]
            out += ["  { " + ", ".join(f"{k} = {value(v)}" for k, v in s.items()) + " },"
                    for s in steps]
            out += ["]"]
    return "\n".join(out)

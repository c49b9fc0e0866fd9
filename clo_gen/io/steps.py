"""Steps of a deal file, names and all, into the numbered steps of deal.steps; judged here."""

import dataclasses
from itertools import groupby
from typing import Any

from clo_gen.deal import steps
from clo_gen.io.problems import Problems

_DEFAULT_ACCOUNT = {"interest": "interest", "principal": "principal", "accelerated": "principal",
                    "call": "principal"}
# The keys of each operation beside op and from; a key in brackets may be missing.
_KEYS = {
    "pay_fee": ("fee", "[capped]"), "pay_hedge": ("hedge",), "pay_note_interest": ("notes",),
    "pay_deferred_interest": ("notes",), "pay_all_interest": ("notes",),
    "pay_note_principal": ("notes",),
    "cure_tests": ("tests", "[order]"), "divert": ("diversion", "[order]"),
    "reinvest": ("[tests]",), "fund_reserve": ("reserve",), "release_reserve": ("to",),
    "move_all": ("to",), "pay_equity_principal": (), "equity_to_hurdle": (), "pay_incentive": (),
    "pay_residual_to_equity": (),
}
_SINGLE = ("fee", "hedge", "diversion", "reserve", "to")


@dataclasses.dataclass(frozen=True)
class Names:
    """Names of a deal, in the order of their numbers."""

    notes: tuple[str, ...]
    fees: tuple[str, ...]
    hedges: tuple[str, ...]
    tests: tuple[str, ...]
    diversions: tuple[str, ...]
    reserves: tuple[str, ...]
    priority: tuple[int, ...]  # rank of each note; pari passu notes have the same
    test_notes: tuple[tuple[int, ...], ...]  # of each test, then diversion: its class and senior
    diverts_to_notes: tuple[bool, ...]  # of each diversion
    reinvests: bool
    reinvestment_tests: tuple[int, ...]

    def grouped(self, order: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Note numbers in `order` as groups: neighbours of equal priority are pari passu."""
        return tuple(tuple(g) for _, g in groupby(order, key=lambda k: self.priority[k]))

    def order(self, values: dict[str, tuple[int, ...]],
              tests: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Groups that a cure of `tests` repays: those given, else the tested classes in sequence.
        Once they are repaid the tests have nothing left to cover."""
        tested = max((self.test_notes[q] for q in tests), key=len)
        return self.grouped(values.get("order", tested))

    @property
    def accounts(self) -> tuple[str, ...]:
        return ("interest", "principal", *self.reserves)

    def known(self, key: str) -> tuple[str, ...]:
        return {"fee": self.fees, "hedge": self.hedges, "notes": self.notes, "order": self.notes,
                "tests": self.tests, "diversion": self.diversions, "reserve": self.reserves,
                "to": self.accounts, "from": self.accounts}[key]


def resolve(lists: dict[str, list[dict[str, Any]]], names: Names,
            problems: Problems) -> dict[str, tuple[Any, ...]]:
    """{list name: steps} of `lists` ({list name: dicts}); what is wrong goes to `problems`."""
    out = {}
    for name, given in lists.items():
        resolved = [_step(step, name, f"waterfall.{name}[{i + 1}]", names, problems)
                    for i, step in enumerate(given)]
        out[name] = tuple(s for s in resolved if s is not None)
        _check_cycles(name, out[name], problems)
    return out


def _step(given, list_name, place, names, problems):
    given, before = dict(given), len(problems.found)
    op = given.pop("op", None)
    if not isinstance(op, str) or op not in steps.OPS:
        problems.add(f"{place}.op", "missing" if op is None else op,
                     "one of " + ", ".join(steps.OPS))
        return None
    place = f"{place} ({op})"
    account = given.pop("from", _DEFAULT_ACCOUNT[list_name])
    if account not in names.accounts:
        problems.add(f"{place}.from", account, "an account: " + ", ".join(names.accounts))
    keys = {k.strip("[]"): k.startswith("[") for k in _KEYS[op]}
    problems.unknown([key for key in given if key not in keys], ["op", "from", *keys],
                     place=f"{place}.")
    values = {}
    for key, optional in keys.items():
        if key in given:
            values[key] = _value(given[key], key, f"{place}.{key}", names, problems)
        elif not optional:
            problems.say(f"{place}.{key}: missing")
    return _build(op, account, values, names) if len(problems.found) == before else None


def _value(value, key, place, names, problems):
    if key == "capped":
        if not isinstance(value, bool):
            problems.add(place, value, "true or false")
        return value
    known, single = names.known(key), key in _SINGLE
    is_name = isinstance(value, str)
    listed = (value,) if is_name else value
    if not isinstance(listed, list | tuple) or not listed or (single and not is_name):
        problems.add(place, value, "a name" if single else "a list of names")
        return None
    listed = tuple(map(str, listed))
    for item in dict.fromkeys(listed):
        if listed.count(item) > 1:
            problems.add(place, item, "each name once")
        if item not in known:
            problems.add(place, item, "one of " + (", ".join(known) or "(none is defined)"))
    if key == "to":
        return value
    found = tuple(known.index(item) for item in listed if item in known)
    return (found[0] if found else None) if single else found


def _build(op, account, values, names):
    if op == "cure_tests":
        return steps.CureTests(account, values["tests"], names.order(values, values["tests"]))
    if op == "divert":
        v = values["diversion"]
        test, to_notes = len(names.tests) + v, names.diverts_to_notes[v]
        return steps.Divert(account, test, v, None if to_notes else "principal",
                            names.order(values, [test]) if to_notes else ())
    if op == "reinvest":
        return steps.Reinvest(account, values.get("tests", names.reinvestment_tests))
    return steps.OPS[op](account, **values)


def _check_cycles(list_name, listed, problems):
    """Cash that could go round in a circle would be paid twice."""
    moves: dict = {}
    for step in listed:
        if getattr(step, "to", None) and not isinstance(step, steps.ReleaseReserve):
            moves.setdefault(step.account, set()).add(step.to)

    def reaches(start, goal, seen=()):
        return any(a == goal or (a not in seen and reaches(a, goal, (*seen, a)))
                   for a in moves.get(start, ()))

    circle = sorted(a for a in moves if reaches(a, a))
    if circle:
        problems.say(f"waterfall.{list_name}: cash moves in a cycle between {' and '.join(circle)}"
                     "; want transfers in one direction only")


def check_order_of_payments(names: Names, lists: dict[str, tuple[Any, ...]], deferrable: list[bool],
                            problems: Problems) -> None:
    """Every class, fee and test has its step, and no cash is left without a payee."""
    ordinary = lists["interest"] + lists["principal"]
    _check_payees("waterfall", ordinary, names, deferrable, problems)
    for name in ("accelerated", "call"):
        if lists[name]:
            _check_payees(f"waterfall.{name}", lists[name], names, deferrable, problems)
    for i in sorted(set(range(len(names.fees))) - _covered(ordinary, steps.PayFee, "fee")):
        problems.say(f"waterfall: no step pays the fee {names.fees[i]}")
    for i in sorted(set(range(len(names.hedges))) - _covered(ordinary, steps.PayHedge, "hedge")):
        problems.say(f"waterfall: no step pays the hedge {names.hedges[i]}")
    tested = (_covered(ordinary, steps.CureTests, "tests")
              | _covered(ordinary, steps.Reinvest, "tests"))
    for i in sorted(set(range(len(names.tests))) - tested):
        problems.say(f"waterfall: no step cures the test {names.tests[i]}")
    diverted = _covered(ordinary, steps.Divert, "diversion")
    for i in sorted(set(range(len(names.diversions))) - diverted):
        problems.say(f"waterfall: no step makes the diversion {names.diversions[i]}")
    purchases = sum(isinstance(s, steps.Reinvest) for s in ordinary)
    if purchases != names.reinvests:
        problems.say(f"waterfall: {purchases} reinvest steps; want "
                     + ("one, as the deal has [reinvestment]" if names.reinvests
                        else "none, as the deal has no [reinvestment]"))
    for name, listed in lists.items():
        if listed:
            _check_end(name, listed, problems)
    for name, listed in ({"interest and principal": ordinary} | {
            n: lists[n] for n in ("accelerated", "call")}).items():
        if listed:
            _check_transfers(name, listed, names.reserves, problems)


def _covered(listed, kind, attribute):
    """Numbers that the steps of one kind name."""
    found = set()
    for step in listed:
        if isinstance(step, kind):
            value = getattr(step, attribute)
            found |= set(value) if isinstance(value, tuple) else {value}
    return found


def _check_payees(place, listed, names, deferrable, problems):
    """Every class is paid by the list."""
    wanted = (("interest", steps.PayNoteInterest | steps.PayAllInterest),
              ("principal", steps.PayNotePrincipal),
              ("deferred interest", steps.PayDeferredInterest | steps.PayAllInterest))
    for what, kind in wanted:
        for i in sorted(set(range(len(names.notes))) - _covered(listed, kind, "notes")):
            if what != "deferred interest" or deferrable[i]:
                problems.say(f"{place}: no step pays the {what} of note {names.notes[i]}")


def _check_transfers(name, listed, reserves, problems):
    """Cash moved to an account must still find a step that empties it; so must every reserve."""
    empties = steps.PayEquity | steps.MoveAll | steps.ReleaseReserve
    for i, step in enumerate(listed):
        to = getattr(step, "to", None)
        if to and to not in reserves and not any(
                s.account == to and isinstance(s, empties) for s in listed[i + 1:]):
            problems.say(f"waterfall, {name}: cash moves from {step.account} to {to} after the "
                         "last step that pays out all of it")
    for reserve in reserves:
        if not any(s.account == reserve and isinstance(s, empties) for s in listed):
            problems.say(f"waterfall, {name}: no step releases the reserve {reserve}")


def _check_end(name, listed, problems):
    for account in ("interest", "principal"):
        of_account = [s for s in listed if s.account == account]
        kinds = [type(s) for s in of_account]
        if steps.PayIncentive in kinds and steps.PayEquityToHurdle not in kinds[
                : kinds.index(steps.PayIncentive)]:
            problems.say(f"waterfall.{name}: want equity_to_hurdle before pay_incentive, so that "
                         "the manager shares only beyond the hurdle")
        if name in ("interest", "principal") and account != name:
            continue
        if not of_account or not isinstance(of_account[-1], steps.PayEquity | steps.MoveAll):
            problems.say(f"waterfall.{name}: want pay_residual_to_equity (or move_all) as the last "
                         f"step from the {account} account, so that no cash is left without a "
                         "payee")

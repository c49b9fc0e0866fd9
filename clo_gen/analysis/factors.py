"""The bars of a sensitivity analysis: which bumps, how large, and what they are called."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from clo_gen.analysis.bumps import Bumps
from clo_gen.analysis.sensitivity import Factor
from clo_gen.io.problems import Problems

# Default sizes: a share of the odds or loadings where `_RELATIVE`, else in the field's unit.
SIZES = {
    "default_odds": 0.10, "recovery": 0.01, "prepayment": 0.01, "loan_spread": 0.0010,
    "loading": 0.10, "macro": 0.0025, "note_spread": 0.0010, "market_spread": 0.0010,
    "trigger": 0.0025, "fee": 0.0010, "size": 0.0025, "loan_odds": 0.25, "loan_par": 0.005}
_RELATIVE = ("default_odds", "loading", "loan_odds")


@dataclasses.dataclass(frozen=True)
class Names:
    """What the entries of Bumps are called."""

    ratings: tuple[str, ...]
    series: tuple[str, ...]
    classes: tuple[str, ...]
    tests: tuple[str, ...]
    fees: tuple[str, ...]
    obligors: tuple[str, ...]  # [L] of each loan


def judge_sizes(assignments: Sequence[str]) -> dict[str, float]:
    """SIZES with `assignments` ("macro=0.005") in them. Raises InputError with every problem."""
    sizes, problems = dict(SIZES), Problems("--size")
    for text in assignments:
        field, equals, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if field.strip() not in SIZES:
            problems.add("name", field, "one of " + ", ".join(SIZES))
        elif not equals or not 0.0 < number <= 10.0:
            problems.add(field, value, "a positive number up to 10, such as macro=0.005")
        else:
            sizes[field.strip()] = number
    problems.raise_if_any()
    return sizes


def in_words(field: str, size: float) -> str:
    """A stated bump: "+10 %" of odds and loadings, "+25 bp", "+5 points"."""
    if field in _RELATIVE:
        return f"+{size * 100:g} %"
    points = "point" if size == 0.01 else "points"
    return f"+{size * 1e4:g} bp" if size < 0.01 else f"+{size * 100:g} {points}"


def factors_of(base: Bumps, names: Names, balance, sizes, top):
    """Factors of all bumps in one list; obligors: the `top` largest by `balance` [L]."""
    made = []

    def add(field, name, direction, whole=True):
        size = np.log1p(sizes[field]) if field in _RELATIVE else sizes[field]
        made.append(Factor(field, name, np.asarray(direction, float), float(size),
                           in_words(field, sizes[field]), whole))

    def add_each(field, labels, text):
        for row, label in zip(np.eye(getattr(base, field).shape[0]), labels, strict=False):
            add(field, text.format(label), row)

    add_each("default_odds", names.ratings, "default odds, {}")
    add("recovery", "recovery rate", 1.0)
    add("prepayment", "prepayment (CPR)", 1.0)
    add("loan_spread", "loan spreads", 1.0)
    add_each("loading", ("cohort", "industry", "region"), "loading, {} factor")
    quarters = np.eye(base.macro.shape[0])
    for column, series in zip(np.eye(len(names.series)), names.series, strict=True):
        add("macro", series, np.ones((len(quarters), 1)) * column)
        for q, quarter in enumerate(quarters):
            add("macro", f"{series}, quarter {q + 1}", np.outer(quarter, column), whole=False)
    add_each("note_spread", names.classes[:-1], "coupon, {}")
    add("market_spread", "market spread of the classes", 1.0)
    add_each("trigger", names.tests, "trigger, {}")
    add_each("fee", names.fees[: base.fee.shape[0]], "fee, {}")
    add_each("size", names.classes[:-1], "size, {}")
    _add_obligors(add, np.asarray(names.obligors), np.asarray(balance, float), top)
    return tuple(made)


def _add_obligors(add, obligors, balance, top):
    held = {name: balance[obligors == name].sum() for name in dict.fromkeys(obligors.tolist())}
    for name in sorted(held, key=lambda name: -held[name])[:top]:
        own = obligors == name
        if held[name] > 0:
            add("loan_odds", f"odds of worse moves, {name}", own)
            add("loan_par", f"par, {name}", np.where(own, balance, 0.0) / held[name])

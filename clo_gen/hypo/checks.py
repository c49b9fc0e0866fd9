"""Inputs of hypo pools, judged on the host before anything is traced: every problem at once."""

import math
from numbers import Integral, Real
from typing import Any

import numpy as np

from clo_gen.hypo.objects import ConcLimitException, Obligor
from clo_gen.hypo.records import LEVELS
from clo_gen.io.problems import Problems

EPS = 1e-9
MOST_EXCEPTIONS = 200  # of one size


def is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def number(problems: Problems, name: str, value: Any, low: float = -math.inf,
           high: float = math.inf, *, above: float | None = None) -> float:
    """`value` as a float; a complaint and nan when it is not a number in the range."""
    if above is not None:
        want, fits = f"a number above {above:g}", lambda x: x > above
    elif math.isinf(low) and math.isinf(high):
        want, fits = "a number", lambda x: True
    elif math.isinf(high):
        want, fits = f"a number of at least {low:g}", lambda x: x >= low
    else:
        want, fits = f"a number in [{low:g}, {high:g}]", lambda x: low <= x <= high
    if not is_number(value) or not fits(float(value)):
        problems.add(name, value, want)
        return math.nan
    return float(value)


def rising_table(problems: Problems, name: str, values: Any, *,
                 at_least: int = 2) -> Any:
    """[R] floats from a list, an array or {rating from 1: value}."""
    if isinstance(values, dict):
        if set(values) != set(range(1, len(values) + 1)):
            problems.add(name, list(values), "ratings 1, 2, 3, ... without gaps as keys")
            return None
        values = [values[k] for k in range(1, len(values) + 1)]
    table = numbers(problems, name, values, at_least=at_least)
    if table is not None and table[0] < 0:
        problems.add(f"{name}[1]", float(table[0]), "a number of at least 0")
        return None
    if table is not None and not (np.diff(table) > 0).all():
        place = int(np.argmin(np.diff(table) > 0))
        problems.add(f"{name}[{place + 2}]", float(table[place + 1]),
                     f"more than {table[place]:g}, the score of the rating above it")
        return None
    return table


def numbers(problems: Problems, name: str, values: Any, *, at_least: int = 1,
            exactly: int | None = None, above: float = -math.inf) -> Any:
    """[n] floats; a complaint and None when they are not that."""
    want = f"{exactly} numbers" if exactly is not None else f"at least {at_least} numbers"
    want += "" if math.isinf(above) else f" above {above:g}"
    out = array(values)
    if out is None or out.ndim != 1 or not np.isfinite(out).all() or not (out > above).all() or (
            len(out) < at_least if exactly is None else len(out) != exactly):
        problems.add(name, values, want)
        return None
    return out


def whole_number(value: Any) -> Any:
    """`value` as an int when it is a whole number, else None."""
    return int(value) if is_number(value) and value == int(value) else None


def array(values: Any) -> Any:
    """`values` as floats; None when they are not numbers in a regular shape."""
    try:
        return np.asarray(list(values) if isinstance(values, range) else values, float)
    except (TypeError, ValueError):
        return None


def exceptions(problems: Problems, name: str, given: Any, base: Any,
               base_name: str) -> list[float]:
    """Unit exceptions, falling; those that equal the base have no effect and are left out."""
    if given is None:
        return []
    if not isinstance(given, list | tuple):
        problems.add(name, given, "a list of ConcLimitException(number, percentage), or None")
        return []
    units = []
    for i, item in enumerate(given):
        place = f"{name}[{i + 1}]"
        count, share = _pair(item)
        if not is_number(share) or not 0.0 < share <= 1.0:
            problems.add(place, item, "ConcLimitException(number, percentage), or that pair, with "
                         "a percentage in (0, 1]")
        elif whole_number(count) is None or not 0 <= count <= MOST_EXCEPTIONS:
            problems.add(place, item, "a whole number of obligors or industries in "
                         f"[0, {MOST_EXCEPTIONS}]")
        elif share < base - EPS:
            problems.add(place, share, f"more than {base_name}, which is {base:g}")
        elif share > base + EPS:
            units += [float(share)] * whole_number(count)
    return sorted(units, reverse=True)


def _pair(item):
    """(number, percentage) of one exception as users write it."""
    if isinstance(item, ConcLimitException):
        return item.number, item.percentage
    return tuple(item) if isinstance(item, tuple | list) and len(item) == 2 else (None, None)


def lock(problems: Problems, name: str, given: tuple[int, float] | None,
         ratings: int) -> tuple[int, float]:
    """(rating, share) of a forced rating; (1, 0.0) for None."""
    if given is None:
        return 1, 0.0
    if not isinstance(given, tuple | list) or len(given) != 2 or not all(map(is_number, given)):
        problems.add(name, given, "a pair (rating, share of the pool)")
        return 1, 0.0
    rating, share = given
    if rating != int(rating) or not 1 <= rating <= ratings:
        problems.add(f"{name} rating", rating, f"a whole number in [1, {ratings}]")
        return 1, 0.0
    if not 0.0 <= share <= 1.0:
        problems.add(f"{name} share", share, "a fraction in [0, 1]")
        return 1, 0.0
    return int(rating), float(share)


def locks(problems: Problems, force_high: tuple[int, float] | None,
          force_low: tuple[int, float] | None, scores: np.ndarray | None) -> Any:
    """Both forced ratings: ((rating, share) high, (rating, share) low)."""
    if scores is None:  # the table was complained of
        return (1, 0.0), (1, 0.0)
    ratings = len(scores)
    high, low = (lock(problems, name, given, ratings) for name, given in (
        ("force_high", force_high), ("force_low", force_low)))
    if high[1] + low[1] > 1.0 + EPS:
        problems.add("force_high + force_low", high[1] + low[1], "shares that sum to at most 1")
    return high, low


def obligors(
        problems: Problems,
        given: Any) -> tuple[tuple[str, ...], list[Obligor]]:
    """(names, [Obligor]) by falling share from a list, or from the obligors of a result."""
    if not isinstance(given, dict | list | tuple):
        problems.add("hypo_pool_diversity", given, "a list of Obligor, or obligors of a result")
        return (), []
    listed = list(given.values()) if isinstance(given, dict) else list(given)
    if not listed:
        problems.say("hypo_pool_diversity: empty; want at least one Obligor")
        return (), []
    for i, o in enumerate(listed):
        place = f"hypo_pool_diversity[{i + 1}]"
        if not isinstance(o, Obligor):
            problems.add(place, o, "an Obligor(percentage, industry)")
        elif not is_number(o.percentage) or not 0.0 < o.percentage <= 1.0 + EPS:
            problems.add(f"{place}.percentage", o.percentage, "a fraction in (0, 1]")
        elif not all(isinstance(x, str | Integral) for x in (o.industry, o.region)):
            problems.add(place, o, "an industry and a region that are names or whole numbers")
    if problems.found:
        return (), []
    total = math.fsum(o.percentage for o in listed)
    if abs(total - 1.0) > 1e-6:
        problems.add("hypo_pool_diversity percentages", f"sum {total:.6f}", "a sum of 1")
    order = sorted(range(len(listed)), key=lambda n: -listed[n].percentage)
    own = list(given) if isinstance(given, dict) else None
    names = tuple(f"OB{place + 1:03d}" if own is None else str(own[n])
                  for place, n in enumerate(order))
    return names, [listed[n] for n in order]


def run_mode(problems: Problems, given: Any) -> Any:
    if not isinstance(given, str) or given not in LEVELS:
        problems.add("run_mode", given, " or ".join(LEVELS))
    return given

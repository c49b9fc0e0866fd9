"""Inputs of hypo pools, judged on the host before anything is traced: every problem at once."""

import math
from numbers import Real

import numpy as np

from clo_gen.hypo.objects import ConcLimitException, Obligor
from clo_gen.hypo.records import LEVELS

EPS = 1e-9


def is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def number(problems, name, value, low=-math.inf, high=math.inf, *, above=None):
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


def rising_table(problems, name, values, *, at_least=2):
    """[R] floats from a list, an array or {rating from 1: value}."""
    if isinstance(values, dict):
        keys = sorted(values)
        if keys != list(range(1, len(keys) + 1)):
            problems.add(name, keys, "ratings 1, 2, 3, ... without gaps as keys")
            return None
        values = [values[k] for k in keys]
    table = numbers(problems, name, values, at_least=at_least)
    if table is not None and not (np.diff(table) > 0).all():
        place = int(np.argmin(np.diff(table) > 0))
        problems.add(f"{name}[{place + 2}]", float(table[place + 1]),
                     f"more than {table[place]:g}, the score of the rating above it")
        return None
    return table


def numbers(problems, name, values, *, at_least=1, exactly=None):
    """[n] floats; a complaint and None when they are not that."""
    want = (f"{exactly} numbers" if exactly is not None else f"at least {at_least} numbers")
    try:
        out = np.asarray(values, float)
    except (TypeError, ValueError):
        problems.add(name, values, want)
        return None
    short = len(out) != exactly if exactly is not None and out.ndim == 1 else (
        out.ndim != 1 or len(out) < at_least)
    if short or not np.isfinite(out).all():
        problems.add(name, values, want)
        return None
    return out


def exceptions(problems, name, given, base, base_name):
    """Unit exceptions, falling; those that equal the base have no effect and are left out."""
    units = []
    for i, item in enumerate(given if given is not None else ()):
        place = f"{name}[{i + 1}]"
        count, share = _pair(item)
        if share is None or not is_number(share) or not 0.0 < share <= 1.0:
            problems.add(place, item, "ConcLimitException(number, percentage), or that pair, with "
                         "a percentage in (0, 1]")
        elif not isinstance(count, int) or count < 0:
            problems.add(place, item, "a whole number of obligors or industries, 0 or more")
        elif share < base - EPS:
            problems.add(place, share, f"more than {base_name}, which is {base:g}")
        elif share > base + EPS:
            units += [float(share)] * count
    return sorted(units, reverse=True)


def _pair(item):
    """(number, percentage) of one exception as users write it."""
    if isinstance(item, ConcLimitException):
        return item.number, item.percentage
    if is_number(item):
        return 1, item
    if isinstance(item, tuple | list) and len(item) == 2:
        count = int(item[0]) if is_number(item[0]) and item[0] == int(item[0]) else item[0]
        return count, item[1]
    return None, None


def lock(problems, name, given, ratings):
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


def locks(problems, force_high, force_low, scores):
    """Both forced ratings: ((rating, share) high, (rating, share) low)."""
    if scores is None:  # the table was complained of
        return (1, 0.0), (1, 0.0)
    ratings = len(scores)
    high, low = (lock(problems, name, given, ratings) for name, given in (
        ("force_high", force_high), ("force_low", force_low)))
    if high[1] + low[1] > 1.0 + EPS:
        problems.add("force_high + force_low", high[1] + low[1], "shares that sum to at most 1")
    return high, low


def obligors(problems, given):
    """[Obligor] by falling share from a list, or from the obligors of a discrete result."""
    listed = list(given.values()) if isinstance(given, dict) else list(given or ())
    if not listed:
        problems.say("hypo_pool_diversity: empty; want at least one Obligor")
        return []
    for i, o in enumerate(listed):
        place = f"hypo_pool_diversity[{i + 1}]"
        if not isinstance(o, Obligor):
            problems.add(place, o, "an Obligor(percentage, industry)")
        elif not is_number(o.percentage) or not 0.0 < o.percentage <= 1.0 + EPS:
            problems.add(f"{place}.percentage", o.percentage, "a fraction in (0, 1]")
    if problems.found:
        return []
    total = math.fsum(o.percentage for o in listed)
    if abs(total - 1.0) > 1e-6:
        problems.add("hypo_pool_diversity percentages", f"sum {total:.6f}", "a sum of 1")
    return sorted(listed, key=lambda o: -o.percentage)


def run_mode(problems, given):
    if given not in LEVELS:
        problems.add("run_mode", given, " or ".join(LEVELS))
    return given

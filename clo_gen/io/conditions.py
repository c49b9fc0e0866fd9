"""A user's conditions on macro paths: judged, and merged where they name the same month."""

import dataclasses
import math
from numbers import Integral, Real
from typing import Any

import jax
import numpy as np

from clo_gen.io.problems import Problems

KEYS = ("month", "months", "value", "values", "low", "high", "path")
_FRACTION = "a fraction (0.045 is 4.5 %)"
_FAR = 2.0  # beyond this a number is no fraction


@dataclasses.dataclass(frozen=True)
class Condition:
    """One month of one series lies between `low` and `high` (equal for a point), fractions."""

    series: str
    month: int  # from 1
    low: float  # -inf for none
    high: float  # inf for none

    @property
    def place(self) -> str:
        return f"{self.series}, month {self.month}"

    @property
    def wanted(self) -> str:
        if self.low == self.high:
            return f"{self.low:.6g}"
        if math.isinf(self.low):
            return f"at most {self.high:.6g}"
        return (f"at least {self.low:.6g}" if math.isinf(self.high)
                else f"{self.low:.6g} to {self.high:.6g}")


def _listed(given, count):
    """`given` as a list: of its own items, or `count` times the one thing it is."""
    if isinstance(given, list | tuple | range):
        return list(given)
    return np.asarray(given).tolist() if np.ndim(given) else [given] * count


def _numbers(place, given, count, problems):
    """`given` (a number or `count` numbers) as a list of floats; nan where a list says it is free
    and where a problem was found."""
    many, out = _listed(given, count), []
    if len(many) != count:
        problems.add(place, f"{len(many)} numbers", f"one, or as many as months ({count})")
        return [math.nan] * count
    free = np.ndim(given) > 0
    for value in many:
        number = isinstance(value, Real) and not isinstance(value, bool)
        if free and (value is None or number and math.isnan(value)):
            out.append(math.nan)
        elif number and abs(value) <= _FAR:
            out.append(float(value))
        else:
            problems.add(place, value, _FRACTION)
            out.append(math.nan)
    return out


def _months(place, given, last, problems):
    """Months from 1, or none at all where one of them is wrong."""
    out = []
    for month in _listed(given, 1):
        whole = isinstance(month, Integral) and not isinstance(month, bool)
        if whole and 1 <= int(month) <= last:
            out.append(int(month))
        else:
            problems.add(f"{place} month", month, f"a whole number from 1 to {last}")
            return []
    return out


def _one(name, given, last, problems):
    """The Conditions of one dict; keys that go together are checked."""
    for key in sorted(set(given) - set(KEYS)):
        problems.add(name, key, "the keys " + ", ".join(KEYS))
    path = given.get("path")
    if path is not None:
        given = {"months": range(1, len(_listed(path, 1)) + 1), "value": path}
    months = given.get("months", given.get("month"))
    value = given.get("values", given.get("value"))
    bounds = given.get("low"), given.get("high")
    if months is None:
        problems.say(f"{name}: no month; want month, months or path")
        return []
    if (value is None) == (bounds[0] is None and bounds[1] is None):
        problems.say(f"{name}: want either value, or low and high (one of them will do)")
        return []
    months = _months(name, months, last, problems)
    if not months:
        return []
    place = f"{name}, month {months[0]}" if len(months) == 1 else name
    if value is not None:
        values = _numbers(place, value, len(months), problems)
        pairs = [(v, v) for v in values]
    else:
        pairs = list(zip(*(_numbers(f"{place} {side}", [None] * len(months) if bound is None
                                    else bound, len(months), problems)
                           for side, bound in zip(("low", "high"), bounds, strict=True)),
                         strict=True))
    out = []
    for month, (low, high) in zip(months, pairs, strict=True):
        if not (math.isnan(low) and math.isnan(high)):
            out.append(Condition(name, month, -math.inf if math.isnan(low) else low,
                                 math.inf if math.isnan(high) else high))
    return out


def _merged(found, problems):
    """One Condition a month and series: the months where all that is said of them holds."""
    kept: dict = {}
    for c in found:
        if c.low > c.high:
            problems.say(f"{c.place}: low {c.low:.6g}, high {c.high:.6g}; want low below high")
            continue
        old = kept.get((c.series, c.month), c)
        new = Condition(c.series, c.month, max(old.low, c.low), min(old.high, c.high))
        if new.low > new.high:
            problems.say(f"{c.place}: {old.wanted} and {c.wanted} conflict; want one of them")
        else:
            kept[c.series, c.month] = new
    return tuple(kept.values())


def judge(conditions: Any, series: Any, months: int, lower: jax.Array) -> tuple[Condition, ...]:
    """Tuple of Condition from {series: dict or list of dicts}.

    A dict holds `month` (or `months`) from 1 to `months` with `value` (or `values`), or `low` and
    `high`; or `path`, the values from month 1 on (None where free). `lower` [M] are the bounds that
    a series never passes. Raises InputError with every problem.
    """
    problems, found = Problems("conditions"), []
    if not isinstance(conditions, dict) or not conditions:
        problems.add("conditions", conditions, "a dict of series, such as {'policy_rate': "
                     "{'month': 12, 'value': 0.045}}")
        problems.raise_if_any()
    bounds = dict(zip(series, np.asarray(lower, float), strict=True))
    for name, given in conditions.items():
        if name not in series:
            problems.add("series", name, "one of " + ", ".join(series))
            continue
        for one in given if isinstance(given, list | tuple) else [given]:
            if isinstance(one, dict):
                found += _one(name, one, months, problems)
            else:
                problems.add(name, one, "a dict such as {'month': 12, 'value': 0.045}")
    for c in found:
        if c.high < bounds[c.series]:
            problems.say(f"{c.place}: {c.wanted}; want a value of at least "
                         f"{bounds[c.series]:.6g}, below which the series never falls")
    merged = _merged(found, problems)
    if not merged and not problems.found:
        problems.say("every value is free; want at least one condition")
    problems.raise_if_any()
    return merged


@dataclasses.dataclass(frozen=True)
class Asked:
    """What judged conditions ask of a model, in its standard deviations (see models.reach)."""

    limits: np.ndarray  # [2] what one condition may ask for, and all together
    distance: np.ndarray  # [K] of each alone
    together: float  # of all together
    alone_range: np.ndarray  # [K, 2] within the first limit
    range_beside_others: np.ndarray  # [K, 2] within the second
    bounds: np.ndarray  # [K] that the series never falls below


def refuse_unreachable(conditions: tuple[Condition, ...], asked: Asked) -> None:
    """Raises InputError where a condition, or all of them together, are out of reach.

    A distance that is not finite says that no path was found at all.
    """
    problems = Problems("conditions")
    sds, sds_together = asked.limits
    for k, c in enumerate(conditions):
        if not asked.distance[k] <= sds:
            low, high = np.maximum(asked.alone_range[k], asked.bounds[k])
            problems.say(f"{c.place}: {c.wanted}; want a value from {low:.4g} to {high:.4g}, which "
                         f"the model reaches within sds = {sds:g} standard deviations"
                         + _hint(c, low, high))
    problems.raise_if_any()
    if not asked.together <= sds_together:
        far = (f"together they lie {asked.together:.3g} standard deviations from what the model "
               f"expects, over {sds_together:.3g}" if np.isfinite(asked.together)
               else "no path meets them all")
        problems.say(f"{far}; each can be met alone (within sds = {sds:g})")
        for k, c in enumerate(conditions):
            low, high = np.maximum(asked.range_beside_others[k], asked.bounds[k])
            if np.isfinite(low) and high > low:
                problems.say(f"{c.place}: {c.wanted}; want {low:.4g} to {high:.4g} while the "
                             "others hold")
    problems.raise_if_any()


def _hint(condition, low, high):
    percent = condition.low / 100.0
    return f"; {percent:g} is {condition.low:g} %" if low <= percent <= high else ""

"""Dates become year fractions here, on the host, once."""

import datetime
from typing import Any

import numpy as np
import pandas as pd

DAY_COUNTS = ("ACT/360", "ACT/365F", "30/360", "ACT/ACT")


def add_months(date: Any, months: int) -> datetime.date:
    """`date` moved by `months`, clipped to the end of the month."""
    return (pd.Timestamp(date) + pd.DateOffset(months=months)).date()


def months_between(start: datetime.date, end: datetime.date) -> int:
    """Whole calendar months from `start` to `end`, rounded up when days are left over."""
    months = 12 * (end.year - start.year) + end.month - start.month
    return months + (1 if end > add_months(start, months) else 0)


def whole_months(start: datetime.date, end: datetime.date) -> int:
    """Whole calendar months from `start` that have passed by `end`."""
    months = months_between(start, end)
    return months if add_months(start, months) <= end else months - 1


def roll(date: Any, convention: Any) -> datetime.date:
    """`date` moved off a weekend: "none", "following" or "modified following" (holidays are not
    known here)."""
    if convention == "none":
        return date
    name = convention.replace(" ", "")
    return np.busday_offset(date, 0, roll=name).astype(datetime.date)


def year_fraction(start: datetime.date, end: datetime.date, day_count: str) -> float:
    """Years from `start` to `end` under one of DAY_COUNTS.

    Reference: ISDA 2006 definitions, 4.16: (e) Act/360, (d) Act/365 Fixed, (f) 30/360, (b) Act/Act.
    """
    days = (end - start).days
    if day_count == "ACT/360":
        return days / 360.0
    if day_count == "ACT/365F":
        return days / 365.0
    if day_count == "30/360":
        first = min(start.day, 30)
        last = 30 if end.day == 31 and first == 30 else end.day
        return (360 * (end.year - start.year) + 30 * (end.month - start.month) + last - first) / 360
    if day_count == "ACT/ACT":
        total = 0.0
        for year in range(start.year, end.year + 1):
            low = max(start, datetime.date(year, 1, 1))
            high = min(end, datetime.date(year + 1, 1, 1))
            length = (datetime.date(year + 1, 1, 1) - datetime.date(year, 1, 1)).days
            total += max((high - low).days, 0) / length
        return total
    raise ValueError(f"day count {day_count!r}; want one of {', '.join(DAY_COUNTS)}")


def fractions(dates: list[datetime.date], day_count: str) -> np.ndarray:
    """Year fractions between consecutive `dates` [n + 1] as an array [n]."""
    pairs = zip(dates[:-1], dates[1:], strict=True)
    return np.array([year_fraction(a, b, day_count) for a, b in pairs])

"""Months of a macro file as the path of a model, and weights of scenarios over time; judged."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from clo_gen.io.macro import MacroHistory
from clo_gen.io.problems import InputError, Problems
from clo_gen.models.scenarios import Scenario


def _row_of(macro: MacroHistory, month, problems):
    months = pd.PeriodIndex(macro.frame.index).strftime("%Y-%m")
    found = np.flatnonzero(months == str(month))
    if not len(found):
        problems.add("start", str(month), f"a month from {months[0]} to {months[-1]}")
        problems.raise_if_any()
    return int(found[0])


def path_of(macro: MacroHistory, series: Sequence[str], start: str) -> np.ndarray:
    """Path [t, M] of the file's months from `start` ("2026-01") to its end, nan where it is silent.

    It serves a user's own file and a Fed scenario alike. Raises InputError when the month or all
    of the series are missing.
    """
    problems = Problems(macro.source)
    known = [name for name in series if name in macro.frame]
    if not known:
        problems.add("columns", ", ".join(macro.frame.columns), "one of " + ", ".join(series))
        problems.raise_if_any()
    row = _row_of(macro, start, problems)
    path = macro.frame.reindex(columns=list(series)).to_numpy(float)[row:]
    if np.isnan(path).all():
        raise InputError(f"{macro.source}: no number from {start} on of {', '.join(known)}")
    return path


def real_months(macro: MacroHistory, series: Any, start: str, months: int) -> np.ndarray:
    """Complete real months [1 + t, M] from the month before `start` ("2007-12") on, t <= `months`.

    They end where the file or one of the series does. Raises InputError when a series is missing
    or the first months are not complete.
    """
    problems = Problems(macro.source)
    for name in series:
        if name not in macro.frame:
            problems.add("series", name, f"one of {', '.join(macro.frame.columns)}")
    problems.raise_if_any()
    row = _row_of(macro, start, problems)
    part = macro.frame[list(series)].to_numpy(float)[max(row - 1, 0): row + months]
    holes = np.flatnonzero(np.isnan(part).any(1))
    part = part[: holes[0]] if len(holes) else part
    if row == 0 or len(part) < 2:
        problems.add("start", str(start), "a month that is known, like the one before it, in all "
                     "of " + ", ".join(series))
    problems.raise_if_any()
    return part


def weights_over_time(knots: Any, known: dict[str, Scenario], months: int) -> Any:
    """(names, weights [months, S]) from {name: [(month, weight), ...]}, linear between the months
    named and level outside. Raises InputError; the weights of each month add up to 1.
    """
    problems = Problems("blend")
    if not isinstance(knots, dict) or not knots:
        problems.add("blend", knots, "a dict such as {'baseline': [(1, 1.0), (24, 0.0)], ...}")
        problems.raise_if_any()
    columns = []
    for name, points in knots.items():
        if name not in known:
            problems.add("scenario", name, "one of " + ", ".join(known))
        table = np.array(points, float) if np.size(points) else np.empty((0, 2))
        if table.ndim != 2 or table.shape[1] != 2 or not len(table):
            problems.add(name, points, "pairs (month, weight)")
            continue
        at, weight = table.T
        if not np.isfinite(table).all() or (np.diff(at) <= 0).any() or (at < 1).any():
            problems.add(name, points, "pairs (month, weight) in rising order of months from 1")
        if (weight < 0).any() or (weight > 1).any():
            problems.add(name, points, "weights from 0 to 1")
        columns.append(np.interp(np.arange(1, months + 1), at, weight))
    problems.raise_if_any()
    weights = np.stack(columns, axis=1)
    off = np.flatnonzero(np.abs(weights.sum(1) - 1.0) > 1e-6)
    if len(off):
        problems.add(f"month {off[0] + 1}", f"weights adding to {weights[off[0]].sum():.6g}",
                     "weights of each month that add up to 1")
    problems.raise_if_any()
    return tuple(knots), weights

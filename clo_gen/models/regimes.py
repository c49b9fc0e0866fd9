"""Regime labels of macro windows: which of the four standard scenarios a stretch of months is like.

The rule reads a window with the months before it. A month is a slump when unemployment stands at
least RISE above its low of the 24 months before and output growth is at most WEAK, or when a credit
spread stands SPREAD above its low and output growth is at most WEAK.

- stagflation: inflation is at least INFLATION in some slump month;
- severely adverse: otherwise, a slump month with unemployment up by DEEP_RISE and output growth
  at most DEEP;
- adverse: otherwise, any slump month;
- baseline: no slump month.
"""

import numpy as np

LABELS = ("baseline", "adverse", "severely_adverse", "stagflation")
NEEDED = ("gdp_growth_yoy", "unemployment_rate", "inflation_yoy")
RISE, DEEP_RISE = 0.010, 0.030  # unemployment above its low
WEAK, DEEP = 0.010, -0.020  # yearly output growth
INFLATION = 0.065
SPREAD = 0.015
MEMORY = 24  # months


def _above_low(x):
    """`x` [T] less its lowest value of the MEMORY months before and itself."""
    return x - np.array([x[max(0, t - MEMORY): t + 1].min() for t in range(len(x))])


def slumps(values: np.ndarray, series: tuple[str, ...]) -> dict[str, np.ndarray]:
    """{"slump", "deep", "inflated"} -> [H] bool by month of `values` [H, M] (fractions, host)."""
    column = dict(zip(series, np.asarray(values, float).T, strict=True))
    rise = _above_low(column["unemployment_rate"])
    strained = rise >= RISE
    for name in series:
        if name.startswith("credit_spread"):
            strained |= _above_low(column[name]) >= SPREAD
    growth = column["gdp_growth_yoy"]
    slump = strained & (growth <= WEAK)
    return {"slump": slump, "deep": slump & (rise >= DEEP_RISE) & (growth <= DEEP),
            "inflated": slump & (column["inflation_yoy"] >= INFLATION)}


def label(window: np.ndarray, series: tuple[str, ...], before: int) -> int:
    """Index into LABELS of one `window` [before + T, M] whose first `before` months are history."""
    found = {name: months[before:].any() for name, months in slumps(window, series).items()}
    if found["inflated"]:
        return 3
    return 2 if found["deep"] else int(found["slump"])


def one_hot(index: np.ndarray | int) -> np.ndarray:
    """Weights [4] of one label."""
    return np.eye(len(LABELS))[index]

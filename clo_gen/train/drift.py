"""Do new months still look like the months of the same data before the model's last one?

The methodology's limit is stationarity (Limitations, 2). Months of one series are not independent,
so the distance of the new months to the training months is judged against the distances that
stretches of the same length show within the training months themselves.
"""

import dataclasses

import numpy as np
import pandas as pd


@dataclasses.dataclass(frozen=True)
class Drift:
    """How far one monthly number has moved."""

    name: str
    distance: float  # Kolmogorov distance of the new months to the training months
    usual: float  # 95th percentile of that distance for stretches of the training months
    p_value: float
    training_mean: float
    new_mean: float

    def drifted(self, level):
        return self.p_value <= level


def distance(new, old):
    """Kolmogorov distance [] of two samples."""
    grid = np.sort(np.concatenate([new, old]))
    below = [np.searchsorted(np.sort(x), grid, side="right") / len(x) for x in (new, old)]
    return float(np.abs(below[0] - below[1]).max())


def compare(name, training, new):
    """Drift of `new` [K] months against `training` [T] months of one number.

    Every stretch of K months of the training months is set against the rest of them, which gives
    the distances that need no explanation. Raises ValueError when T is under three times K.
    """
    training, new = np.asarray(training, float), np.asarray(new, float)
    count = len(new)
    if len(training) < 3 * count:
        raise ValueError(f"drift of {name}: {len(training)} training months are too few to judge "
                         f"{count} new ones; want at least three times as many")
    usual = []
    for first in range(len(training) - count + 1):
        inside = np.arange(first, first + count)
        usual.append(distance(training[inside], np.delete(training, inside)))
    found = distance(new, training)
    p_value = (1.0 + np.sum(np.asarray(usual) >= found)) / (1.0 + len(usual))
    return Drift(name, found, float(np.quantile(usual, 0.95)), float(p_value),
                 float(training.mean()), float(new.mean()))


def report(training: pd.DataFrame, new: pd.DataFrame, level=0.05):
    """(rows, verdict) for monthly frames with the same columns.

    `level` is the chance of a false alarm over all columns together (Bonferroni). Nothing can be
    said of fewer than three new months; then there are no rows.
    """
    if len(new) < 3:
        return (), f"{len(new)} new months: too few to judge drift; want at least 3"
    if len(training) < 9:
        return (), (f"only {len(training)} of the months belong to the training: too few to judge "
                    "drift; want at least 9")
    new = new.iloc[-(len(training) // 3):]
    rows = tuple(compare(name, training[name], new[name]) for name in training)
    bar = level / len(rows)
    moved = [row.name for row in rows if row.drifted(bar)]
    floor = 1.0 / (len(training) - len(new) + 2.0)
    span = f"{new.index[0]} to {new.index[-1]}"
    if moved:
        return rows, (f"DRIFT: {', '.join(moved)} over {span} lie outside what stretches of this "
                      "length did in the training months; consider training from scratch")
    weak = "" if floor <= bar else (f" (the training months are too few for a false-alarm level of "
                                    f"{level:.0%}: no p-value can be below {floor:.3f})")
    return rows, f"no drift seen over {span}{weak}"

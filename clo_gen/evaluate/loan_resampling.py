"""Intervals of statistics of a loan panel, by drawing loans (with all their months) again."""

import numpy as np


def interval(statistic, sums, *, draws=500, seed=0, level=0.90):
    """(low, high) of `statistic` of the summed columns of `sums` [L, K], loans drawn again.

    A loan's months depend on each other, so loans are the blocks.
    """
    sums = np.asarray(sums, float)
    rng = np.random.default_rng(seed)
    totals = np.stack([np.bincount(rng.integers(0, len(sums), len(sums)), minlength=len(sums))
                       @ sums for _ in range(draws)])
    tail = 0.5 * (1.0 - level)
    return tuple(float(x) for x in np.quantile([statistic(t) for t in totals], (tail, 1.0 - tail)))


def by_loan(loan, loans, *columns):
    """Sums [loans, K] of `columns` [R] each over the rows of every loan (`loan` [R] int)."""
    return np.stack([np.bincount(loan, np.asarray(c, float), loans) for c in columns], axis=1)

"""Synthetic transition counts of a known truth that is no logit: what can be learned at all.

Macro months are whatever history is given; the loans are invented. Always labelled synthetic.
"""

import numpy as np
import pandas as pd

from clo_gen.io.panel import CountHistory
from clo_gen.io.synthetic import LABEL
from clo_gen.states import StateSpace

SERIES = ("gdp_growth_yoy", "unemployment_rate", "credit_spread_cp")
WEAKNESS = (-1.0, -1.0 / 3.0, 1.0 / 3.0, 1.0)  # the one feature of the four cohorts
SPACE = StateSpace(name="two_grades", live=("good", "weak"), moves=(("good", "weak"),) * 2,
                   can_default=("good", "weak"))
_BASE = np.array([[0.965, 0.030, 0.005], [0.040, 0.930, 0.030]])
_FIRST = 13  # months of macro that the first matrix looks back on


def true_matrices(macro: np.ndarray) -> np.ndarray:
    """Matrices [T - 13, 4, 5, 5] of macro months [T, 3] in the order of SERIES, from month 13 on.

    Defaults jump when unemployment rose by over 0.3 points in six months (a threshold), and in
    weak cohorts, but not in strong ones, while the commercial-paper spread is above 0.5 points (an
    interaction); downgrades follow output nine months before (a lag).
    """
    macro = np.asarray(macro, float)
    now = np.arange(_FIRST, len(macro))
    gdp, unemployment, spread = macro.T
    rising = unemployment[now] - unemployment[now - 6] > 0.003
    slump = np.clip((0.03 - gdp[now - 9]) / 0.02, -2.0, 2.0)
    strained = spread[now] > 0.005
    weakness = np.array(WEAKNESS)
    effect = np.zeros((len(now), len(WEAKNESS), 2, 3))
    effect[..., 2] += (1.4 * rising)[:, None, None]
    effect[..., 2] += (strained[:, None] * (weakness - 0.2))[..., None]
    effect[:, :, 0, 1] += 0.6 * slump[:, None]
    effect[:, :, 1, 0] -= 0.4 * slump[:, None]
    odds = _BASE * np.exp(effect)
    matrices = np.zeros((len(now), len(WEAKNESS), SPACE.size, SPACE.size))
    matrices[..., :2, :3] = odds / odds.sum(-1, keepdims=True)
    matrices[..., 2:, :] = np.eye(SPACE.size)[2:]
    return matrices


def synthetic_counts(frame: pd.DataFrame, *, loans: int,
                     seed: int) -> tuple[CountHistory, np.ndarray]:
    """(CountHistory, true matrices [T, 4, 5, 5]) of `loans` in each state, cohort and month.

    `frame` holds the macro months by Period with the columns SERIES; the first 13 have no counts.
    """
    truth = true_matrices(frame[list(SERIES)].to_numpy())
    rng = np.random.default_rng(seed)
    counts = np.zeros(truth.shape)
    counts[..., :2, :] = rng.multinomial(loans, truth[..., :2, :])
    names = tuple(f"{LABEL}/{w:+.2f}" for w in WEAKNESS)
    months = pd.PeriodIndex(frame.index[_FIRST:])
    return CountHistory(counts, months, names, SPACE, LABEL), truth

"""The four standard scenarios as shifts and multipliers over a baseline path.

Reference: methodology, Standard Scenarios. A shift is the peak difference to the baseline, a
multiplier the peak ratio; `shape` says how much of the peak holds in each month.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct


class Scenario(struct.PyTreeNode):
    """One scenario over T months and M series."""

    shift: jax.Array  # [M] added at the peak, fractions
    multiplier: jax.Array  # [M] ratio to the baseline at the peak
    shape: jax.Array  # [T, M] in [0, 1]
    lower: jax.Array  # [M] bound below (0 for rates that cannot be negative, -inf for none)
    label: jax.Array  # [4] or [T, 4] weights of the regimes (models.regimes.LABELS)


def shape_of(months: int, peak_month: int, hold_months: int, decay_months: int) -> np.ndarray:
    """[months] linear rise to 1 at `peak_month`, held, then linear decay to 0 (host, NumPy)."""
    knots = np.cumsum([0, peak_month, hold_months, decay_months])
    return np.interp(np.arange(1, months + 1), knots, [0.0, 1.0, 1.0, 0.0])


def apply(scenario: Scenario, baseline: jax.Array) -> jax.Array:
    """Path [T, M] of the scenario over one baseline path [T, M]."""
    ratio = 1.0 + (scenario.multiplier - 1.0) * scenario.shape
    return jnp.maximum(baseline * ratio + scenario.shift * scenario.shape, scenario.lower)


def calibrate(scenario: Scenario, paths: jax.Array | np.ndarray,
              baseline: jax.Array | np.ndarray) -> Scenario:
    """`scenario` with shifts and multipliers such that its mean path meets the table at the peak.

    `paths` [N, T, M] are draws under the scenario's regime label before its overlay, `baseline`
    [N, T, M] draws of the baseline scenario from the same random numbers: the overlay supplies what
    the label does not already. Series without shift and multiplier are left to the label. Host,
    NumPy; the result has the same structure.
    """
    shift, multiplier = (np.array(x, float) for x in (scenario.shift, scenario.multiplier))
    shape, lower = np.asarray(scenario.shape, float), np.asarray(scenario.lower, float)
    for m in np.flatnonzero((shift != 0.0) | (multiplier != 1.0)):
        peak = int(shape[:, m].argmax())
        part, drawn = shape[peak, m], np.asarray(paths[:, peak, m], float)
        if part <= 0.0:
            continue
        base = float(np.mean(baseline[:, peak, m]))
        ratio = 1.0 + (multiplier[m] - 1.0) * part
        target = base * ratio + shift[m] * part
        if multiplier[m] != 1.0:
            multiplier[m] = 1.0 + ((target - shift[m] * part) / drawn.mean() - 1.0) / part
            ratio = 1.0 + (multiplier[m] - 1.0) * part
        shift[m] += _missing(drawn * ratio + shift[m] * part, target, lower[m]) / part
    return scenario.replace(shift=shift, multiplier=multiplier)


def _missing(values, target, lower):
    """What to add to `values` [N] so that the mean of max(values, lower) is `target`."""
    low, high = target - values.max(), target - values.min()
    for _ in range(60):
        middle = 0.5 * (low + high)
        short = np.maximum(values + middle, lower).mean() < target
        low, high = (middle, high) if short else (low, middle)
    return 0.5 * (low + high)

"""The four standard scenarios as shifts and multipliers over a baseline path.

Reference: methodology, Standard Scenarios. A shift is the peak difference to the baseline, a
multiplier the peak ratio; `shape` says how much of the peak holds in each month.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct


@struct.dataclass
class Scenario:
    """One scenario over T months and M series."""

    shift: jax.Array  # [M] added at the peak, fractions
    multiplier: jax.Array  # [M] ratio to the baseline at the peak
    shape: jax.Array  # [T, M] in [0, 1]
    lower: jax.Array  # [M] bound below (0 for rates that cannot be negative, -inf for none)


def shape_of(months, peak_month, hold_months, decay_months):
    """[months] linear rise to 1 at `peak_month`, held, then linear decay to 0 (host, NumPy)."""
    knots = np.cumsum([0, peak_month, hold_months, decay_months])
    return np.interp(np.arange(1, months + 1), knots, [0.0, 1.0, 1.0, 0.0])


def apply(scenario, baseline):
    """Path [T, M] of the scenario over one baseline path [T, M]."""
    ratio = 1.0 + (scenario.multiplier - 1.0) * scenario.shape
    return jnp.maximum(baseline * ratio + scenario.shift * scenario.shape, scenario.lower)

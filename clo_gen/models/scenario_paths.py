"""Paths that are given, not drawn, and scenarios that change over time.

`sample` plugs given paths into the graph (pipeline.Setup.macro_sample) in place of a generator.
"""

from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from clo_gen import rng
from clo_gen.models.scenarios import Scenario
from clo_gen.records import MacroPath

HOW = ("differences", "levels")


class PathSet(struct.PyTreeNode):
    """Given paths; one path is held fixed, many are drawn from with equal weight."""

    values: jax.Array  # [N, T, M] fractions


def sample(params: PathSet, key: jax.Array, history: jax.Array, scenario: Scenario,
           series: tuple[str, ...]) -> MacroPath:
    """MacroPath of one of the given paths, cut to the scenario's months.

    The paths are the scenario: shifts and multipliers are not applied on top of them.
    """
    months = scenario.shape.shape[0]
    count, given, width = params.values.shape
    chex.assert_scalar_in(months, 1, given)
    chex.assert_equal(width, len(series))
    i = jax.random.randint(rng.stream(key, rng.MACRO), (), 0, count)
    return MacroPath(history, params.values[i, :months].astype(history.dtype), series)


def blend(scenarios: Sequence[Scenario], weights: jax.Array) -> Scenario:
    """Scenario whose effects are those of `scenarios`, weighted by `weights` [T, S] month by month.

    Additions, ratios to the baseline and regime labels are averaged; the bound below is the lowest.
    The result has shift and multiplier [T, M] and a shape of ones.
    """
    months, series = scenarios[0].shape.shape
    part = [weights[:, i: i + 1] for i in range(len(scenarios))]
    shift: Any = sum(w * s.shift * s.shape for w, s in zip(part, scenarios, strict=True))
    extra: Any = sum(w * (s.multiplier - 1.0) * s.shape
                     for w, s in zip(part, scenarios, strict=True))
    label: Any = sum(w * jnp.broadcast_to(s.label, (months, np.shape(s.label)[-1]))
                     for w, s in zip(part, scenarios, strict=True))
    lower = jnp.stack([jnp.asarray(s.lower) for s in scenarios]).min(0)
    return Scenario(shift, 1.0 + extra, jnp.ones((months, series)), lower, label)


def after(scenario: Scenario, month: int) -> Scenario:
    """What is left of a scenario after its first `month` months."""
    rest = {name: getattr(scenario, name)[month:] for name in ("shift", "multiplier", "label")
            if getattr(scenario, name).ndim == 2}
    return scenario.replace(shape=scenario.shape[month:], **rest)


def replay(real: jax.Array | np.ndarray, today: jax.Array | np.ndarray,
           lower: jax.Array | np.ndarray, how: str = "differences") -> jax.Array | np.ndarray:
    """Path [T, M] that repeats real months `real` [1 + T, M], the first being where it starts.

    "differences" moves `today` [M] by what has changed since that month, and no series falls below
    `lower` [M]: the path joins on to the months before it, as generators and models that look
    twelve months back expect. "levels" are the months as they were, with a jump at the start.
    """
    if how == "levels":
        return real[1:]
    return jnp.maximum(today + real[1:] - real[0], lower)

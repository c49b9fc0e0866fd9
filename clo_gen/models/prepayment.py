"""Prepayment: an assumption (the histories record withdrawn ratings, not prepayments)."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.records import MacroPath, Transitions
from clo_gen.states import StateSpace


class Prepayment(struct.PyTreeNode):
    """Conditional prepayment rate that falls when the credit spread is above its usual level."""

    cpr: jax.Array  # [] yearly fraction of loans, at the reference spread
    sensitivity: jax.Array  # [] fall of log CPR per percentage point of spread
    reference: jax.Array  # [] spread at which `cpr` holds, fraction
    series: str = struct.field(pytree_node=False)  # macro series that is the spread


def monthly_rate(params: Prepayment, path: MacroPath) -> jax.Array:
    """Single monthly mortality [T] of one macro path, at most 95 % a year."""
    spread = path.values[:, path.series.index(params.series)]
    excess = 100.0 * (spread - params.reference)
    cpr = jnp.minimum(params.cpr * jnp.exp(-params.sensitivity * excess), 0.95)
    return 1.0 - (1.0 - cpr) ** (1.0 / 12.0)


def add(transitions: Transitions, rate: jax.Array, space: StateSpace) -> Any:
    """Transitions in which survivors of default prepay with probability `rate` [T]."""
    live = jnp.arange(space.size) < len(space.live)
    keep = 1.0 - rate[None, :, None, None] * live[:, None]
    is_default = jnp.arange(space.size) == space.default
    matrix = transitions.matrix
    kept = jnp.where(is_default, matrix, matrix * keep)
    moved = (matrix - kept).sum(-1)
    return Transitions(kept.at[..., space.prepaid].add(moved))

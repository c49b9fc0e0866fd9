"""The networks of models.transition: cohorts ask, macro months answer.

Reference: Lakshminarayanan, Pritzel and Blundell (2017), Simple and scalable predictive uncertainty
estimation using deep ensembles, for the members.
"""

import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from clo_gen.models import layers

KINDS = ("better", "worse", "default", "prepaid")  # of move
_HEADS = ("kinds", "entries")  # output layers


@dataclasses.dataclass(frozen=True)
class TransitionConfig:
    """Shape and strength of the network."""

    time: Literal["discrete", "continuous"] = "discrete"
    members: int = 4  # networks whose effects are averaged: less depends on the draw of the start
    width: int = 16
    heads: int = 4
    blocks: int = 1
    window: int = 13  # months of macro that a month's matrix depends on
    limit: float = 3.0  # standard deviations at which inputs saturate
    ridge: float = 1.0  # precision of the normal prior of the linear slopes, the logit's too
    head_ridge: float = 10.0  # of the network's output weights
    dtype: Literal["float32", "float64"] = "float32"


class _Network(nn.Module):
    config: TransitionConfig
    states: int

    @nn.compact
    def __call__(self, cohorts, macro):
        """Effects [C, T, 4] and corrections [C, T, S, S] of cohorts [C, T, X], macro [K, E]."""
        c, dtype = self.config, jnp.dtype(self.config.dtype)
        h = layers.dense(c.width, dtype, name="cohort")(cohorts.astype(dtype))
        memory = nn.silu(layers.dense(c.width, dtype, name="macro")(macro.astype(dtype)))
        for i in range(c.blocks):
            h = layers.Block(c.heads, c.window, dtype, name=f"block_{i}")(h, memory)
        h = layers.norm(dtype, name="norm")(h)
        effect = layers.dense(len(KINDS), dtype, zero=True, name="kinds")(h)
        entries = layers.dense(self.states**2, dtype, zero=True, name="entries")(h)
        return effect, entries.reshape(*h.shape[:-1], self.states, self.states)


def start(key: jax.Array, config: TransitionConfig, states: int, cohort_width: int,
          macro_width: int) -> Any:
    """Parameters of all members; their output layers are zero."""
    dtype = jnp.dtype(config.dtype)
    return jax.vmap(_Network(config, states).init, (0, None, None))(
        jax.random.split(key, config.members), jnp.zeros((1, 1, cohort_width), dtype),
        jnp.zeros((1, macro_width), dtype))


def apply(params: Any, config: TransitionConfig, states: int, cohorts: jax.Array,
          macro: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Effects [C, T, 4] and corrections [C, T, S, S], averaged over the members.

    `cohorts` is [C, T, X]; `macro` [K, E] ends with the same month.
    """
    each = jax.vmap(_Network(config, states).apply, (0, None, None))(params, cohorts, macro)
    return jax.tree.map(lambda x: x.mean(0), each)


def head_size(params: Any) -> jax.Array:
    """Sum [] of the squared output weights, averaged over the members."""
    kernels = [params["params"][name]["kernel"] for name in _HEADS]
    return sum(jnp.sum(kernel**2) for kernel in kernels) / kernels[0].shape[0]


def silenced(params: Any) -> dict:
    """`params` with output layers of zeros."""
    inner = params["params"]
    return {"params": inner | {name: jax.tree.map(jnp.zeros_like, inner[name]) for name in _HEADS}}


def speaks(params: Any) -> bool:
    """Whether any output weight is not zero (host)."""
    return any(bool(np.any(x)) for name in _HEADS for x in jax.tree.leaves(params["params"][name]))

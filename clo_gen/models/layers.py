"""Attention and MLP shared by the transition and the trajectory networks.

Positions are lags in months within a fixed window, with one learned bias per head and lag, so that
a month far along a path is treated as the first is: any horizon works.
Reference: Vaswani et al. (2017), Attention is all you need; Press, Smith and Lewis (2022), Train
short, test long (ALiBi), for the bias at the start; Xiong et al. (2020), On layer normalization in
the transformer architecture (normalisation before each part).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


def dense(width: int, dtype: Any, *, zero: bool = False, bias: bool = True,
          name: str | None = None) -> nn.Dense:
    """Linear layer in `dtype`; `zero` starts it at nothing."""
    start = nn.initializers.zeros_init() if zero else nn.initializers.lecun_normal()
    return nn.Dense(width, use_bias=bias, kernel_init=start, dtype=dtype, param_dtype=dtype,
                    name=name)


def norm(dtype: Any, name: str | None = None) -> nn.LayerNorm:
    return nn.LayerNorm(dtype=dtype, param_dtype=dtype, name=name)


def lags(queries: int, keys: int) -> np.ndarray:
    """Months [Q, K] int by which each key lies before each query, when both end together."""
    return (np.arange(queries)[:, None] + keys - queries) - np.arange(keys)


def alibi_slopes(heads: int) -> np.ndarray:
    """[heads] slopes 2^(-8 i / heads) of the attention bias against the lag."""
    return 2.0 ** (-8.0 * np.arange(1, heads + 1) / heads)


def attend(queries: jax.Array, keys: jax.Array, values: jax.Array, bias: jax.Array,
           allowed: Any) -> jax.Array:
    """Weighted values [..., Q, heads, d] of queries [..., Q, heads, d].

    Keys and values are [..., K, heads, d], `bias` is [heads, Q, K] and `allowed` [Q, K] bool; a
    query must be allowed at least one key. What is not allowed has weight exactly 0.
    """
    scores = jnp.einsum("...qhd,...khd->...hqk", queries, keys) * queries.shape[-1] ** -0.5
    bias = jnp.where(allowed, bias, -jnp.inf)
    weights = jax.nn.softmax(scores + jnp.expand_dims(bias, tuple(range(scores.ndim - 3))), axis=-1)
    return jnp.einsum("...hqk,...khd->...qhd", weights, values)


def attend_band(queries: jax.Array, keys: jax.Array, values: jax.Array,
                table: jax.Array) -> jax.Array:
    """As `attend`, for keys and values [K, heads, d] that all queries share, by lag.

    `table` [heads, W] is the bias of the lags 0 to W - 1, which alone are allowed. The work grows
    with Q W, not with Q K.
    """
    position = np.arange(queries.shape[-3])[:, None] + keys.shape[0] - queries.shape[-3]
    position = position - np.arange(table.shape[1])
    near = np.maximum(position, 0)
    scores = jnp.einsum("...qhd,qwhd->...qhw", queries, keys[near]) * queries.shape[-1] ** -0.5
    bias = jnp.where(position[:, None, :] >= 0, table, -jnp.inf)
    weights = jax.nn.softmax(scores + jnp.expand_dims(bias, tuple(range(scores.ndim - 3))), axis=-1)
    return jnp.einsum("...qhw,qwhd->...qhd", weights, values[near])


class Attention(nn.Module):
    """Attention of queries [..., Q, D] on the last `window` months of a memory [K, E].

    The memory may have the queries' leading axes [..., K, E]; self-attention is `attention(x, x)`.
    Both end with the same month. A query sees its own month and earlier ones only.
    """

    heads: int
    window: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, queries, memory):
        width = queries.shape[-1]

        def split(x, name):
            x = dense(width, self.dtype, bias=False, name=name)(x)
            return x.reshape(*x.shape[:-1], self.heads, width // self.heads)

        table = self.param("lag_bias", _alibi_table, (self.heads, self.window), self.dtype)
        parts = split(queries, "query"), split(memory, "key"), split(memory, "value")
        if memory.ndim == 2:
            out = attend_band(*parts, table)
        else:
            lag = lags(queries.shape[-2], memory.shape[-2])
            out = attend(*parts, table[:, np.clip(lag, 0, self.window - 1)],
                         (lag >= 0) & (lag < self.window))
        return dense(width, self.dtype, name="out")(out.reshape(queries.shape))


def _alibi_table(key, shape, dtype):
    del key
    heads, window = shape
    return jnp.asarray(-alibi_slopes(heads)[:, None] * np.arange(window), dtype)


class Mlp(nn.Module):
    """Two layers [..., D] -> [..., D] with `hidden` units between."""

    hidden: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x):
        inner = nn.silu(dense(self.hidden, self.dtype, name="inner")(x))
        return dense(x.shape[-1], self.dtype, name="outer")(inner)


class Block(nn.Module):
    """Pre-norm attention on a memory (None: on the input itself), then a pre-norm MLP."""

    heads: int
    window: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x, memory=None):
        inside = norm(self.dtype, name="norm_attention")(x)
        attention = Attention(self.heads, self.window, self.dtype, name="attention")
        x = x + attention(inside, inside if memory is None else memory)
        inside = norm(self.dtype, name="norm_mlp")(x)
        return x + Mlp(2 * x.shape[-1], self.dtype, name="mlp")(inside)

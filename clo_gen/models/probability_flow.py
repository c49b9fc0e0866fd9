"""Probability flow on the circle x_t = cos(t) x_0 + sin(t) z, from noise at pi/2 to data at 0.

The velocity is dx/dt = E[cos(t) z - sin(t) x_0 | x_t]. Reference: Song et al. (2021), Score-based
generative modeling through stochastic differential equations, sections 4.3 and D.2; Zhang and Chen
(2023), Fast sampling of diffusion models with exponential integrator (multistep rules).
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

NOISE = 0.5 * math.pi  # the angle of pure noise
_SPACING = 1.3  # above 1 the angles crowd towards the data, where the shape is decided


def angles(steps: int) -> np.ndarray:
    """Angles [steps + 1] of a draw, from pi/2 down to 0 (host)."""
    return NOISE * (1.0 - np.arange(steps + 1) / steps) ** _SPACING


def denoised(velocity: Callable, noise: jax.Array, steps: int) -> jax.Array:
    """Data [B, V] that the flow brings `noise` [B, V] to; `velocity(x, n)` at angle number n.

    Two-step Adams-Bashforth: second order, one evaluation a step.
    """
    at = angles(steps).tolist()  # plain floats take the dtype of `noise`
    x, before = noise, None
    for n in range(steps):
        width = at[n] - at[n + 1]
        now = slope = velocity(x, n)
        if n:
            slope = now + 0.5 * width / (at[n - 1] - at[n]) * (now - before)
        x, before = x - width * slope, now
    return x


def log_density(velocity: Callable, data: jax.Array, active: jax.Array, steps: int) -> jax.Array:
    """Log-density [B] of the `active` entries of `data` [B, V] under the flow `velocity(x, t)`.

    Exact change of variables but for the `steps` midpoint steps from data to noise: the law of the
    learnt flow, not that of the few-step sampler.
    """
    width = NOISE / steps

    def divergence(x, t):
        eye = jnp.eye(x.shape[1], dtype=x.dtype)
        return sum(jax.jvp(lambda y: velocity(y, t), (x,), (jnp.broadcast_to(e, x.shape),))[1][:, v]
                   for v, e in enumerate(eye))

    def step(carry, n):
        x, spread = carry
        half = width * (n + 0.5)
        middle = x + 0.5 * width * velocity(x, width * n)
        return (x + width * velocity(middle, half), spread + width * divergence(middle, half)), None

    start = (data, jnp.zeros_like(data[:, 0]))
    (noise, spread), _ = jax.lax.scan(step, start, jnp.arange(steps, dtype=data.dtype))
    normal = -0.5 * noise**2 - 0.5 * math.log(2.0 * math.pi)
    return spread + jnp.where(active, normal, 0.0).sum(1)

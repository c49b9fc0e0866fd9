"""Batched root finding. jaxopt is imported in solve/ only, so it can be replaced here."""

import jax
import jax.numpy as jnp
import jaxopt
from flax import struct


@struct.dataclass
class Root:
    x: jax.Array  # []
    converged: jax.Array  # [] bool: the bracket held a sign change and was narrowed to tol


def bisect(f, args, low, high, *, tol=1e-10, max_steps=60):
    """Root of f(x, args) in [low, high], differentiable in args; vmap over args for a batch.

    Without a sign change in the bracket, x is meaningless and `converged` is False.
    """
    solver = jaxopt.Bisection(f, low, high, maxiter=max_steps, tol=tol, check_bracket=False)
    x, state = solver.run(None, args)
    bracketed = f(low, args) * f(high, args) <= 0
    narrow = jnp.abs(state.high - state.low) <= tol * (1.0 + jnp.abs(x)) * 10.0
    return Root(x, bracketed & (narrow | (jnp.abs(f(x, args)) <= tol)))

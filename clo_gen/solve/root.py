"""Batched root finding. jaxopt is imported in solve/ only, so it can be replaced here."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jaxopt
from flax import struct
from jaxopt.implicit_diff import custom_root


class Root(struct.PyTreeNode):
    x: jax.Array  # []
    converged: jax.Array  # [] bool: the bracket held a sign change and was narrowed to tol


def bisect(f: Callable, args: Any, low: jax.Array | float, high: jax.Array | float, *,
           tol: float = 1e-10, max_steps: int = 60) -> Root:
    """Root of f(x, args) in [low, high], differentiable in args; vmap over args for a batch.

    Without a sign change in the bracket, x is meaningless and `converged` is False.
    """
    # Both ends in one call, and every step in one loop: f may be a whole waterfall, and each place
    # that calls it is compiled anew. jaxopt's own run would call it in five places.
    ends = jax.vmap(lambda x: f(x, args))(jnp.asarray([low, high], float))
    rising, falling = (ends[0] <= 0) & (ends[1] >= 0), (ends[0] >= 0) & (ends[1] <= 0)

    def optimality(x, both):
        return f(x, both[0])

    def search(_, both):
        solver = jaxopt.Bisection(optimality, low, high, check_bracket=False)
        blank = jaxopt.Bisection(lambda x: x, -1.0, 1.0, check_bracket=False).init_state()
        start = blank._replace(low=jnp.asarray(low, float), high=jnp.asarray(high, float),
                               sign=jnp.where(both[1], 1, -1))
        end = jax.lax.while_loop(
            lambda s: (s.error > tol) & (s.iter_num < max_steps),
            lambda s: solver.update(None, s, both).state, start)
        return 0.5 * (end.low + end.high), (end.high - end.low, end.error)

    x, (width, error) = custom_root(optimality, has_aux=True)(search)(None, (args, rising))
    narrow = jnp.abs(width) <= tol * (1.0 + jnp.abs(x)) * 10.0
    return Root(x, (rising | falling) & (narrow | (error <= tol)))


def narrow(passes: Callable, fail: jax.Array, good: jax.Array,
           steps: int) -> tuple[jax.Array, jax.Array]:
    """(last that fails, last that passes) after halving [fail, good] `steps` times.

    For step functions: passes(x) is a bool, taken to be False at `fail` and True at `good`; the
    second end passes whenever `good` does. Not differentiable.
    """
    def sign(x, _):
        return jnp.where(passes(x), 1.0, -1.0)

    solver = jaxopt.Bisection(sign, 0.0, 1.0, check_bracket=False)
    blank = jaxopt.Bisection(lambda x: x, -1.0, 1.0, check_bracket=False).init_state()
    start = blank._replace(low=fail, high=good, sign=jnp.ones_like(blank.sign))
    end = jax.lax.fori_loop(0, steps, lambda _, s: solver.update(None, s, None).state, start)
    return end.low, end.high

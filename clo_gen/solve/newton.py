"""Minimisation of a smooth function of few unknowns, made for batches of small fits."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct


class Minimum(struct.PyTreeNode):
    """Where a damped Newton iteration stopped."""

    x: jax.Array  # [P]
    value: jax.Array  # [] inf where the objective is not finite at the start
    hessian: jax.Array  # [P, P] at x
    converged: jax.Array  # [] bool: a further step would gain at most `tol` (1 + |value|)


def _finite(found):
    value, gradient, hessian = found
    return jnp.isfinite(value) & jnp.isfinite(gradient).all() & jnp.isfinite(hessian).all()


def _step(found, damping, longest):
    """(step, gain): a Newton step in the eigenbasis, and twice what it would lower the value.

    Negative curvature is turned round, the length bounded.
    """
    _, gradient, hessian = found
    curvature, vectors = jnp.linalg.eigh(hessian)
    along = vectors.T @ gradient
    gain = jnp.sum(along**2 / jnp.maximum(jnp.abs(curvature), 1e-12))
    step = -vectors @ (along / (jnp.abs(curvature) + damping))
    length = jnp.sqrt(jnp.sum(step**2) + 1e-300)
    return step * jnp.minimum(1.0, longest / length), gain


def newton(objective: Callable, start: jax.Array, data: Any, *, steps: int = 60,
           tol: float = 1e-10, longest: float = 2.0) -> Minimum:
    """Minimum of objective(x [P], data) from `start`; vmap over starts or data for a batch.

    Levenberg damping: a step that does not lower the value is taken back and shortened. `longest`
    bounds a step in the units of x, so x should be of order one (logarithms, probits).
    Reference: Nocedal and Wright (2006), Numerical Optimization, sections 3.4 and 10.3.
    """
    def parts(x):
        """(value, gradient, Hessian) at x, in one trace: compiling is what small fits cost."""

        def gradient_of(x):
            value, gradient = jax.value_and_grad(objective)(x, data)
            return gradient, (value, gradient)

        hessian, (value, gradient) = jax.jacfwd(gradient_of, has_aux=True)(x)
        return value, gradient, hessian

    def go_on(carry):
        n, _, _, _, gain, _ = carry
        return (n < steps) & (gain > tol)

    def body(carry):
        n, x, trial, found, _, damping = carry
        new = parts(trial)
        better = _finite(new) & (new[0] <= found[0])
        x = jnp.where(better, trial, x)
        found = jax.tree.map(lambda a, b: jnp.where(better, a, b), new, found)
        damping = jnp.where(better, damping * 0.1, damping * 10.0 + 1e-3)
        step, gain = _step(found, damping, longest)
        return n + 1, x, x + step, found, gain / (1.0 + jnp.abs(found[0])), damping

    start = jnp.asarray(start)
    size, dtype = start.shape[0], start.dtype
    none = jnp.asarray(jnp.inf, dtype), jnp.zeros(size, dtype), jnp.eye(size, dtype=dtype)
    first = (jnp.zeros((), int), start, start, none, jnp.asarray(jnp.inf, dtype),
             jnp.full((), 1e-3, dtype))
    _, x, _, (value, _, hessian), gain, _ = jax.lax.while_loop(go_on, body, first)
    return Minimum(x, value, hessian, (gain <= tol) & jnp.isfinite(value))

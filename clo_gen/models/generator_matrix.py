"""Continuous time: monthly generators and their exponential, with every entry exact in sign.

Reference: Israel, Rosenthal and Wei (2001), Finding generators for Markov chains via empirical
transition matrices, Mathematical Finance 11(2); Moler and Van Loan (2003), Nineteen dubious ways to
compute the exponential of a matrix, SIAM Review 45(1), method 3 (scaling and squaring); Jensen
(1953) for uniformisation, which keeps every term nonnegative.
"""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import logm

from clo_gen.states import StateSpace

_SQUARINGS, _TERMS = 5, 10


def generators_of(matrices: np.ndarray, space: StateSpace) -> np.ndarray:
    """Generators [C, S, S] per month, off-diagonals >= 0, near the logarithms of `matrices` (host).

    Negative off-diagonals and moves that the space forbids are set to 0 and rows balanced, so the
    exponential is near the matrix, and is it where the matrix is embeddable.
    """
    generators = np.array([np.real(logm(np.asarray(m, float))) for m in matrices])
    generators = np.where(space.mask & ~np.eye(space.size, dtype=bool), generators, 0.0)
    # Rounding of the logarithm must not open a way that the matrix does not have.
    generators = np.where(generators > 1e-12, generators, 0.0)
    generators[:, len(space.live):] = 0.0
    return _balanced(generators, np)


def _balanced(off, np_):
    """`off` [..., S, S] with zero diagonal, completed so that rows sum to 0."""
    return off - off.sum(-1, keepdims=True) * np_.eye(off.shape[-1])


def scaled(generators: jax.Array, effect: jax.Array | float) -> jax.Array:
    """Generators whose off-diagonal rates are those of `generators` times exp(`effect`)."""
    eye = jnp.eye(generators.shape[-1], dtype=bool)
    return _balanced(jnp.where(eye, 0.0, generators * jnp.exp(jnp.where(eye, 0.0, effect))), jnp)


def exponential(generators: jax.Array) -> jax.Array:
    """exp of generators [..., S, S] over one month; what cannot be reached is exactly 0.

    Rows sum to 1 within rounding. Accurate to 1e-10 up to exit rates of 8 a month.
    """
    step = generators / 2.0**_SQUARINGS
    rate = jnp.max(-jnp.diagonal(step, axis1=-2, axis2=-1), axis=-1)[..., None, None]
    eye = jnp.eye(step.shape[-1], dtype=step.dtype)
    jump = jnp.where(eye > 0, step + rate, step)
    total = jnp.broadcast_to(eye, step.shape)
    for term in range(_TERMS, 0, -1):
        total = jnp.where(eye > 0, 1.0, 0.0) + jump @ total / term
    total = total * jnp.exp(-rate)
    for _ in range(_SQUARINGS):
        total = total @ total
    return total


def month(generators: jax.Array, space: StateSpace) -> jax.Array:
    """Monthly matrices [..., S, S] of generators.

    Two moves within a month may join to one that the space forbids; its probability goes to the
    row's other entries in proportion.
    """
    matrix = jnp.where(space.mask, exponential(generators), 0.0)
    return matrix / matrix.sum(-1, keepdims=True)

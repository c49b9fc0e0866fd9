"""Unconstrained minimisation of a smooth objective on the host (fits, not graph code)."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.optimize import minimize


def bfgs(objective: Callable, start: Any, data: Any, *, max_steps: int = 500,
         tol: float = 1e-6) -> tuple[Any, bool]:
    """Minimiser of objective(x, data) over the pytree `start`; returns (x, converged).

    Converged: the gradient's largest entry is at most `tol` times (1 + |objective|).
    """
    flat, unravel = ravel_pytree(start)
    step = jax.jit(jax.value_and_grad(lambda x, data: objective(unravel(x), data)))

    def value_and_grad(x):
        value, grad = step(x, data)
        return float(value), np.asarray(grad, float)

    result = minimize(value_and_grad, np.asarray(flat), jac=True, method="BFGS",
                      options={"maxiter": max_steps, "gtol": 1e-9})
    converged = np.abs(result.jac).max() <= tol * (1.0 + abs(result.fun))
    return unravel(jax.numpy.asarray(result.x, flat.dtype)), bool(converged)

"""Nonlinear least squares of a few unknowns on the host, with what the data say of each."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import least_squares


@dataclasses.dataclass(frozen=True)
class LeastSquares:
    """Where the sum of squared residuals is least, and how well it is determined."""

    x: np.ndarray  # [P]
    covariance: np.ndarray  # [P, P] of x, prior included (Gauss-Newton)
    rank: int  # of the jacobian, columns in units of the prior
    condition: float  # largest over smallest of its singular values that are not 0
    converged: bool


def compiled(function: Callable, example: jax.Array | np.ndarray, data: jax.Array) -> Callable:
    """x [P] -> (function(x, data) [Q], its jacobian [Q, P]) as NumPy arrays, compiled once."""
    both = jax.jit(lambda x, data: (function(x, data), jax.jacfwd(function)(x, data)))
    ready = both.lower(jnp.asarray(example), data).compile()

    def call(x):
        return tuple(np.asarray(part, float) for part in ready(jnp.asarray(x), data))

    return call


def solve(residual: Callable, prior: jax.Array | np.ndarray,
          start: jax.Array | np.ndarray | None = None, *, max_steps: int = 60,
          tol: float = 1e-10) -> LeastSquares:
    """LeastSquares of residual(x [P]) -> (values [Q], jacobian [Q, P]) on the host, with a normal
    prior N(0, prior^2) of each x; the values are in standard deviations of the data.

    Levenberg-Marquardt (MINPACK). Converged: no entry of the gradient, in units of the prior, is
    above 1e-4 of 1 + the sum of squares.
    """
    prior = np.asarray(prior, float)
    last: dict = {}

    def both(z):  # z in units of the prior, so that steps are of order one
        if not last or not np.array_equal(last["z"], z):
            value, jacobian = residual(z * prior)
            last.update(z=z.copy(), value=np.concatenate([value, z]),
                        jacobian=np.concatenate([jacobian * prior, np.eye(len(z))]))
        return last

    first = np.zeros(len(prior)) if start is None else np.asarray(start, float) / prior
    def of(name):
        return lambda z: both(z)[name]

    found = least_squares(of("value"), first, jac=of("jacobian"), method="lm", xtol=tol, ftol=tol,
                          gtol=tol, max_nfev=max_steps)
    end, size = both(found.x), len(prior)
    scaled = end["jacobian"][:-size]
    covariance = np.linalg.inv(end["jacobian"].T @ end["jacobian"]) * np.outer(prior, prior)
    singular = np.linalg.svd(scaled, compute_uv=False)
    kept = singular > singular.max(initial=1e-300) * 1e-8
    gradient = end["jacobian"].T @ end["value"]
    return LeastSquares(
        found.x * prior, covariance, int(kept.sum()),
        float(singular[kept].max() / singular[kept].min()) if kept.any() else np.inf,
        bool(np.abs(gradient).max() <= 1e-4 * (1.0 + end["value"] @ end["value"])))

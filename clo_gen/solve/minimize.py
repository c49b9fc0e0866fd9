"""Unconstrained minimisation. jaxopt is imported in solve/ only, so it can be replaced here."""

import jaxopt


def lbfgs(objective, start, data, *, max_steps=500, tol=1e-8):
    """Minimiser of objective(x, data) from `start`; returns (x, converged)."""
    solver = jaxopt.LBFGS(objective, maxiter=max_steps, tol=tol)
    x, state = solver.run(start, data)
    return x, state.error <= tol

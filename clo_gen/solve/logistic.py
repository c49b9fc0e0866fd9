"""Penalised logistic regression on the host, by Newton's method."""

from typing import Any

import numpy as np
from scipy.special import expit


def fit(design: np.ndarray, outcome: Any, prior: np.ndarray, offset: np.ndarray | float = 0.0, *,
        steps: int = 50, tol: float = 1e-8) -> tuple[np.ndarray, np.ndarray, bool]:
    """(coefficients [K], covariance [K, K], converged) of P(outcome) = expit(offset + design @ b).

    `design` [N, K], `outcome` [N] 0 or 1, `prior` [K] standard deviations of a normal prior of b.
    The covariance is the inverse Hessian, prior included; converged: the last step is below `tol`.
    """
    design, outcome = np.asarray(design, float), np.asarray(outcome, float)
    precision, b = np.asarray(prior, float) ** -2.0, np.zeros(design.shape[1])
    change = np.inf
    for _ in range(steps):
        p = expit(offset + design @ b)
        hessian = (design * (p * (1.0 - p))[:, None]).T @ design + np.diag(precision)
        step = np.linalg.solve(hessian, design.T @ (outcome - p) - precision * b)
        # Far from the optimum a Newton step overshoots; it is shortened to two log-odds.
        b = b + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))
        change = np.abs(step).max()
        if change < tol:
            break
    return b, np.linalg.inv(hessian), bool(change < tol)

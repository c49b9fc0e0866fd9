"""Root of a costly function of few unknowns on the host, from a rough Jacobian."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Found:
    """The best point seen."""

    x: np.ndarray  # [P]
    residual: np.ndarray  # [P] at x
    jacobian: np.ndarray  # [P, P] as the steps corrected it; good for a search that goes on
    converged: bool  # the largest residual is at most tol


LONGEST = 1.0  # step in any unknown, which should be of order one (logarithms)


def broyden(f: Callable, start: Any, jacobian: list[list[float]], bounds: Any, *, tol: float = 1e-3,
            max_steps: int = 12) -> Found:
    """Found for f(x [P]) -> [P] within `bounds` (low, high): Broyden's good update, one evaluation
    a step.

    A step is at most LONGEST in any unknown; one that makes the residuals worse is halved, from
    the best point and with the Jacobian corrected by what it showed. Unknowns at a bound that a
    step would leave it by stay there.
    Reference: Nocedal and Wright (2006), Numerical Optimization, section 11.1.
    """
    low, high = (np.asarray(b, float) for b in bounds)
    x, matrix = np.clip(np.asarray(start, float), low, high), np.array(jacobian, float)
    r = np.asarray(f(x), float)
    scale = 1.0
    for _ in range(max_steps):
        if np.abs(r).max() <= tol:
            break
        step = _step(matrix, r, x, low, high)
        step *= scale * min(1.0, LONGEST / max(np.abs(step).max(), 1e-300))
        tried = np.clip(x + step, low, high)
        moved = tried - x
        if np.abs(moved).max() < 1e-9:
            break
        there = np.asarray(f(tried), float)
        matrix = matrix + np.outer(there - r - matrix @ moved, moved) / (moved @ moved)
        if np.linalg.norm(there) < np.linalg.norm(r):
            x, r, scale = tried, there, 1.0
        else:
            scale *= 0.5
    return Found(x, r, matrix, bool(np.abs(r).max() <= tol))


def _step(matrix, r, x, low, high):
    """Newton step in the unknowns that it does not push over their bounds."""
    free = np.ones(len(x), bool)
    for _ in range(len(x)):
        step = np.zeros(len(x))
        step[free] = -np.linalg.lstsq(matrix[:, free], r, rcond=1e-10)[0]
        leaves = free & (((x <= low) & (step < 0)) | ((x >= high) & (step > 0)))
        if not leaves.any():
            return step
        free &= ~leaves
    return np.zeros(len(x))

"""Sequential linear programs with a trust region, for few variables and many curved limits (host).

    maximise value(x)   subject to   margin_i(x) >= 0,   rows @ x <= right,   low <= x <= high

Where as many limits bind as there are variables the linear model finds the vertex, and no
curvature is asked of functions that have kinks. Limits broken at the start are paid for, not
forbidden. Reference: Nocedal and Wright, Numerical Optimization, sections 18.3 and 18.5 (penalty
and trust region); Fletcher and Sainz de la Maza (1989), Nonlinear programming and nonsmooth
optimization by successive linear programming.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy.optimize import linprog


@dataclasses.dataclass(frozen=True)
class Limits:
    """What x [n] has to respect besides the margins."""

    low: np.ndarray  # [n]
    high: np.ndarray  # [n]
    rows: np.ndarray  # [r, n]
    right: np.ndarray  # [r]


@dataclasses.dataclass(frozen=True)
class Found:
    """Where the climb ended: each step on its way raised value - penalty * broken margins."""

    x: np.ndarray  # [n]
    value: float
    margins: np.ndarray  # [m]
    steps: int
    settled: bool  # the trust region shrank to `smallest`, or nothing within it promised a gain


def _step(slope, margins, jacobian, x, radius, limits: Limits, penalty):
    """Step [n] of the linear model within `radius` [n], margins broken at `penalty`; None where its
    program has no solution (`limits` contradict each other)."""
    n, m = len(x), len(margins)
    low = np.maximum(limits.low - x, -radius)
    high = np.minimum(limits.high - x, radius)
    elastic = np.hstack([-jacobian, -np.eye(m)])
    fixed = np.hstack([limits.rows, np.zeros((len(limits.right), m))])
    solved = linprog(np.concatenate([-slope, np.full(m, penalty)]),
                     A_ub=np.vstack([elastic, fixed]),
                     b_ub=np.concatenate([margins, limits.right - limits.rows @ x]),
                     bounds=[*zip(low, high, strict=True), *([(0.0, None)] * m)])
    return solved.x[:n] if solved.success and solved.x is not None else None


def climb(evaluate: Callable, start: np.ndarray, limits: Limits, *, radius: float = 0.2,
          smallest: float = 2e-3, steps: int = 40, penalty: float = 20.0,
          on_step: Callable = lambda n: None) -> Found:
    """Found from `start` [n], which must respect `limits`.

    evaluate(x) -> (value, slope [n], margins [m], jacobian [m, n]). `radius` and `smallest` are
    shares of the start; `penalty` is what a unit of a broken margin costs in value.
    """
    size = np.maximum(np.abs(start), 1e-6)

    def merit(value, margins):
        return value - penalty * np.maximum(-margins, 0.0).sum()

    x = np.asarray(start, float)
    now = evaluate(x)
    done, settled = 0, False
    for done in range(1, steps + 1):  # noqa: B007
        on_step(done)
        value, slope, margins, jacobian = now
        step = _step(slope, margins, jacobian, x, radius * size, limits, penalty)
        if step is None:
            break
        model = merit(value + slope @ step, margins + jacobian @ step) - merit(value, margins)
        if model <= 1e-9:
            settled = True
            break
        tried = evaluate(x + step)
        gain = merit(tried[0], tried[2]) - merit(value, margins)
        if gain > 0.1 * model:
            x, now = x + step, tried
            radius = radius * 1.5 if gain > 0.75 * model else radius
        else:
            radius *= 0.4
        if radius < smallest:
            settled = True
            break
    return Found(x, float(now[0]), np.asarray(now[2]), done, settled)

"""Linear and separable quadratic programs, differentiable in all their numbers.

Solved by interior points: operator splitting (jaxopt.BoxOSQP) stalls on the degenerate programs of
hypo.trading (BENCHMARKS.md).
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.solve.interior import Point, Scaled, direction, error, factor, residuals, run


class Program(struct.PyTreeNode):
    """min cost x + curvature x^2 / 2 + penalty excess, rows x - excess = or <= rhs, 0 <= x <= high.

    Letters: n variables, m rows. Excess is at least 0.
    """

    cost: jax.Array  # [n]
    curvature: jax.Array  # [n] at least 0
    high: jax.Array  # [n] inf: no bound, 0: the variable is fixed
    rows: jax.Array  # [m, n]
    rhs: jax.Array  # [m]
    equal: jax.Array  # [m] bool: the row is an equation
    penalty: jax.Array  # [m] cost of a unit of excess; inf: the row is hard


class Solution(struct.PyTreeNode):
    """Optimum of a Program and its prices."""

    x: jax.Array  # [n]
    excess: jax.Array  # [m]
    objective: jax.Array  # []
    row_price: jax.Array  # [m] d objective / d rhs
    high_price: jax.Array  # [n] d objective / d high, at most 0
    residual: jax.Array  # [] largest KKT residual with variables, rows and cost scaled to 1
    steps: jax.Array  # [] int


class Found(struct.PyTreeNode):
    """Where the search ended."""

    x: jax.Array  # [n]
    point: Point  # scaled
    steps: jax.Array  # [] int


def _scale(p: Program):
    """Scaled program; fixed variables lose their columns. Its units are constants to autodiff."""
    m = p.rhs.shape[0]
    free, hard = p.high > 0, ~jnp.isfinite(p.penalty)
    bounded = free & jnp.isfinite(p.high)
    size = jax.lax.stop_gradient(jnp.where(bounded, jnp.where(bounded, p.high, 1.0), 1.0))
    rows = jnp.where(free, p.rows * size, 0.0)
    top = jax.lax.stop_gradient(jnp.abs(rows).max(1))
    row_size = jnp.where(top > 0, top, 1.0)
    cost = jnp.where(free, p.cost * size, 0.0)
    most = jax.lax.stop_gradient(jnp.abs(cost).max())
    cost_size = jnp.where(most > 0, most, 1.0)
    penalty = jnp.where(hard, 0.0, jnp.where(hard, 0.0, p.penalty) * row_size)
    none, bounds = jnp.zeros(m, cost.dtype), jnp.zeros(2 * m, bool)
    return Scaled(
        rows=rows / row_size[:, None], rhs=p.rhs / row_size,
        unit=jnp.concatenate([jnp.where(p.equal, 0.0, 1.0), jnp.where(hard, 0.0, -1.0)]),
        cost=jnp.concatenate([cost, none, penalty]) / cost_size,
        curvature=jnp.concatenate([jnp.where(free, p.curvature * size**2, 0.0), none, none])
        / cost_size,
        high=jnp.concatenate([jnp.where(bounded, jnp.where(bounded, p.high, 1.0) / size, 1.0),
                              jnp.ones(2 * m, cost.dtype)]),
        bounded=jnp.concatenate([bounded | ~free, bounds]), size=size, row_size=row_size,
        cost_size=cost_size)


def search(program: Program) -> Found:
    """Found: the solution without derivatives."""
    p = jax.lax.stop_gradient(_scale(program))
    point, steps = jax.lax.stop_gradient(run(p))
    size = program.cost.shape[0]
    return Found(jnp.where(program.high > 0, point.z[:size] * p.size, 0.0), point, steps)


def solution(program: Program, found: Found) -> Solution:
    """Solution of the program that `found` solves, differentiable in all the program's numbers.

    Derivatives, forward or reverse, once, are those of the KKT conditions (implicit function
    rule): one Newton direction more, whose matrix is constant and whose right-hand side, zero in
    value, carries the derivative. Those of x mean something where the optimum is unique, those of
    the objective always.
    """
    p, v = _scale(program), found.point
    fixed = jax.lax.stop_gradient(p)
    missing = jax.tree.map(lambda r: r - jax.lax.stop_gradient(r), residuals(p, v))
    none = jnp.zeros_like(v.z)
    dv = direction(fixed, v, factor(fixed, v), missing, none, none)
    z, high_dual = v.z + dv.z, v.high_dual + dv.high_dual
    n, m = program.cost.shape[0], program.rhs.shape[0]
    free, soft = program.high > 0, jnp.isfinite(program.penalty)
    x = jnp.where(free, z[:n] * p.size, 0.0)
    excess = jnp.where(soft, z[n + m:] * p.row_size, 0.0)
    penalty = jnp.where(soft, program.penalty, 0.0) * excess
    return Solution(
        x=x, excess=excess,
        objective=(program.cost * x + 0.5 * program.curvature * x**2).sum() + penalty.sum(),
        row_price=(v.y + dv.y) * p.cost_size / p.row_size,
        high_price=jnp.where(free, -high_dual[:n] * p.cost_size / p.size, 0.0),
        residual=error(fixed, v), steps=found.steps)


def solve(program: Program) -> Solution:
    """Solution of a program, differentiable as `solution` is.

    Always returns: judge `residual`, and `excess` where rows are soft. Of many
    optima it is the one in the middle of their face.
    """
    return solution(program, search(program))


def lagrangian(program: Program, solution: Solution) -> jax.Array:
    """Objective [] whose derivative in the program's numbers is the price of each of them.

    The solution is held fixed (envelope theorem), so no linear system is solved and degenerate
    optima do no harm.
    """
    s = jax.lax.stop_gradient(solution)
    limited = jnp.isfinite(program.high)
    to_high = jnp.where(limited, s.x - jnp.where(limited, program.high, 0.0), 0.0)
    soft = jnp.isfinite(program.penalty)
    penalty = jnp.where(soft, program.penalty, 0.0) * s.excess
    missing = program.rhs + s.excess - program.rows @ s.x
    return ((program.cost * s.x + 0.5 * program.curvature * s.x**2).sum() + penalty.sum()
            + s.row_price @ missing - s.high_price @ to_high)

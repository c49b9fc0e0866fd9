"""Programs are solved to optimality, equal HiGHS, and have the derivatives of their optimum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

from clo_gen.solve.quadratic import Program, lagrangian, solve

N, M = 12, 7
solve_one = jax.jit(solve)


def random_program(seed, curvature=0.0):
    """Feasible and bounded; a fixed variable, unbounded ones, an equation, soft and hard rows."""
    r = np.random.default_rng(seed)
    rows, high = r.normal(size=(M, N)), r.uniform(0.5, 2.0, N)
    high[:2], high[2] = np.inf, 0.0
    inside = np.where(np.isfinite(high), high, 3.0) * r.uniform(size=N)
    equal = np.arange(M) < 1
    cost = r.normal(size=N)
    cost[:2] = 5.0 + np.abs(cost[:2])
    rhs = rows @ inside + np.where(equal, 0.0, r.uniform(0.0, 0.3, M))
    return Program(*map(jnp.asarray, (cost, np.full(N, curvature), high, rows, rhs, equal,
                                      np.where(np.arange(M) % 2 == 0, np.inf, 1e4))))


def highs(p):
    """HiGHS on [x, excess], all rows."""
    soft, equal = np.isfinite(p.penalty), np.asarray(p.equal)
    rows = np.hstack([p.rows, -np.eye(M)])
    cost = np.append(p.cost, np.where(soft, p.penalty, 0.0))
    bounds = [(0, h) for h in p.high] + [(0, None if s else 0) for s in soft]
    return linprog(cost, A_ub=rows[~equal], b_ub=np.asarray(p.rhs)[~equal], A_eq=rows[equal],
                   b_eq=np.asarray(p.rhs)[equal], bounds=bounds)


def kkt(p, s):
    """Largest violation of the optimality conditions in plain numbers, from x and its prices."""
    x, y, t = np.asarray(s.x), np.asarray(s.row_price), np.asarray(s.high_price)
    left = np.asarray(p.rhs) + np.asarray(s.excess) - np.asarray(p.rows) @ x
    slope = p.cost + p.curvature * x - y @ np.asarray(p.rows) - t
    room = np.where(np.isfinite(p.high), p.high - x, 1.0)
    free, bound = np.asarray(p.high) > 0, ~np.asarray(p.equal)
    return max(np.max(-x), np.max(-room), np.abs(left[~bound]).max(), np.max(-left[bound]),
               np.max(y[bound]), np.max(t), np.max(-slope[free]), np.abs(slope * x).max(),
               np.abs(t * room)[free].max(), np.abs(y * left).max())


@pytest.mark.parametrize("curvature", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_optimality(seed, curvature):
    p = random_program(seed, curvature)
    s = solve_one(p)
    assert s.residual < 1e-9 and kkt(p, s) < 1e-7


@pytest.mark.parametrize("seed", range(6))
def test_linear_programs_equal_highs(seed):
    p = random_program(seed)
    s, reference = solve_one(p), highs(p)
    np.testing.assert_allclose(s.objective, reference.fun, atol=1e-8)
    np.testing.assert_allclose(s.x, reference.x[:N], atol=1e-7)
    np.testing.assert_allclose(s.row_price[1:], reference.ineqlin.marginals, atol=1e-6)


def test_rows_that_cannot_hold_are_exceeded_least():
    p = random_program(0)
    soft = p.replace(rhs=p.rhs.at[1].set(-50.0))
    s, reference = solve_one(soft), highs(soft)
    assert s.residual < 1e-6 and s.excess[1] > 1.0
    np.testing.assert_allclose(s.objective, reference.fun, rtol=1e-8)


def test_contradiction_of_hard_rows_is_reported():
    p = random_program(0)
    s = solve_one(p.replace(rhs=p.rhs.at[2].set(-50.0)))
    assert s.residual > 1e-3 and jnp.isfinite(s.x).all()


def test_batch_equals_loop():
    programs = [random_program(seed) for seed in range(3)]
    batch = jax.jit(jax.vmap(solve))(jax.tree.map(lambda *x: jnp.stack(x), *programs))
    for i, p in enumerate(programs):
        one = solve_one(p)
        np.testing.assert_allclose(batch.x[i], one.x, atol=1e-8)
        np.testing.assert_allclose(batch.objective[i], one.objective, atol=1e-8)


def test_derivatives_are_those_of_the_optimum():
    """Of x of a curved program, and of the objective."""
    p, key = random_program(1, 0.5), jax.random.key(0)
    d_rhs, d_rows = (jax.random.normal(k, shape) for k, shape in zip(
        jax.random.split(key), [(M,), (M, N)], strict=True))

    def shifted(h):
        return solve_one(p.replace(rhs=p.rhs + h * d_rhs, rows=p.rows + h * d_rows))

    def along(rhs, rows):
        s = solve(p.replace(rhs=rhs, rows=rows))
        return s.x, s.objective, lagrangian(p.replace(rhs=rhs, rows=rows), s)

    difference = jax.tree.map(lambda a, b: (a - b) / 2e-5, shifted(1e-5), shifted(-1e-5))
    (x, objective, price) = jax.jit(lambda *d: jax.jvp(along, (p.rhs, p.rows), d)[1])(
        d_rhs, d_rows)
    np.testing.assert_allclose(x, difference.x, atol=1e-4)
    np.testing.assert_allclose(objective, difference.objective, rtol=1e-6)
    np.testing.assert_allclose(price, difference.objective, rtol=1e-6)

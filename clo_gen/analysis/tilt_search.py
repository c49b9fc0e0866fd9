"""Where to tilt: directions through the graph, lengths from a pilot (host).

1. In mode `expected` the graph is a smooth map of the noise. The class: the likeliest noise at
   which it first loses (solve.design_point). The pool: the noise of a given length with the largest
   loss, the inverse design point (Winterstein et al. 1993, Environmental parameters for extreme
   response).
2. Each is cut into macro, cohort, industry and region: up to eight directions, few enough to fit
   lengths along them.
3. A pilot of whole paths, tilted so, says how the pool's loss and the class's default follow those
   directions and the luck of single loans (the log-ratio of a weak twist): a linear fit of the
   loss, a probit fit of the class's event. Each gives the shift of least variance along its
   steepest way, and that way how much of it falls to the twist (risk.importance; Glasserman and
   Li 2005).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from clo_gen.analysis import reverse_stress as rs
from clo_gen.analysis import tilt as tl
from clo_gen.risk import importance
from clo_gen.risk.losses import UNPAID
from clo_gen.solve.design_point import Search, design_points

TEMPERATURE = 0.003  # of the tests while the class's design point is searched
WEAK = 0.1  # mean log-odds of the twist whose ratio the pilot counts
CAUTION = 0.85  # of the shift of least variance: one too long costs more than one too short
CLIMBS = 6  # fixed-point steps to the worst noise of a given length


@dataclasses.dataclass(frozen=True)
class Found:
    """A tilt and how it came about."""

    tilt: tl.Tilt
    pilot: tl.Outcome  # [n]
    margin: float  # of the class at its design point, expected mode; nan without a class
    distance: float  # |noise| of that point
    slopes: int  # gradients through the graph that were taken
    events: tuple[float, ...]  # effective number of pilot paths in each tail (class, pool)


@dataclasses.dataclass(frozen=True)
class Programs:
    """What the search calls."""

    paths: Any  # tilt.compile_paths, with a twist where loans are drawn
    loss: Any  # compile_loss
    margins: Any = None  # compile_margins; None: the pool alone


def compile_loss(setup):
    """Compiled (problem, noise [D]) -> (expected loss [] of the pool, slope [D])."""
    def slope(problem, noise):
        return jax.value_and_grad(lambda n: tl.expected_loss(problem, n, setup=setup))(noise)

    return jax.jit(slope)


def compile_margins(setup, k):
    """Compiled (problem, noise [S, D], temperature) -> reverse_stress.Margin [S] of class `k`."""
    def margins(problem, noise, temperature):
        return jax.vmap(lambda n: rs.margin(problem, n, temperature, event=rs.Event("loss", k),
                                            setup=setup, lived=tl.lived))(noise)

    return jax.jit(margins)


def unit(slope):
    """`slope` [D] at length 1; 0 where it is."""
    steep = np.linalg.norm(slope)
    return slope / steep if steep > 0 else slope


def worst_of_length(loss, problem, size, length):
    """Noise [D] of `length` with nearly the largest expected loss: it points where the loss rises
    fastest."""
    at = np.zeros(size)
    for _ in range(CLIMBS):
        at = length * unit(np.asarray(loss(problem, jnp.asarray(at))[1]))
    return at


def class_point(margins, problem, start, steps=20):
    """(noise [D], its margin, gradients taken) where the class first loses, or nearest to that.

    Two searches side by side: from the origin and from `start` [D], the pool's worst noise.
    """
    calls = []

    def evaluate(noise):
        found = jax.tree.map(np.asarray, margins(problem, jnp.asarray(noise),
                                                 jnp.asarray(TEMPERATURE, float)))
        calls.append(len(noise))
        return found.margin, np.nan_to_num(found.slope)

    walkers = design_points(evaluate, np.stack([np.zeros_like(start), start]),
                            search=Search(steps=steps, inside=5e-3))
    reached = [w.best for w in walkers if w.best is not None and np.any(w.best)]
    if reached:
        return min(reached, key=np.linalg.norm), 0.0, sum(calls)
    nearest = min(walkers, key=lambda w: w.margin)
    return nearest.x, nearest.margin, sum(calls)


def directions(points: list[np.ndarray], blocks: dict[str, Any]) -> np.ndarray:
    """Orthonormal rows [len(points) len(blocks), D] that span the part of each of `points` [D] in
    each block; rows of 0 where a block adds nothing new."""
    rows = []
    for where in blocks.values():
        own: list = []
        for point in points:
            row = np.zeros_like(point)
            row[where] = point[where]
            size = np.linalg.norm(row)
            for other in own:
                row = row - (row @ other) * other
            left = np.linalg.norm(row)
            own.append(row / left if left > 1e-6 * np.maximum(size, 1e-12) else np.zeros_like(row))
        rows += own
    return np.stack(rows)


def turned(basis: jax.Array | np.ndarray, means: jax.Array | np.ndarray) -> Any:
    """(basis, means) with the same shifts, turned so that the first directions carry them: even
    points cover single directions best."""
    aims = means[1:] @ basis
    rows: list = []
    for row in np.concatenate([aims, basis]):
        size = np.linalg.norm(row)
        for other in rows:
            row = row - (row @ other) * other
        left = np.linalg.norm(row)
        if left > 1e-6 * np.maximum(size, 1e-12):
            rows.append(row / left)
    rows += [np.zeros(basis.shape[1])] * (len(basis) - len(rows))
    turn = np.stack(rows[: len(basis)])
    return turn, means @ basis @ turn.T


def find_tilt(programs: Programs, case, setup, aim, key, block, *, on_stage=lambda text: None):
    """Found for `aim` = (class k or None, level of the pool's VaR, pilot paths, defensive share);
    `case` = (reverse_stress.Problem, temperature). The control is left to the caller."""
    k, level, pilot, defence = aim
    problem = case[0]
    blocks = tl.noise_blocks(problem, setup)
    on_stage("searching the direction")
    pool = worst_of_length(programs.loss, problem, blocks["region"].stop, float(norm.ppf(level)))
    points, margin, slopes = [pool], float("nan"), CLIMBS
    if k is not None:
        point, margin, more = class_point(programs.margins, problem, pool)
        points, slopes = [point, pool], slopes + more
    basis = directions(points, blocks)
    means = np.stack([np.zeros(len(basis)), *(basis @ p for p in points)])
    shares = np.array([defence, *[(1.0 - defence) / len(points)] * len(points)])
    tilt = tl.no_tilt(problem, setup).replace(
        basis=jnp.asarray(basis), means=jnp.asarray(means), shares=jnp.asarray(shares),
        even=jnp.asarray(True), twist=jnp.asarray(weak_twist(problem.inputs.tape)),
        twisted=jnp.zeros(len(shares)))
    on_stage("pilot")
    outcome = tl.run_paths(programs.paths, case, tilt, key, pilot, block)
    fits, events = fitted(outcome, k, level)
    means = np.stack([means[0], *(means[n + 1] if fit is None else fit[:-1]
                                  for n, fit in enumerate(fits))])
    basis, means = turned(basis, means)
    times, on = twist_of(fits, outcome.luck)
    tilt = tilt.replace(basis=jnp.asarray(basis), means=jnp.asarray(means),
                        twist=times * tilt.twist, twisted=jnp.asarray(on))
    distance = float(np.linalg.norm(points[0])) if k is not None else float("nan")
    return Found(tilt, outcome, margin, distance, slopes, events)


def weak_twist(tape):
    """Log-odds [L] added to defaults: WEAK on average, more for a loan that loses more of par."""
    loss = np.asarray(tape.balance * (1.0 - tape.recovery_rate))
    return WEAK * loss / max(loss[loss > 0].mean(), 1e-300) if (loss > 0).any() else 0.0 * loss


def fitted(outcome, k, level):
    """(shift [J + 1] of least variance for each tail, along the basis and of the loans' luck in
    standard deviations, the class's first; effective number of pilot paths in each tail).

    `outcome` is drawn without a twist; a class that loses on no path has the shift None.
    """
    luck, weights = outcome.luck - outcome.luck.mean(), np.exp(outcome.log_weight)
    at = np.column_stack([outcome.along, luck / max(luck.std(), 1e-12)])
    design = np.column_stack([np.ones(len(at)), at])
    slopes = np.linalg.lstsq(design, outcome.loss, rcond=None)[0]
    rest = outcome.loss - design @ slopes
    spread = max(float(rest.std()), 1e-12)
    value = float(importance.quantile(jnp.asarray(outcome.loss), jnp.asarray(weights), level))
    shifts, tails = [_shift(slopes[1:], value - slopes[0], spread)], [outcome.loss > value]
    if k is not None:
        lost = (outcome.principal[:, k] > UNPAID) | (outcome.interest[:, k] > UNPAID)
        shifts.insert(0, _class_shift(np.column_stack([at, rest / spread]), lost))
        tails.insert(0, lost)
    return shifts, tuple(float(importance.effective_size(jnp.asarray(weights * tail)))
                         for tail in tails)


def _class_shift(at, lost):
    if not lost.any():
        return None
    a, b = (np.asarray(x) for x in jax.jit(importance.probit)(jnp.asarray(at), jnp.asarray(lost)))
    return _shift(b[:-1], -a, np.hypot(1.0, b[-1]))


def _shift(slopes, threshold, rest):
    """Shift [J] of least variance of x ~ N(0, I) for slopes.x + rest N(0, 1) > threshold."""
    steep, whole = np.linalg.norm(slopes), np.sqrt(slopes @ slopes + rest**2)
    length = jax.jit(importance.length_of_least_variance)(
        jnp.asarray(threshold / whole), jnp.asarray(steep / whole))
    return CAUTION * max(float(length), 0.0) * slopes / max(steep, 1e-300)


def twist_of(shifts, luck):
    """(factor [] of the pilot's twist, [M] 0 or 1 where it is on) from the last entry of each shift
    [J + 1]: one twist for all tails that ask for at least half of the largest."""
    asked = [0.0 if shift is None else max(float(shift[-1]), 0.0) for shift in shifts]
    used = [x for x in asked if x > 0.5 * max(asked)]
    spread = float(np.std(luck))
    times = np.mean(used) / spread if used and spread > 0 else 0.0
    return times, np.array([0.0, *(float(x in used and times > 0) for x in asked)])

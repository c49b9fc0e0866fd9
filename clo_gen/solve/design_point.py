"""Design points: the likeliest standard normal x at which a margin is no longer positive (host).

    minimise 0.5 |x|^2   subject to   margin(x) <= 0,   cosine(x, a_j) <= c for each a_j in `away`

by sequential quadratic programs whose Hessian is that of the objective, the identity. Without
`away` a full step is the recursion of Hasofer and Lind (1974) and of Rackwitz and Fiessler (1978),
Structural reliability under combined random load sequences, Computers and Structures 9; steps are
halved by the merit function of Zhang and Der Kiureghian (1995), Two improved algorithms for
reliability analysis. The cones around earlier answers take the place of the bulges of Der
Kiureghian and Dakessian (1998), Multiple design points in first and second-order reliability,
Structural Safety 20: they also find different answers where there is one basin only.
"""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

ARMIJO = 1e-4
LEAST_SHARE = 1.0 / 32.0  # of a step, after which it is taken as it is


@dataclasses.dataclass(frozen=True)
class Search:
    """When a search ends and how far it may go."""

    steps: int = 25  # evaluations at most
    longest: float = 3.0  # a step, standard deviations
    farthest: float = 15.0  # from the origin
    inside: float = 0.0  # of the margin at the first start: how far past 0 it is aimed at, so that
    # points that meet it are among those tried
    tolerance: float = 1e-3  # of the margin at the origin, and of the change of |x|


@dataclasses.dataclass
class Walker:
    """One search: where it stands, where it heads, and how it judges."""

    x: np.ndarray  # [D]
    margin: float = np.inf  # with what is aimed past it
    slope: np.ndarray | None = None  # [D]
    heading: np.ndarray | None = None  # [D] full step from x
    share: float = 1.0  # of it that is tried next
    penalty: float = 0.0  # on what breaks a constraint
    done: bool = False
    best: np.ndarray | None = None  # [D] shortest x tried that meets every constraint
    least: float = np.inf  # margin of all x tried


def nearest_to_origin(rows: np.ndarray, right: np.ndarray) -> np.ndarray | None:
    """x [D] of least norm with rows [m, D] @ x <= right [m]; None where the rows allow nothing.

    Tries every set of active rows, so it is meant for a handful. Convex: the first point that
    meets the conditions of Karush, Kuhn and Tucker is the answer.
    """
    m = len(right)
    gram = rows @ rows.T
    slack = 1e-9 * (1.0 + np.abs(right).max(initial=0.0))
    for active in itertools.chain.from_iterable(
            itertools.combinations(range(m), n) for n in range(m + 1)):
        chosen = list(active)
        try:
            price = -np.linalg.solve(gram[np.ix_(chosen, chosen)], right[chosen])
        except np.linalg.LinAlgError:
            continue
        x = -price @ rows[chosen] if chosen else np.zeros(rows.shape[1])
        if (price >= -1e-12).all() and (rows @ x <= right + slack).all():
            return x
    return None


def _cones(x, away, cosine):
    """Rows [J, D] of cosine(x, a_j) <= `cosine`, linear at x: cautious, since |x| is convex."""
    size = np.linalg.norm(x)
    unit = x / size if size > 0 else np.zeros_like(x)
    return away - cosine * unit


def _merit(walker, x, margin, away, cosine):
    broken = max(margin, 0.0) + np.maximum(away @ x - cosine * np.linalg.norm(x), 0.0).sum()
    return 0.5 * x @ x + walker.penalty * broken


def _aim(walker, away, cosine, search: Search):
    """Sets the walker's next full step; done where nothing is left to gain or no slope leads on."""
    x, slope = walker.x, walker.slope
    rows = np.vstack([slope[None], _cones(x, away, cosine)])
    right = np.concatenate([[slope @ x - walker.margin], np.zeros(len(away))])
    steep = slope @ slope
    if not np.isfinite(steep) or steep <= 0.0:
        walker.done = True
        return
    target = nearest_to_origin(rows, right)
    target = slope * right[0] / steep if target is None else target
    size = np.linalg.norm(target)
    target = target * min(1.0, search.farthest / size) if size > 0 else target
    step = target - x
    size = np.linalg.norm(step)
    walker.heading = step * min(1.0, search.longest / size) if size > 0 else step
    walker.share = 1.0
    walker.penalty = max(walker.penalty, 2.0 * np.linalg.norm(target) / np.sqrt(steep))


def design_points(evaluate: Callable, starts: Any, *, away: Any = (), cosine: float = 0.7,
                  search: Search | None = None) -> list[Walker]:
    """Walkers after a search from each of `starts` [S, D], side by side; `done`: it settled.

    evaluate(x [S, D]) -> (margins [S], slopes [S, D]) is called once a step for all. `away` holds
    unit vectors [D]. A walker may end without reaching its margin; then its `best` is None. Where
    the margin has kinks a search may not settle, and `best` is what to take.
    """
    search = search or Search()
    starts = np.asarray(starts, float)
    away = np.asarray(away, float).reshape(-1, starts.shape[1])
    walkers = [Walker(x) for x in starts]
    margins, slopes = evaluate(starts)
    size = max(abs(float(margins[0])), 1e-9)
    past = search.inside * size
    for walker, margin, slope in zip(walkers, margins, slopes, strict=True):
        walker.margin, walker.slope = float(margin) + past, np.asarray(slope)
        _remember(walker, walker.x, float(margin), (away, cosine))
        _aim(walker, away, cosine, search)
    for _ in range(search.steps):
        if all(walker.done for walker in walkers):
            break
        tried = np.stack([w.x if w.done or w.heading is None else w.x + w.share * w.heading
                          for w in walkers])
        margins, slopes = evaluate(tried)
        for walker, x, margin, slope in zip(walkers, tried, margins, slopes, strict=True):
            if not walker.done:
                _remember(walker, x, float(margin), (away, cosine))
                tried_now = x, float(margin) + past, np.asarray(slope)
                _judge(walker, tried_now, (away, cosine), size, search)
    return walkers


def _remember(walker, x, margin, cones):
    away, cosine = cones
    walker.least = min(walker.least, margin)
    size = np.linalg.norm(x)
    allowed = margin <= 0.0 and (away @ x <= (cosine + 1e-3) * size).all()
    if allowed and (walker.best is None or size < np.linalg.norm(walker.best)):
        walker.best = x


def _judge(walker, tried, cones, size, search: Search):
    """Takes the step tried, or halves it."""
    x, margin, slope = tried
    now, then = _merit(walker, walker.x, walker.margin, *cones), _merit(walker, x, margin, *cones)
    gain = ARMIJO * walker.share * walker.heading @ walker.heading
    if not then <= now - gain and walker.share > LEAST_SHARE:
        walker.share *= 0.5
        return
    moved = abs(np.linalg.norm(x) - np.linalg.norm(walker.x))
    walker.x, walker.margin, walker.slope = x, margin, slope
    _aim(walker, *cones, search)
    walker.done |= bool(max(margin, 0.0) <= search.tolerance * size
                        and moved <= search.tolerance * (1.0 + np.linalg.norm(x)))

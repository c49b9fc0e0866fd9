"""The likeliest macro paths of an event, several that differ, and what to hold against them."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from clo_gen.analysis.reverse_stress import (
    Event,
    Problem,
    happened,
    macro_values,
    noise_size,
    yearly,
)
from clo_gen.solve.design_point import Search, design_points

TEMPERATURES = (0.003, 0.0)  # of the tests, in turn
START_SHARE = 0.3  # of a prior draw, for the starts beside the likeliest path of all
RAY = (0.7, 1.4)  # of the point found: where hard tests may put the event
INSIDE = 5e-3  # share of the margin by which a search aims past the event
EXTRA = 3  # searches at most beside one an answer
ROUNDS = 5  # of the search along the ray


@dataclasses.dataclass(frozen=True)
class Answer:
    """One path, judged under hard tests."""

    noise: np.ndarray  # [D]
    distance: float  # |noise|: standard deviations; the log-density is its square over -2, but for
    # a constant
    reached: bool  # the event happens; else this is the nearest path found
    margin: float
    amount: float
    aligned: float  # cosine of noise and steepest way: 1 where no shorter noise is near (first
    # answer; later ones are kept away from it)
    likeness: float  # largest cosine with the noise of an earlier answer; nan for the first

    @property
    def probability(self) -> float:
        """First-order probability of the event on this answer's side: Phi(-distance)."""
        return float(norm.cdf(-self.distance)) if self.reached else float("nan")


def likeliest_paths(problem: Problem, margins, event: Event, *, key, answers=3, starts=4,
                    cosine=0.7, search=None, on_answer=lambda n: None):
    """Answers, likeliest first; each differs from the others by a cosine of at most `cosine`.

    `margins` is the program of reverse_stress.compile_margins; `key` draws the starts beside the
    origin, whose path is the likeliest of all. Where the event happens on that path it is the only
    answer. Ends early once no further path reaches the event.
    """
    search = search or Search(inside=INSIDE)
    size = noise_size(problem)
    draws = jax.random.normal(key, (starts - 1, size))
    begin = np.concatenate([np.zeros((1, size)), START_SHARE * np.asarray(draws)])

    def evaluate(noise, temperature):
        found = margins(problem, jnp.asarray(noise), jnp.asarray(temperature))
        return jax.tree.map(np.asarray, found)

    origin = jax.tree.map(lambda x: x[0], evaluate(begin, 0.0))
    if happened(event, origin.amount):
        return (Answer(begin[0], 0.0, True, float(origin.margin), float(origin.amount),
                       float("nan"), float("nan")),)
    pool: list = []
    nearest, refined = None, False
    for n in range(answers + EXTRA):
        on_answer(n)
        chosen = _different(pool, cosine, answers)
        full = len(chosen) == answers
        if full and refined:
            break
        # Once there are enough, from where they are: is anything nearer?
        x = np.stack([chosen[i % answers] for i in range(starts)]) if full else begin
        away = [] if full else [c / np.linalg.norm(c) for c in chosen]
        best, stuck = _search(evaluate, x, away, cosine, search)
        pool, refined = pool + best, refined or full
        nearest = stuck if nearest is None else nearest
        if not best and not full:
            break
    chosen = _different(pool, cosine, answers) or [nearest]
    found = [_judged(evaluate, event, x, starts) for x in chosen]
    return _compared(sorted(found, key=lambda f: f.distance))


def _different(pool, cosine, most):
    """The shortest of `pool` [D] each, then the shortest that differ from those before."""
    chosen: list = []
    for x in sorted(pool, key=np.linalg.norm):
        near = [x @ c / np.linalg.norm(x) / np.linalg.norm(c) for c in chosen]
        if len(chosen) < most and max(near, default=-1.0) <= cosine + 1e-2:
            chosen.append(x)
    return chosen


def _search(evaluate, begin, away, cosine, search):
    """([noise [D]] where the event happens, the nearest miss [D]) from all starts, tests hard at
    the end."""
    x = begin
    for temperature in TEMPERATURES:
        def at(noise, temperature=temperature):
            found = evaluate(noise, temperature)
            return found.margin, found.slope

        walkers = design_points(at, x, away=away, cosine=cosine, search=search)
        x = np.stack([w.x if w.best is None else w.best for w in walkers])
    return [w.best for w in walkers if w.best is not None], min(walkers, key=lambda w: w.margin).x


def _judged(evaluate, event, x, width):
    """Answer nearest to the origin on the ray through `x` [D], under hard tests."""
    (low, high), best = RAY, None
    for _ in range(ROUNDS):
        at = np.linspace(low, high, width + 1)[1:]
        found = evaluate(at[:, None] * x, 0.0)
        each = [jax.tree.map(lambda a, n=n: a[n], found) for n in range(width)]
        hit = happened(event, found.amount)
        first = int(np.argmax(hit)) if hit.any() else width - 1
        best = at[first], each[first]
        if not hit.any():
            break
        low, high = (at[first - 1] if first else low), at[first]
    assert best is not None  # ROUNDS > 0
    scale, judged = best
    noise = scale * x
    size, steep = np.linalg.norm(noise), np.linalg.norm(judged.slope)
    aligned = -noise @ judged.slope / max(size * steep, 1e-300)
    return Answer(noise, float(size), bool(happened(event, judged.amount)), float(judged.margin),
                  float(judged.amount), float(aligned), float("nan"))


def _compared(found):
    """Answers with their likeness to those before."""
    units = [f.noise / f.distance for f in found]
    return tuple(dataclasses.replace(f, likeness=max(
        (float(units[n] @ units[m]) for m in range(n)), default=float("nan")))
        for n, f in enumerate(found))


def first_along(happens: Callable, directions: jax.Array | np.ndarray, farthest: float, *,
                rounds: int = 10) -> np.ndarray:
    """Distance [N] at which each ray of `directions` [N, D] first meets the event; inf where it
    does not at `farthest`. happens(noise [N, D]) -> [N] bool; one change along a ray is assumed.
    """
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    low, high = np.zeros(len(unit)), np.full(len(unit), float(farthest))
    ends = np.asarray(happens(high[:, None] * unit))
    for _ in range(rounds):
        middle = 0.5 * (low + high)
        hit = np.asarray(happens(middle[:, None] * unit))
        low, high = np.where(hit, low, middle), np.where(hit, middle, high)
    return np.where(ends, high, np.inf)


@dataclasses.dataclass(frozen=True)
class Usual:
    """Paths of the generator, for comparison."""

    middle: np.ndarray  # [T, M] the likeliest path
    low: np.ndarray  # [T, M] 5 % of paths lie below
    high: np.ndarray  # [T, M] 5 % above
    yearly_sd: np.ndarray  # [Y, M] standard deviation of the means of years


def usual_paths(problem: Problem, key: jax.Array, count: int = 512) -> Usual:
    """Usual of `count` prior draws."""
    noise = jax.random.normal(key, (count, noise_size(problem)))
    decode = jax.jit(jax.vmap(macro_values, in_axes=(None, 0)))
    values = np.asarray(decode(problem, noise))
    middle = np.asarray(decode(problem, jnp.zeros_like(noise[:1]))[0])
    low, high = np.quantile(values, [0.05, 0.95], axis=0)
    return Usual(middle, low, high, np.stack([yearly(v) for v in values]).std(0))


def away_from_usual(values: jax.Array | np.ndarray, usual: Usual) -> tuple[np.ndarray, np.ndarray]:
    """(means of years [Y, M] of a path [T, M], their distance [Y, M] from those of the likeliest
    path in standard deviations of prior draws)."""
    means = yearly(values)
    sd = np.where(usual.yearly_sd > 0, usual.yearly_sd, np.inf)
    return means, (means - yearly(usual.middle)) / sd

"""Loadings that give the pool's loss variance wanted shares by source, at an unchanged mean loss.

Four levers: the macro effect (a multiplier of the transition logit's slopes, recentred over its
reference years), the cohort loading, the industry and region loadings (one multiplier of both), and
a common log-odds of worse moves that holds the mean loss where it was. The idiosyncratic variance
hardly moves: loan number, sizes and the mean loss set it, so its wanted share fixes the total
variance and with it the scale of the other three.

Common random numbers and exact conditional moments (variance.conditional_loss) make all of it
smooth in the levers. The search is Broyden's, first on few paths, then on all of them; it sets out
from the Jacobian of losses that are linear in the sources (`rough_jacobian`), so that no
derivative of the graph is taken: forward mode through it was measured at 24 times the cost of one
evaluation for four levers.

Reference: methodology, correlation structure and stage 3; DESIGN section 4.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from clo_gen import mesh
from clo_gen.analysis.variance import CONDITIONAL, conditional_loss, run_design
from clo_gen.models.transition_baseline import with_macro_effect
from clo_gen.solve.broyden import broyden

TARGET = (0.60, 0.25, 0.10, 0.05)  # methodology: macro, cohort, factor, idiosyncratic
LEVERS = ("transitions.macro_effect", "factors.cohort", "factors.industry and factors.region",
          "transitions.worse_log_odds")
LOW = np.array([-3.0, -4.0, -4.0, -3.0])  # bounds of the levers
CLOSE = 0.002  # a miss of the shares, or of the log mean loss, that is good enough


@dataclasses.dataclass(frozen=True)
class Loadings:
    """The levers in the terms of a run config."""

    macro_effect: float  # [transitions] multiplier of the logit's slopes
    worse_log_odds: float  # [transitions]
    cohort: float  # [factors] standard deviations of the log-odds
    industry: float
    region: float


def pull(params, levers, base, reference):
    """`params` at `levers` [4]: logs of macro effect, cohort loading and factor multiplier, then
    the log-odds of worse moves.

    `base` is the Logit at macro effect 1 and log-odds 0, `reference` [T, Z] the covariates over
    which its odds average to the base matrix's.
    """
    macro, cohort, factor = jnp.exp(levers[0]), jnp.exp(levers[1]), jnp.exp(levers[2])
    own = params.loadings
    return params.replace(
        transition=with_macro_effect(base, macro, levers[3], reference),
        loadings=own.replace(cohort=cohort, industry=factor * own.industry,
                             region=factor * own.region))


def told(levers, params):
    """Loadings at `levers`."""
    macro, cohort, factor = (float(x) for x in np.exp(levers[:3]))
    return Loadings(macro, float(levers[3]), cohort, factor * float(params.loadings.industry),
                    factor * float(params.loadings.region))


def moments(params, case, numbers, *, setup):
    """Means over paths [5]: loss, its square, its products over paths that share macro and cohort,
    and macro alone, and the variance within paths. `case` = (inputs, scenario, key)."""
    inputs, scenario, key = case
    outcome = functools.partial(conditional_loss, params, inputs, scenario, setup=setup)
    y, within = run_design(outcome, key, numbers, CONDITIONAL)
    cohort = 0.5 * (y[:, 0] * y[:, 2] + y[:, 1] * y[:, 3]).mean()
    macro = 0.5 * (y[:, 0] * y[:, 1] + y[:, 2] * y[:, 3]).mean()
    return jnp.stack([y.mean(), (y**2).mean(), cohort, macro, within.mean()])


def shares_of(m):
    """(shares [4], mean []) of moments [5] (host)."""
    square = m[0] ** 2
    parts = np.array([m[3] - square, m[2] - m[3], m[1] - m[2], m[4]])
    return parts / parts.sum(), m[0]


@dataclasses.dataclass(frozen=True)
class Compiled:
    """Moments of a block of paths at given levers."""

    value: Any  # (levers, given, numbers [block]) -> [5]
    block: int


def compile_moments(setup, block):
    """Compiled for blocks of `block` paths, spread over all devices; `given` = (params, base,
    reference, inputs, scenario, key)."""
    devices = mesh.path_mesh()
    spread, whole = mesh.by_path(devices), mesh.replicated(devices)

    def value(levers, given, numbers):
        params, base, reference, *case = given
        return moments(pull(params, levers, base, reference), case, numbers, setup=setup)

    return Compiled(jax.jit(value, in_shardings=(whole, whole, spread), out_shardings=whole), block)


def over_blocks(compiled: Compiled, levers, given, paths):
    """Moments [5] at `levers` over the first `paths` paths, block by block."""
    parts = [np.asarray(compiled.value(jnp.asarray(levers), given, n + jnp.arange(compiled.block)))
             for n in range(0, paths, compiled.block)]
    return np.mean(parts, axis=0)


def rough_jacobian(shares):
    """Jacobian [4, 4] of (first three shares, log mean loss) in the levers, were systematic losses
    linear in each source's draws: a component grows with the square of its lever, and with the
    square of the mean loss, the idiosyncratic one with the mean loss."""
    s = np.asarray(shares, float)
    out = np.zeros((4, 4))
    out[:3, :3] = 2.0 * (np.diag(s[:3]) - np.outer(s[:3], s[:3]))
    out[:3, 3] = s[:3] * s[3]
    out[3, 3] = 1.0
    return out


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a calibration is to reach, and on how many paths."""

    start: np.ndarray  # [4] levers now
    target: tuple[float, ...] = TARGET
    paths: int = 1024  # a multiple of the block, as is the next
    first: int = 256  # on which the search begins


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Where the search ended; shares are those of its own paths."""

    levers: np.ndarray  # [4]
    loadings: Loadings
    shares: np.ndarray  # [4]
    mean_ratio: float  # mean loss over the mean loss before
    share_miss: float  # the largest of the shares' misses
    at_bounds: tuple[str, ...]  # names of LEVERS that stand on a bound
    converged: bool  # shares and log mean ratio within CLOSE


def calibrate(compiled: Compiled, given, wanted: Wanted, *, on_step=lambda text: None):
    """Calibration of the loadings to `wanted`; `given` as compile_moments takes it."""
    high = np.array([np.log(20.0), np.log(3.0), _most_factor(given[0].loadings), 3.0])
    levers, jacobian = np.asarray(wanted.start, float), None
    for paths in dict.fromkeys((wanted.first, wanted.paths)):
        shares, mean = shares_of(over_blocks(compiled, wanted.start, given, paths))
        seen: dict = {}

        def residual(x, paths=paths, mean=mean, seen=seen):
            now, level = shares_of(over_blocks(compiled, x, given, paths))
            seen[tuple(x)] = now, level / mean
            on_step(f"{paths} paths: " + " / ".join(f"{100 * s:.1f}" for s in now))
            return np.append(now[:3] - np.asarray(wanted.target)[:3], np.log(level / mean))

        jacobian = rough_jacobian(shares) if jacobian is None else jacobian
        found = broyden(residual, levers, jacobian, (LOW, high), tol=CLOSE)
        levers, jacobian = found.x, found.jacobian
    shares, ratio = seen[tuple(levers)]
    miss = float(np.abs(shares - wanted.target).max())
    return Calibration(levers, told(levers, given[0]), shares, float(ratio), miss,
                       at_bounds(levers, high), found.converged)


def at_bounds(levers: jax.Array | np.ndarray, high: jax.Array | np.ndarray) -> Any:
    """Names of the levers [4] at LOW or `high` [4], with the end each stands at."""
    return tuple(f"{name} ({end})" for k, name in enumerate(LEVERS)
                 for end, bound in (("lowest", LOW[k]), ("highest", high[k]))
                 if abs(levers[k] - bound) < 1e-6)


def _most_factor(loadings):
    """Log of the multiplier that takes the larger of the two loadings to 3."""
    largest = max(float(loadings.industry), float(loadings.region))
    return np.log(3.0 / largest) if largest > 0 else 0.0

"""Paths whose systematic noise is tilted towards a tail, with the weights that undo it.

All that is systematic in a path is one vector of standard normal noise [D]: macro shocks, then
cohort, industry and region factors. A Tilt moves it along a few directions and leaves the rest as
it is; the odds of default of single loans may be multiplied too. Path i is a function of the key
and of i alone.

Reference: risk.importance, models.loan_states.twisted.
"""

import dataclasses
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.scipy.special import ndtri

from clo_gen import mesh, pipeline, rng
from clo_gen.analysis.reverse_stress import Problem, generator, macro_path
from clo_gen.models import loan_states, systematic
from clo_gen.risk import importance

REPLICATIONS = 32  # independent shifts of the even sequence; path i belongs to i mod REPLICATIONS
BESIDE = 2**32 - 1  # number of a path that no run reaches: its key draws what all paths share


class Tilt(struct.PyTreeNode):
    """Where the noise is drawn: J directions, a mixture of M shifts along them."""

    basis: jax.Array  # [J, D] orthonormal rows, or rows of 0
    means: jax.Array  # [M, J]
    shares: jax.Array  # [M] sum 1
    control: jax.Array  # [D] unit vector (or 0) whose product with the noise is kept
    even: jax.Array  # [] bool: draw along the basis evenly, not from the path's own noise
    twist: jax.Array  # [L] added to the log-odds of each loan's default ...
    twisted: jax.Array  # [M] ... under the shifts where this is 1, not 0


class Outcome(struct.PyTreeNode):
    """What is kept of a path."""

    loss: jax.Array  # [] of the pool, share of its par
    principal: jax.Array  # [K] unpaid at maturity over original balance
    interest: jax.Array  # [K] the same
    along: jax.Array  # [J] tilted noise along the basis
    control: jax.Array  # [] tilted noise along Tilt.control
    log_weight: jax.Array  # [] 0 without a tilt
    luck: jax.Array  # [] log-ratio of the twist on what the loans drew; 0 where none is counted


def noise_blocks(problem: Problem, setup: pipeline.Setup) -> dict[str, Any]:
    """{source: slice of the noise vector}; a macro generator that is no map of noise has none."""
    months, module = problem.scenario.shape.shape[0], generator(problem.params.macro)
    macro = 0 if module is None else module.noise_size(problem.params.macro, months)
    ends = np.cumsum([0, macro, *(months * n for n in setup.groups)]).tolist()
    return dict(zip(("macro", "cohort", "industry", "region"),
                    itertools.starmap(slice, itertools.pairwise(ends)), strict=True))


def no_tilt(problem: Problem, setup: pipeline.Setup, directions: int = 1, shifts: int = 1) -> Tilt:
    """Tilt that changes nothing, with room for `directions` and `shifts`."""
    size = noise_blocks(problem, setup)["region"].stop
    dtype = problem.inputs.history.dtype
    return Tilt(jnp.zeros((directions, size), dtype), jnp.zeros((shifts, directions), dtype),
                jnp.zeros(shifts, dtype).at[0].set(1.0), jnp.zeros(size, dtype),
                jnp.asarray(False), jnp.zeros_like(problem.inputs.tape.balance),
                jnp.zeros(shifts, dtype))


def draw_noise(problem: Problem, own: jax.Array, setup: pipeline.Setup) -> jax.Array:
    """Noise [D] of the path with the key `own`: the numbers that pipeline.simulate draws."""
    months, history = problem.scenario.shape.shape[0], problem.inputs.history
    size = noise_blocks(problem, setup)["macro"].stop
    factors = systematic.draw_noise(rng.sources(own), months, setup.groups, history.dtype)
    return jnp.concatenate([rng.normals(own, rng.MACRO, (size,), history.dtype),
                            *(x.ravel() for x in jax.tree.leaves(factors))])


def decode(problem: Problem, noise: jax.Array, own: jax.Array, setup: pipeline.Setup) -> Any:
    """(MacroPath, systematic.Shifts) of `noise` [D]; a block bootstrap draws from `own`."""
    blocks, months = noise_blocks(problem, setup), problem.scenario.shape.shape[0]
    factors = systematic.Noise(*(noise[s].reshape(months, -1) for s in list(blocks.values())[1:]))
    shifts = systematic.shifts_of(problem.params.loadings, factors)
    if generator(problem.params.macro) is not None:
        return macro_path(problem, noise[blocks["macro"]], setup.series), shifts
    return setup.macro_sample(problem.params.macro, own, problem.inputs.history, problem.scenario,
                              setup.series), shifts


def tilted(tilt: Tilt, key: jax.Array, number: jax.Array,
           noise: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(noise [D], place along the basis [J], shift drawn []) of path `number` under a tilt.

    Evenly: each replication has points of its own on the even sequence, so that it covers the
    directions and the mixture's shares nearly without gaps.
    """
    along = tilt.basis @ noise
    replication, place = number % REPLICATIONS, number // REPLICATIONS
    shared = jax.random.fold_in(rng.stream(rng.path_key(key, BESIDE), rng.TILT), replication)
    even = importance.even_uniforms(
        jax.random.uniform(shared, (along.shape[0] + 1,), noise.dtype), place)
    own = jax.random.uniform(rng.stream(rng.path_key(key, number), rng.TILT), (), noise.dtype)
    pick = jnp.where(tilt.even, even[-1], own)
    component = (pick >= jnp.cumsum(tilt.shares)[:-1]).sum()
    to = jnp.where(tilt.even, ndtri(even[:-1]), along) + tilt.means[component]
    return noise + (to - along) @ tilt.basis, to, component


def simulate(problem: Problem, tilt: Tilt, key, number, temperature, *, setup, twist=False):
    """Outcome of one path of the whole graph under a tilt; without one, that of the path itself.

    Without `twist` (static) loans default as they do, whatever the tilt says: cheaper.
    """
    own = rng.path_key(key, number)
    noise, along, component = tilted(tilt, key, number, draw_noise(problem, own, setup))
    path, shifts = decode(problem, noise, own, setup)
    if twist:
        on = tilt.twisted[component] > 0
        setup = dataclasses.replace(setup, mode=loan_states.twisted(tilt.twist, on))
    found = pipeline.follow(problem.params, problem.inputs, path, rng.sources(own), temperature,
                            setup=setup, shifts=shifts)
    others = tilt.twisted * found.log_prob if twist else 0.0
    return Outcome(found.loss, found.tranches.loss, found.tranches.unpaid_interest, along,
                   tilt.control @ noise,
                   importance.log_weight(along, tilt.means, tilt.shares, others),
                   found.log_prob)


def compile_paths(setup, twist=False):
    """Compiled (problem, tilt, key, numbers [n], temperature) -> Outcome [n], over all devices;
    `twist` as in simulate."""
    devices = mesh.path_mesh()
    spread, whole = mesh.by_path(devices), mesh.replicated(devices)

    def batch(problem, tilt, key, numbers, temperature):
        one = functools.partial(simulate, setup=setup, twist=twist)
        return jax.vmap(one, (None, None, None, 0, None))(problem, tilt, key, numbers, temperature)

    return jax.jit(batch, in_shardings=(whole, whole, whole, spread, whole), out_shardings=whole)


def run_paths(paths, case, tilt: Tilt, key, count, block, *, on_block=lambda done: None):
    """Outcome [count] on the host, `block` paths a call of `paths` (compile_paths); `case` =
    (problem, temperature)."""
    problem, temperature = case
    parts = []
    for first in range(0, count, block):
        numbers = first + jnp.arange(block)
        parts.append(jax.tree.map(np.asarray, paths(problem, tilt, key, numbers, temperature)))
        on_block(min(first + block, count))
    return jax.tree.map(lambda *x: np.concatenate(x)[:count], *parts)


def lived(problem: Problem, noise, setup):
    """(Collections, Transitions, index [T, I]) of the pool's mean given its noise [D]."""
    path, shifts = decode(problem, noise, problem.key, setup)
    found, transitions, index = pipeline.live_on(
        problem.params, problem.inputs, path, rng.sources(problem.key),
        setup=dataclasses.replace(setup, mode="expected"), shifts=shifts)
    return found.collections, transitions, index


def expected_loss(problem: Problem, noise, *, setup):
    """Mean loss [] of the pool given its systematic noise [D]; differentiable."""
    collections = lived(problem, noise, setup)[0]
    return collections.loss.sum() + collections.defaulted[-1]

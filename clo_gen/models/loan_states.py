"""How a loan lives one month, given its cohort's matrix and its log-odds shift: MODES.

`markov` draws a state, `expected` pushes probabilities. Both raise the odds of all worse states
together by exp(shift): with W the matrix's mass on worse states and Z = 1 - W + W exp(shift),
worse entries become P exp(shift) / Z and the others P / Z, so rows still sum to 1.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.records import Flows, Tape
from clo_gen.states import StateSpace


@struct.dataclass
class Ladder:
    """Cumulative form of a month's matrices, states ordered prepaid, matured, best ... default."""

    start: jax.Array  # [C, S, S] lower end of each state's interval of [0, 1)
    worse: jax.Array  # [C, S] lower end of the interval of all worse states


def ladder(matrix, space: StateSpace):
    """Ladder of `matrix` [..., S, S]. A zero entry gets an empty interval, exactly."""
    ordered = jnp.roll(matrix, 2, axis=-1)
    tail = jnp.flip(jnp.cumsum(jnp.flip(ordered, -1), axis=-1), -1)
    start = 1.0 - tail / tail[..., :1]
    live = len(space.live)
    worse = jnp.diagonal(start[..., :live, 3:], axis1=-2, axis2=-1)
    absorbed = jnp.ones((*worse.shape[:-1], 3), worse.dtype)
    return Ladder(start, jnp.concatenate([worse, absorbed], axis=-1))


def draw(ladder_t, space: StateSpace, uniform, state, cohort, shift):
    """New state [L] int of each loan from `uniform` [L] in [0, 1), its state, cohort and shift."""
    size = space.size
    row = state if ladder_t.start.shape[0] == 1 else cohort * size + state
    benign = ladder_t.worse.reshape(-1)[row]
    odds = jnp.exp(shift).astype(uniform.dtype)
    scaled = uniform * (benign + (1.0 - benign) * odds)
    point = jnp.where(scaled < benign, scaled, benign + (scaled - benign) / odds)
    point = jnp.minimum(point, 1.0 - jnp.finfo(point.dtype).epsneg)
    start = ladder_t.start.reshape(-1, size)
    passed = sum((point >= start[:, k][row]).astype(state.dtype) for k in range(1, size))
    return jnp.where(passed < 2, passed + size - 2, passed - 2)


def push(matrix, space: StateSpace, weights, cohort, shift):
    """New state probabilities [L, S] from `weights` [L, S] and `matrix` [C, S, S]."""
    worse = jnp.asarray(space.worse, matrix.dtype)
    odds = jnp.exp(shift)[:, None]
    mass = (matrix * worse).sum(-1)
    mass = mass[0] if matrix.shape[0] == 1 else mass[cohort]
    sources = weights / (1.0 - mass + mass * odds)
    if matrix.shape[0] == 1:
        return sources @ (matrix[0] * (1.0 - worse)) + odds * (sources @ (matrix[0] * worse))
    rows = matrix[cohort] * jnp.where(space.worse, odds[:, :, None], 1.0)
    return jnp.einsum("ls,lsk->lk", sources, rows)


def _distressed(space, state):
    """Whether `state` (numbers) is the distressed one; never, if the space has none."""
    return state == (space.index(space.distressed) if space.distressed else -1)


def _markov_matrices(matrix, space):
    return ladder(matrix.astype(jnp.float32), space)


def _markov_month(space, tape: Tape, state, ladder_t, shift, month, key):
    live = len(space.live)
    uniform = jax.random.uniform(jax.random.fold_in(key, month), state.shape, jnp.float32)
    new = draw(ladder_t, space, uniform, state, tape.cohort, shift)
    was_live = state < live
    matures = (new < live) & (month + 1 >= tape.maturity)
    final = jnp.where(matures, space.matured, new)
    flows = Flows(survive=new < live, prepay=was_live & (new == space.prepaid),
                  default=was_live & (new == space.default),
                  distressed=_distressed(space, final))
    return final, flows


def _expected_month(space, tape: Tape, weights, matrix, shift, month, key):
    live = len(space.live)
    new = push(matrix, space, weights, tape.cohort, shift)
    survive = new[:, :live].sum(-1)
    matures = month + 1 >= tape.maturity
    keep = jnp.where(matures[:, None] & (jnp.arange(space.size) < live), 0.0, 1.0)
    final = (new * keep).at[:, space.matured].add(jnp.where(matures, survive, 0.0))
    flows = Flows(survive=survive, prepay=new[:, space.prepaid] - weights[:, space.prepaid],
                  default=new[:, space.default] - weights[:, space.default],
                  distressed=(final * _distressed(space, jnp.arange(space.size))).sum(-1))
    return final, flows


class Mode(NamedTuple):
    """One way to live a loan. `month` counts from 0."""

    start: Callable  # (space, tape) -> state
    matrices: Callable  # (matrix [T, C, S, S], space) -> what `advance` reads each month [T, ...]
    advance: Callable  # (space, tape, state, matrices, shift [L], month, key) -> state, Flows
    weights: Callable  # (state, space) -> [L, S]


MODES = {
    "markov": Mode(
        start=lambda space, tape: tape.state,
        matrices=_markov_matrices,
        advance=_markov_month,
        weights=lambda state, space: jax.nn.one_hot(state, space.size, dtype=jnp.float32),
    ),
    "expected": Mode(
        start=lambda space, tape: jax.nn.one_hot(tape.state, space.size, dtype=tape.balance.dtype),
        matrices=lambda matrix, space: matrix,
        advance=_expected_month,
        weights=lambda state, space: state,
    ),
}

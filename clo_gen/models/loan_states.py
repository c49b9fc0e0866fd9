"""How a loan lives one month, given its cohort's matrix and its odds of worse moves: MODES.

`markov` draws a state, `expected` pushes probabilities, `scored` is `markov` with the
log-probability of what was drawn, `twisted` is `markov` with likelier defaults, `relaxed` draws a
weight vector that has a gradient (gradients.py says what most are good for). All multiply the odds
of all worse states together: with W the matrix's mass on worse states and Z = 1 - W + W odds, worse
entries become P odds / Z and the others P / Z, so rows still sum to 1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.records import Flows, Tape
from clo_gen.states import StateSpace


class Ladder(struct.PyTreeNode):
    """Cumulative form of a month's matrices, states ordered from default up to best, matured,
    prepaid: small default probabilities sit near 0, where float32 is finest."""

    start: jax.Array  # [C, S, S] lower end of each state's interval of [0, 1)
    worse: jax.Array  # [C, S] upper end of the interval of all worse states


def ladder(matrix: jax.Array, space: StateSpace) -> Ladder:
    """Ladder of `matrix` [..., S, S]. A zero entry gets an empty interval, exactly."""
    ordered = jnp.flip(jnp.roll(matrix, 2, axis=-1), -1)
    total = jnp.cumsum(ordered, axis=-1)
    start = jnp.concatenate([jnp.zeros_like(total[..., :1]), total[..., :-1]], -1) / total[..., -1:]
    live = len(space.live)
    worse = jnp.diagonal(jnp.flip(start[..., :live, 1: live + 1], -1), axis1=-2, axis2=-1)
    absorbed = jnp.zeros((*worse.shape[:-1], 3), worse.dtype)
    return Ladder(start, jnp.concatenate([worse, absorbed], axis=-1))


def draw(ladder_t: Ladder, space: StateSpace, uniform: jax.Array, state: jax.Array,
         cohort: jax.Array, odds: jax.Array) -> jax.Array:
    """New state [L] int of each loan from `uniform` [L] in [0, 1], its state, cohort and odds."""
    size = space.size
    row = state if ladder_t.start.shape[0] == 1 else cohort * size + state
    worse = ladder_t.worse.reshape(-1)[row]
    odds = odds.astype(uniform.dtype)
    scaled = uniform * (1.0 - worse + worse * odds)
    point = jnp.where(scaled < worse * odds, scaled / odds, worse + (scaled - worse * odds))
    point = jnp.minimum(point, 1.0 - jnp.finfo(point.dtype).epsneg)
    start = ladder_t.start.reshape(-1, size)
    passed = sum((point >= start[:, k][row]).astype(state.dtype) for k in range(1, size))
    new = space.default - passed
    return jnp.where(new < 0, new + size, new)


def rows_of(matrix: jax.Array, space: StateSpace, state: jax.Array, cohort: jax.Array,
            odds: jax.Array) -> jax.Array:
    """Rows [L, S] of `matrix` [C, S, S] that move loans in `state` [L] int, odds applied."""
    row = matrix[cohort if matrix.shape[0] > 1 else 0, state]
    row = row * jnp.where(jnp.asarray(space.worse)[state], odds[:, None], 1.0)
    return row / row.sum(-1, keepdims=True)


def push(matrix: jax.Array, space: StateSpace, weights: jax.Array, cohort: jax.Array,
         odds: jax.Array) -> jax.Array:
    """New state probabilities [L, S] from `weights` [L, S] and `matrix` [C, S, S]."""
    return _push(matrix, space, weights.T, cohort, odds).T


def _push(matrix, space, weights, cohort, odds):
    # Loans stand on the last axis, which is long: 1.5 times faster, with its gradient. Absorbing
    # rows move nothing, so they are not multiplied.
    live = len(space.live)
    matrix, worse = matrix[:, :live], jnp.asarray(space.worse[:live], matrix.dtype)
    mass = (matrix * worse).sum(-1)
    mass = mass[0][:, None] if matrix.shape[0] == 1 else mass[cohort].T
    sources = weights[:live] / (1.0 - mass + mass * odds)
    if matrix.shape[0] == 1:
        parts = jnp.concatenate([matrix[0] * (1.0 - worse), matrix[0] * worse])
        new = parts.T @ jnp.concatenate([sources, odds * sources])
    else:
        rows = matrix[cohort] * jnp.where(space.worse[:live], odds[:, None, None], 1.0)
        new = jnp.einsum("sl,lsk->kl", sources, rows)
    return new.at[live:].add(weights[live:])


def _uniform(shape, month, key):
    bits = jax.random.bits(jax.random.fold_in(key, month), shape, jnp.uint32)
    # 31 bits, finer near 0 than jax.random.uniform; signed integers convert faster than unsigned.
    return (bits >> 1).astype(jnp.int32).astype(jnp.float32) * jnp.float32(2.0**-31)


def _markov_month(space, tape: Tape, state, ladder_t, odds, month, key):
    return _moved(space, tape, state, ladder_t, odds, month, _uniform(state.shape, month, key))


def _moved(space, tape, state, ladder_t, odds, month, uniform):
    new = draw(ladder_t, space, uniform, state, tape.cohort, odds)
    matures = (new < len(space.live)) & (month + 1 >= tape.maturity)
    return jnp.where(matures, space.matured, new)


def _markov_flows(space, before, after):
    live = before < len(space.live)
    return Flows(survive=live & ((after < len(space.live)) | (after == space.matured)),
                 prepay=live & (after == space.prepaid), default=live & (after == space.default),
                 distressed=after == space.distressed_index)


def _markov_par(space, par, state):
    # One pass a state: a matrix of ones and zeros would have to be written out first.
    return jnp.stack([jnp.where(state == k, par, 0.0).sum() for k in range(len(space.live))])


def twisted(log_odds: jax.Array, on: Any) -> "Mode":
    """`markov` with every loan's odds of default times exp(`log_odds` [L]) on paths where `on` [].

    `log_prob` is then log q/p: of the drawn states under the multiplied odds, whether `on` or not,
    over their probability under the true ones. Only defaults and their absence count in it.
    Reference: Glasserman and Li (2005), Importance sampling for portfolio credit risk, Management
    Science 51: exponential twisting given the factors, here month by month.
    """
    def chance(space, tape, state, ladder_t, odds):
        """Probability of default [L] in the month; 0 for loans that live no more."""
        single, size = ladder_t.start.shape[0] == 1, space.size
        row = state if single else tape.cohort * size + state
        worse, odds = ladder_t.worse.reshape(-1)[row], odds.astype(ladder_t.worse.dtype)
        default = ladder_t.start[..., 1].reshape(-1)[row] * odds / (1.0 - worse + worse * odds)
        return jnp.where(state < len(space.live), default, 0.0)

    def advance(space, tape, state, ladder_t, odds, month, key):
        uniform = _uniform(state.shape, month, key)
        theta = log_odds.astype(uniform.dtype)
        default = chance(space, tape, state, ladder_t, odds)
        total = 1.0 + default * jnp.expm1(theta)
        end = default * jnp.exp(theta) / total
        moved = jnp.where(uniform < end, uniform * total * jnp.exp(-theta),
                          default + (uniform - end) * total)
        return _moved(space, tape, state, ladder_t, odds, month, jnp.where(on, moved, uniform))

    def log_ratio(space, tape, before, after, ladder_t, odds, month):
        default = chance(space, tape, before, ladder_t, odds)
        theta = log_odds.astype(default.dtype)
        fell = (after == space.default) & (before != space.default)
        return jnp.where(fell, theta, 0.0) - jnp.log1p(default * jnp.expm1(theta))

    return MODES["markov"]._replace(advance=advance, log_prob=log_ratio)


def _expected_month(space, tape: Tape, weights, matrix, odds, month, key):
    return _mature(space, tape, _push(matrix, space, weights, tape.cohort, odds), month)


def _mature(space, tape: Tape, new, month):
    live, matures = len(space.live), month + 1 >= tape.maturity
    kept = jnp.where(matures, 0.0, new[:live])
    matured = jnp.where(matures, new[:live].sum(0), 0.0)
    return jnp.concatenate([kept, new[live:]]).at[space.matured].add(matured)


def _expected_flows(space, before, after):
    moved = after - before
    distressed = space.distressed_index
    return Flows(survive=after[: len(space.live)].sum(0) + moved[space.matured],
                 prepay=moved[space.prepaid], default=moved[space.default],
                 distressed=after[distressed] if distressed >= 0 else jnp.zeros_like(after[0]))


def _log_prob(space, tape: Tape, before, after, matrices, odds, month):
    row = rows_of(matrices[1], space, before, tape.cohort, odds.astype(matrices[1].dtype))
    # A loan whose term is over matures whatever live state was drawn.
    live = jnp.arange(space.size) < len(space.live)
    matured = (after == space.matured) & (before < len(space.live)) & (month + 1 >= tape.maturity)
    chance = jnp.take_along_axis(row, after[:, None], axis=1)[:, 0]
    chance = jnp.where(matured, (row * live).sum(1) + row[:, space.matured], chance)
    return jnp.log(jnp.where(chance > 0, chance, 1.0))


def relaxed(temperature: float, straight_through: bool = False) -> "Mode":
    """Mode whose states are Gumbel-softmax weights: pathwise gradients, with a bias.

    Live weight moves by one relaxed draw a loan and month; absorbed weight stays, so weights keep
    summing to 1 and absorbing states are never left. Towards `temperature` 0 the weights become a
    draw of `markov`. `straight_through`: cash sees hard states, the gradient the relaxed ones.
    Reference: Jang, Gu and Poole (2017), Categorical reparameterization with Gumbel-softmax.
    """
    expected = MODES["expected"]

    def advance(space, tape, weights, matrix, odds, month, key):
        live = (jnp.arange(space.size) < len(space.live))[:, None]
        alive = jnp.where(live, weights, 0.0)
        mass = alive.sum(0)
        anyone = mass > 0
        start = jnp.where(anyone, alive / jnp.where(anyone, mass, 1.0), 0.0)
        chance = _push(matrix, space, start, tape.cohort, odds)
        possible = chance > 0
        logs = jnp.log(jnp.where(possible, chance, 1.0))
        noise = jax.random.gumbel(jax.random.fold_in(key, month), chance.shape, chance.dtype)
        scores = jnp.where(possible, logs + noise, -jnp.inf)
        scores = jnp.where(anyone, scores, 0.0)  # nobody left: any finite scores do
        soft = jax.nn.softmax(scores / temperature, axis=0)
        if straight_through:
            hard = jax.nn.one_hot(jnp.argmax(scores, axis=0), space.size, axis=0,
                                  dtype=soft.dtype)
            soft = soft + jax.lax.stop_gradient(hard - soft)
        new = jnp.where(live, 0.0, weights) + mass * soft
        return _mature(space, tape, new, month)

    return expected._replace(advance=advance)


class Mode(NamedTuple):
    """One way to live a loan. `month` counts from 0."""

    dtype: Callable  # (tape) -> dtype of the systematic shifts
    start: Callable  # (space, tape) -> state
    matrices: Callable  # (matrix [T, C, S, S], space) -> what `advance` reads each month [T, ...]
    advance: Callable  # (space, tape, state, matrices, odds [L], month, key) -> state
    flows: Callable  # (space, state before, state after) -> Flows
    weights: Callable  # (state, space) -> [L, S]
    par_by_state: Callable  # (space, par [L], state) -> [live states]
    log_prob: Callable | None = None  # (space, tape, before, after, matrices, odds, month) -> [L]


MODES = {
    "markov": Mode(
        dtype=lambda tape: jnp.float32,
        start=lambda space, tape: tape.state,
        matrices=lambda matrix, space: ladder(matrix.astype(jnp.float32), space),
        advance=_markov_month,
        flows=_markov_flows,
        weights=lambda state, space: jax.nn.one_hot(state, space.size, dtype=jnp.float32),
        par_by_state=_markov_par,
    ),
    "expected": Mode(
        dtype=lambda tape: tape.balance.dtype,
        start=lambda space, tape: jax.nn.one_hot(tape.state, space.size, axis=0,
                                                 dtype=tape.balance.dtype),
        matrices=lambda matrix, space: matrix,
        advance=_expected_month,
        flows=_expected_flows,
        weights=lambda state, space: state.T,
        par_by_state=lambda space, par, state: state[: len(space.live)] @ par,
    ),
}
MODES["scored"] = MODES["markov"]._replace(
    matrices=lambda matrix, space: (ladder(matrix.astype(jnp.float32), space), matrix),
    advance=lambda space, tape, state, matrices, *rest: _markov_month(
        space, tape, state, matrices[0], *rest),
    log_prob=_log_prob,
)

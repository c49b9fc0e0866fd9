"""The whole graph for one path, then for a batch: macro -> transitions -> loans -> waterfall.

Reference: methodology, Hierarchical Generative Model, levels 1 to 4.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen import rng
from clo_gen.cash import loans, new_collateral, pool, schedule
from clo_gen.deal import tranche
from clo_gen.deal.steps import Waterfall
from clo_gen.deal.waterfall import conservation_error, run_waterfall
from clo_gen.models import loan_states, prepayment, systematic, trajectory_states
from clo_gen.models.scenarios import Scenario
from clo_gen.records import (
    Calendar,
    Collections,
    Deal,
    LoanPath,
    MacroPath,
    Schedule,
    Tape,
    TrancheCash,
    TrancheMetrics,
    Transitions,
)
from clo_gen.states import StateSpace


@dataclasses.dataclass(frozen=True)
class Setup:
    """What changes the program: static and hashable."""

    space: StateSpace
    mode: str | loan_states.Mode  # "markov", "expected", "trajectory", or what gradients.py makes
    recovery_lag: int  # months
    groups: tuple[int, int, int]  # number of cohorts, industries, regions
    series: tuple[str, ...]  # macro series of a path
    index_columns: tuple[int, ...]  # macro column of each index; -1: the forward curve
    note_index: int  # which index the floating notes follow
    waterfall: Waterfall
    macro_sample: Callable  # (params, key, history, scenario, series) -> MacroPath
    transition_predict: Callable  # (params, MacroPath) -> Transitions
    first_month: int = 0  # of a path, counted from 1970-01


class Params(struct.PyTreeNode):
    """What a model learns or assumes; differentiate with respect to any of it."""

    macro: Any
    transition: Any
    prepayment: prepayment.Prepayment
    loadings: systematic.Loadings
    trajectory: Any = None  # level 3, for the mode of that name


class Inputs(struct.PyTreeNode):
    """One pool and one deal, with the market on the cut-off date."""

    tape: Tape
    schedule: Schedule
    deal: Deal
    purchases: new_collateral.Purchases | None  # what reinvested principal buys
    calendar: Calendar
    curves: jax.Array  # [T + 1, I] forward curves from month 0, for indices without macro series
    history: jax.Array  # [H, M] macro months up to the cut-off date


class PathResult(struct.PyTreeNode):
    """All that one path leaves behind."""

    macro: MacroPath
    collections: Collections
    cash: TrancheCash
    tranches: TrancheMetrics
    loss: jax.Array  # [] lifetime loss of the initial pool, share of its par; recoveries after
    # the end are lost
    conservation_error: jax.Array  # [] cash in less cash out, share of initial par
    log_prob: jax.Array  # [] log-probability of the drawn states; 0 in modes that keep none


class Lived(struct.PyTreeNode):
    """What a pool went through on one path."""

    collections: Collections
    loans: LoanPath | None  # kept when asked for
    log_prob: jax.Array  # [] as in PathResult


def index_paths(path: MacroPath, curves: jax.Array, columns: Any) -> jax.Array:
    """Index rates [T, I]: a macro series where `columns` names one, else the forward curve."""
    parts = [curves[1:, i] if c < 0 else path.values[:, c] for i, c in enumerate(columns)]
    return jnp.stack(parts, axis=1)


def index_now(history: jax.Array, curves: jax.Array, columns: Any) -> jax.Array:
    """Index rates [I] at the cut-off date."""
    return jnp.stack([curves[0, i] if c < 0 else history[-1, c] for i, c in enumerate(columns)])


def with_tape(inputs: Inputs, tape: Tape, *, setup: Setup) -> Inputs:
    """`inputs` with another tape of the same size, its contracts planned anew; differentiable."""
    now = index_now(inputs.history, inputs.curves, setup.index_columns)
    return inputs.replace(tape=tape, schedule=schedule.schedule(tape, inputs.calendar, now))


def note_fixings(inputs: Inputs, index: jax.Array, setup: Setup) -> jax.Array:
    """Index [P] that fixes the floating notes: its value on the previous payment date."""
    today = index_now(inputs.history, inputs.curves, setup.index_columns)
    fixings = jnp.concatenate([today[None], index])[:, setup.note_index]
    return fixings[inputs.calendar.reset_month + 1]


def collect(tape: Tape, schedule: Schedule, deal: Deal, transitions: Transitions,
            shifts: systematic.Shifts, index: jax.Array, key: jax.Array, *, space: StateSpace,
            mode: str, lag: int, keep_loans: bool = False,
            by_state: jax.Array | None = None) -> Any:
    """Collections [T] of one path (and the LoanPath when `keep_loans`); see `live`."""
    lived = live(tape, schedule, deal, transitions, shifts, index, key, space=space, mode=mode,
                 lag=lag, keep_loans=keep_loans, by_state=by_state)
    return (lived.collections, lived.loans) if keep_loans else lived.collections


def live(tape: Tape, schedule: Schedule, deal: Deal, transitions: Transitions,
         shifts: systematic.Shifts, index: jax.Array, key: jax.Array, *, space: StateSpace,
         mode: Any, lag: int, keep_loans: bool = False, by_state: jax.Array | None = None) -> Lived:
    """Lived of one path of the pool.

    `transitions` holds prepayment too, `shifts` the systematic log-odds, `index` [T, I] the rates.
    `markov` draws each loan's state with `key`; `expected` pushes its probabilities, which gives
    exactly the mean of `markov` under the same transitions and shifts. `by_state` [T] bool marks
    the months whose par is kept by state (None: no state is kept, S = 0).
    """
    way = loan_states.MODES[mode] if isinstance(mode, str) else mode
    months = schedule.opening.shape[0]
    values = loans.carrying(tape, deal, months)
    loan_key = rng.stream(key, rng.LOAN)
    last_month = tape.maturity.max()

    def advance(before, t, matrix, shift):
        odds = systematic.odds_of_loans(tape, shift)
        return way.advance(space, tape, before, matrix, odds, t, loan_key)

    def scored(before, after, t, matrix, shift):
        assert way.log_prob is not None
        odds = systematic.odds_of_loans(tape, shift)
        return way.log_prob(space, tape, before, after, matrix, odds, t).sum().astype(float)

    # A gradient keeps what passes from month to month and works the month out again.
    @jax.checkpoint
    def month(carry, x):
        before, accrued = carry
        t, contract, matrix, shift, rates, wanted = x
        # After the last maturity nothing moves. The branch also keeps XLA from inlining the draw
        # into each of the sums below (measured: three times slower).
        state = jax.lax.cond(t < last_month, advance, lambda before, *_: before, before, t, matrix,
                             shift)
        flows = way.flows(space, before, state)
        due = loans.accrue(tape, contract, rates, accrued)
        sums, cash = loans.month_cash(tape, contract, (accrued, due), flows, values)
        if by_state is not None:
            closing = contract.opening - contract.principal
            sums = sums.replace(par_by_state=jax.lax.cond(
                wanted, functools.partial(way.par_by_state, space),
                lambda *_: jnp.zeros(len(space.live), closing.dtype), closing, state))
        kept = LoanPath(way.weights(state, space), cash) if keep_loans else None
        log_prob = jnp.zeros(())
        if way.log_prob is not None:
            log_prob = jax.lax.cond(t < last_month, scored, lambda *_: jnp.zeros((), float),
                                    before, state, t, matrix, shift)
        return (state, jnp.where(contract.pays, 0.0, due)), (sums, kept, log_prob)

    matrices = way.matrices(jnp.moveaxis(transitions.matrix, 1, 0), space)
    shifts = jax.tree.map(lambda x: x.astype(way.dtype(tape)), shifts)
    xs = (jnp.arange(months), schedule, matrices, shifts, index, by_state)
    start = (way.start(space, tape), jnp.zeros_like(tape.balance))
    _, (sums, kept, log_prob) = jax.lax.scan(month, start, xs)
    result = pool.collections(tape, sums, tape.state == space.default, lag, deal.defaulted_price)
    return Lived(result, kept, log_prob.sum())


def transitions_of(params: Params, path: MacroPath, setup: Setup) -> Transitions:
    """Monthly Transitions of one macro path, prepayment included."""
    matrices = setup.transition_predict(params.transition, path)
    return prepayment.add(matrices, prepayment.monthly_rate(params.prepayment, path), setup.space)


def live_on(params: Params, inputs: Inputs, path: MacroPath, sources: rng.Sources, *, setup: Setup,
            shifts: Any = None, keep_loans: bool = False,
            by_state: jax.Array | None = None) -> tuple[Lived, Transitions, jax.Array]:
    """(Lived, Transitions, index [T, I]) of the pool on a given macro path; see `live`.

    `shifts`: systematic.Shifts in place of those that `sources` draw.
    """
    i, months = inputs, inputs.schedule.opening.shape[0]
    if shifts is None:
        shifts = systematic.sample(params.loadings, sources, months, setup.groups)
    index = index_paths(path, i.curves, setup.index_columns)
    transitions = transitions_of(params, path, setup)
    mode = setup.mode
    if mode == "trajectory":
        mode = trajectory_states.mode(params.trajectory, path, setup.first_month)
    lived = live(i.tape, i.schedule, i.deal, transitions, shifts, index, sources.loan,
                 space=setup.space, mode=mode, lag=setup.recovery_lag, keep_loans=keep_loans,
                 by_state=by_state)
    return lived, transitions, index


def live_pool(params: Params, inputs: Inputs, scenario: Scenario, sources: rng.Sources, *,
              setup: Setup,
              keep_loans: bool = False) -> tuple[Lived, Transitions, jax.Array]:
    """`live_on` a drawn macro path: all of `simulate_from` but the waterfall, and so seconds to
    compile; the same draws, bit for bit."""
    path = setup.macro_sample(params.macro, sources.macro, inputs.history, scenario, setup.series)
    return live_on(params, inputs, path, sources, setup=setup, keep_loans=keep_loans)


def distribute(inputs: Inputs, collections: Collections, transitions: Transitions, index: jax.Array,
               temperature: jax.Array | float, *, setup: Setup) -> TrancheCash:
    """TrancheCash of one path's collections; what principal buys follows the path too."""
    i, new = inputs, None
    if i.purchases is not None:
        new = new_collateral.from_transitions(i.purchases, transitions.matrix.mean(0),
                                              index[:, setup.note_index], setup.space, i.calendar)
    return run_waterfall(i.deal, setup.waterfall, collections, note_fixings(i, index, setup),
                         temperature, calendar=i.calendar, new=new)


def simulate(params: Params, inputs: Inputs, scenario: Scenario, key: jax.Array,
             temperature: jax.Array | float, *, setup: Setup) -> PathResult:
    """PathResult of one path; differentiable in `params` and `inputs` in `expected` mode.

    `key` is the path's own (rng.path_key); `temperature` [] softens tests, calls and events of
    default, 0 is hard. Pure: jit, vmap, differentiate it. Nothing raises; `conservation_error`
    says how far cash in and cash out differ, share of initial par.

    >>> one = jax.jit(cg.simulate, static_argnames="setup")
    >>> path = one(a.params, a.inputs, a.scenarios["adverse"],
    ...            cg.rng.path_key(jax.random.key(0), 3), 0.0, setup=a.setup)
    >>> path.macro.values.shape, path.cash.interest.shape  # [T, M] months, [P, K] payment dates
    ((96, 6), (96, 4))
    >>> bool(0 <= path.loss < 1), bool(path.conservation_error < 1e-9)
    (True, True)
    """
    return simulate_from(params, inputs, scenario, rng.sources(key), temperature, setup=setup)


def simulate_from(params: Params, inputs: Inputs, scenario: Scenario, sources: rng.Sources,
                  temperature: jax.Array | float, *, setup: Setup) -> PathResult:
    """`simulate` with the random sources (rng.Sources) apart, so that one can be redrawn alone."""
    path = setup.macro_sample(params.macro, sources.macro, inputs.history, scenario, setup.series)
    return follow(params, inputs, path, sources, temperature, setup=setup)


def follow(params: Params, inputs: Inputs, path: MacroPath, sources: rng.Sources,
           temperature: jax.Array | float, *, setup: Setup, shifts: Any = None) -> PathResult:
    """PathResult of a given macro path (and `shifts`, see live_on): all of `simulate` but the draw
    of it."""
    i, months = inputs, inputs.schedule.opening.shape[0]
    reported = jnp.zeros(months, bool).at[i.calendar.last_month].set(True)
    lived, transitions, index = live_on(params, i, path, sources, setup=setup, shifts=shifts,
                                        by_state=reported)
    collections = lived.collections
    cash = distribute(i, collections, transitions, index, temperature, setup=setup)
    return PathResult(
        macro=path,
        collections=collections,
        cash=cash,
        tranches=tranche.metrics(i.deal, cash, i.calendar),
        loss=collections.loss.sum() + collections.defaulted[-1],
        conservation_error=jnp.maximum(
            pool.conservation_error(i.tape, collections),
            conservation_error(i.deal, cash, collections, i.calendar)),
        log_prob=lived.log_prob,
    )


def simulate_batch(params: Params, inputs: Inputs, scenario: Scenario, key: jax.Array,
                   path_numbers: jax.Array, temperature: jax.Array | float, *,
                   setup: Setup) -> PathResult:
    """PathResult of many paths, leading axis N; path i is the same in any batch.

    `path_numbers` [N] int; the rest as for `simulate`, and pure as it is.

    >>> many = jax.jit(cg.simulate_batch, static_argnames="setup")
    >>> paths = many(a.params, a.inputs, a.scenarios["adverse"], jax.random.key(0),
    ...              jnp.arange(4), 0.0, setup=a.setup)
    >>> paths.loss.shape, paths.tranches.price.shape  # [N], [N, K]
    ((4,), (4, 4))
    """

    def one(i):
        return simulate(params, inputs, scenario, rng.path_key(key, i), temperature, setup=setup)

    return jax.vmap(one)(path_numbers)

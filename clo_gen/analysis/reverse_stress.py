"""Reverse stress: how far the macro has to go before a class loses, and the likeliest way there.

A macro path is `decode(noise)` with noise ~ N(0, I), so the likeliest path of an event is the
shortest noise that brings it about. The pool follows in mode `expected`, with cohort, industry and
region factors at their mean effect on odds; the event is judged by a margin with a slope everywhere
(a loss is exactly 0 on most paths and has none):

- loss of a class: the share of the pool that could be missing on top before the class is hit, 1 - s
  with s the scale of the pool's collections at which the class just is; negative once it is hit;
- failure of an OC test: the lowest log(ratio / trigger) over the dates it is tested.

Reference: Basel Committee (2018), Stress testing principles; design points: solve.design_point.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from clo_gen import pipeline, rng
from clo_gen.deal.coverage import PAID_OFF
from clo_gen.models import macro_baseline, macro_cvae, systematic
from clo_gen.numerics import safe_ratio
from clo_gen.records import MacroPath

LOST = 1e-3  # share of a class's balance unpaid at maturity that counts as a first loss
SCALES = (0.02, 2.0)  # of the pool, between which a class's break-even scale is searched
ROUNDS, POINTS = 5, 8  # of that search; a Newton step ends it
WIDTH = (SCALES[1] - SCALES[0]) / (POINTS + 1) ** ROUNDS  # of the bracket it leaves


@dataclasses.dataclass(frozen=True)
class Event:
    """What is to happen; static."""

    kind: str  # "loss" or "oc"
    index: int  # class k, or test q


class Problem(struct.PyTreeNode):
    """Pool, deal, models and scenario of a search."""

    params: pipeline.Params
    inputs: pipeline.Inputs
    scenario: Any
    key: jax.Array  # asked for by the graph; `expected` draws nothing from it


class Margin(struct.PyTreeNode):
    """How far one path is from the event."""

    margin: jax.Array  # [] positive: it does not happen
    slope: jax.Array  # [D] of the margin in the noise
    amount: jax.Array  # [] share of the class unpaid at maturity; OC: shortfall of the log ratio


def happened(event: Event, amount: jax.Array | np.ndarray) -> Any:
    """Where `amount` (of Margin, happens or run_forward) is the event."""
    return amount >= LOST if event.kind == "loss" else amount > 0.0


def generator(macro: Any) -> Any:
    """Module with `noise_size` and `decode` for the parameters of a macro generator, or None where
    it is no map of normal noise (block bootstrap)."""
    kinds = ((macro_baseline.Var, macro_baseline), (macro_cvae.Cvae, macro_cvae))
    return next((module for kind, module in kinds if isinstance(macro, kind)), None)


def noise_size(problem: Problem):
    """Number D of normal draws behind a macro path of the problem."""
    months = problem.scenario.shape.shape[0]
    return generator(problem.params.macro).noise_size(problem.params.macro, months)


def macro_values(problem: Problem, noise):
    """Macro path [T, M] of `noise` [D]."""
    months, macro = problem.scenario.shape.shape[0], problem.params.macro
    return generator(macro).decode(macro, noise, problem.inputs.history, problem.scenario, months)


def macro_path(problem: Problem, noise: jax.Array, series: tuple[str, ...]) -> MacroPath:
    """MacroPath of `noise` [D]."""
    return MacroPath(problem.inputs.history, macro_values(problem, noise), series)


def _lived(problem: Problem, noise, setup):
    """(Collections, Transitions, index [T, I]) of the pool on the path of `noise`."""
    i, months = problem.inputs, problem.scenario.shape.shape[0]
    path = macro_path(problem, noise, setup.series)
    index = pipeline.index_paths(path, i.curves, setup.index_columns)
    transitions = pipeline.transitions_of(problem.params, path, setup)
    shifts = systematic.Shifts(*(jnp.zeros((months, n), noise.dtype) for n in setup.groups))
    lived = pipeline.live(i.tape, i.schedule, i.deal, transitions, shifts, index, problem.key,
                          space=setup.space, mode="expected", lag=setup.recovery_lag)
    return lived.collections, transitions, index


def unpaid(deal, cash, k):
    """Principal and interest of class `k` unpaid at maturity over its balance []; equity: what it
    never got back of its balance."""
    if k == deal.balance.shape[0] - 1:
        got = (cash.interest[:, k] + cash.principal[:, k]).sum()
        return safe_ratio(jnp.maximum(deal.balance[k] - got, 0.0), deal.balance[k], 0.0)
    return safe_ratio(cash.balance[-1, k] + cash.unpaid[-1, k], deal.balance[k], 0.0)


def _soft_least(x, temperature):
    """Smallest entry of x, smoothed over `temperature` where that is positive."""
    soft = temperature > 0
    width = jnp.where(soft, temperature, 1.0)
    return jnp.where(soft, -width * jax.nn.logsumexp(-x / width), x.min())


def oc_margin(deal, cash, q, temperature):
    """Lowest log(ratio / trigger) [] of test `q` over the dates on which it is tested."""
    ratio = cash.ratio[:, q]
    tested = (ratio > 0) & (ratio < PAID_OFF)
    logs = jnp.log(jnp.where(tested, ratio, 1.0) / deal.trigger[q])
    return _soft_least(jnp.where(tested, logs, jnp.log(PAID_OFF)), temperature)


def _break_even_scale(unpaid_at):
    """(a scale just below the first at which the class is not hit, unpaid at scale 1).

    unpaid_at(scale) falls with the scale but for ripples (calls, dates); every round looks at
    POINTS scales at once.
    """
    share = jnp.arange(1, POINTS + 1) / (POINTS + 1)

    def narrow(_, carry):
        low, high, _ = carry
        at = low + (high - low) * share
        amounts = jax.vmap(unpaid_at)(jnp.append(at, 1.0))
        hit = jnp.cumprod(amounts[:-1] >= LOST).sum()
        ends = jnp.concatenate([low[None], at, high[None]])
        return ends[hit], ends[hit + 1], amounts[-1]

    low, high = jnp.asarray(SCALES, share.dtype)
    low, _, amount = jax.lax.fori_loop(0, ROUNDS, narrow, (low, high, jnp.zeros_like(low)))
    return low, amount


def margin(problem: Problem, noise, temperature, *, event: Event, setup, lived=None):
    """Margin of one path. The pool is lived once; its collections, scaled, go through the deal.

    `lived` (problem, noise, setup) -> (Collections, Transitions, index) reads another noise [D]
    than that of the macro path alone.
    """
    i, lived = problem.inputs, lived or _lived
    stage, back = jax.vjp(lambda n: lived(problem, n, setup), noise)

    def distribute(stage, scale):
        collections, transitions, index = stage
        scaled = jax.tree.map(lambda x: scale * x, collections)
        return pipeline.distribute(i, scaled, transitions, index, temperature, setup=setup)

    if event.kind == "oc":
        value, pull = jax.value_and_grad(lambda s: oc_margin(
            i.deal, distribute(s, 1.0), event.index, temperature))(stage)
        return Margin(value, back(pull)[0], jnp.maximum(-value, 0.0))

    def unpaid_at(stage, scale):
        return unpaid(i.deal, distribute(stage, scale), event.index)

    low, amount = _break_even_scale(lambda scale: unpaid_at(stage, scale))
    at_low, (pull, by_scale) = jax.value_and_grad(unpaid_at, (0, 1))(stage, low)
    falls = by_scale < 0
    per_unit = jnp.where(falls, by_scale, -1.0)
    # One Newton step: unpaid is close to linear in the scale just below the break-even.
    rest = jnp.where(falls, jnp.maximum(at_low - LOST, 0.0) / -per_unit, 0.0)
    scale = low + jnp.minimum(rest, WIDTH)
    slope = back(pull)[0] / per_unit
    return Margin(1.0 - scale, jnp.where(falls, slope, 0.0), amount)


def compile_margins(event: Event, setup: pipeline.Setup) -> Any:
    """Compiled (problem, noise [S, D], temperature) -> Margin [S], one program for all."""
    def batch(problem, noise, temperature):
        return jax.vmap(lambda n: margin(problem, n, temperature, event=event, setup=setup))(noise)

    return jax.jit(batch)


def happens(problem: Problem, noise, *, event: Event, setup):
    """Amount [] by which the event happens on one path under hard tests, without slope."""
    deal = problem.inputs.deal
    cash = pipeline.distribute(problem.inputs, *_lived(problem, noise, setup), 0.0, setup=setup)
    if event.kind == "oc":
        return jnp.maximum(-oc_margin(deal, cash, event.index, jnp.zeros(())), 0.0)
    return unpaid(deal, cash, event.index)


def run_forward(problem: Problem, values, key, numbers, *, event: Event, setup):
    """Amounts [N] of the event over sampled lives of the pool on one macro path `values` [T, M].

    Draw n takes cohort, industry and region factors and every loan's life from path n of `key`;
    tests are hard.
    """
    drawn = dataclasses.replace(setup, mode="markov")
    path = MacroPath(problem.inputs.history, values, setup.series)

    def one(n):
        sources = rng.sources(rng.path_key(key, n))
        cash = pipeline.follow(problem.params, problem.inputs, path, sources, 0.0,
                               setup=drawn).cash
        if event.kind == "oc":
            return jnp.maximum(-oc_margin(problem.inputs.deal, cash, event.index,
                                          jnp.zeros(())), 0.0)
        return unpaid(problem.inputs.deal, cash, event.index)

    return jax.vmap(one)(numbers)


def without_factors(problem: Problem) -> Problem:
    """The problem with cohort, industry and region factors off: loans alone are drawn."""
    off = jax.tree.map(jnp.zeros_like, problem.params.loadings)
    return problem.replace(params=problem.params.replace(
        loadings=off.replace(persistence=problem.params.loadings.persistence)))


def yearly(values: jax.Array | np.ndarray) -> np.ndarray:
    """Means of full years [Y, M] of `values` [T, M] (host)."""
    values = np.asarray(values)
    years = values.shape[0] // 12
    return values[: 12 * years].reshape(years, 12, -1).mean(1)

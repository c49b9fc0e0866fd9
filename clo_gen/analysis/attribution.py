"""Whose doing a difference is: shares of factors that sum to it.

Aumann-Shapley (integrated gradients): along the straight line from the start to the end, each
factor gets the integral of its own slope; they sum to the total up to the error of the quadrature,
which is reported. Shapley: factors that cannot be mixed (a tape, a deal, a fitted model) are
swapped whole, and each gets its change averaged over all orders; they sum to the total exactly.

Reference: Aumann and Shapley (1974), Values of non-atomic games; Shapley (1953), A value for
n-person games; Sundararajan, Taly and Yan (2017), Axiomatic attribution for deep networks;
Shorrocks (2013), Decomposition procedures for distributional analysis.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from clo_gen import pipeline, rng
from clo_gen.analysis.bumps import QUARTER, Case, by_month, path_outcomes
from clo_gen.analysis.sensitivity import model_of, value, value_and_slope
from clo_gen.pipeline import Setup

TOLERANCE = 0.01  # of the total: above it the quadrature is refined
SMALL = 1e-4  # a total below it (1 bp) is not judged relatively


@dataclasses.dataclass(frozen=True)
class Attribution:
    """Shares of factors in end - start, on the host; one column an outcome."""

    start: np.ndarray  # [O]
    end: np.ndarray  # [O]
    shares: dict  # {factor: [O]}
    detail: Any = None  # finer shares, where the method has them
    evaluations: int = 0  # of the model: values and slopes
    method: str = "Shapley"
    gap: float | None = None  # of the end as mixed to the end's own value, where that is another

    @property
    def total(self) -> np.ndarray:
        return self.end - self.start

    @property
    def residual(self) -> np.ndarray:
        """[O] total less the sum of the shares."""
        return self.total - sum(self.shares.values())

    @property
    def worst(self) -> float:
        """Largest |residual| / |total| of the outcomes that change by more than SMALL; 0: none."""
        judged = np.abs(self.total) > SMALL
        return float(np.max(np.abs(self.residual[judged] / self.total[judged]), initial=0.0))


def mixed_outcomes(weights, case: Case, numbers, *, setup: Setup):
    """Paths [N] between those of two scenarios of the same random numbers.

    `weights` [Q, M], by quarter and series: at 0 the path of case.scenario[0], at 1 that of
    case.scenario[1].
    """
    params, inputs = case.params, case.inputs

    def one(number):
        sources = rng.sources(rng.path_key(case.key, number))
        first, last = (setup.macro_sample(params.macro, sources.macro, inputs.history, scenario,
                                          setup.series) for scenario in case.scenario)
        share = by_month(weights, first.values.shape[0])
        path = first.replace(values=first.values + share * (last.values - first.values))
        result = pipeline.follow(params, inputs, path, sources, case.temperature, setup=setup)
        return path_outcomes(result, inputs.deal, inputs.calendar, result.tranches.price,
                             case.yields)

    return jax.vmap(one)(numbers)


def aumann_shapley(value_at: Callable, slope_at: Callable, names: tuple[str, ...], *,
                   nodes: int = 8, most: int = 64,
                   on_node: Callable = lambda done, all_nodes: None) -> Attribution:
    """Attribution by integrated slopes between weights 0 and 1.

    value_at(t) -> [O] and slope_at(t) -> [O, ..., F] in the weights, where all of them are t; the
    last axis are the factors `names`, the others detail. Gauss-Legendre with `nodes` points,
    doubled until the residual is below TOLERANCE of every total or `most` is reached.
    """
    start, end, evaluations = np.asarray(value_at(0.0)), np.asarray(value_at(1.0)), 2
    while True:
        points, weights = np.polynomial.legendre.leggauss(nodes)
        detail: Any = 0.0
        for done, (point, weight) in enumerate(zip(points, weights, strict=True)):
            detail = detail + 0.5 * weight * np.asarray(slope_at(0.5 * (point + 1.0)))
            on_node(done + 1, nodes)
        evaluations += nodes
        by_name = detail.reshape(len(start), -1, detail.shape[-1]).sum(1)
        found = Attribution(start, end, dict(zip(names, by_name.T, strict=True)), detail,
                            evaluations, "Aumann-Shapley")
        if found.worst <= TOLERANCE or 2 * nodes > most:
            return found
        nodes *= 2


def shapley(value_of: Callable, factors: tuple[str, ...], *,
            on_value: Callable = lambda done, all_values: None) -> Attribution:
    """Attribution to `factors`: the change each makes, averaged over all orders of changing them.

    value_of(frozenset of factors at the end) -> [O]; 2^n calls for n factors.
    """
    factors, known = tuple(factors), {}
    for size in range(len(factors) + 1):
        for subset in itertools.combinations(factors, size):
            known[frozenset(subset)] = np.asarray(value_of(frozenset(subset)))
            on_value(len(known), 2 ** len(factors))
    n = len(factors)

    def share(factor):
        others = [s for s in known if factor not in s]
        return sum(math.factorial(len(s)) * math.factorial(n - len(s) - 1) / math.factorial(n)
                   * (known[s | {factor}] - known[s]) for s in others)

    return Attribution(known[frozenset()], known[frozenset(factors)],
                       {factor: share(factor) for factor in factors}, None, len(known))


def between_scenarios(case: Case, setup: Setup, paths, block, *, most=64,
                      on_node=lambda done, all_nodes: None):
    """(Attribution of case.scenario[1] - case.scenario[0] to the macro series, its hard total [O]).

    Aumann-Shapley, with `detail` [O, Q, M] by quarter; where few paths jump and its shares miss
    TOLERANCE of a total, Shapley over whole series, which sums exactly and has no detail. Outcomes
    as in bumps.outcome_names, mean of `paths` paths in `expected` mode; the total with hard tests
    is what the soft ones stand for.
    """
    setup = dataclasses.replace(setup, mode="expected")
    model = model_of(functools.partial(mixed_outcomes, setup=setup), paths, block)
    quarters = -(-case.inputs.schedule.opening.shape[0] // QUARTER)

    def at(t):
        return jnp.broadcast_to(jnp.asarray(t, float), (quarters, len(setup.series)))

    found = aumann_shapley(lambda t: value(model, at(t), case),
                           lambda t: value_and_slope(model, at(t), case).slope, setup.series,
                           most=most, on_node=on_node)
    if found.worst > TOLERANCE:
        exact = shapley(lambda taken: value(model, at([float(s in taken) for s in setup.series]),
                                            case), setup.series, on_value=on_node)
        found = dataclasses.replace(exact, evaluations=found.evaluations + exact.evaluations)
    hard = case.replace(temperature=jnp.zeros_like(case.temperature))
    return found, value(model, at(1.0), hard) - value(model, at(0.0), hard)

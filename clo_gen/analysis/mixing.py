"""Two assemblies and what lies between them: some parts of one, the rest of the other."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from clo_gen import pipeline
from clo_gen.analysis.attribution import Attribution, mixed_outcomes, shapley
from clo_gen.analysis.bumps import QUARTER, Case
from clo_gen.analysis.sensitivity import model_of, value
from clo_gen.assembly import Assembly
from clo_gen.cash.schedule import schedule
from clo_gen.io.problems import Problems
from clo_gen.models.scenarios import Scenario

PARTS = {
    "macro": "scenario, generator, history and forward curves",
    "transitions": "rating migration and default model",
    "prepayment": "prepayment assumption",
    "correlation": "loadings of the cohort, industry and region factors",
    "recovery": "recovery lag, and recovery rates where the loans are the same",
    "pool": "loans",
    "deal": "terms, dates, waterfall and what principal buys",
}


def _same_loans(start: Assembly, end: Assembly):
    ids = [a.tape.frame["loan_id"].tolist() for a in (start, end)]
    return ids[0] == ids[1]


def _pieces(a: Assembly, scenario, part, same_loans):
    """(static things, arrays) of a part, to see whether two assemblies differ in it."""
    s, p, i = a.setup, a.params, a.inputs
    tape = i.tape.replace(recovery_rate=jnp.zeros(())) if same_loans else i.tape
    return {
        "macro": (s.macro_sample, (p.macro, i.history, i.curves, a.scenarios[scenario])),
        "transitions": (s.transition_predict, p.transition),
        "prepayment": ((), p.prepayment),
        "correlation": ((), p.loadings),
        "recovery": (s.recovery_lag, i.tape.recovery_rate if same_loans else ()),
        "pool": (s.groups, tape),
        "deal": ((s.waterfall, s.first_month, s.note_index), (i.deal, i.calendar, i.purchases)),
    }[part]


def _equal(one, other):
    (static, arrays), (other_static, other_arrays) = one, other
    leaves, tree = jax.tree.flatten(arrays)
    other_leaves, other_tree = jax.tree.flatten(other_arrays)
    alike = tree == other_tree  # type: ignore[operator]
    return (static == other_static and alike
            and all(np.array_equal(x, y) for x, y in zip(leaves, other_leaves, strict=True)))


def differing_parts(start: Assembly, end: Assembly, scenarios: tuple[str, str]) -> Any:
    """Names of PARTS in which two assemblies under their `scenarios` (two names) differ."""
    same = _same_loans(start, end)
    return tuple(part for part in PARTS if not _equal(
        _pieces(start, scenarios[0], part, same), _pieces(end, scenarios[1], part, same)))


def judge_pair(start: Assembly, end: Assembly) -> None:
    """Raises InputError unless parts of one assembly can stand in the other."""
    problems = Problems("the two configs")
    for what, pair in (("classes of the deals", (start.deal.classes, end.deal.classes)),
                       ("macro.series", (start.setup.series, end.setup.series)),
                       ("indices", tuple(tuple(a.config.indices) for a in (start, end))),
                       ("index series", (start.setup.index_columns, end.setup.index_columns)),
                       ("payment_months", (start.deal.terms.payment_months,
                                           end.deal.terms.payment_months))):
        if pair[0] != pair[1]:
            problems.add(what, f"{pair[0]} and {pair[1]}", "the same in both")
    longest = max(int(np.max(a.inputs.tape.maturity)) for a in (start, end))
    for a in (start, end):
        if a.deal.terms.call is None and longest > a.deal.months:
            problems.add(f"{a.deal.source}: months to maturity", a.deal.months,
                         f"at least the {longest} of the longest loan of either pool, or a deal "
                         "with [call] prices")
    problems.raise_if_any()


def _to_length(x, length):
    """x [T, ...] cut, or its last row repeated, to [length, ...]."""
    return jnp.asarray(x)[jnp.minimum(jnp.arange(length), len(x) - 1)]


def mixed(start: Assembly, end: Assembly, scenarios: tuple[str, str],
          taken: Any) -> tuple[pipeline.Params, pipeline.Inputs, Scenario, pipeline.Setup]:
    """(Params, Inputs, scenario, Setup) with the parts `taken` of `end` and the others of `start`.

    Market paths run as long as the deal taken does: forward curves and scenario shapes are cut, or
    stay at their last month. The contract schedule is worked out anew.
    """
    def side(part):
        return end if part in taken else start

    macro, pool, deal, recovery = map(side, ("macro", "pool", "deal", "recovery"))
    months = deal.deal.months
    scenario = macro.scenarios[scenarios["macro" in taken]]
    scenario = scenario.replace(shape=_to_length(scenario.shape, months),
                                label=_to_length(scenario.label, months))
    curves = _to_length(macro.inputs.curves, months + 1)
    tape = pool.inputs.tape
    if _same_loans(start, end):
        tape = tape.replace(recovery_rate=recovery.inputs.tape.recovery_rate)
    today = pipeline.index_now(macro.inputs.history, curves, start.setup.index_columns)
    inputs = pipeline.Inputs(
        tape=tape, schedule=jax.jit(schedule)(tape, deal.inputs.calendar, today),
        deal=deal.inputs.deal,
        purchases=deal.inputs.purchases, calendar=deal.inputs.calendar, curves=curves,
        history=macro.inputs.history)
    params = pipeline.Params(macro=macro.params.macro,
                             transition=side("transitions").params.transition,
                             prepayment=side("prepayment").params.prepayment,
                             loadings=side("correlation").params.loadings)
    setup = dataclasses.replace(
        start.setup, mode="expected", recovery_lag=recovery.setup.recovery_lag,
        groups=pool.setup.groups, note_index=deal.setup.note_index,
        waterfall=deal.setup.waterfall, first_month=deal.setup.first_month,
        macro_sample=macro.setup.macro_sample,
        transition_predict=side("transitions").setup.transition_predict)
    return params, inputs, scenario, setup


def largest_gap(mixture: np.ndarray | list[float], own: np.ndarray | list[float]) -> float:
    """Largest distance [] between outcomes [O]; inf where one of the two is missing."""
    mixture, own = np.asarray(mixture), np.asarray(own)
    missing = np.isnan(mixture) != np.isnan(own)
    return float(np.max(np.where(missing, np.inf, np.nan_to_num(np.abs(mixture - own)))))


def between_assemblies(start: Assembly, end: Assembly, scenarios: tuple[str, str], case: Case,
                       paths: int, block: int, *,
                       on_value: Callable = lambda done, all_values: None) -> Attribution:
    """Attribution to the PARTS that differ, by Shapley; `case` gives key and temperature.

    Its `gap` is what the mixture of all parts of `end` leaves between itself and `end`. A pool of
    other loans, or a deal of other dates, is another program to compile: up to 4. Raises
    InputError as judge_pair does.
    """
    judge_pair(start, end)
    models = {}

    def value_at(params, inputs, scenario, setup):
        if setup not in models:
            models[setup] = model_of(
                lambda weights, case, numbers: mixed_outcomes(weights, case, numbers, setup=setup),
                paths, block)
        months = inputs.schedule.opening.shape[0]
        here = case.replace(params=params, inputs=inputs, scenario=(scenario, scenario))
        weights = jnp.zeros((-(-months // QUARTER), len(setup.series)))
        return value(models[setup], weights, here)

    found = shapley(lambda taken: value_at(*mixed(start, end, scenarios, taken)),
                    differing_parts(start, end, scenarios), on_value=on_value)
    own = value_at(end.params.replace(trajectory=None), end.inputs, end.scenarios[scenarios[1]],
                   dataclasses.replace(end.setup, mode="expected"))
    return dataclasses.replace(found, gap=largest_gap(found.end, own))

"""Hypo pools of many deals at once: compiled, in blocks that stay in a core's cache, sharded.

A deal's result does not depend on the batch it is in: every batch runs in blocks of one width.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from clo_gen import mesh
from clo_gen.hypo.discrete import solve_discrete
from clo_gen.hypo.monitor import solve_formula
from clo_gen.hypo.records import (
    STAGES,
    DiscreteProblem,
    DiscreteResult,
    FormulaProblem,
    FormulaResult,
    Pool,
    Tables,
)

BLOCK = 32  # deals a device: a few MB of trial pools


@functools.cache
def _compiled_discrete(obligors, industries, devices, last_stage):
    solve = functools.partial(solve_discrete, obligors=obligors, industries=industries,
                              last_stage=last_stage)
    return jax.jit(lambda problems, tables: mesh.in_blocks(
        jax.vmap(lambda p: solve(p, tables)), BLOCK * devices)(problems))


@functools.cache
def _compiled_formula(devices):
    return jax.jit(mesh.in_blocks(jax.vmap(solve_formula), BLOCK * devices))


def solve_discrete_batch(problems: DiscreteProblem, tables: Tables, *, obligors: int,
                         industries: int) -> DiscreteResult:
    """DiscreteResult [D] on the host for a DiscreteProblem whose arrays have a leading deals axis,
    under the same Tables.

    A deal that has no solution has is_solve False and disturbs no other.
    """
    def solve(problems, last_stage):
        compiled = _compiled_discrete(obligors, industries, jax.device_count(), last_stage)
        return _in_batch(lambda placed: compiled(placed, tables), (problems,))

    found = solve(problems, False)
    again = found.stage == STAGES.index("fail")
    again &= (np.asarray(problems.ind_exceptions) > 0).any(1)
    if problems.is_simple_industry or not again.any():
        return found
    better = solve(jax.tree.map(lambda x: np.asarray(x)[again], problems), True)

    def merged(first, second):
        first = first.copy()
        first[again] = second
        return first

    return jax.tree.map(merged, found, better)


def solve_formula_batch(problems: FormulaProblem, pools: Pool) -> FormulaResult:
    """FormulaResult [D] on the host for a FormulaProblem and a Pool with a leading deals axis."""
    return _in_batch(_compiled_formula(jax.device_count()), (problems, pools))


def _in_batch(solve, args):
    devices = mesh.deal_mesh()
    width = BLOCK * jax.device_count()
    count = jax.tree.leaves(args)[0].shape[0]
    # Powers of two blocks: a batch of another size seldom compiles anew.
    blocks = 2 ** math.ceil(math.log2(max(math.ceil(count / width), 1)))

    def filled(x):
        x = np.asarray(x)
        return np.concatenate([x, np.repeat(x[-1:], blocks * width - count, axis=0)])

    placed = jax.device_put(jax.tree.map(filled, args), mesh.by_path(devices))
    return jax.tree.map(lambda x: np.asarray(x)[:count], solve(*placed))


def stacked(records: Sequence[Any]) -> Any:
    """One record with a leading axis from a list of records of equal shapes."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(x) for x in leaves]), *records)

"""One pass over paths for all of a pool's correlation: loss variance by source, pair sums.

Paths stream in blocks; of a block only numbers by path and sums by cell are kept.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from clo_gen import mesh, rng
from clo_gen.analysis.conditional_losses import loan_moments
from clo_gen.analysis.default_correlation import (
    Cells,
    beside_copula,
    pair_sums,
    pair_table,
)
from clo_gen.analysis.variance import (
    CONDITIONAL,
    NESTED,
    Shares,
    class_loss,
    crossed,
    decompose,
    decompose_conditional,
    pool_loss,
    run_design,
)

GROUPS = 32  # of paths, for jackknife errors


def _on_mesh(function):
    """Jitted (params, inputs, scenario, key, numbers) -> arrays by path, and sums over paths."""
    devices = mesh.path_mesh()
    spread, whole = mesh.by_path(devices), mesh.replicated(devices)
    return jax.jit(function, in_shardings=(whole, whole, whole, whole, spread),
                   out_shardings=whole)


def compile_pool(setup, cells: Cells, horizons):
    """Function of (params, inputs, scenario, key, numbers [n]) -> conditional mean and variance
    [n, 4] of the pool's loss, losses with the loans drawn [n], PairSums by `horizons` (months)."""
    drawing = dataclasses.replace(setup, mode="markov")

    def block(params, inputs, scenario, key, numbers):
        def one(sources):
            m = loan_moments(params, inputs, scenario, sources, horizons, setup=setup)
            return m.mean.sum(), (m.square - m.mean**2).sum(), m.default

        def drawn(number):
            sources = rng.sources(rng.path_key(key, number))
            return pool_loss(params, inputs, scenario, sources, setup=drawing)

        mean, variance, default = run_design(one, key, numbers, CONDITIONAL)
        sums = pair_sums(default[:, 0], jnp.asarray(cells.of_loan), cells.count)
        return mean, variance, jax.vmap(drawn)(numbers), sums

    return _on_mesh(block)


def compile_class(setup, k):
    """Function of (params, inputs, scenario, key, numbers [n]) -> losses [n, 5] of class `k` under
    the rows of variance.NESTED, the whole graph a run with its loans drawn."""
    setup = dataclasses.replace(setup, mode="markov")

    def block(params, inputs, scenario, key, numbers):
        outcome = functools.partial(class_loss, params, inputs, scenario, setup=setup)
        # One row at a time: a row is a whole path of the deal.
        return jax.lax.map(
            lambda row: jax.vmap(lambda n: outcome(crossed_row(key, n, row))[k])(numbers),
            jnp.asarray(NESTED)).T

    return _on_mesh(block)


def crossed_row(key, number, row):
    """rng.Sources of path `number` with the sources redrawn that `row` [4] marks."""
    return jax.tree.map(lambda k: k[0], crossed(key, number, row[None]))


@dataclasses.dataclass(frozen=True)
class PoolStudy:
    """What one pass found."""

    shares: Shares
    pairs: tuple  # GROUPS or fewer PairSums of equal or nearly equal numbers of paths


def study_pool(function, case, paths, block, *, on_block=lambda done: None):
    """PoolStudy over `paths` paths (a multiple of `block`); `case` = (params, inputs, scenario,
    key), `function` as compile_pool gives it."""
    count = paths // block
    pairs, parts = [None] * min(GROUPS, count), []
    for b in range(count):
        *by_path, sums = jax.tree.map(np.asarray, function(*case, b * block + jnp.arange(block)))
        parts.append(by_path)
        slot = b * len(pairs) // count
        pairs[slot] = sums if pairs[slot] is None else jax.tree.map(np.add, pairs[slot], sums)
        on_block((b + 1) * block)
    return PoolStudy(decompose_conditional(*(np.concatenate(x) for x in zip(*parts, strict=True))),
                     tuple(pairs))


def study_class(function, case, paths, block, *, on_block=lambda done: None):
    """Shares of a class's loss over `paths` paths; the arguments are those of study_pool."""
    parts = []
    for first in range(0, paths, block):
        parts.append(np.asarray(function(*case, first + jnp.arange(block))))
        on_block(first + block)
    return decompose(np.concatenate(parts))


def pair_rows(sums, cells: Cells, names, horizons, rho):
    """(DataFrame with a row a pair of groups and horizon, industry by industry [I, I] at the last
    horizon, rho) of PairSums.

    `names` = (ratings present, industries), `rho` the copula's asset correlation; None: the one
    that all pairs imply at the last horizon.
    """
    apart = np.not_equal.outer(cells.industry, cells.industry)
    everyone = np.ones((1, len(cells.rating)))
    ratings = np.unique(cells.rating)
    by_rating = np.equal.outer(ratings, cells.rating).astype(float)
    by_industry = np.equal.outer(np.arange(len(names[1])), cells.industry).astype(float)
    whole = pair_table(sums, cells, everyone)
    implied = float(beside_copula(whole[0], 0.2)[0][-1, 0, 0])
    rho = rho if rho is not None else implied if np.isfinite(implied) else 0.2
    parts = [("all pairs", ["all"], whole),
             ("same industry", ["all"], pair_table(sums, cells, everyone, ~apart)),
             ("other industry", ["all"], pair_table(sums, cells, everyone, apart)),
             ("all pairs", names[0], pair_table(sums, cells, by_rating)),
             ("same industry", names[0], pair_table(sums, cells, by_rating, ~apart)),
             ("other industry", names[0], pair_table(sums, cells, by_rating, apart))]
    industry = pair_table(sums, cells, by_industry)
    parts.append(("industries", names[1], industry))
    rows = [row for part in parts for row in _rows(*part, horizons, rho)]
    return pd.DataFrame(rows), industry[0].correlation[-1], rho


def _rows(kind, labels, found, horizons, rho):
    table, error = found
    implied, copula = beside_copula(table, rho)
    for h, months in enumerate(horizons):
        for g, first in enumerate(labels):
            for j in range(g, len(labels)):
                yield {"pairs": kind, "first": first, "second": labels[j], "months": months,
                       "default_rate_first": table.first[h, g, j],
                       "default_rate_second": table.second[h, g, j],
                       "joint": table.joint[h, g, j], "correlation": table.correlation[h, g, j],
                       "error": error[h, g, j], "implied_asset_correlation": implied[h, g, j],
                       "copula_correlation": copula[h, g, j]}

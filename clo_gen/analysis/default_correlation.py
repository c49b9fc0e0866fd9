"""Pairwise default correlation of a pool by rating and industry, beside a one-factor copula.

D_i says whether loan i has defaulted by a horizon. Given the systematic draws loans are
independent, so P(D_i and D_j) = E[p_i p_j] with p_i the conditional probability: averaged over
paths it needs no draw of single loans. The correlation of two groups is the mean covariance over
pairs of different loans over the root of their mean variances. Sums are kept by cell (rating and
industry), never by pair of loans.

Reference: Lucas (1995), Default correlation and credit analysis, Journal of Fixed Income 4; Efron
and Stein (1981), The jackknife estimate of variance, Annals of Statistics 9.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from clo_gen import pipeline
from clo_gen.analysis.conditional_losses import loan_moments
from clo_gen.models import copula


class PairSums(struct.PyTreeNode):
    """Sums over the paths of one block."""

    loan: jax.Array  # [H, L] default probabilities
    pair: jax.Array  # [H, C, C] products of cell sums
    same: jax.Array  # [H, C] squares of single loans, which are no pairs
    paths: jax.Array  # []


def conditional_defaults(params, inputs, scenario, sources, horizons, *, setup):
    """Default probabilities [H, L] by `horizons` (months) given the path's systematic draws."""
    return loan_moments(params, inputs, scenario, sources, horizons, setup=setup).default


def drawn_defaults(params, inputs, scenario, sources, horizons, *, setup):
    """Default flags [H, L] by `horizons` (months) of one path with its loans drawn."""
    lived, _, _ = pipeline.live_pool(params, inputs, scenario, sources, setup=setup,
                                     keep_loans=True)
    assert lived.loans is not None
    return lived.loans.weights[jnp.asarray(horizons) - 1, :, setup.space.default].astype(float)


def pair_sums(defaults: jax.Array, cell: jax.Array, cells: int) -> PairSums:
    """PairSums of `defaults` [N, H, L], probabilities or flags; `cell` [L] int in [0, cells)."""
    member = jax.nn.one_hot(cell, cells, dtype=defaults.dtype)
    total = defaults @ member
    return PairSums(defaults.sum(0), jnp.einsum("nhc,nhd->hcd", total, total),
                    (defaults**2).sum(0) @ member, jnp.asarray(defaults.shape[0], float))


@dataclasses.dataclass(frozen=True)
class Cells:
    """Loans alive at the cut-off date by rating and industry; host arrays."""

    rating: np.ndarray  # [C] int, state
    industry: np.ndarray  # [C] int
    of_loan: np.ndarray  # [L] int; loans in default stand in a cell of their own, the last

    @property
    def count(self) -> int:
        return len(self.rating) + 1


def cells_of(tape, space):
    """Cells of a tape."""
    state, industry = np.asarray(tape.state), np.asarray(tape.industry)
    live = (state < len(space.live)) & (np.asarray(tape.balance) > 0)
    found, number = np.unique(np.column_stack([state, industry])[live], axis=0,
                              return_inverse=True)
    of_loan = np.full(len(state), len(found))
    of_loan[live] = number.reshape(-1)
    return Cells(found[:, 0], found[:, 1], of_loan)


@dataclasses.dataclass(frozen=True)
class PairTable:
    """Of groups [G] against groups, by horizon; nan where there is no pair."""

    correlation: np.ndarray  # [H, G, G]
    joint: np.ndarray  # [H, G, G] mean probability that both of a pair default
    first: np.ndarray  # [H, G, G] mean default probability of the pair's loan in the first group
    second: np.ndarray  # [H, G, G] and in the second


def _pair_table(sums: PairSums, cells: Cells, groups, mask):
    """PairTable of total sums; `groups` [G, C] membership, `mask` [C, C] which cells pair up."""
    n, count = float(sums.paths), cells.count - 1
    member = np.equal.outer(np.arange(count), cells.of_loan).astype(float)
    mean = np.asarray(sums.loan) / n
    loans = member.sum(1)

    def over_pairs(cross, own):
        """Sums over pairs of different loans, from sums over cells."""
        h_groups = groups @ (cross * mask) @ groups.T
        diagonal = groups * np.diagonal(mask)
        return h_groups - (diagonal * own[..., None, :]) @ groups.T

    def outer(x, y):
        return x[:, :, None] * y[:, None, :]

    m, spread = mean @ member.T, (mean * (1.0 - mean)) @ member.T
    ones = np.broadcast_to(loans, m.shape)
    pairs = over_pairs(outer(ones, ones), ones)
    empty = pairs < 0.5
    pairs = np.where(empty, np.nan, pairs)
    joint = over_pairs(np.asarray(sums.pair)[:, :count, :count] / n,
                       np.asarray(sums.same)[:, :count] / n) / pairs
    apart = over_pairs(outer(m, m), mean**2 @ member.T) / pairs
    sides = [over_pairs(outer(x, ones), x) / pairs for x in (m, spread)]
    others = [over_pairs(outer(ones, x), x) / pairs for x in (m, spread)]
    covariance = (joint - apart) * n / (n - 1.0)
    spreads = sides[1] * others[1]
    safe = np.where(spreads > 0, spreads, np.nan)
    return PairTable(covariance / np.sqrt(safe), joint, sides[0], others[0])


def pair_table(blocks, cells: Cells, groups, mask=None):
    """(PairTable, standard errors of its correlations [H, G, G]) from PairSums of equal blocks.

    The errors are a jackknife over blocks of paths; it wants some ten blocks or more.
    """
    count = cells.count - 1
    mask = np.ones((count, count)) if mask is None else np.asarray(mask, float)
    blocks = [jax.tree.map(np.asarray, b) for b in blocks]
    whole = jax.tree.map(lambda *x: sum(x), *blocks)
    table = _pair_table(whole, cells, groups, mask)
    left = np.stack([_pair_table(jax.tree.map(np.subtract, whole, b), cells, groups,
                                 mask).correlation for b in blocks])
    b = len(blocks)
    return table, np.sqrt((b - 1.0) / b * ((left - left.mean(0)) ** 2).sum(0))


def beside_copula(table: PairTable, rho):
    """(asset correlation that the copula needs for each correlation, default correlation that it
    gives at asset correlation `rho` []), [H, G, G] each; nan where there is none."""
    shape = table.correlation.shape
    args = [np.asarray(x, float).ravel() for x in (table.first, table.second, table.correlation)]
    known = (np.isfinite(args[2]) & (args[0] > 0) & (args[0] < 1) & (args[1] > 0) & (args[1] < 1))
    first, second, correlation = (jnp.asarray(np.where(known, x, 0.1)) for x in args)
    root = jax.jit(jax.vmap(copula.implied_asset_correlation))(first, second, correlation)
    given = jax.jit(jax.vmap(copula.default_correlation, (0, 0, None)))(first, second, rho)
    implied = np.where(known & np.asarray(root.converged), np.asarray(root.x), np.nan)
    return implied.reshape(shape), np.where(known, np.asarray(given), np.nan).reshape(shape)

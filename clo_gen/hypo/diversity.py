"""Diversity score, and the shares and industries of the most concentrated pool under limits.

Reference: indenture term Diversity Score; agencies' stressed pools: exceptions first, then the
base limit, industries filled from the largest obligor on.
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.hypo.records import DiversityTable

CELLS = 1024
EPS = 1e-9  # of a share, a diversity unit or a score: ties pass


def industry_score(units: jax.Array, table: DiversityTable) -> jax.Array:
    """Score of an industry with aggregate equivalent `units`: of the highest bound not above."""
    place = jnp.searchsorted(table.bound, units + EPS, side="right") - 1
    return table.score[jnp.maximum(place, 0)]


class ScoreIndex(struct.PyTreeNode):
    """A DiversityTable cut into even cells that hold at most one bound: a look-up is three reads,
    where a search takes eight rounds of them."""

    table: DiversityTable
    width: jax.Array  # [] of a cell
    first: jax.Array  # [CELLS] int, place of the highest bound not above the cell


def score_index(table: DiversityTable) -> ScoreIndex:
    """ScoreIndex; bounds must be more than 1 / (CELLS - 1) of the last one apart."""
    width = table.bound[-1] / (CELLS - 1)
    cells = jnp.arange(CELLS) * width
    return ScoreIndex(table, width, jnp.searchsorted(table.bound, cells, side="right") - 1)


def indexed_score(units: jax.Array, index: ScoreIndex) -> jax.Array:
    """industry_score by index."""
    bound, last = index.table.bound, index.table.bound.shape[0] - 1
    cell = jnp.floor((units + EPS) / index.width).astype(index.first.dtype)
    place = jnp.maximum(index.first[jnp.clip(cell, 0, CELLS - 1)], 0)
    above = jnp.minimum(place + 1, last)
    return index.table.score[jnp.where(bound[above] <= units + EPS, above, place)]


def equivalent_units(share: jax.Array, count: jax.Array | int) -> jax.Array:
    """min(1, share / average share) of obligors in a pool of `count`."""
    return jnp.minimum(1.0, share * count)


def diversity_score(share: jax.Array, industry: jax.Array, count: jax.Array | int,
                    table: DiversityTable, *, industries: int) -> jax.Array:
    """Diversity score [] of obligors [N] (padding has share 0); codes are below `industries`."""
    units = equivalent_units(share, count)
    return industry_score(jax.ops.segment_sum(units, industry, industries), table).sum()


def cut_exceptions(exceptions: jax.Array) -> jax.Array:
    """Unit exceptions [E], each cut to what is left of the pool; dust counts as nothing."""
    left = 1.0 - (jnp.cumsum(exceptions) - exceptions)
    cut = jnp.clip(jnp.minimum(exceptions, left), 0.0)
    return jnp.where(cut > EPS, cut, 0.0)


def base_and_tail(exceptions: jax.Array, base: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(obligors at `base`, share of a tail obligor, tail obligors) after cut `exceptions`.

    What the base does not divide is shared by the last two obligors: a lone remainder of 1e-9 would
    count as a whole name in the average par and fake the diversity score.
    """
    left = 1.0 - exceptions.sum()
    whole = jnp.floor(left / base + EPS)
    rest = left - whole * base
    even, lone = rest <= EPS, whole == 0
    at_base = jnp.where(even, whole, jnp.maximum(whole - 1, 0))
    tail = jnp.where(lone, rest, 0.5 * (base + rest))
    return at_base, tail, jnp.where(even, 0, jnp.where(lone, 1, 2))


def obligor_shares(exceptions: jax.Array, base: jax.Array,
                   obligors: int) -> tuple[jax.Array, jax.Array]:
    """(shares [obligors] falling and summing to 1, count []) of the pool that uses `exceptions`
    [E] (falling) whole and then gives every obligor `base`."""
    used = cut_exceptions(exceptions)
    at_base, tail, tails = base_and_tail(used, base)
    i, first = jnp.arange(obligors), (used > 0).sum()
    listed = jnp.pad(used, (0, obligors))[:obligors]
    share = jnp.where(i < first, listed, jnp.where(
        i < first + at_base, base, jnp.where(i < first + at_base + tails, tail, 0.0)))
    return share / share.sum(), (first + at_base + tails).astype(int)


def next_fit(share: jax.Array, exceptions: jax.Array, base: jax.Array) -> jax.Array:
    """Industry numbers [N] before they repeat: obligors go to the open industry while they fit.

    Industry n may hold exceptions[n] (falling, 0: none), later ones `base`; an obligor larger than
    an empty industry's limit still goes there.
    """
    def place(carry, share):
        number, load = carry
        fits = (load + share <= limit_of_industry(number, exceptions, base) + EPS) | (load == 0)
        number = jnp.where(fits, number, number + 1)
        return (number, jnp.where(fits, load + share, share)), number

    return jax.lax.scan(place, (jnp.zeros((), int), jnp.zeros_like(share[0])), share)[1]


def limit_of_industry(number: jax.Array, exceptions: jax.Array, base: jax.Array) -> jax.Array:
    """Limit of industry `number`, counted from the first one filled."""
    listed = (exceptions * (jnp.arange(exceptions.shape[0]) == number)).sum()
    return jnp.where(listed > 0, listed, base)

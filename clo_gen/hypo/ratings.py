"""Risk score of a pool, and the rating overlay: which obligor gets which rating for a target score.

Ratings are 1..R, worse ones higher; risk scores rise with them. The worst ratings go to the largest
obligors. Reference: hypo_pool_discrete_constraints, "the solver performs the rating overlay once
the pool percentages are computed".
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.hypo.diversity import EPS
from clo_gen.hypo.records import Locks, Pool
from clo_gen.numerics import safe_ratio


class Belly(struct.PyTreeNode):
    """What the locks leave: obligors first .. end - 1, which the target score decides."""

    cumulative: jax.Array  # [N] share of obligors 0..i
    first: jax.Array  # [] int, obligors locked low before
    end: jax.Array  # [] int, obligors locked high from here on
    locked: jax.Array  # [2] shares locked low and high
    share: jax.Array  # [] of the belly

    @property
    def before(self) -> jax.Array:
        return self.locked[0]


class Mix(struct.PyTreeNode):
    """Four blocks of the pool by falling share, each with one rating."""

    share: jax.Array  # [4]: locked low, worse and better part of the belly, locked high
    rating: jax.Array  # [4] int
    worse: jax.Array  # [] int, obligors of the belly with the worse rating


def belly_of(pool: Pool, locks: Locks) -> Belly:
    """Belly of a pool: locks take whole obligors and never more than their share."""
    i, cumulative = jnp.arange(pool.share.shape[0]), jnp.cumsum(pool.share)
    real = i < pool.count
    low = real & (cumulative <= locks.low_share + EPS)
    from_here = cumulative[-1] - cumulative + pool.share
    high = real & ~low & (from_here <= locks.high_share + EPS)
    locked = jnp.stack([(pool.share * low).sum(), (pool.share * high).sum()])
    return Belly(cumulative, low.sum(), pool.count - high.sum(), locked,
                 (pool.share * (real & ~low & ~high)).sum())


def mix_for(target: jax.Array | int, belly: Belly, risk_score: jax.Array, locks: Locks, *,
            relaxed: bool = False) -> Mix:
    """Mix whose score comes nearest `target` [] from below with whole obligors.

    Two neighbouring ratings share the belly; the score exceeds the target only where the locks
    alone do. `relaxed` cuts through an obligor instead: the score is then the target itself, and
    smooth in everything but the notches.
    """
    scores = jnp.stack([risk_score[locks.low_rating - 1], risk_score[locks.high_rating - 1]])
    wanted = safe_ratio(target - (belly.locked * scores).sum(), belly.share, risk_score[0])
    better = jnp.clip(jnp.searchsorted(risk_score, wanted, side="right") - 1, 0,
                      risk_score.shape[0] - 2)
    notch = risk_score[better + 1] - risk_score[better]
    worse_share = belly.share * jnp.clip((wanted - risk_score[better]) / notch, 0.0, 1.0)
    cut = jnp.searchsorted(belly.cumulative, belly.before + worse_share + EPS, side="right")
    cut = jnp.clip(cut, belly.first, belly.end)
    if not relaxed:
        upto = jnp.where(cut > 0, belly.cumulative[cut - 1], 0.0)
        worse_share = jnp.where(cut > belly.first, upto - belly.before, 0.0)
    share = jnp.stack([belly.locked[0], worse_share, belly.share - worse_share, belly.locked[1]])
    rating = jnp.stack([locks.low_rating, better + 2, better + 1, locks.high_rating])
    return Mix(share, rating, cut - belly.first)


def overlay(pool: Pool, target: jax.Array | int, risk_score: jax.Array, locks: Locks) -> Pool:
    """The pool with a rating [N] for each obligor, padding included."""
    belly = belly_of(pool, locks)
    mix = mix_for(target, belly, risk_score, locks)
    i = jnp.arange(pool.share.shape[0])
    ends = jnp.stack([belly.first, belly.first + mix.worse, belly.end])
    return pool.replace(rating=mix.rating[(i[:, None] >= ends).sum(1)])


def score_of(pool: Pool, risk_score: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(risk score [], credit dispersion []: mean absolute deviation of the obligors' scores)."""
    scores = risk_score[pool.rating - 1]
    mean = (pool.share * scores).sum()
    return mean, (pool.share * jnp.abs(scores - mean)).sum()

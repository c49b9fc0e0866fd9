"""Collateral quality and concentration tests of a portfolio: result, limit, room, pass.

Letters: L positions, E and F exceptions of obligors and industries, G groups, Q tests. The order
of the tests (`names_of_tests`): diversity score, risk score, spread, recovery, life, E + 1 rungs of
the obligor ladder, F + 1 rungs of the industry ladder, G groups.

Averages are over what is held; concentrations are shares as given, so where principal cash counts
in their basis the shares of the positions add to less than 1.
Reference: indenture terms Collateral Quality Test, Concentration Limitations, maintain or improve.
"""

import chex
import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.hypo.diversity import EPS, equivalent_units, industry_score
from clo_gen.hypo.records import DiversityTable, Positions, QualityLimits
from clo_gen.numerics import safe_ratio

AVERAGES = ("diversity score", "risk score", "spread", "recovery", "life")
_SIGN = (1.0, -1.0, 1.0, 1.0, -1.0)  # of AVERAGES: 1 tests a minimum, -1 a maximum


class Quality(struct.PyTreeNode):
    """Q tests in the order of `names_of_tests`, each in its own unit: scores, fractions, years
    (life), shares of the portfolio. No limit is an infinite threshold."""

    result: jax.Array  # [Q]
    threshold: jax.Array  # [Q]
    cushion: jax.Array  # [Q] room until the limit; negative where the test fails
    passes: jax.Array  # [Q] bool; a tie passes
    maintained: jax.Array  # [Q] bool, satisfied: passes, or is no worse than before


def names_of_tests(obligor_exceptions: int, industry_exceptions: int,
                   groups: list[str]) -> tuple[str, ...]:
    """Names of the Q tests for E and F exceptions and the names of the groups.

    Rung n of a ladder is for the n-th largest; the last rung is the base, for all later ones too.
    """
    rungs = [f"{kind} {n + 1}" for kind, count in
             (("obligor", obligor_exceptions), ("industry", industry_exceptions))
             for n in range(count + 1)]
    return (*AVERAGES, *rungs, *groups)


def quality(positions: Positions, limits: QualityLimits, before: Quality | None = None) -> Quality:
    """Quality of one portfolio; `before` is that of an earlier one, for maintain or improve.

    Smooth in spreads, recoveries, lives and shares but for the diversity score, whose table is a
    step function, and the order of obligors and industries.
    """
    chex.assert_rank([positions.share, limits.ob_exceptions, limits.ind_exceptions], 1)
    chex.assert_shape(positions.member, (limits.group_max.shape[0], positions.share.shape[0]))
    obligors = ladder(limits.ob_max, limits.ob_exceptions)
    industries = ladder(limits.ind_max, limits.ind_exceptions)
    result = jnp.concatenate([
        jnp.stack([diversity_of(positions, limits.diversity), *averages(positions, limits)]),
        largest(positions.share, positions.obligor, obligors.shape[0]),
        largest(positions.share, positions.industry, industries.shape[0]),
        positions.member @ positions.share])
    threshold = jnp.concatenate([
        jnp.stack([limits.dscore_min, limits.riskscore_max, limits.was_min, limits.warr_min,
                   limits.wal_max]),
        obligors, industries, limits.group_max])
    sign = jnp.concatenate([jnp.array(_SIGN, result.dtype),
                            -jnp.ones(result.shape[0] - len(_SIGN), result.dtype)])
    cushion = sign * (result - threshold)
    passes = cushion >= -EPS
    no_worse = passes if before is None else sign * (result - before.result) >= -EPS
    return Quality(result, threshold, cushion, passes, passes | no_worse)


def held(share: jax.Array) -> jax.Array:
    """Weights [L] of the positions held: shares that add to 1 (0 for an empty portfolio)."""
    return safe_ratio(share, share.sum(), 0.0)


def averages(positions: Positions, limits: QualityLimits) -> list[jax.Array]:
    """(risk score (WARF), spread (WAS), recovery (WARR), life (WAL)), each [], weighted by par."""
    weight = held(positions.share)
    score = limits.risk_score[positions.rating - 1]
    return [(weight * x).sum() for x in (score, positions.spread, positions.recovery,
                                         positions.life)]


def diversity_of(positions: Positions, table: DiversityTable) -> jax.Array:
    """Diversity score [] of obligors, the positions of one obligor added first.

    An obligor's units go to its positions' industries in proportion to par: one industry an
    obligor, as the indenture has it, is the ordinary case.
    """
    size = positions.share.shape[0]
    weight = held(positions.share)
    obligor = jax.ops.segment_sum(weight, positions.obligor, size)
    units = equivalent_units(obligor, (obligor > EPS).sum())
    units = units[positions.obligor] * safe_ratio(weight, obligor[positions.obligor], 0.0)
    return industry_score(jax.ops.segment_sum(units, positions.industry, size), table).sum()


def ladder(base: jax.Array | float, exceptions: jax.Array) -> jax.Array:
    """Limits [E + 1] by size: the exceptions (falling; 0: none, the base holds), then the base."""
    return jnp.append(jnp.maximum(exceptions, base), base)


def largest(share: jax.Array, group: jax.Array, rungs: int) -> jax.Array:
    """Shares [rungs] of the largest groups, falling; `group` [L] is below L, 0 where none is left.
    """
    size = share.shape[0]
    found = jax.lax.top_k(jax.ops.segment_sum(share, group, size), min(rungs, size))[0]
    return jnp.pad(found, (0, rungs - found.shape[0]))


def with_recovery_modifier(limits: QualityLimits, positions: Positions, points: float,
                           base: float) -> QualityLimits:
    """`limits` whose maximum risk score rises by `points` [] for each point (0.01) by which the
    portfolio's recovery is above `base` [], and falls below it.

    Reference: indenture term Weighted Average Recovery Adjustment, as published with limits such
    as "WARF at most 2740 + 67 x (WARR in percent - 43)".
    """
    recovery = (held(positions.share) * positions.recovery).sum()
    more = limits.riskscore_max + points * 100.0 * (recovery - base)
    return limits.replace(riskscore_max=more)

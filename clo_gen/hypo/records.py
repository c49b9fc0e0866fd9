"""Records of hypo pools: what a deal allows, a pool, and what a solve found.

Letters: N obligors, E and F unit exceptions of obligors and industries, R ratings (1 is the best),
C industry codes, X rows of a diversity table, Y years. Shares are fractions of the pool unless a
field says otherwise. Vmap adds the deals axis.
"""

import jax
from flax import struct

STAGES = ("inner", "partial", "industry", "fail")  # Discrete.stage
MONITOR_STAGES = ("max_passes", "min_fails", "upper_bound_passes", "bisection")  # Monitor.stage
LEVELS = {"SP_WARF": "rating factor", "EPDR": "default rate"}  # run modes, and what they average


class Locks(struct.PyTreeNode):
    """Ratings fixed before the rest is solved; a share of 0 locks nothing."""

    low_rating: jax.Array  # [] int, on the largest obligors
    low_share: jax.Array  # []
    high_rating: jax.Array  # [] int, on the smallest obligors
    high_share: jax.Array  # []


class Pool(struct.PyTreeNode):
    """A hypothetical pool: obligors by falling share, then padding."""

    share: jax.Array  # [N] sums to 1; 0 for padding
    industry: jax.Array  # [N] int code
    region: jax.Array  # [N] int code
    rating: jax.Array  # [N] int, 1..R
    count: jax.Array  # [] int, obligors that are not padding


class DiversityTable(struct.PyTreeNode):
    """Industry diversity score by aggregate equivalent units: the highest bound not above."""

    bound: jax.Array  # [X] rising, from 0
    score: jax.Array  # [X]


class Tables(struct.PyTreeNode):
    """Look-up tables; deals that share them run in one batch."""

    risk_score: jax.Array  # [R] rising
    diversity: DiversityTable


class DiscreteProblem(struct.PyTreeNode):
    """One row of a collateral quality matrix and the concentration limits, shares of the basis."""

    pool_par: jax.Array  # []
    conc_limit_basis: jax.Array  # [] what the limits are shares of, in the unit of pool_par
    dscore_min: jax.Array  # []
    riskscore_max: jax.Array  # []
    ob_max: jax.Array  # []
    ind_max: jax.Array  # []
    ob_floor: jax.Array  # []
    ind_floor: jax.Array  # []
    ob_exceptions: jax.Array  # [E] falling, 0: none
    ind_exceptions: jax.Array  # [F] falling, 0: none
    locks: Locks
    codes: jax.Array  # [] int, industry codes before they repeat
    n_simple_industry: jax.Array  # [] int
    is_simple_industry: bool = struct.field(pytree_node=False)  # obligor i: i mod n_simple_industry


class DiscreteResult(struct.PyTreeNode):
    """What the discrete solve found; limits and exceptions are shares of the basis again."""

    is_solve: jax.Array  # [] bool
    dscore: jax.Array  # [] of the pool
    riskscore: jax.Array  # [] of the pool
    ob_base: jax.Array  # []
    ind_base: jax.Array  # []
    ob_exceptions: jax.Array  # [E] used
    ind_exceptions: jax.Array  # [F] used
    stage: jax.Array  # [] int, of STAGES
    t: jax.Array  # [] how far the base limits moved: 0 at the limits, 1 at the floors
    n_industries: jax.Array  # [] int
    pool: Pool


class FormulaProblem(struct.PyTreeNode):
    """A CDO Monitor test in its formula version."""

    bdr_coefficients: jax.Array  # [3] C0, WAS, WARR
    sdr_coefficients: jax.Array  # [7] constant, level, DRD, ODM, IDM, RDM, WAL, as published
    rs_abs_max: jax.Array  # []
    rs_bound_lower: jax.Array  # []
    rs_bound_higher: jax.Array  # []
    rvst_target_par: jax.Array  # []
    collat_prin_amt: jax.Array  # [] in the unit of rvst_target_par
    was: jax.Array  # []
    warr: jax.Array  # []
    wal: jax.Array  # [] years
    monitor_cushion: jax.Array  # []
    locks: Locks
    risk_score: jax.Array  # [R] rising
    level: jax.Array  # [R] rating factors, or default rates over `wal` years
    run_mode: str = struct.field(pytree_node=False)  # of LEVELS


class SdrMeasures(struct.PyTreeNode):
    """What the SDR formula reads of a pool."""

    level: jax.Array  # SPWARF or EPDR
    drd: jax.Array  # default rate dispersion
    odm: jax.Array  # obligor diversity measure
    idm: jax.Array  # industry diversity measure
    rdm: jax.Array  # regional diversity measure
    wal: jax.Array  # years


class FormulaResult(struct.PyTreeNode):
    """What the formula solve found."""

    is_solve: jax.Array  # [] bool
    riskscore_solution: jax.Array  # [] target of the rating overlay
    riskscore_realized: jax.Array  # [] of the pool, one rating an obligor; never above
    credit_dispersion: jax.Array  # [] mean absolute deviation of risk scores
    adj_bdr: jax.Array  # []
    bdr: jax.Array  # []
    sdr: jax.Array  # [] of the pool
    sdr_diag: SdrMeasures
    stage: jax.Array  # [] int, of MONITOR_STAGES
    rating: jax.Array  # [N]


class Positions(struct.PyTreeNode):
    """A portfolio as quality tests read it. Unlike a Pool its positions have names, spreads, lives.

    Letters: L positions, G groups.
    """

    share: jax.Array  # [L] of par; 0 for padding and for candidates not held
    obligor: jax.Array  # [L] int below L
    industry: jax.Array  # [L] int below L
    rating: jax.Array  # [L] int, 1..R
    spread: jax.Array  # [L] yearly fraction
    recovery: jax.Array  # [L]
    life: jax.Array  # [L] years, weighted average life
    member: jax.Array  # [G, L] 1 where the position is in group g: a rating bucket, cov-lite, ...


class QualityLimits(struct.PyTreeNode):
    """Collateral quality and concentration limits of a deal; shares are of the portfolio."""

    dscore_min: jax.Array  # [] diversity score at least
    riskscore_max: jax.Array  # [] par-weighted risk score (WARF) at most
    was_min: jax.Array  # [] weighted average spread at least
    warr_min: jax.Array  # [] weighted average recovery at least
    wal_max: jax.Array  # [] weighted average life at most, years
    ob_max: jax.Array  # [] any obligor beyond those with exceptions
    ind_max: jax.Array  # [] any industry beyond those with exceptions
    ob_exceptions: jax.Array  # [E] the largest obligors, falling, 0: none
    ind_exceptions: jax.Array  # [F] the largest industries, falling, 0: none
    group_max: jax.Array  # [G] share of each group at most
    risk_score: jax.Array  # [R] rising
    diversity: DiversityTable

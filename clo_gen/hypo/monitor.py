"""The CDO Monitor's formulas, and the worst rating mixture that still passes the test.

Reference: hypo_pool_formula_constraints; S&P CDO Monitor, non-model version (2019 "SP_WARF", 2014
"EPDR"): break-even default rate (BDR), its adjustment for par, scenario default rate (SDR).
"""

from typing import Any

import jax
import jax.numpy as jnp

from clo_gen.hypo.diversity import EPS
from clo_gen.hypo.ratings import belly_of, mix_for, overlay, score_of
from clo_gen.hypo.records import MONITOR_STAGES, FormulaProblem, FormulaResult, Pool, SdrMeasures
from clo_gen.solve.root import Root, bisect, narrow

HALVINGS = 60


def bdr(p: FormulaProblem) -> Any:
    """Break-even default rate []: C0 + C1 WAS + C2 WARR."""
    c = p.bdr_coefficients
    return c[0] + c[1] * p.was + c[2] * p.warr


def adjusted_bdr(p: FormulaProblem) -> Any:
    """BDR [] after par gained or lost against the target par."""
    target, par = p.rvst_target_par, p.collat_prin_amt
    return bdr(p) * target / par + (par - target) / (par * (1.0 - p.warr))


def sdr(m: SdrMeasures, coefficients: jax.Array | list[float], run_mode: str) -> Any:
    """Scenario default rate []; coefficients are positive, as published, signs by the mode."""
    a = coefficients
    if run_mode == "SP_WARF":
        return (a[0] + m.level / a[1] - m.drd / a[2] - m.odm / a[3] - m.idm / a[4]
                - m.rdm / a[5] + m.wal / a[6])
    return (a[0] + a[1] * m.level - a[2] * m.drd + a[3] / m.odm + a[4] / m.idm
            + a[5] / m.rdm - a[6] * m.wal)


def effective_number(share: jax.Array, group: jax.Array | None = None) -> jax.Array:
    """1 / sum of squared shares [], of obligors or of the groups (codes below N) they are in."""
    if group is not None:
        share = jax.ops.segment_sum(share, group, share.shape[0])
    return 1.0 / (share**2).sum()


def measures(p: FormulaProblem, pool: Pool, share: jax.Array, level: jax.Array) -> SdrMeasures:
    """SdrMeasures of a pool whose parts `share` [n] have the levels `level` [n]."""
    mean = (share * level).sum()
    return SdrMeasures(level=mean, drd=(share * jnp.abs(level - mean)).sum(),
                       odm=effective_number(pool.share),
                       idm=effective_number(pool.share, pool.industry),
                       rdm=effective_number(pool.share, pool.region), wal=p.wal)


def _cushion_at(p: FormulaProblem, pool: Pool, *, relaxed=False):
    """score -> adjusted BDR less cushion less SDR of the pool rated for that score."""
    belly = belly_of(pool, p.locks)
    fixed = measures(p, pool, jnp.zeros(1), jnp.zeros(1))

    def cushion(score):
        mix = mix_for(score, belly, p.risk_score, p.locks, relaxed=relaxed)
        level = p.level[mix.rating - 1]
        mean = (mix.share * level).sum()
        m = fixed.replace(level=mean, drd=(mix.share * jnp.abs(level - mean)).sum())
        return adjusted_bdr(p) - p.monitor_cushion - sdr(m, p.sdr_coefficients, p.run_mode)

    return cushion


def sdr_at(p: FormulaProblem, pool: Pool, score: jax.Array) -> jax.Array:
    """SDR [] of the pool rated for a target risk score []."""
    return adjusted_bdr(p) - p.monitor_cushion - _cushion_at(p, pool)(score)


def solve_formula(p: FormulaProblem, pool: Pool) -> FormulaResult:
    """FormulaResult of one deal, always; `is_solve` is False where even the best mixture fails.

    The document's last step walks down in small chunks from the root until BDR > SDR. Bisection
    here keeps the end that passes, so the walk is over where it would begin.
    """
    cushion = _cushion_at(p, pool)
    low, high = p.rs_bound_lower, jnp.minimum(p.rs_bound_higher, p.rs_abs_max)
    at_max, at_low, at_high = jax.vmap(cushion)(jnp.stack([p.rs_abs_max, low, high]))
    _, root = narrow(lambda score: cushion(score) > 0, high, low, HALVINGS)
    stage = jnp.where(at_max >= 0, 0, jnp.where(~(at_low > 0), 1, jnp.where(at_high > 0, 2, 3)))
    score = jnp.stack([p.rs_abs_max, low, high, root])[stage]
    rated = overlay(pool, score, p.risk_score, p.locks)
    diag = measures(p, pool, rated.share, p.level[rated.rating - 1])
    realized, dispersion = score_of(rated, p.risk_score)
    # Locks may push the pool past the deal's maximum whatever the target score.
    complies = jnp.isfinite(cushion(score)) & (realized <= p.rs_abs_max + EPS * p.risk_score[-1])
    return FormulaResult(
        is_solve=(stage != MONITOR_STAGES.index("min_fails")) & complies,
        riskscore_solution=score,
        riskscore_realized=realized, credit_dispersion=dispersion, adj_bdr=adjusted_bdr(p),
        bdr=bdr(p), sdr=sdr(diag, p.sdr_coefficients, p.run_mode), sdr_diag=diag, stage=stage,
        rating=rated.rating)


def relaxed_solution(p: FormulaProblem, pool: Pool) -> Root:
    """solve.root.Root: the score at which a mixture that may cut through an obligor just passes.

    Differentiable in every number of `p` and in the pool's shares, by the implicit function rule.
    Not converged where no score between the bounds makes the cushion 0.
    """
    high = jnp.minimum(p.rs_bound_higher, p.rs_abs_max)

    def excess(score, args):
        return -_cushion_at(*args, relaxed=True)(score)

    low, high = jax.lax.stop_gradient((p.rs_bound_lower, high))
    return bisect(excess, (p, pool), low, high, tol=1e-14, max_steps=80)

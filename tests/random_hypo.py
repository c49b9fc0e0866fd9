"""Random deals for hypo pools, as the arguments of the entry points; seeded."""

import numpy as np

from clo_gen.hypo import ConcLimitException
from clo_gen.io import hypo_tables as tables

BOUND, SCORE = tables.diversity_table()
DIVERSITY = list(zip(BOUND.tolist(), SCORE.tolist(), strict=True))
RISK = tables.moodys_risk_scores().tolist()
RATES = tables.idealised_default_rates()[0].tolist()
FACTORS = tables.sp_rating_factors().tolist()


def _exceptions(r, base, most, factor):
    """Up to `most` exceptions of one or two names each, above the base."""
    return [ConcLimitException(int(r.integers(1, 3)), float(base * r.uniform(1.05, factor)))
            for _ in range(int(r.integers(0, most + 1)))]


def discrete_deal(seed):
    """Arguments of hypo_pool_discrete_constraints: about one in five with repeating industries."""
    r = np.random.default_rng([seed, 11])
    ob, ind, par = r.uniform(0.01, 0.06), r.uniform(0.05, 0.15), r.uniform(1e8, 6e8)
    ob_exceptions, ind_exceptions = _exceptions(r, ob, 3, 2.5), _exceptions(r, ind, 2, 2.0)
    return {
        "pool_par": par, "conc_limit_basis": par * r.uniform(0.9, 1.2),
        "dscore_min": r.uniform(15, 75), "ob_max": ob, "ind_max": ind,
        "riskscore_max": r.uniform(1500, 4000), "ob_exceptions": ob_exceptions,
        "ind_exceptions": ind_exceptions, "ob_floor": max(ob * r.uniform(0.3, 1.0), 0.0045),
        "ind_floor": ind * r.uniform(0.3, 1.0), "is_simple_industry": bool(r.random() < 0.2),
        "force_low": (17, r.uniform(0, 0.1)) if r.random() < 0.5 else None,
        "force_high": (12, r.uniform(0, 0.3)) if r.random() < 0.5 else None,
    }


def units(exceptions):
    """Unit exceptions, falling."""
    return sorted((e.percentage for e in exceptions for _ in range(e.number)), reverse=True)


def oracle_discrete(deal):
    """The arguments of reference_hypo.discrete for a deal of discrete_deal."""
    return deal | {name: units(deal[name]) for name in ("ob_exceptions", "ind_exceptions")} | {
        "risk_score_tbl": RISK, "dscore_table": DIVERSITY, "n_codes": 32}


def formula_deal(seed, obligors):
    """Arguments of hypo_pool_formula_constraints for a pool; both run modes."""
    r = np.random.default_rng([seed, 12])
    lower, par = r.uniform(100, 1500), r.uniform(1e8, 6e8)
    return {
        "hypo_pool_diversity": obligors, "run_mode": ("SP_WARF", "EPDR")[seed % 2],
        "rs_abs_max": r.uniform(2000, 4500), "coef_bdr": [0.109706, 4.140929, 1.064031],
        "coef_sdr": None, "risk_score_tbl": None, "IDT_sp": None, "WARF_sp": None,
        "rvst_target_par": par, "collat_prin_amt": par * r.uniform(0.96, 1.02), "was": 0.035,
        "warr": r.uniform(0.1, 0.5), "wal": r.uniform(2, 8), "rs_bound_lower": lower,
        "rs_bound_higher": r.uniform(1600, 5000),
        "monitor_cushion": (None, 0.0, 0.02)[int(r.integers(3))],
        "force_low": (17, r.uniform(0, 0.1)) if r.random() < 0.5 else None,
        "force_high": (12, r.uniform(0, 0.3)) if r.random() < 0.5 else None,
    }


def oracle_formula(deal):
    """The arguments of reference_hypo.formula for a deal of formula_deal."""
    pool = list(deal["hypo_pool_diversity"].values())
    out = {k: v for k, v in deal.items() if k != "hypo_pool_diversity"}
    own = {"risk_score_tbl": RISK, "IDT_sp": RATES, "WARF_sp": FACTORS,
           "coef_sdr": tables.sdr_coefficients(deal["run_mode"]).tolist()}
    return out | {k: v for k, v in own.items() if deal[k] is None} | {
        "pct": [o.percentage for o in pool], "industry": [o.industry for o in pool],
        "region": [o.region for o in pool]}

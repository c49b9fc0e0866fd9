"""Hypo pools: the worst pools that a deal's limits still allow.

`hypo_pool_discrete_constraints` takes an explicit diversity score and risk score,
`hypo_pool_formula_constraints` a CDO Monitor formula; `hypo_pools_discrete` and
`hypo_pools_formula` solve many deals at once.
"""

from clo_gen.hypo.entry import (
    hypo_pool_cqt,
    hypo_pool_discrete_constraints,
    hypo_pool_formula_constraints,
    hypo_pools_discrete,
    hypo_pools_formula,
)
from clo_gen.hypo.objects import ConcLimitException, HypoPool, HypoResultMonitor, Obligor

__all__ = [
    "ConcLimitException", "HypoPool", "HypoResultMonitor", "Obligor", "hypo_pool_cqt",
    "hypo_pool_discrete_constraints", "hypo_pool_formula_constraints", "hypo_pools_discrete",
    "hypo_pools_formula",
]

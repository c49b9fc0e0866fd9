"""What users hand to the entry points of hypo pools and get back: plain Python, no arrays.

Names and fields are those of the documented interface (hypo_pool_api).
"""

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pandas is imported where a table is made
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class ConcLimitException:
    """`number` obligors or industries that may each hold up to `percentage`, a fraction."""

    number: int
    percentage: float


@dataclasses.dataclass(frozen=True)
class Obligor:
    """One obligor of a hypo pool; `percentage` is a fraction of the pool."""

    percentage: float
    industry: int | str
    region: int | str = 0
    rating: int | None = None  # 1 is the best
    par: float | None = None


class HypoPool(dict):
    """Results of hypo_pool_discrete_constraints by key, and what stands behind them.

    Documented keys: is_solve, dscore, riskscore, ob_base, ind_base, ob_exceptions, ind_exceptions,
    obligors. Further keys: stage (inner, partial, industry, fail), t (how far the limits moved to
    their floors), n_obligors, n_industries, tables (what the look-up tables are).
    """

    def to_frame(self) -> "pd.DataFrame":
        """DataFrame with one row an obligor."""
        return obligor_frame(self["obligors"])


@dataclasses.dataclass(frozen=True)
class HypoResultMonitor:
    """Results of hypo_pool_formula_constraints. `stage` and `tables` are ours."""

    is_solve: bool
    riskscore_solution: float  # target of the rating overlay
    riskscore_realized: float  # of the pool, one rating an obligor
    credit_dispersion: float  # mean absolute deviation of the obligors' risk scores
    adj_bdr: float
    bdr: float
    sdr: float
    sdr_diag: dict  # level, drd, odm, idm, rdm, wal
    obligors: OrderedDict  # name -> Obligor
    stage: str = ""  # max_passes, min_fails, upper_bound_passes, bisection
    tables: str = ""

    def to_frame(self) -> "pd.DataFrame":
        """DataFrame with one row an obligor."""
        return obligor_frame(self.obligors)


def obligor_frame(obligors: Mapping[str, Obligor]) -> "pd.DataFrame":
    """DataFrame of obligors by name: pct, par, industry, region, rating."""
    import pandas as pd

    rows = {name: {"pct": o.percentage, "par": o.par, "industry": o.industry, "region": o.region,
                   "rating": o.rating} for name, o in obligors.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("obligor")

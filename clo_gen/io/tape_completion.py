"""What a loan tape leaves out and can be derived, and how."""

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clo_gen.io import dates


class _Filler:
    """Fills holes of the loans in place; `derived` gets column -> (how, count)."""

    def __init__(self, loans, given):
        self.loans, self.given, self.derived = loans, given, {}

    def __call__(self, name, value, how):
        loans = self.loans
        hole = loans[name].isna()
        value = value if isinstance(value, pd.Series) else pd.Series(value, index=loans.index)
        hole &= value.notna()
        if self.given.get(name) is not None:  # what is given but wrong stays a complaint
            hole &= (self.given[name].astype(str).str.strip() == "").to_numpy()
        if hole.any():
            loans[name] = loans[name].astype(object).where(~hole, value).infer_objects()
            self.derived[name] = (how, int(hole.sum()))


def complete(loans: pd.DataFrame, given: pd.DataFrame, cutoff: datetime.date,
             recovery_by_lien: Mapping[Any, float],
             numbers: tuple[str, ...]) -> dict[str, tuple[str, int]]:
    """{column: (how, loans)} of what was derived; `loans` is filled in place.

    `given` is the text as read, `numbers` names the columns that hold numbers and flags.
    """
    fill = _Filler(loans, given)
    for name in ("origination_date", "maturity_date", "default_date"):
        loans[name] = pd.to_datetime(loans[name])
    for name in numbers:
        loans[name] = loans[name].astype(float)
    _dates(loans, fill, cutoff)
    for source in ("rating_sp", "rating_moodys"):
        fill("rating", loans[source], source)
    is_default = loans["rating"].isin(("D", "SD"))
    fill("default_date", pd.Series(pd.Timestamp(cutoff), loans.index).where(is_default),
         "the cut-off date, for a loan rated D")
    loans["default_date"] = pd.to_datetime(loans["default_date"])
    _terms(loans, fill, recovery_by_lien)
    return fill.derived


def _dates(loans, fill, cutoff):
    """Origination, maturity and term from one another."""
    term = loans["term_months"].where(loans["amortization_type"] != "balloon")

    def moved(column, sign):
        both = loans[column].notna() & term.notna()
        return pd.to_datetime(pd.Series(
            [dates.add_months(d, sign * int(t)) if b else pd.NaT
             for d, t, b in zip(loans[column], term, both, strict=True)], index=loans.index))

    fill("maturity_date", moved("origination_date", 1), "origination_date + term_months")
    fill("origination_date", moved("maturity_date", -1), "maturity_date - term_months")
    fill("origination_date", pd.Timestamp(cutoff), "the cut-off date")
    for name in ("origination_date", "maturity_date"):
        loans[name] = pd.to_datetime(loans[name])
    months = [dates.months_between(o.date(), m.date()) if pd.notna(o) and pd.notna(m) else np.nan
              for o, m in zip(loans["origination_date"], loans["maturity_date"], strict=True)]
    fill("term_months", pd.Series(months, index=loans.index, dtype=float), "maturity - origination")


def _terms(loans, fill, recovery_by_lien):
    """Usual terms of a corporate loan, and groups that have no name."""
    is_float = loans["rate_type"] == "float"
    fill("obligor_id", loans["loan_id"], "loan_id")
    fill("original_balance", loans["current_balance"], "current_balance")
    fill("benchmark", pd.Series("SOFR", index=loans.index).where(is_float), "SOFR")
    fill("floor", 0.0, "0 bp")
    for name, usual in (("payment_frequency", "quarterly"), ("amortization_type", "bullet"),
                        ("asset_class", "corporate"), ("lien", "first")):
        fill(name, usual, usual)
    fill("recovery_rate", loans["lien"].map(recovery_by_lien), "by lien (run config)")
    for name in ("market_price", "purchase_price"):
        fill(name, 1.0, "par")
    fill("day_count", pd.Series("30/360", index=loans.index).mask(is_float, "ACT/360"),
         "ACT/360 floating, 30/360 fixed")
    for source in ("industry_moodys", "industry_sp"):
        fill("industry_sector", loans[source], source)
    fill("industry_sector", "unknown", "unknown")
    fill("geography_region", loans["geography_country"], "geography_country")
    fill("geography_region", "unknown", "unknown")
    fill("vintage_cohort", loans["origination_date"].dt.year.astype(str), "year of origination")

"""Small-business loans charged off, from the US Small Business Administration's public loan file.

Severity is the principal charged off as a share of the amount disbursed: before any recovery after
the charge-off, and after what was repaid until then, so it is not a loss given default on the
exposure. Approvals before fiscal year 1997 are dropped: their amounts and dates are unreliable.
"""

import dataclasses
import pathlib

import numpy as np
import pandas as pd

from clo_gen.io.problems import InputError
from clo_gen.io.table import Column, read_judged

FIRST_YEAR = 1997
FEATURES = ("log_disbursed", "guaranteed", "revolving", "new_business", "log_employees",
            "approval_year", "months_on_books", "term")
_SECTORS = {"32": "31", "33": "31", "45": "44", "49": "48"}  # NAICS sectors of several codes
_DAYS = 30.44  # a month

COLUMNS = (
    Column("loan_id"), Column("naics2"), Column("approval_fy", "integer", low=1950, high=2100),
    Column("term_months", "number", low=0.0), Column("n_emp", "number", low=0.0),
    Column("new_business"), Column("revolving"), Column("chargeoff_date", "date"),
    Column("disbursement_date", "date"), Column("disbursed", "number", low=0.0), Column("status"),
    Column("chargeoff_principal", "number", low=0.0), Column("approved", "number", low=0.0),
    Column("sba_guaranteed", "number", low=0.0),
)


@dataclasses.dataclass(frozen=True)
class ChargeOffs:
    """N charged-off loans in the order of their charge-off."""

    severity: np.ndarray  # [N] charged off / disbursed; can exceed 1
    features: np.ndarray  # [N, F] numbers named FEATURES, none missing
    sector: np.ndarray  # [N] text, two-digit NAICS sector, "0" where unknown
    month: pd.PeriodIndex  # [N] of the charge-off
    notes: tuple[str, ...]  # what was left out, and why
    source: str

    def take(self, rows: np.ndarray) -> "ChargeOffs":
        """The charge-offs `rows` (an index or a mask [N])."""
        parts = {name: getattr(self, name)[rows]
                 for name in ("severity", "features", "sector", "month")}
        return dataclasses.replace(self, **parts)


def read_charge_offs(path: str | pathlib.Path) -> ChargeOffs:
    """ChargeOffs of a CSV or Parquet file with one row a loan.

    Raises InputError with every problem, and where no charge-off is left.
    """
    loans, problems = read_judged(path, COLUMNS)
    problems.raise_if_any()
    lost = loans[loans["status"] == "CHGOFF"]
    reasons = {
        f"approved before fiscal year {FIRST_YEAR}": lost["approval_fy"] < FIRST_YEAR,
        "without charge-off date": lost["chargeoff_date"].isna(),
        "without disbursement or its date":
            lost["disbursement_date"].isna() | ~(lost["disbursed"] > 0),
        "without charged-off or approved amount":
            lost["chargeoff_principal"].isna() | ~(lost["approved"] > 0),
    }
    keep, notes = np.ones(len(lost), bool), []
    for reason, applies in reasons.items():
        out = applies.to_numpy() & keep
        keep &= ~out
        if out.any():
            notes.append(f"{out.sum()} of {len(lost)} charge-offs left out: {reason}")
    lost = lost[keep].sort_values(["chargeoff_date", "loan_id"], kind="stable")
    if lost.empty:
        raise InputError(f"{path}: no usable charge-off; want rows with status CHGOFF")
    sector = lost["naics2"].fillna("0").replace(_SECTORS).to_numpy(str)
    return ChargeOffs((lost["chargeoff_principal"] / lost["disbursed"]).to_numpy(),
                      _features(lost), sector, pd.PeriodIndex(lost["chargeoff_date"], freq="M"),
                      tuple(notes), str(path))


def _features(lost):
    months = (lost["chargeoff_date"] - lost["disbursement_date"]).dt.days / _DAYS
    table = {
        "log_disbursed": np.log(lost["disbursed"]),
        "guaranteed": (lost["sba_guaranteed"] / lost["approved"]).fillna(0.0),
        "revolving": (lost["revolving"] == "Y").astype(float),
        "new_business": (lost["new_business"] == "2").astype(float),
        "log_employees": np.log1p(lost["n_emp"].fillna(0.0)),
        "approval_year": lost["approval_fy"],
        "months_on_books": months,
        "term": lost["term_months"].fillna(0.0),
    }
    return np.column_stack([table[name] for name in FEATURES]).astype(float)

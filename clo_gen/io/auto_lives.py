"""Auto loans of several trusts, one row a loan: when and how each ended -> monthly lives.

The layout is that of published loan data of auto trusts: bond, risk_cat, orig_apr, cur_age,
cur_balance, calc_pmt, report0 (first month reported), Z (age at the end of what is seen), D and R
(1 where that end is a default or a repayment ahead of term). Default is three months in a row
without a payment.
"""

import dataclasses
import pathlib

import numpy as np
import pandas as pd

from clo_gen.io.cohort_counts import BANDS
from clo_gen.io.problems import InputError
from clo_gen.io.table import Column, need_values, read_judged

COLUMNS = (
    Column("bond"), Column("risk_cat", "choice", choices=BANDS),
    Column("orig_apr", "number", low=1e-4, high=1.0), Column("cur_age", "number", low=0.0),
    Column("cur_balance", "number", low=1e-2), Column("calc_pmt", "number", low=1e-2),
    Column("report0", "month"), Column("Z", "number", low=0.0),
    Column("D", "number", low=0.0, high=1.0), Column("R", "number", low=0.0, high=1.0),
)


@dataclasses.dataclass(frozen=True)
class AutoLives:
    """L loans over the T months from their trust's second reported month on."""

    trust: np.ndarray  # [L] text
    band: np.ndarray  # [L] int, into BANDS
    rate: np.ndarray  # [L] yearly
    start_balance: np.ndarray  # [L] money, in the first month reported
    age: np.ndarray  # [L, T] months
    balance: np.ndarray  # [L, T] money by contract, at the start of the month
    seen: np.ndarray  # [L, T] bool: months up to `until`, whoever is still there
    at_risk: np.ndarray  # [L, T] bool: seen and not ended before
    default: np.ndarray  # [L, T] bool
    prepaid: np.ndarray  # [L, T] bool
    source: str

    def take(self, rows: np.ndarray) -> "AutoLives":
        """The loans `rows` (an index or a mask [L])."""
        return dataclasses.replace(self, **{
            f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self)
            if f.name != "source"})


def read_auto_lives(path: str | pathlib.Path, until: str) -> AutoLives:
    """AutoLives of a CSV or Parquet file, with the months up to `until` (text such as 2020-02).

    A trust's first reported month gathers earlier defaults and lacks repayments: it is dropped,
    with the loans that end in it. Raises InputError with every problem.
    """
    loans, problems = read_judged(path, COLUMNS)
    need_values(loans, loans.columns, problems)
    problems.raise_if_any()
    first = loans["report0"].dt.to_period("M").array.asi8
    # The first month reported is one month of age after cur_age, counted from the end of that.
    end = (loans["Z"] - loans["cur_age"]).to_numpy() - 3
    lived = end >= 0
    loans, first, end = loans[lived], first[lived], end[lived]
    months = int(pd.Period(until, "M").ordinal - first.min()) if len(loans) else 0
    if months < 1:
        raise InputError(f"{path}: no loan with months up to {until}; want a later month")
    return _lives(loans, first, end, months, pd.Period(until, "M").ordinal, str(path))


def _lives(loans, first, end, months, last, source):
    column = np.arange(months)
    month = first[:, None] + 1 + column
    seen = month <= last
    at_risk = seen & (column <= end[:, None])
    ends = seen & (column == end[:, None])
    monthly = loans["orig_apr"].to_numpy()[:, None] / 12.0
    paid = column + 1  # contract payments since the first month reported
    growth = (1.0 + monthly) ** paid
    balance = (loans["cur_balance"].to_numpy()[:, None] * growth
               - loans["calc_pmt"].to_numpy()[:, None] * (growth - 1.0) / monthly)
    return AutoLives(
        trust=loans["bond"].to_numpy(str), band=loans["risk_cat"].map(BANDS.index).to_numpy(int),
        rate=loans["orig_apr"].to_numpy(float), start_balance=loans["cur_balance"].to_numpy(float),
        age=loans["cur_age"].to_numpy(float)[:, None] + 2 + column + 1.0,
        balance=np.maximum(balance, 0.0), seen=seen, at_risk=at_risk,
        default=ends & (loans["D"].to_numpy() == 1)[:, None],
        prepaid=ends & (loans["R"].to_numpy() == 1)[:, None], source=source)

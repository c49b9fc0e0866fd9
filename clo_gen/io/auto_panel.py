"""Auto loan panel with real payments -> arrays by loan and month; a labelled synthetic stand-in.

Two files: one row a loan, and one row a loan and month, as drawn from the SEC's asset-level filings
(form ABS-EE) of auto loan trusts. States count consecutive payments under half of the schedule, so
`missed3` says how long a borrower has not paid, not that the loan defaulted; charge-off is default.
"""

import dataclasses
import pathlib

import numpy as np
import pandas as pd

from clo_gen.io.table import Column, need_values, read_judged
from clo_gen.states import StateSpace

MISSED_PAYMENTS = StateSpace(
    name="missed_payments",
    live=("current", "missed1", "missed2", "missed3"),
    moves=(("current", "missed1"), ("current", "missed2"), ("current", "missed3"),
           ("current", "missed3")),
    can_default=("current", "missed1", "missed2", "missed3"),  # early ones: bankruptcy, theft
)
FEATURES = ("fico", "payment_to_income", "loan_to_value", "rate", "log_balance", "payment_rate",
            "used", "vehicle_age")
BANDS = ("super_prime", "prime", "near_prime", "subprime", "deep_subprime")
SYNTHETIC = "synthetic"
_STATES = {"C": "current", "D1": "missed1", "D2": "missed2", "D3+": "missed3", "CO": "default",
           "PP": "prepaid"}

LOAN_COLUMNS = (
    Column("loan_id"), Column("trust"), Column("orig_month", "month"),
    Column("orig_balance", "number", low=0.0), Column("orig_term", "number", low=1.0),
    Column("orig_rate", "number", low=0.0, high=1.0), Column("model_year", "number"),
    Column("vehicle_value", "number", low=0.0), Column("fico", "number"), Column("pti", "number"),
    Column("risk_cat"), Column("new_used"), Column("sched_payment", "number", low=0.0),
    Column("lgd_at_chargeoff", "number"),
)
MONTH_COLUMNS = (
    Column("loan_id"), Column("month", "month"), Column("age", "number"),
    Column("bal_beg", "number"), Column("payment", "number"),
    Column("missed_run", "number", low=0.0), Column("state", "choice", choices=tuple(_STATES)),
)


@dataclasses.dataclass(frozen=True)
class LoanPanel:
    """L loans over the T months since each was first seen; money in dollars, rates yearly.

    Month t of loan l is calendar month `first[l] + t` (months since 1970-01). Where a loan is not
    seen (after its end) `state` is -1 and the other monthly arrays are 0.
    """

    ids: np.ndarray  # [L] text
    trust: np.ndarray  # [L] text
    features: np.ndarray  # [L, F] numbers named `facts`, nan where unknown
    band: np.ndarray  # [L] int, index into BANDS; -1 for a band that is not there
    due: np.ndarray  # [L] level payment a month
    rate: np.ndarray  # [L]
    term: np.ndarray  # [L] months at origination
    recovery: np.ndarray  # [L] share of the balance recovered on charge-off, nan for the others
    first: np.ndarray  # [L] int
    age: np.ndarray  # [L] months since origination in the first month seen
    state: np.ndarray  # [L, T] int at the end of the month
    payment: np.ndarray  # [L, T]
    balance: np.ndarray  # [L, T] at the start of the month
    missed: np.ndarray  # [L, T] int, consecutive missed payments at the end of the month
    source: str  # file, or SYNTHETIC
    space: StateSpace = MISSED_PAYMENTS
    facts: tuple[str, ...] = FEATURES
    contract: bool = False  # the payments are not observed, they follow the contract

    def take(self, rows: np.ndarray) -> "LoanPanel":
        """The panel of the loans `rows` (an index or a mask [L])."""
        arrays = {f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self)
                  if isinstance(getattr(self, f.name), np.ndarray)}
        return dataclasses.replace(self, **arrays)

    def since(self, month: int) -> tuple[np.ndarray, "LoanPanel"]:
        """(rows, panel) of the loans that are seen in `month` (int), which becomes their first."""
        width = self.state.shape[1]
        offset = month - self.first
        inside = (offset >= 0) & (offset < width)
        rows = np.flatnonzero(inside)
        rows = rows[self.state[rows, offset[rows]] >= 0]
        column = offset[rows, None] + np.arange(width)
        beyond = column >= width
        column = np.minimum(column, width - 1)

        def moved(x, empty):
            return np.where(beyond, empty, x[rows[:, None], column])

        part = self.take(rows)
        return rows, dataclasses.replace(
            part, first=np.full(len(rows), month), age=part.age + offset[rows],
            state=moved(self.state, -1), payment=moved(self.payment, 0.0),
            balance=moved(self.balance, 0.0), missed=moved(self.missed, 0))

    @property
    def months(self) -> np.ndarray:
        """[L, T] int, calendar month of each cell."""
        return self.first[:, None] + np.arange(self.state.shape[1])


def read_auto_panel(loans_path: str | pathlib.Path, months_path: str | pathlib.Path, *,
                    trust: str | None = None) -> LoanPanel:
    """LoanPanel of every loan that both files know, of one `trust` or of all.

    Raises InputError with every problem: missing columns, values out of range, loans without terms,
    holes in a loan's months, a move that the state space does not allow.
    """
    loans, problems = read_judged(loans_path, LOAN_COLUMNS, optional=("lgd_at_chargeoff",))
    if trust is not None and trust not in set(loans["trust"]):
        problems.add("trust", trust, "one of " + ", ".join(sorted(loans["trust"].unique())))
    repeated = loans["loan_id"][loans["loan_id"].duplicated()]
    for loan in repeated[:4]:
        problems.say(f"loan {loan}: appears twice")
    for name in ("loan_id", "orig_balance", "orig_term", "orig_rate", "sched_payment"):
        for row in np.flatnonzero(loans[name].isna())[:4]:
            problems.say(f"row {row + 2}, {name}: missing; it is required")
    for row in np.flatnonzero(~(loans["sched_payment"] > 0))[:4]:
        problems.add(f"row {row + 2}, sched_payment", loans["sched_payment"].iloc[row],
                     "a positive number")
    problems.raise_if_any()
    months, problems = read_judged(months_path, MONTH_COLUMNS)
    unknown = months["loan_id"][~months["loan_id"].isin(loans["loan_id"])].unique()
    for loan in unknown[:4]:
        problems.say(f"loan {loan}: not in {loans_path}")
    problems.raise_if_any()
    if trust is not None:
        loans = loans[loans["trust"] == trust]
        months = months[months["loan_id"].isin(loans["loan_id"])]
    loans = loans[loans["loan_id"].isin(months["loan_id"])].set_index("loan_id").sort_index()
    months["ordinal"] = months["month"].dt.to_period("M").array.asi8
    months = months.sort_values(["loan_id", "ordinal"], kind="stable")
    _judge_months(months, problems)
    return _arrays(loans, months, str(months_path))


def _judge_months(months, problems):
    """Complaints about rows without values, holes in a loan's months and forbidden moves."""
    need_values(months, ("month", "age", "bal_beg", "payment", "missed_run", "state"), problems)
    problems.raise_if_any()
    same = months["loan_id"].eq(months["loan_id"].shift()).to_numpy()
    step = months["ordinal"].diff().to_numpy()
    for loan in months["loan_id"][same & (step != 1)].unique()[:4]:
        problems.say(f"loan {loan}: a month is missing or repeated; want one row a month")
    states = months["state"].map(_STATES).map(MISSED_PAYMENTS.index).to_numpy()
    moves = np.stack([states[:-1], states[1:]])[:, same[1:]]
    names = MISSED_PAYMENTS.states
    absorbed = moves[0] >= len(MISSED_PAYMENTS.live)
    for i, j in np.unique(moves[:, ~MISSED_PAYMENTS.mask[tuple(moves)] | absorbed], axis=1).T:
        problems.say(f"a loan moves {names[i]} -> {names[j]}, which the state space does not allow")
    problems.raise_if_any()


def _arrays(loans, months, source):
    row = loans.index.get_indexer(months["loan_id"])
    first = pd.Series(months["ordinal"].to_numpy()).groupby(row).min().to_numpy()
    cell = row, months["ordinal"].to_numpy() - first[row]
    shape = len(loans), int(cell[1].max()) + 1

    def spread(values, empty=0.0):
        out = np.full(shape, empty, np.asarray(values).dtype)
        out[cell] = values
        return out

    age = spread(months["age"].to_numpy())[:, 0]
    used = loans["new_used"].str.lower().map({"used": 1.0, "new": 0.0})
    made = loans["model_year"].where(loans["model_year"] > 1950)
    positive = loans["vehicle_value"].where(loans["vehicle_value"] > 0)
    features = np.stack([
        loans["fico"].where(loans["fico"] > 0), loans["pti"].where(loans["pti"] > 0),
        loans["orig_balance"] / positive, loans["orig_rate"],
        np.log(loans["orig_balance"].clip(lower=1.0)),
        loans["sched_payment"] / loans["orig_balance"].clip(lower=1.0), used,
        loans["orig_month"].dt.year - made,
    ], axis=1).astype(float)
    lgd = loans.get("lgd_at_chargeoff", pd.Series(np.nan, index=loans.index))
    return LoanPanel(
        ids=loans.index.to_numpy(), trust=loans["trust"].to_numpy(), features=features,
        band=loans["risk_cat"].map({b: i for i, b in enumerate(BANDS)}).fillna(-1)
        .to_numpy(int),
        due=loans["sched_payment"].to_numpy(float), rate=loans["orig_rate"].to_numpy(float),
        term=loans["orig_term"].to_numpy(float), recovery=(1.0 - lgd).clip(0.0, 1.0).to_numpy(),
        first=first.astype(int), age=age,
        state=spread(months["state"].map(_STATES).map(MISSED_PAYMENTS.index).to_numpy(int), -1),
        payment=spread(months["payment"].to_numpy(float)),
        balance=spread(months["bal_beg"].to_numpy(float)),
        missed=spread(months["missed_run"].to_numpy(int)), source=source)

"""Asset-level data of auto loans as the files of io.auto_panel: loans, and payments by month."""

import numpy as np
import pandas as pd

from clo_gen.io.auto_panel import LOAN_COLUMNS, MONTH_COLUMNS

_MISSED = 0.5  # share of the schedule under which a payment counts as missed
_RUNS = np.array(["C", "D1", "D2", "D3+"], dtype=object)


def payment_tables(loans, months):
    """(loans, months, notes) in the columns of io.auto_panel, from what io.abs_ee reads.

    States count payments under half the schedule in a row; a charge-off is CO, a payoff PP. A loan
    is kept up to its end, the first month missing, or a repurchase; loans without amount, term,
    rate, origination or payment due are left out.
    """
    known = loans.set_index("loan_id")
    whole = known[["orig_balance", "orig_term", "orig_rate", "scheduled_payment"]].gt(0).all(axis=1)
    whole &= known["orig_month"].notna()
    months = months[months["loan_id"].isin(known.index[whole])]
    ordinal = months["month"].array.asi8
    loan = months["loan_id"]
    step = pd.Series(ordinal, months.index).groupby(loan).diff().fillna(1)
    ended = (months["exit"] != "").groupby(loan).cumsum() - (months["exit"] != "")
    broken = (step != 1).groupby(loan).cumsum()
    lost = months["exit"] == "lost"
    kept = months[(ended == 0) & (broken == 0) & ~lost]
    started = pd.PeriodIndex(kept["loan_id"].map(known["orig_month"]), freq="M").asi8
    paid = kept["totalActualAmountPaid"].fillna(0.0).clip(lower=0.0)
    due = kept["loan_id"].map(known["scheduled_payment"])
    run = _runs((paid < _MISSED * due).to_numpy(), kept["loan_id"].to_numpy())
    state = pd.Series(_RUNS[np.minimum(run, 3)], kept.index)
    state = state.mask(kept["exit"] == "default", "CO")
    state = state.mask(kept["exit"].isin(("prepaid", "matured")), "PP")
    opening = kept["reportingPeriodBeginningLoanBalanceAmount"]
    closing = kept["reportingPeriodActualEndBalanceAmount"].groupby(kept["loan_id"]).shift()
    table = pd.DataFrame({
        "loan_id": kept["loan_id"], "month": kept["month"].astype(str),
        "age": kept["month"].array.asi8 - started,
        "bal_beg": opening.fillna(closing).fillna(kept["loan_id"].map(known["orig_balance"])),
        "payment": paid, "missed_run": run, "state": state})
    names = {"cohort": "trust", "credit_score": "fico", "payment_to_income": "pti",
             "scheduled_payment": "sched_payment", "severity": "lgd_at_chargeoff"}
    terms = loans[loans["loan_id"].isin(table["loan_id"])].rename(columns=names)
    notes = (f"{int((~whole).sum()):,} loans without amount, term, rate, origination or payment "
             "due left out of the payments",) if not whole.all() else ()
    return (terms[[c.name for c in LOAN_COLUMNS]].reset_index(drop=True),
            table[[c.name for c in MONTH_COLUMNS]].reset_index(drop=True), notes)


def _runs(missed, loan):
    """Months missed in a row [n] up to each month of each loan."""
    start = np.append(True, loan[1:] != loan[:-1]) if len(loan) else np.zeros(0, bool)
    place = np.arange(len(missed))
    reset = np.where(~missed, place, np.where(start, place - 1, -1))
    return place - np.maximum.accumulate(reset) if len(missed) else place

"""What public loan files have in common: loan-months with states, exits, losses; their cohorts.

A loan is in one of the live states of states.REPORTED by its days past due, and ends in default,
prepaid or matured by its exit code. Exits that say nothing of the borrower (repurchase, sale of the
loan, transfer of the servicing) end what is seen of it.
"""

import dataclasses

import numpy as np
import pandas as pd

from clo_gen.io.cohort_counts import BANDS
from clo_gen.states import DELINQUENCY, REPORTED

LOST = "lost"  # from sight: no state
_ENDS = (*REPORTED.states[len(REPORTED.live):], LOST)
_LOWEST_SCORE = (720, 660, 620, 580, 0)  # of each band in BANDS


@dataclasses.dataclass(frozen=True)
class AssetPanel:
    """Loan-months of a public file, in the columns of io.panel, and the loans' terms."""

    months: pd.DataFrame  # loan_id, month (Period), state, cohort, days_past_due, ...
    loans: pd.DataFrame  # loan_id, cohort, risk_cat, credit_score, orig_..., loss, severity
    notes: tuple[str, ...]  # what was left out, and what the data do
    source: str

    def panel(self):
        """The months as io.panel.read_panel reads them from a file: text months, loan_state."""
        return self.months.drop(columns=["month", "state"]).assign(
            reporting_month=self.months["month"].astype(str), loan_state=self.months["state"])

    def cohort_counts(self):
        """Loans at the start of each month, defaults and prepayments (matured ones too) within it,
        by cohort and risk band, in the columns of io.cohort_counts; loans without a score are left
        out."""
        moves = self.months[["loan_id", "month", "state", "cohort"]].merge(
            self.loans[["loan_id", "risk_cat"]], on="loan_id")
        following = moves.groupby("loan_id", sort=False)[["month", "state"]].shift(-1)
        after = pd.PeriodIndex(following["month"], freq="M").asi8
        moves = moves.assign(to=following["state"])
        moves = moves[(after == moves["month"].array.asi8 + 1) & (moves["risk_cat"] != "")]
        moves = moves.assign(month=(moves["month"] + 1).astype(str), n_current=1,
                             n_default=(moves["to"] == "default").astype(int),
                             n_prepaid=moves["to"].isin(("prepaid", "matured")).astype(int))
        keys = ["cohort", "risk_cat", "month"]
        table = moves.groupby(keys)[["n_current", "n_default", "n_prepaid"]].sum().reset_index()
        return table.rename(columns={"cohort": "bond"})


def band_of(score):
    """Risk band [n] text by credit score (CFPB's limits: 720, 660, 620, 580); "" without one."""
    score = np.asarray(score, float)
    band = np.select([score >= low for low in _LOWEST_SCORE], list(BANDS), "")
    return np.where(np.isfinite(score), band, "")


def with_states(months, default_days=None):
    """(months with `state`, notes) of loan-months with loan_id, month, days_past_due (nan where
    unknown) and `exit` ("", one of the absorbing states, or LOST), in any order.

    `default_days`: a loan so many days past due is in default from then on; without it default is
    the exit alone. Nothing is kept of a loan after its end.
    """
    months = months.sort_values(["loan_id", "month"], kind="stable").reset_index(drop=True)
    days = months["days_past_due"]
    bucket = np.minimum(days.fillna(0) // 30, len(REPORTED.live) - 1).astype(int)
    live = np.array(REPORTED.live, dtype=object)[bucket]
    state = pd.Series(np.where(days.isna(), "", live), index=months.index, dtype=object)
    if default_days is not None:
        state = state.mask(days >= default_days, "default")
    state = state.mask((months["exit"] != "").to_numpy(), months["exit"])
    ended = state.isin(_ENDS)
    over = ended.groupby(months["loan_id"]).cumsum() - ended > 0
    unknown, lost = (state == "") & ~over, (state == LOST) & ~over
    out = months.assign(state=state)[~over & ~unknown & ~lost].drop(columns="exit")
    notes = [f"{count:,} {what}" for count, what in (
        (int(unknown.sum()), "loan-months without a delinquency status left out"),
        (int(over.sum()), "loan-months after a loan's end left out"),
        (int(lost.sum()), "loans lost from sight (repurchased, sold or transferred)")) if count]
    return out.reset_index(drop=True), (*notes, *_jumps(out))


def _jumps(months):
    """A note on the moves that the space DELINQUENCY does not allow."""
    following = months.groupby("loan_id", sort=False)[["month", "state"]].shift(-1)
    after = pd.PeriodIndex(following["month"], freq="M").asi8
    pairs = pd.DataFrame({"of": months["state"], "to": following["state"]})[
        after == months["month"].array.asi8 + 1]
    counted = pairs.value_counts()
    jumps = sum(int(n) for (of, to), n in counted.items()
                if not DELINQUENCY.mask[DELINQUENCY.index(of), DELINQUENCY.index(to)])
    if jumps:
        yield (f"{jumps:,} of {int(counted.sum()):,} moves jump more than one bucket or default "
               "from less than 90 days; the space reported_delinquency allows them, delinquency "
               "does not")


def severity_of(loss, balance):
    """Loss as a share of the balance at default, nan without one; gains count as 0."""
    balance = balance.where(balance > 0)
    return (loss / balance).clip(lower=0.0)

"""Freddie Mac's Single-Family Loan-Level Dataset -> loan-months with states, exits and losses.

Two files without a header, fields separated by vertical bars: one row a loan (origination), one row
a loan and month (performance); or the zip file that holds both. Earlier releases lack the last
fields.

Reference: Freddie Mac, Single-Family Loan-Level Dataset General User Guide: File Layout & Data
Dictionary, Zero Balance Codes, Actual Loss.
"""

import contextlib
import pathlib
import shutil
import tempfile
import zipfile
import zlib

import numpy as np
import pandas as pd

from clo_gen.io import limits
from clo_gen.io.asset_panel import LOST, AssetPanel, band_of, severity_of, with_states
from clo_gen.io.csv_file import read_csv
from clo_gen.io.files import checked
from clo_gen.io.problems import InputError, Problems
from clo_gen.io.table import Column, judge, need_cells

ORIGINATION = (
    "credit_score", "first_payment_date", "first_time_homebuyer", "maturity_date", "msa",
    "mi_percent", "units", "occupancy", "orig_cltv", "orig_dti", "orig_upb", "orig_ltv",
    "orig_rate", "channel", "prepayment_penalty", "amortization_type", "property_state",
    "property_type", "postal_code", "loan_id", "loan_purpose", "orig_term", "borrowers", "seller",
    "servicer", "super_conforming", "pre_refinance_loan_id", "program", "refinance_indicator",
    "valuation_method", "interest_only", "mi_cancellation")
PERFORMANCE = (
    "loan_id", "month", "current_upb", "delinquency_status", "loan_age", "remaining_months",
    "defect_settlement_date", "modification", "zero_balance_code", "zero_balance_date",
    "current_rate", "non_interest_bearing_upb", "last_installment_paid", "mi_recoveries",
    "net_sale_proceeds", "non_mi_recoveries", "expenses", "legal_costs", "maintenance_costs",
    "taxes_insurance", "misc_expenses", "actual_loss", "modification_cost", "step_modification",
    "payment_deferral", "estimated_ltv", "zero_balance_upb", "delinquent_interest", "disaster",
    "assistance", "month_modification_cost", "interest_bearing_upb")
EXITS = {"01": "prepaid", "02": "default", "03": "default", "09": "default", "15": LOST, "16": LOST,
         "96": LOST}  # 01: matured where no month is left
_NONE = {"credit_score": 9999, "orig_ltv": 999, "orig_dti": 999}  # "not available"

_LOANS = (
    Column("loan_id"), Column("credit_score", "number", 300, 9999),
    Column("first_payment_date", "month"), Column("maturity_date", "month"),
    Column("orig_upb", "number", low=0.0), Column("orig_ltv", "number", 0, 999),
    Column("orig_dti", "number", 0, 999), Column("orig_term", "number", 1, 600),
    Column("orig_rate", "number", 0, 100, want="percent in [0, 100]"), Column("property_state"),
)
_MONTHS = (
    Column("loan_id"), Column("month", "month"), Column("current_upb", "number", low=0.0),
    Column("delinquency_status"), Column("remaining_months", "number"),
    Column("zero_balance_code", "choice", choices=tuple(EXITS)),
    Column("current_rate", "number", 0, 100, want="percent in [0, 100]"),
    *(Column(name, "number") for name in (
        "mi_recoveries", "non_mi_recoveries", "expenses", "actual_loss", "zero_balance_upb",
        "delinquent_interest")),
)


def read_freddie_mac(origination, performance=None, *, default_days=None):
    """AssetPanel of the two files of a quarter or a sample year, or of the zip file of both.

    Cohorts are the years of the first payment. A loan's default is its disposition (third-party
    sale, short sale or charge-off, REO), or `default_days` past due where that is given; losses are
    those of the disposition. Money in dollars, rates yearly fractions. Raises InputError with every
    problem.
    """
    with _unpacked(origination, performance) as (first, second, source):
        loans, months = _read(first, ORIGINATION, _LOANS), _read(second, PERFORMANCE, _MONTHS)
    problems = Problems(source)
    for loan in loans["loan_id"][loans["loan_id"].duplicated()][:4]:
        problems.say(f"loan {loan}: appears twice in the origination file")
    known = months["loan_id"].isin(loans["loan_id"])
    if not known.any():
        problems.say("no loan of the performance file is in the origination file")
    repeated = months.duplicated(["loan_id", "month"])
    for row in np.flatnonzero(repeated)[:4]:
        problems.say(f"row {row + 1} of the performance file: repeats a loan and month")
    problems.raise_if_any()
    months = _months(months[known].reset_index(drop=True))
    for name, value in _NONE.items():
        loans[name] = loans[name].where(loans[name] != value)
    losses = _losses(months)
    loans = loans.assign(
        cohort=loans["first_payment_date"].dt.year.astype("Int64").astype(str),
        risk_cat=band_of(loans["credit_score"]), orig_rate=loans["orig_rate"] / 100.0,
    ).merge(losses, on="loan_id", how="left")
    kept, notes = with_states(months, default_days)
    kept = kept.merge(loans[["loan_id", "cohort"]], on="loan_id")
    kept = kept[["loan_id", "month", "state", "cohort", "days_past_due", "current_balance",
                 "interest_rate", "loss_amount", "recovery_amount"]]
    if (~known).any():
        notes = (*notes, f"{int((~known).sum()):,} loan-months of loans that the origination file "
                 "does not have left out")
    return AssetPanel(kept, loans, notes, source)


@contextlib.contextmanager
def _unpacked(origination, performance):
    """(origination file, performance file, source); those of a zip file exist for a while."""
    path = pathlib.Path(origination)
    if performance is not None:
        yield path, pathlib.Path(performance), f"{origination}, {performance}"
        return
    if path.suffix.lower() != ".zip":
        raise InputError(f"{path}: want a zip file with both files, or a performance file too")
    checked(path, limits.TABLE_BYTES)
    with tempfile.TemporaryDirectory() as folder:
        try:
            first, second = _members(path, pathlib.Path(folder))
        except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError,
                zlib.error) as error:
            raise InputError(f"{path}: not a readable zip file ({str(error)[:200]})") from None
        yield first, second, str(path)


def _members(path, folder):
    """The two text files of a zip file, written to `folder` under names of our own."""
    with zipfile.ZipFile(path) as packed:
        texts = [m for m in packed.infolist() if m.filename.lower().endswith((".txt", ".csv"))]
        monthly = [m for m in texts if "time" in m.filename.lower() or "svcg" in m.filename.lower()]
        once = [m for m in texts if m not in monthly]
        if len(monthly) != 1 or len(once) != 1:
            raise InputError(f"{path}: want one origination file and one performance file (_time_ "
                             f"or _svcg_ in its name); it holds {len(texts)} texts")
        for member, name in ((once[0], "origination"), (monthly[0], "performance")):
            if member.file_size > limits.TABLE_BYTES:
                raise InputError(f"{path}: {name} unpacks to over "
                                 f"{limits.TABLE_BYTES / limits.MB:,.0f} MB")
            with packed.open(member) as source, open(folder / name, "wb") as target:
                shutil.copyfileobj(source, target)
    return folder / "origination", folder / "performance"


def _read(path, names, columns):
    frame, problems = read_csv(path, separator="|", names=names), Problems(path)
    for name in ("month", "first_payment_date", "maturity_date"):
        if name in frame:
            frame[name] = frame[name].str.replace(r"^\s*(\d{4})(\d{2})\s*$", r"\1-\2", regex=True)
    if "zero_balance_code" in frame:
        code = frame["zero_balance_code"].str.strip()
        frame["zero_balance_code"] = code.str.zfill(2).where(code != "", "")
    table = judge(frame, columns, problems, lambda row: f"row {row + 1}")
    needed = ["loan_id", "month" if "month" in frame else "first_payment_date"]
    need_cells(frame, needed, problems)
    problems.raise_if_any()
    return table


def _months(months):
    """Loan-months with days_past_due, exit, loss_amount (positive for a loss), recovery_amount."""
    status = months["delinquency_status"].fillna("").str.upper()
    count = pd.to_numeric(status, errors="coerce")
    days = (30.0 * count).where(status != "RA", 30.0 * 99)  # real estate owned
    code = months["zero_balance_code"]
    exits = code.map(EXITS).fillna("")
    matured = (exits == "prepaid") & (months["remaining_months"].fillna(1) <= 0)
    recovered = months[["mi_recoveries", "non_mi_recoveries"]].fillna(0.0).sum(axis=1)
    return pd.DataFrame({
        "loan_id": months["loan_id"], "month": months["month"].dt.to_period("M"),
        "days_past_due": days, "current_balance": months["current_upb"],
        "interest_rate": months["current_rate"] / 100.0,
        "exit": exits.mask(matured, "matured"), "loss_amount": -months["actual_loss"],
        "recovery_amount": recovered.where(code.notna()),
        "exit_balance": months["zero_balance_upb"]})


def _losses(months):
    """loan_id, default_balance, loss, severity of the loans with a disposition. The file has losses
    as negative amounts. Earlier releases lack the balance removed: the last one before stands for
    it."""
    months = months.sort_values(["loan_id", "month"], kind="stable")
    before = months["current_balance"].where(months["current_balance"] > 0)
    before = before.groupby(months["loan_id"]).ffill()
    gone = months[months["exit"] == "default"]
    balance = gone["exit_balance"].where(gone["exit_balance"] > 0, before[gone.index])
    return pd.DataFrame({"loan_id": gone["loan_id"], "default_balance": balance,
                         "loss": gone["loss_amount"],
                         "severity": severity_of(gone["loss_amount"], balance)}
                        ).drop_duplicates("loan_id")

"""Asset-level data of US auto loan trusts (Regulation AB II, form ABS-EE, EX-102) -> loan-months.

One file a reporting period: XML as filed, or a CSV with the same element names as headers. Dates
are MM-DD-YYYY, MM/YYYY as filed, or 2025-01-31, 2025-01.

Reference: 17 CFR 229.1125 (Schedule AL), item 3, automobile loans; SEC, EDGAR ABS XML Technical
Specification (eis_ABS_AutoLoanAssetData.xsd): element names, zero-balance codes.
"""

import pathlib

import defusedxml
import defusedxml.ElementTree
import pandas as pd

from clo_gen.io import limits
from clo_gen.io.asset_panel import LOST, AssetPanel, band_of, severity_of, with_states
from clo_gen.io.csv_file import read_csv
from clo_gen.io.files import checked
from clo_gen.io.problems import InputError, Problems
from clo_gen.io.table import Column, judge, need_cells, need_columns

NAMESPACE = "http://www.sec.gov/edgar/document/absee/autoloan/assetdata"
EXITS = {"1": "prepaid", "2": LOST, "3": LOST, "4": "default", "5": LOST, "99": LOST}
_REPEATED = "zeroBalanceCode"  # the schema lets it repeat; a charge-off counts before the rest
_NO_VALUE = ("NONE", "NA", "N/A")
_DEPTH = 4

COLUMNS = (
    Column("assetNumber"), Column("reportingPeriodEndingDate", "month"),
    Column("originationDate", "month"), Column("originalLoanAmount", "number", low=0.0),
    Column("originalLoanTerm", "number", low=1.0), Column("loanMaturityDate", "month"),
    Column("originalInterestRatePercentage", "number", low=0.0, high=100.0),
    Column("obligorCreditScore", "number"), Column("paymentToIncomePercentage", "number"),
    Column("vehicleNewUsedCode"), Column("vehicleModelYear", "number"),
    Column("vehicleValueAmount", "number", low=0.0),
    Column("reportingPeriodBeginningLoanBalanceAmount", "number"),
    Column("reportingPeriodActualEndBalanceAmount", "number"),
    Column("reportingPeriodScheduledPaymentAmount", "number"),
    Column("totalActualAmountPaid", "number"), Column("actualInterestCollectedAmount", "number"),
    Column("actualPrincipalCollectedAmount", "number"),
    Column("currentDelinquencyStatus", "number", low=0.0),
    Column("zeroBalanceCode", "choice", choices=tuple(EXITS)),
    Column("chargedoffPrincipalAmount", "number"), Column("recoveredAmount", "number"),
)
_NAMES = tuple(column.name for column in COLUMNS)
REQUIRED = ("assetNumber", "reportingPeriodEndingDate", "reportingPeriodActualEndBalanceAmount",
            "currentDelinquencyStatus", "zeroBalanceCode")


def read_abs_ee(paths, *, trust="trust", default_days=None):
    """(AssetPanel, months of payments) of a trust's files, one a reporting period, in any order.

    The cohort of every loan is the `trust`. Default is the charge-off (zero-balance code 4), or
    `default_days` past due where that is given; recoveries of all months count. Money in dollars,
    rates yearly fractions. The months of payments serve clo_gen.io.auto_payments. Raises InputError
    with every problem.
    """
    paths = [pathlib.Path(p) for p in paths]
    if not paths:
        raise InputError("asset-level data: no file; want one a reporting period")
    months = pd.concat([_read(path) for path in paths], ignore_index=True)
    source = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    problems = Problems(source)
    months = months.rename(columns={"assetNumber": "loan_id", "reportingPeriodEndingDate": "month"})
    months["month"] = months["month"].dt.to_period("M")
    for loan, month in months[months.duplicated(["loan_id", "month"])][
            ["loan_id", "month"]].head(4).itertuples(index=False):
        problems.say(f"loan {loan}: twice in {month}; want each loan once a reporting period")
    problems.raise_if_any()
    months = months.sort_values(["loan_id", "month"], kind="stable").reset_index(drop=True)
    notes = []
    for name in ("originalInterestRatePercentage", "paymentToIncomePercentage"):
        if months[name].median() > 1.0:  # the specification wants fractions; some issuers differ
            months[name] = months[name] / 100.0
            notes.append(f"{name}: given in percent, divided by 100")
    months["exit"] = months["zeroBalanceCode"].map(EXITS).fillna("")
    ends = months["loanMaturityDate"].dt.to_period("M")
    due = ends.notna() & (months["month"] >= ends)
    months["exit"] = months["exit"].mask((months["exit"] == "prepaid") & due, "matured")
    loans = _loans(months, trust)
    kept, more = with_states(pd.DataFrame({
        "loan_id": months["loan_id"], "month": months["month"], "exit": months["exit"],
        "days_past_due": months["currentDelinquencyStatus"], "cohort": trust,
        "current_balance": months["reportingPeriodActualEndBalanceAmount"].clip(lower=0.0),
        "scheduled_payment": months["reportingPeriodScheduledPaymentAmount"].clip(lower=0.0),
        "actual_payment": months["totalActualAmountPaid"],
        "principal_paid": months["actualPrincipalCollectedAmount"],
        "interest_paid": months["actualInterestCollectedAmount"],
        "loss_amount": months["chargedoffPrincipalAmount"],
        "recovery_amount": months["recoveredAmount"]}), default_days)
    return AssetPanel(kept, loans, (*notes, *more), source), months


def _loans(months, trust):
    """Terms as first reported, and what each charge-off lost."""
    first = months.groupby("loan_id", sort=True).first()
    # Servicers repeat a charge-off in later months: the first counts. Recoveries are monthly.
    off = months[months["exit"] == "default"].drop_duplicates("loan_id").set_index("loan_id")
    charged = off["chargedoffPrincipalAmount"].reindex(first.index)
    recovered = months.groupby("loan_id", sort=True)["recoveredAmount"].sum()
    score = first["obligorCreditScore"].where(first["obligorCreditScore"] > 0)  # 0: no score
    loss = charged - recovered.where(charged.notna())
    return pd.DataFrame({
        "loan_id": first.index, "cohort": trust,
        "risk_cat": band_of(score), "credit_score": score.to_numpy(),
        "payment_to_income": first["paymentToIncomePercentage"].to_numpy(),
        "orig_month": first["originationDate"].dt.strftime("%Y-%m").to_numpy(),
        "orig_balance": first["originalLoanAmount"].to_numpy(),
        "orig_term": first["originalLoanTerm"].to_numpy(),
        "orig_rate": first["originalInterestRatePercentage"].to_numpy(),
        "model_year": first["vehicleModelYear"].to_numpy(),
        "vehicle_value": first["vehicleValueAmount"].to_numpy(),
        "new_used": first["vehicleNewUsedCode"].map({"1": "new", "2": "used"}).to_numpy(),
        "scheduled_payment": first["reportingPeriodScheduledPaymentAmount"].to_numpy(),
        "default_balance": charged.to_numpy(), "loss": loss.to_numpy(),
        "severity": severity_of(loss, charged).to_numpy()})


def _read(path):
    frame = read_xml(path) if path.suffix.lower() == ".xml" else read_csv(path)
    problems = Problems(path)
    if frame.empty:
        raise InputError(f"{path}: no asset; want at least one")
    need_columns(frame, REQUIRED if path.suffix.lower() != ".xml" else REQUIRED[:3], problems)
    problems.raise_if_any()
    frame = frame.reindex(columns=list(_NAMES), fill_value="").fillna("")
    for column in COLUMNS:
        text = frame[column.name].str.strip()
        if column.kind == "month":
            text = text.str.replace(r"^(\d{2})[-/]\d{2}[-/](\d{4})$", r"\2-\1", regex=True)
            text = text.str.replace(r"^(\d{2})[-/](\d{4})$", r"\2-\1", regex=True)
        frame[column.name] = text.where(~text.str.upper().isin(_NO_VALUE), "")
    frame["zeroBalanceCode"] = frame["zeroBalanceCode"].str.replace(r"^0+(?=\d)", "", regex=True)
    label = "asset {}".format if path.suffix.lower() == ".xml" else "row {}".format
    offset = 1 if path.suffix.lower() == ".xml" else 2
    table = judge(frame, COLUMNS, problems, lambda row: label(row + offset))
    need_cells(frame, REQUIRED[:2], problems)
    problems.raise_if_any()
    return table


def read_xml(path):
    """The assets of an EX-102 file as a frame of text, one column an element known to COLUMNS.

    The file is read as a stream; a document type, an entity or a reference to another file is
    refused. Raises InputError.
    """
    checked(path, limits.XML_BYTES)
    rows, problems = [], Problems(path)  # type: ignore[var-annotated]
    try:
        for asset in _assets(path):
            rows.append(_asset(asset, len(rows) + 1, problems))
            if len(rows) > limits.TABLE_ROWS:
                raise InputError(f"{path}: over {limits.TABLE_ROWS:,} assets")
    except defusedxml.DefusedXmlException:
        raise InputError(f"{path}: has a document type or an entity; want the plain XML of an "
                         "asset data file") from None
    except (SyntaxError, LookupError, UnicodeError, OverflowError) as error:
        raise InputError(f"{path}: not valid XML ({str(error)[:200]})") from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not valid XML ({str(error)[:200]})") from None
    problems.raise_if_any()
    return pd.DataFrame(rows, dtype=object)


def _assets(path):
    """The `assets` elements of a file, one after the other."""
    depth, root = 0, None
    for event, element in defusedxml.ElementTree.iterparse(path, ("start", "end"),
                                                           forbid_dtd=True):
        if event == "start":
            depth += 1
            if root is None:
                root = element
                if element.tag != f"{{{NAMESPACE}}}assetData":
                    raise InputError(f"{path}: starts with {element.tag[:200]!r}; want "
                                     f"assetData of {NAMESPACE} (auto loans)")
            if depth > _DEPTH:
                raise InputError(f"{path}: nested too deeply; want at most {_DEPTH} levels")
            continue
        depth -= 1
        if depth == 1:
            if element.tag == f"{{{NAMESPACE}}}assets":
                yield element
            root.clear()  # type: ignore[union-attr]


def _asset(element, number, problems):
    if len(element) > limits.XML_FIELDS:
        problems.add(f"asset {number}", f"{len(element)} elements",
                     f"at most {limits.XML_FIELDS}")
        return {}
    out = {}
    for child in element:
        name, text = child.tag.rpartition("}")[2], child.text or ""
        if name not in _NAMES:
            continue
        if len(text) > limits.FIELD:
            problems.add(f"asset {number}, {name}", text, f"at most {limits.FIELD:,} characters")
        elif name not in out:
            out[name] = text
        elif name == _REPEATED:
            out[name] = "4" if "4" in (out[name].strip(), text.strip()) else out[name]
        else:
            problems.say(f"asset {number}, {name}: appears twice")
    return out

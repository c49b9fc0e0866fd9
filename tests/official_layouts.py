"""Small files in the layouts of public data. CONSTRUCTED: no row is anybody's loan or any forecast.

Field orders, code lists and headers follow the publishers' documents; see the readers.
"""

from clo_gen.io.abs_ee import NAMESPACE
from clo_gen.io.freddie_mac import ORIGINATION, PERFORMANCE

_LOANS = (  # id, score, first payment, maturity, UPB, LTV, rate, term
    ("F19Q10000001", 780, "201903", "204902", 200000, 80, 4.5, 360),
    ("F19Q10000002", 640, "201903", "204902", 150000, 95, 5.0, 360),
    ("F19Q10000003", 700, "201904", "204903", 100000, 60, 4.0, 360),
    ("F19Q10000004", 9999, "201904", "203403", 90000, 70, 3.5, 180),
    ("F19Q10000005", 590, "202001", "204912", 120000, 90, 5.5, 360),
)


def freddie_origination():
    lines = []
    for loan, score, first, maturity, upb, ltv, rate, term in _LOANS:
        row = dict.fromkeys(ORIGINATION, "") | {
            "credit_score": score, "first_payment_date": first, "maturity_date": maturity,
            "first_time_homebuyer": "N", "msa": "36740", "mi_percent": "000", "units": 1,
            "occupancy": "P", "orig_cltv": ltv, "orig_dti": 38, "orig_upb": upb, "orig_ltv": ltv,
            "orig_rate": rate, "channel": "R", "prepayment_penalty": "N",
            "amortization_type": "FRM", "property_state": "FL", "property_type": "SF",
            "postal_code": "32800", "loan_id": loan, "loan_purpose": "P", "orig_term": term,
            "borrowers": "02", "seller": "Other sellers", "servicer": "Other servicers",
            "valuation_method": 2, "interest_only": "N", "mi_cancellation": "7"}
        lines.append("|".join(str(row[name]) for name in ORIGINATION))
    return "\n".join(lines) + "\n"


def freddie_performance():
    """Five lives: repaid; 30, 60, 90 days late and sold as REO with a loss; repurchased; a status
    that jumps from current to 60 days and back; short sale from current."""
    rows = []

    def add(loan, month, upb, status, left, code="", **more):
        row = dict.fromkeys(PERFORMANCE, "") | {
            "loan_id": loan, "month": month, "current_upb": f"{upb:.2f}",
            "delinquency_status": status, "loan_age": 0, "remaining_months": left,
            "zero_balance_code": code, "zero_balance_date": month if code else "",
            "current_rate": 5.0, "modification": ""} | more
        rows.append("|".join(str(row[name]) for name in PERFORMANCE))

    one, two, three, four, five = (loan[0] for loan in _LOANS)
    for month, upb in (("201903", 200000), ("201904", 199700), ("201905", 199400)):
        add(one, month, upb, "0", 359)
    add(one, "201906", 0, "0", 356, "01", zero_balance_upb="199100.00")
    for month, status in (("201903", "0"), ("201904", "1"), ("201905", "2"), ("201906", "3"),
                          ("201907", "4"), ("201908", "RA")):
        add(two, month, 150000, status, 355)
    add(two, "201909", 0, "RA", 354, "09", mi_recoveries="20000.00",
        net_sale_proceeds="95000.00", non_mi_recoveries="500.00", expenses="-9000.00",
        actual_loss="-46500.00", zero_balance_upb="150000.00", delinquent_interest="3000.00")
    add(three, "201904", 100000, "0", 359)
    add(three, "201905", 99900, "0", 358)
    add(three, "201906", 0, "0", 357, "96", defect_settlement_date="201906")
    for month, status in (("201904", "0"), ("201905", "2"), ("201906", "0"), ("201907", "XX"),
                          ("201908", "0")):
        add(four, month, 90000, status, 170)
    add(five, "202001", 120000, "0", 360)
    add(five, "202002", 119900, "0", 359)
    add(five, "202003", 0, "0", 358, "03", net_sale_proceeds="U", actual_loss="-30000.00")
    return "\n".join(rows) + "\n"


_AUTO = (  # asset, score, new or used, month by month: (balance, paid, days, code, off, recovered)
    ("1001", "750", "1", ((19700, 400, 0, "", "", ""), (19400, 400, 0, "", "", ""),
                          (0, 19500, None, "1", "", ""), None)),
    ("1002", "610", "2", ((14900, 0, 31, "", "", ""), (14900, 0, 62, "", "", ""),
                          (0, 0, 95, "4", "14900", "2000"), (0, 0, None, "4", "14900", "5000"))),
    ("1003", "NONE", "2", ((9800, 250, 0, "", "", ""), (9600, 250, 0, "", "", ""),
                           (0, 0, None, "3", "", ""), None)),
    ("1004", "560", "1", ((17800, 300, 0, "", "", ""), (17600, 300, 0, "", "", ""),
                          (17500, 200, 0, "", "", ""), (17500, 0, 28, "", "", ""))),
)
_ENDS = ("01-31-2025", "02-28-2025", "03-31-2025", "04-30-2025")


def abs_ee_assets(period):
    """{asset: {element: text}} of one reporting period (0 to 3)."""
    out = {}
    for asset, score, used, months in _AUTO:
        if months[period] is None:
            continue
        balance, paid, days, code, off, recovered = months[period]
        out[asset] = {name: text for name, text in {
            "assetTypeNumber": "CIK Number", "assetNumber": asset,
            "reportingPeriodBeginningDate": "01-01-2025", "reportingPeriodEndingDate":
            _ENDS[period], "originatorName": "CONSTRUCTED", "originationDate": "11/2024",
            "originalLoanAmount": "20000.00", "originalLoanTerm": "60",
            "loanMaturityDate": "11/2029", "originalInterestRatePercentage": "0.0699",
            "obligorCreditScore": score, "paymentToIncomePercentage": "0.08",
            "vehicleNewUsedCode": used, "vehicleModelYear": "2023",
            "vehicleValueAmount": "22000.00",
            "reportingPeriodBeginningLoanBalanceAmount": f"{balance + paid}",
            "reportingPeriodActualEndBalanceAmount": f"{balance}",
            "reportingPeriodScheduledPaymentAmount": "300.00", "totalActualAmountPaid": f"{paid}",
            "actualInterestCollectedAmount": "50.00", "actualPrincipalCollectedAmount": "250.00",
            "currentDelinquencyStatus": "" if days is None else str(days),
            "zeroBalanceCode": code, "zeroBalanceEffectiveDate": "03/2025" if code else "",
            "chargedoffPrincipalAmount": off, "recoveredAmount": recovered,
        }.items() if text != ""}
    return out


def abs_ee_xml(period):
    assets = "".join(
        "<assets>" + "".join(f"<{name}>{text}</{name}>" for name, text in one.items()) + "</assets>"
        for one in abs_ee_assets(period).values())
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return f'{head}<assetData xmlns="{NAMESPACE}">{assets}</assetData>'


def abs_ee_csv(period):
    assets = list(abs_ee_assets(period).values())
    names = list(dict.fromkeys(name for one in assets for name in one))
    names += [n for n in ("zeroBalanceCode", "chargedoffPrincipalAmount") if n not in names]
    return "\n".join([",".join(names), *(",".join(one.get(name, "") for name in names)
                                         for one in assets)]) + "\n"


FED_HEADER = (
    "Scenario Name,Date,Real GDP growth,Nominal GDP growth,Real disposable income growth,"
    "Nominal disposable income growth,Unemployment rate,CPI inflation rate,3-month Treasury rate,"
    "5-year Treasury yield,10-year Treasury yield,BBB corporate yield,Mortgage rate,Prime rate,"
    "Dow Jones Total Stock Market Index (Level),House Price Index (Level),"
    "Commercial Real Estate Price Index (Level),Market Volatility Index (Level)")


def fed_domestic(scenario="Supervisory Severely Adverse", quarters=60, actual=47):
    """A domestic scenario file: actual quarters from 2014 Q1, then the scenario's."""
    lines = [FED_HEADER]
    for n in range(quarters):
        name = "Actual" if n < actual else scenario
        stress = max(0, n - actual + 1)
        lines.append(f"{name},{2014 + n // 4} Q{n % 4 + 1},{2.0 - 0.6 * stress:.1f},4.0,2.0,4.0,"
                     f"{4.0 + 0.4 * stress:.1f},2.0,{max(0.1, 4.0 - stress):.1f},4.0,4.2,"
                     f"{6.0 + 0.2 * stress:.1f},6.5,7.5,{40000 + 100 * n - 1500 * stress:.1f},"
                     f"{200 + n - 4 * stress:.1f},{300 + n - 6 * stress:.1f},{20 + stress:.1f}")
    return "\n".join(lines) + "\n"


def fred(date="observation_date", months=60, day="-01"):
    """A file of monthly FRED series in levels; `date` is the header of the dates."""
    lines = [f"{date},UNRATE,CPIAUCSL,FEDFUNDS,GS10,BAA,SP500"]
    for n in range(months):
        lines.append(f"{2015 + n // 12}-{n % 12 + 1:02d}{day},{4 + 0.02 * n:.2f},"
                     f"{240 + 0.5 * n:.1f},{1 + 0.03 * n:.2f},"
                     f"{2 + 0.02 * n:.2f},{4 + 0.02 * n:.2f},{2000 + 10 * n}")
    return "\n".join(lines) + "\n"


def fred_md(months=60):
    """The layout of FRED-MD: dates as 1/1/2015, a row of transform codes under the header."""
    head, *rest = fred("sasdate", months).splitlines()
    rows = [f"{int(r[5:7])}/1/{r[:4]},{r.split(',', 1)[1]}" for r in rest]
    return "\n".join([head, "Transform:,2,6,2,2,2,5", *rows]) + "\n"

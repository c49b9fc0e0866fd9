"""Tapes: what is read, what is derived, and every complaint."""

import datetime

import numpy as np
import pandas as pd
import pytest

from clo_gen.io.problems import InputError
from clo_gen.io.synthetic import synthetic_tape
from clo_gen.io.tables import rating_notches
from clo_gen.io.tape import COLUMNS, read_column_map, read_tape
from clo_gen.states import DELINQUENCY, RATING

CUTOFF = datetime.date(2025, 10, 15)
GOOD = """loan_id,current_balance,rate_type,maturity_date,interest_rate,spread_bps,rating
L1,1000000,float,2030-10-15,,350,B+
L2,3000000,fixed,2029-04-15,0.08,,Caa1
"""


def read(path, **changes):
    options = dict(cutoff=CUTOFF, space=RATING, indices=("SOFR", "EURIBOR"),
                   recovery_by_lien={"first": 0.6, "second": 0.3, "unsecured": 0.35}) | changes
    return read_tape(path, **options)


def written(tmp_path, text, name="tape.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_minimal_tape_is_completed_and_says_how(tmp_path):
    got = read(written(tmp_path, GOOD))
    t = got.tape
    np.testing.assert_allclose(t.balance, [0.25, 0.75])
    assert got.par == 4_000_000
    assert t.maturity.tolist() == [60, 42]
    np.testing.assert_allclose(t.spread, [0.035, 0.0])
    np.testing.assert_allclose(t.coupon, [0.0, 0.08])
    assert t.state.tolist() == [RATING.index("B"), RATING.index("CCC")]
    np.testing.assert_allclose(t.loan_effect, [np.log(2220 / 2720), np.log(4770 / 6500)])
    assert t.payment_months.tolist() == [3, 3]
    assert t.day_count.tolist() == [0, 2]  # ACT/360 floating, 30/360 fixed
    np.testing.assert_allclose(t.recovery_rate, 0.6)
    assert any(d.startswith("recovery_rate: by lien") and "2 loans" in d for d in got.derived)


def test_unknown_columns_are_kept_and_listed(tmp_path):
    text = GOOD.replace("rating\n", "rating,desk_note\n").replace("B+\n", "B+,watch\n")
    got = read(written(tmp_path, text.replace("Caa1\n", "Caa1,\n")))
    assert got.extra == ("desk_note",)
    assert got.frame["desk_note"].tolist() == ["watch", ""]


def test_parquet_and_csv_give_the_same_tape(tmp_path):
    frame = synthetic_tape(obligors=20, par=1e8, cutoff=CUTOFF, spread_bps=336, seed=3,
                           rating_weights={"BB": 0.5, "B": 0.3, "CCC+": 0.2})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.astype({"current_balance": float}).to_parquet(tmp_path / "a.parquet")
    a, b = read(tmp_path / "a.csv").tape, read(tmp_path / "a.parquet").tape
    for x, y in zip(vars(a).values(), vars(b).values(), strict=True):
        np.testing.assert_allclose(x, y)


def test_synthetic_tape_is_labelled_and_has_the_stated_averages():
    frame = synthetic_tape(obligors=200, par=5.5e8, cutoff=CUTOFF, spread_bps=336, seed=1,
                           rating_weights={"BB": 0.25, "B": 0.65, "CCC+": 0.10})
    assert set(frame["data_label"]) == {"synthetic"}
    balance = frame["current_balance"].astype(float)
    assert abs(balance.sum() - 5.5e8) < 0.01
    assert abs(np.average(frame["spread_bps"].astype(float), weights=balance) - 336) < 1e-4
    assert frame["rating"].value_counts().to_dict() == {"B": 130, "BB": 50, "CCC+": 20}


def test_a_missing_column_is_one_message(tmp_path):
    text = GOOD.replace("maturity_date", "matures")
    with pytest.raises(InputError) as error:
        read(written(tmp_path, text))
    assert "1 problem\n" in str(error.value)
    assert "column maturity_date: missing (or origination_date and term_months), 2 rows" in str(
        error.value)


def test_many_bad_rows_of_a_column_are_summed_up(tmp_path):
    rows = "".join(f"L{i},-1,float,2030-10-15,,350,B\n" for i in range(30))
    with pytest.raises(InputError, match="current_balance: the same in 26 more rows"):
        read(written(tmp_path, GOOD.splitlines()[0] + "\n" + rows))


def test_a_map_onto_an_existing_column_is_refused(tmp_path):
    mapping = written(tmp_path, "[columns]\nloan_id = \"obligor_id\"\nobligor = \"obligor_id\"\n",
                      "map.toml")
    with pytest.raises(InputError, match="another column that becomes the same"):
        read(written(tmp_path, "loan_id,obligor\na,b\n"), columns=read_column_map(mapping))


def test_column_map_reads_a_trustee_report(tmp_path):
    report = written(tmp_path, "Asset,Par,Type,Maturity,Spread,S&P,Px\n"
                               "LX1,500000,Floating,2031-01-15,400,B-,97.5\n")
    mapping = written(tmp_path, """
[columns]
Asset = "loan_id"
Par = "current_balance"
Type = "rate_type"
Maturity = "maturity_date"
Spread = "spread_bps"
"S&P" = "rating_sp"
Px = "market_price"
[units]
market_price = "percent"
[values.rate_type]
Floating = "float"
""", "map.toml")
    got = read(report, columns=read_column_map(mapping))
    np.testing.assert_allclose(got.tape.market_price, 0.975)
    assert got.frame["rating"].tolist() == ["B-"]


@pytest.mark.parametrize("old,new,message", [
    ("L2,3000000", "L1,3000000", r"row 3 \(L1\), loan_id: 'L1'; want an id that no other row has"),
    ("1000000", "-5", r"row 2 \(L1\), current_balance: '-5'; want a number of at least 0"),
    ("1000000", "", r"row 2 \(L1\), current_balance: missing"),
    ("2030-10-15", "2020-10-15", r"maturity_date: '2020-10-15'; want a date after the cut-off"),
    ("2030-10-15", "soon", r"maturity_date: 'soon'; want a date such as 2025-10-15"),
    ("0.08", "8.5", r"row 3 \(L2\), interest_rate: '8.5'; want a fraction in \[0, 1\]"),
    ("0.08", "", r"interest_rate: missing \(a fixed loan needs it\)"),
    ("float", "variable", r"rate_type: 'variable'; want one of fixed, float"),
    ("B+", "ZZ", r"rating: 'ZZ'; want a notch of S&P"),
    ("1000000", "inf", r"current_balance: 'inf'"),
    ("L1,", ",", r"loan_id: missing"),
    (",350,", ",0.035,", r"spread_bps: 0.035; want basis points"),
])
def test_bad_values_name_row_field_value_and_what_is_accepted(tmp_path, old, new, message):
    with pytest.raises(InputError, match=message):
        read(written(tmp_path, GOOD.replace(old, new, 1)))


def test_all_problems_come_at_once(tmp_path):
    bad = GOOD.replace("1000000", "-5").replace("B+", "ZZ").replace("0.08", "9")
    with pytest.raises(InputError) as error:
        read(written(tmp_path, bad))
    text = str(error.value)
    assert "tape.csv: 3 problems" in text
    assert "current_balance" in text and "rating" in text and "interest_rate" in text


@pytest.mark.parametrize("content,message", [
    (b"", "the file is empty"),
    (b"loan_id,current_balance\n", "no rows"),
    ("loan_id,current_balance\nL\xe9,5\n".encode("latin-1"), "not UTF-8"),
    (b"loan_id,loan_id\n1,2\n", "'loan_id' appears twice"),
    (b"name,balance\na,5\n", "column loan_id: missing; it is required"),
    (bytes(range(256)) * 4, "a NUL byte at byte 0"),
])
def test_broken_files_are_refused(tmp_path, content, message):
    path = tmp_path / "broken.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere.csv: no such file"):
        read(tmp_path / "nowhere.csv")


def test_unknown_benchmark_is_refused(tmp_path):
    text = GOOD.replace("rating\n", "rating,benchmark\n").replace("B+\n", "B+,TIBOR\n")
    with pytest.raises(InputError, match="benchmark: 'TIBOR'; want one of SOFR, EURIBOR"):
        read(written(tmp_path, text.replace("Caa1\n", "Caa1,\n")))


def test_defaulted_loans_start_in_default_with_their_age(tmp_path):
    text = GOOD.replace("rating\n", "rating,default_date\n").replace("B+\n", "B+,2025-06-15\n")
    t = read(written(tmp_path, text.replace("Caa1\n", "D,\n"))).tape
    assert t.state.tolist() == [RATING.default] * 2
    assert t.default_age.tolist() == [4, 0]


def test_balloon_needs_its_amortisation_term(tmp_path):
    text = GOOD.replace("rating\n", "rating,amortization_type,term_months,origination_date\n")
    text = text.replace("B+\n", "B+,balloon,{},2025-10-15\n").replace("Caa1\n", "Caa1,bullet,,\n")
    got = read(written(tmp_path, text.format(240)))
    assert got.tape.amortization_months.tolist() == [240, 0]
    with pytest.raises(InputError, match="for a balloon loan its amortisation term"):
        read(written(tmp_path, text.format(60)))


def test_purchase_price_straight_line_and_default_at_maturity(tmp_path):
    text = GOOD.replace("rating\n", "rating,purchase_price,amortization_type,default_at_maturity\n")
    text = text.replace("B+\n", "B+,0.75,straight_line,\n").replace("Caa1\n", "Caa1,,,0.2\n")
    t = read(written(tmp_path, text)).tape
    assert t.purchase_price.tolist() == [0.75, 1.0]
    assert t.amortization_months.tolist() == [60, 0] and t.straight_line.tolist() == [1.0, 0.0]
    assert t.default_at_maturity.tolist() == [0.0, 0.2]
    with pytest.raises(InputError, match="default_at_maturity: '20'; want a fraction"):
        read(written(tmp_path, text.replace("0.2\n", "20\n")))


def test_delinquency_space_reads_days_past_due(tmp_path):
    text = GOOD.replace("rating\n", "days_past_due\n").replace("B+\n", "65\n")
    t = read(written(tmp_path, text.replace("Caa1\n", "\n")), space=DELINQUENCY).tape
    assert t.state.tolist() == [2, 0]


def test_notches_of_all_agencies_agree():
    notches = rating_notches()
    assert notches["B+"] == notches["B1"] == notches["B (high)"]
    assert notches["B"] == ("B", 0.0) and notches["CC"][0] == "CCC"


def test_every_documented_column_is_known():
    wanted = """loan_id obligor_id origination_date maturity_date original_balance current_balance
    interest_rate rate_type spread_bps benchmark floor payment_frequency amortization_type
    asset_class rating recovery_rate market_price purchase_price default_date lien cov_lite
    industry_sector geography_country geography_region borrower_type ltv_origination
    dti_dscr_origination internal_score_origination external_score_origination collateral_type
    collateral_value_origination originator_id vintage_cohort underwriting_standard_version
    term_months day_count rating_moodys rating_sp industry_moodys industry_sp recovery_sp
    unfunded_commitment""".split()
    assert set(wanted) <= {c.name for c in COLUMNS}


def test_hostile_strings_are_only_strings(tmp_path):
    text = GOOD.replace("L1,", "<script>alert(1)</script>,").replace("L2,", "=1+1,")
    got = read(written(tmp_path, text))
    assert got.frame["loan_id"].tolist() == ["<script>alert(1)</script>", "=1+1"]
    assert isinstance(got.frame, pd.DataFrame)

"""Freddie Mac and asset-level auto files as loan-month panels; all files are constructed."""

import zipfile

import numpy as np
import official_layouts as layouts
import pandas as pd
import pytest

from clo_gen.io.abs_ee import read_abs_ee
from clo_gen.io.auto_panel import read_auto_panel
from clo_gen.io.auto_payments import payment_tables
from clo_gen.io.cohort_counts import read_cohort_counts
from clo_gen.io.freddie_mac import read_freddie_mac
from clo_gen.io.panel import read_panel, transition_counts
from clo_gen.io.problems import InputError
from clo_gen.states import DELINQUENCY, REPORTED


def freddie(folder, **options):
    first, second = folder / "data_2019Q1.txt", folder / "data_time_2019Q1.txt"
    first.write_text(layouts.freddie_origination())
    second.write_text(layouts.freddie_performance())
    return read_freddie_mac(first, second, **options)


def life(asset, loan):
    rows = asset.months[asset.months["loan_id"] == loan]
    return rows["state"].tolist()


def test_freddie_mac_lives_end_as_their_codes_say(tmp_path):
    got = freddie(tmp_path)
    assert life(got, "F19Q10000001") == ["performing"] * 3 + ["prepaid"]
    assert life(got, "F19Q10000002") == ["performing", "dpd30", "dpd60", "dpd90", "dpd90", "dpd90",
                                         "default"]
    assert life(got, "F19Q10000003") == ["performing"] * 2  # repurchased: lost from sight
    assert life(got, "F19Q10000004") == ["performing", "dpd60", "performing", "performing"]
    assert life(got, "F19Q10000005") == ["performing", "performing", "default"]
    notes = "; ".join(got.notes)
    assert "1 loans lost from sight" in notes and "1 loan-months without a delinquency" in notes
    assert "2 of 14 moves jump" in notes


def test_freddie_mac_severities_are_losses_over_the_balance_removed(tmp_path):
    loans = freddie(tmp_path).loans.set_index("loan_id")
    # 150,000 - 95,000 + 3,000 + 9,000 - 20,000 - 500 = 46,500
    assert loans.loc["F19Q10000002", "severity"] == pytest.approx(46_500 / 150_000)
    # no balance removed in the file: the last one before, 119,900
    assert loans.loc["F19Q10000005", "severity"] == pytest.approx(30_000 / 119_900)
    assert loans["severity"].notna().sum() == 2
    assert loans.loc["F19Q10000004", "risk_cat"] == "" and np.isnan(
        loans.loc["F19Q10000004", "credit_score"])
    assert loans.loc["F19Q10000001", ["risk_cat", "cohort", "orig_rate"]].tolist() == [
        "super_prime", "2019", 0.045]


def test_default_can_be_days_past_due(tmp_path):
    got = freddie(tmp_path, default_days=120)
    assert life(got, "F19Q10000002") == ["performing", "dpd30", "dpd60", "dpd90", "default"]
    assert got.loans.set_index("loan_id").loc["F19Q10000002", "severity"] > 0


def test_a_zip_file_is_read_as_its_two_files(tmp_path):
    want = freddie(tmp_path)
    with zipfile.ZipFile(tmp_path / "sample_2019.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("../../sample_orig_2019.txt", layouts.freddie_origination())
        packed.writestr("/sample_svcg_2019.txt", layouts.freddie_performance())
    got = read_freddie_mac(tmp_path / "sample_2019.zip")
    pd.testing.assert_frame_equal(got.months, want.months)
    assert not (tmp_path.parent.parent / "sample_orig_2019.txt").exists()
    (tmp_path / "broken.zip").write_bytes((tmp_path / "sample_2019.zip").read_bytes()[:300])
    with pytest.raises(InputError, match="not a readable zip file"):
        read_freddie_mac(tmp_path / "broken.zip")


def test_the_panel_goes_through_the_readers_of_panels_and_counts(tmp_path):
    asset = freddie(tmp_path)
    asset.panel().to_parquet(tmp_path / "panel.parquet")
    panel = read_panel(tmp_path / "panel.parquet", REPORTED)
    assert panel["state"].tolist() == asset.months["state"].tolist()
    counts = transition_counts(panel, REPORTED, "panel", unit="loan_id").counts.sum((0, 1))
    names = REPORTED.states
    assert counts[names.index("performing"), names.index("dpd60")] == 1
    assert counts[names.index("dpd90"), REPORTED.default] == 1
    assert counts[:4, REPORTED.default].sum() == 2 and counts[:4, REPORTED.prepaid].sum() == 1
    with pytest.raises(InputError, match="performing -> dpd60, which the state space delinquency"):
        transition_counts(panel, DELINQUENCY, "panel", unit="loan_id")


def test_cohort_counts_serve_the_training_of_level_2(tmp_path):
    table = freddie(tmp_path).cohort_counts()
    table.to_csv(tmp_path / "counts.csv", index=False)
    # the first and last months of a cohort are dropped by the reader, as of published counts
    assert table.groupby("bond")[["n_default", "n_prepaid"]].sum().loc["2019"].tolist() == [1, 1]
    got = read_cohort_counts(tmp_path / "counts.csv")
    assert "2019/super_prime" in got.counts.cohorts


@pytest.mark.parametrize("name,old,new,message", [
    ("performance", "|201904|", "|201913|", r"row 2, month: '2019-13'; want a month such as"),
    ("performance", "|09|", "|77|", r"row 11, zero_balance_code: '77'; want one of 01, 02, 03"),
    ("performance", "F19Q10000001|201904", "F19Q10000001|201903", "row 2 .* repeats a loan"),
    ("performance", "|199400.00|", "|many|", r"row 3, current_upb: 'many'; want a number"),
    ("origination", "F19Q10000002", "F19Q10000001", "loan F19Q10000001: appears twice"),
    ("origination", "|4.5|", "|450|", r"row 1, orig_rate: '450'; want percent in \[0, 100\]"),
    ("origination", "\n", "|x|y\n", "rows have more fields than the 32 columns"),
])
def test_bad_freddie_mac_files_are_refused(tmp_path, name, old, new, message):
    texts = {"origination": layouts.freddie_origination(),
             "performance": layouts.freddie_performance()}
    assert old in texts[name]
    texts[name] = texts[name].replace(old, new, 1)
    for key, text in texts.items():
        (tmp_path / key).write_text(text)
    with pytest.raises(InputError, match=message):
        read_freddie_mac(tmp_path / "origination", tmp_path / "performance")


def auto(folder, kind="xml", periods=range(4), **options):
    paths = []
    for period in periods:
        text = (layouts.abs_ee_xml if kind == "xml" else layouts.abs_ee_csv)(period)
        paths.append(folder / f"exh102_{period}.{kind}")
        paths[-1].write_text(text)
    return read_abs_ee(paths, trust="TRUST 2024-A", **options)


@pytest.mark.parametrize("kind", ["xml", "csv"])
def test_auto_loans_of_asset_level_files(tmp_path, kind):
    got, _ = auto(tmp_path, kind)
    assert life(got, "1001") == ["performing", "performing", "prepaid"]
    assert life(got, "1002") == ["dpd30", "dpd60", "default"]
    assert life(got, "1003") == ["performing", "performing"]
    assert life(got, "1004") == ["performing"] * 4
    loans = got.loans.set_index("loan_id")
    assert loans.loc["1002", "severity"] == pytest.approx((14_900 - 7_000) / 14_900)
    assert loans["risk_cat"].tolist() == ["super_prime", "subprime", "", "deep_subprime"]
    assert got.months["cohort"].unique().tolist() == ["TRUST 2024-A"]
    assert str(got.months["month"].min()) == "2025-01"


def test_files_in_any_order_and_of_both_kinds_give_the_same(tmp_path):
    want, _ = auto(tmp_path)
    mixed = [tmp_path / "exh102_3.xml", tmp_path / "exh102_0.xml", tmp_path / "two.csv",
             tmp_path / "exh102_1.xml"]
    mixed[2].write_text(layouts.abs_ee_csv(2))
    got, _ = read_abs_ee(mixed, trust="TRUST 2024-A")
    pd.testing.assert_frame_equal(got.months, want.months)


def test_payments_serve_the_training_of_level_3(tmp_path):
    asset, months = auto(tmp_path)
    loans, table, _ = payment_tables(asset.loans, months)
    loans.to_csv(tmp_path / "loans.csv", index=False)
    table.to_csv(tmp_path / "months.csv", index=False)
    panel = read_auto_panel(tmp_path / "loans.csv", tmp_path / "months.csv")
    state = {loan: panel.state[i][panel.state[i] >= 0].tolist()
             for i, loan in enumerate(panel.ids)}
    space = panel.space
    assert state["1001"] == [0, 0, space.prepaid]
    assert state["1002"] == [space.index("missed1"), space.index("missed2"), space.default]
    assert state["1004"] == [0, 0, 0, space.index("missed1")]
    assert panel.age.tolist() == [2, 2, 2, 2] and panel.recovery[1] == pytest.approx(7000 / 14_900)
    assert panel.payment[0, :3].tolist() == [400, 400, 19_500]
    assert panel.missed[1, :3].tolist() == [1, 2, 3]


def test_percent_rates_are_noticed(tmp_path):
    for period in range(4):
        text = layouts.abs_ee_xml(period).replace(">0.0699<", ">6.99<")
        (tmp_path / f"{period}.xml").write_text(text)
    got, _ = read_abs_ee([tmp_path / f"{n}.xml" for n in range(4)])
    assert got.loans["orig_rate"].tolist() == pytest.approx([0.0699] * 4)
    assert "originalInterestRatePercentage: given in percent, divided by 100" in got.notes


BOMB = ('<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
        '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>')


@pytest.mark.parametrize("old,new,message", [
    ("?>", f"?>{BOMB}", "a document type or an entity"),
    ("?>", '?><!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>', "a document type"),
    ("autoloan", "autolease", "want assetData of http://www.sec.gov/edgar/document/absee/autoloan"),
    ("<assets>", "<assets>" + "<a>" * 100, "nested too deeply; want at most 4 levels"),
    ("<assets>", "<assets>" + "<a></a>" * 600, "asset 1: '6.. elements'; want at most 500"),
    ("CONSTRUCTED", "&unknown;", "not valid XML"),
    ("</assetData>", "", "not valid XML"),
    (">01-31-2025<", ">31-01-2025<", "asset 1, reportingPeriodEndingDate: '2025-31'; want a month"),
    (">1002<", ">1001<", "loan 1001: twice in 2025-01"),
    ("<originalLoanTerm>60", "<originalLoanTerm>1e400", "originalLoanTerm: '1e400'; want a number"),
    ("<originalLoanTerm>", f"<originalLoanTerm>{'9' * 20_000}", "originalLoanTerm: .* at most 10,"),
    ("<originalLoanTerm>60</originalLoanTerm>", "<originalLoanTerm>60</originalLoanTerm>" * 2,
     "asset 1, originalLoanTerm: appears twice"),
    ('encoding="UTF-8"', 'encoding="no-such"', "not valid XML"),
])
def test_bad_asset_files_are_refused(tmp_path, old, new, message):
    text = layouts.abs_ee_xml(0)
    assert old in text
    (tmp_path / "a.xml").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_abs_ee([tmp_path / "a.xml"])

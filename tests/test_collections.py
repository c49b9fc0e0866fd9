"""Collections from CSV and engines' JSON files: what is wrong in them is said at once."""

import copy
import json
import pathlib
import types

import jax.numpy as jnp
import numpy as np
import pytest

from clo_gen.io.collections import read_collections
from clo_gen.io.oracle import read_oracle
from clo_gen.io.problems import InputError

GOLDEN = pathlib.Path(__file__).parent / "golden"
DEAL = types.SimpleNamespace(defaulted_price=jnp.asarray(0.5), ccc_price=jnp.asarray(0.7))
ROWS = """pay_date,collection_end,interest,scheduled_principal,prepayment,default,recovery,loss,\
end_performing
2026-01-15,2026-01-05,1.5,0,5,2,0,0,93
2026-04-15,2026-04-05,1.4,1,4,0,0.5,0.5,88
2026-07-15,2026-07-05,1.3,0,88,0,1,0,0
"""


def read(tmp_path, *changes):
    text = ROWS
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "collections.csv"
    path.write_text(text)
    return read_collections(path, par=100.0, deal=DEAL)


def test_rows_become_shares_of_par(tmp_path):
    got = read(tmp_path)
    c = got.collections
    np.testing.assert_allclose(c.interest, [0.015, 0.014, 0.013])
    np.testing.assert_allclose(c.performing, [0.93, 0.88, 0.0])
    np.testing.assert_allclose(c.defaulted, [0.02, 0.01, 0.0], atol=1e-15)
    np.testing.assert_allclose(c.defaulted_value, [0.01, 0.005, 0.0], atol=1e-15)
    assert [str(d) for d in got.pay_dates] == ["2026-01-15", "2026-04-15", "2026-07-15"]
    assert "defaulted_price" in got.notes[0] and got.index is None


def test_two_agencies_and_an_index(tmp_path):
    rows = [line.split(",") for line in ROWS.splitlines()]
    more = [["index", "ccc_par", "ccc_par_2", "ccc_value", "ccc_value_2"],
            ["0.04", "5", "8", "4", "5"], ["-0.01", "5", "8", "4", "5"], ["0.04", *"0000"]]
    text = "\n".join(",".join(a + b) for a, b in zip(rows, more, strict=True))
    path = tmp_path / "c.csv"
    path.write_text(text)
    got = read_collections(path, par=100.0, deal=DEAL)
    np.testing.assert_allclose(got.index, [0.04, -0.01, 0.04])
    np.testing.assert_allclose(got.collections.ccc_par[0, :, 0], [0.05, 0.08])
    np.testing.assert_allclose(got.collections.ccc_value[0, :, 0], [0.04, 0.05])


@pytest.mark.parametrize("header,values,message", [
    ("index", "4.5", r"row 2, index: '4.5'; want a fraction in \[-0.05, 1\]"),
    ("ccc_par,ccc_value", "5,7", "row 2, ccc_value: 0.070000 of par; want at most ccc_par"),
    ("ccc_value", "5", "column ccc_par: missing; want it beside ccc_value"),
    ("ccc_par,ccc_value,ccc_par_2", "5,4,6", "column ccc_value_2: missing"),
    ("defaulted_value", "50", "want at most defaulted par not yet recovered"),
])
def test_values_above_what_they_stand_for_are_refused(tmp_path, header, values, message):
    lines = ROWS.splitlines()
    path = tmp_path / "c.csv"
    path.write_text("\n".join([f"{lines[0]},{header}", *(f"{x},{values}" for x in lines[1:])]))
    with pytest.raises(InputError, match=message):
        read_collections(path, par=100.0, deal=DEAL)


@pytest.mark.parametrize("changes,message", [
    ([("2026-04-15,", "2026-01-15,")], r"row 3, pay_date: '2026-01-15'; want a date after"),
    ([("2026-04-15,", "soon,")], r"row 3, pay_date: 'soon'; want a date such as"),
    ([("2026-04-15,", "-1,")], r"row 3, pay_date: '-1'; want a date such as"),
    ([("2026-04-15,", ",")], r"row 3, pay_date: ''; want a date such as"),
    ([("2026-04-05", "2026-05-05")], r"row 3, collection_end: .*want a date up to pay_date"),
    ([("2026-04-05", "2026-01-04")], r"row 3, collection_end: .*a collection period after"),
    ([("1.5,0,5", "x,0,5")], r"row 2, interest: 'x'; want a number of at least 0"),
    ([("1.5,0,5", "-1,0,5")], r"row 2, interest: '-1'; want a number of at least 0"),
    ([("1.5,0,5", "inf,0,5")], r"row 2, interest: 'inf'; want a number"),
    ([(",88\n", ",87\n")], r"row 3: end_performing \+ .* want 0.930000, end_performing of the row"),
    ([("0.5,0.5", "2.5,0.5")], r"row 3: recovery \+ loss so far exceed the defaults"),
    ([("pay_date", "paydate")], "column pay_date: missing"),
    ([("collection_end", "collected")], "collected: unknown column, perhaps collection_end"),
    ([(ROWS[ROWS.index("2026"):], "")], "no rows; want a header and at least one row"),
])
def test_bad_collections_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, *changes)


def test_all_bad_rows_come_at_once(tmp_path):
    with pytest.raises(InputError, match="3 problems"):
        read(tmp_path, ("1.5,0,5", "x,0,5"), ("1.4,1,4", "1.4,y,4"), ("1,0,0\n", "1,0,z\n"))


def test_an_absent_file_is_said(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_collections(tmp_path / "none.csv", par=1.0, deal=DEAL)
    with pytest.raises(InputError, match="no such file"):
        read_oracle(tmp_path / "none.json")


def engine_case(tmp_path, name, *changes):
    """read_oracle of a golden file; each change is (path of keys, new value or None to delete)."""
    case = json.loads((GOLDEN / name).read_text())
    for keys, value in changes:
        place = case
        for key in keys[:-1]:
            place = place[key]
        if value is None:
            del place[keys[-1]]
        else:
            place[keys[-1]] = copy.deepcopy(value)
    path = tmp_path / "case.json"
    path.write_text(json.dumps(case))
    return read_oracle(path)


D, W, ROW = ("deal",), ("deal", "waterfall"), ("period_inputs", 3)
BAD = [
    ([(("schema",), "other")], "want a JSON object with schema = 'clo_waterfall_oracle_v1'"),
    ([((*D, "notes"), None)], "deal.notes: missing"),
    ([((*D, "closing"), "soon")], "deal.closing: 'soon'; want a date such as 2026-01-15"),
    ([((*D, "notes", 1, "balance"), "x")], r"deal.notes\[2\].balance: 'x'; want a valid number"),
    ([((*D, "notes", 1, "balance"), -5)], r"deal.notes\[2\].balance: -5; want more than 0"),
    ([((*D, "notes", 1, "name"), "A")], "notes: 'A'; want each name once"),
    ([((*D, "notes", 1, "rate"), None)], r"deal.notes \(B\): want either rate or rate_by_pay_date"),
    ([((*D, "notes", 1, "day_count"), "BUS")], r"deal.notes\[2\].day_count: 'BUS'; want 'ACT/360'"),
    ([((*D, "notes", 0, "accrues_from"), "2024-02-15")], r"\(A\).accrues_from.*the closing date"),
    ([((*D, "notes", -1, "type"), "debt")], "want exactly one of type equity"),
    ([((*D, "fees", 0, "kind"), "some")], r"deal.fees\[1\] \(trustee\).kind: 'some'; want fixed"),
    ([((*D, "fees", 1, "basis"), "par")], "basis: 'par'; want one of begin_performing"),
    ([((*D, "oc_tests", 0, "denominator"), ["A", "Z"])], "denominator: 'Z'; want one of A, B"),
    ([((*D, "oc_tests", 0, "denominator"), ["B"])], "'B'; want a class and everything senior"),
    ([((*W, 10, "trigger"), 0.9)], "an OC trigger above 1"),
    ([((*W, 0, "op"), "pay_lawyer")], r"waterfall\[1\].op: 'pay_lawyer'; want one of pay_fee"),
    ([((*W, 0, "from"), "reserve")], r"\(pay_fee\).from: 'reserve'; want an account: interest"),
    ([((*W, 0, "fee"), "bank")], r"\(pay_fee\).fee: 'bank'; want one of trustee"),
    ([((*W, 2, "notes"), ["Q"])], r"\(pay_all_interest\).notes: 'Q'; want one of A, B"),
    ([((*ROW, "pay_date"), "2020-01-15")], r"row 5, pay_date: '2020-01-15'; want a date after"),
    ([((*ROW, "interest"), "x")], "row 5, interest: 'x'; want a number"),
    ([((*ROW, "end_performing"), 1.0)], "row 5: end_performing"),
    ([(("period_inputs",), [])], "period_inputs: .*at least 1 item"),
    ([((*D, "call_date"), "2031-01-01")], "call.date: '2031-01-01'; want a payment date"),
    ([((*D, "accelerated_waterfall"), [{"op": "pay_residual_to_equity", "from": "principal"}])],
     "no event_of_default ever leads to it"),
    ([((*D, "event_of_default"), {"denominator": ["A"], "trigger": 1.1})],
     "waterfall.accelerated: missing"),
]


@pytest.mark.parametrize("changes,message", BAD, ids=[str(i) for i in range(len(BAD))])
def test_bad_engine_files_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        engine_case(tmp_path, "H3_oc_cure.json", *changes)


def test_a_call_needs_its_list_and_its_sale_first(tmp_path):
    with pytest.raises(InputError, match="waterfall.call: missing"):
        engine_case(tmp_path, "H7_call.json", ((*D, "call_waterfall"), []))
    sale = {"op": "liquidate_collateral", "to": "principal"}
    with pytest.raises(InputError, match="want it first in call_waterfall"):
        engine_case(tmp_path, "H7_call.json", ((*D, "call_waterfall", 1), sale))


def test_all_problems_of_an_engine_file_come_at_once(tmp_path):
    with pytest.raises(InputError, match="3 problems"):
        engine_case(tmp_path, "H3_oc_cure.json", ((*D, "fees", 0, "kind"), "some"),
                    ((*W, 0, "op"), "pay_lawyer"), ((*ROW, "interest"), "x"))


@pytest.mark.parametrize("text", ["", "[1, 2", "[]", '"a"'])
def test_what_is_no_engine_file_is_refused(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match="not valid JSON|want a JSON object"):
        read_oracle(path)

"""`clo-gen waterfall`, `deal check` and `break-even`: files in, files and tables out."""

import json
import pathlib

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from clo_gen.cli import app
from clo_gen.io.deal import first_periods, read_deal
from clo_gen.io.problems import InputError
from clo_gen.io.tables import config_path
from clo_gen.jobs.waterfall import as_json, as_table, distribute

GOLDEN = pathlib.Path(__file__).parent / "golden"
US_BSL = config_path("deals/us_bsl.toml")


@pytest.fixture(scope="module")
def h7():
    return distribute(GOLDEN / "H7_call.json")


def rows_of(deal, count, *, cdr=0.01):
    """Collections of `count` quarters of a pool of the deal's par, in currency."""
    par, out, owed = deal.par, [], 0.0
    for date in deal.payment_dates[:count]:
        default, prepay = par * cdr, par * 0.05
        out.append({"pay_date": str(date), "interest": par * 0.02, "scheduled_principal": 0.0,
                    "prepayment": prepay, "default": default, "recovery": 0.6 * owed,
                    "loss": 0.4 * owed, "end_performing": par - default - prepay, "index": 0.04})
        par, owed = par - default - prepay, default
    return pd.DataFrame(out)


def written(tmp_path, frame):
    path = tmp_path / "c.csv"
    frame.to_csv(path, index=False)
    return path


def test_json_has_the_shape_and_the_numbers_of_the_engine(h7):
    """Source: Hastructure 0.50.2 (in the file); analytics within the tolerances of the schema."""
    got, want = as_json(h7), json.loads((GOLDEN / "H7_call.json").read_text())["expected"]
    assert set(got) == {"notes", "fees", "analytics"}
    for name, rows in want["notes"].items():
        assert [r["date"] for r in got["notes"][name]] == [r["date"] for r in rows]
        assert set(got["notes"][name][0]) == {"date", "interest", "principal", "balance",
                                              "unpaid_interest"}
    for name, numbers in want["analytics"]["flat_7pct"].items():
        mine = got["analytics"]["flat_7pct"][name]
        assert abs(mine["pv"] - numbers["pv"]) < 1.0
        assert abs(mine["price_pct_of_balance"] - numbers["price_pct_of_balance"]) < 2e-4
        assert abs(mine["duration"] - numbers["duration"]) < 1e-6
        assert 0 <= mine["wal_years"] - numbers["wal_years"] < 0.0101
    irr = want["analytics"]["irr_bought_at_par_2024_01_15"]
    for name, x in irr.items():
        assert abs(got["analytics"]["irr_bought_at_par_2024_01_15"][name] - x) < 2e-6


def test_table_adds_up_to_the_collections(h7):
    table, c = as_table(h7), h7.collections.collections
    paid = table.query("kind == 'class'")[["interest", "principal"]].to_numpy().sum()
    paid += table.query("kind == 'fee'")["interest"].sum()
    came = float((c.interest + c.scheduled_principal + c.prepayment + c.recovery).sum()) * 5e8
    sold = table.query("payee == 'sold'")["amount"].sum()
    np.testing.assert_allclose(paid, came + sold, rtol=1e-12)


@pytest.mark.slow
def test_a_deal_with_a_csv_of_collections(tmp_path):
    deal = read_deal(US_BSL)
    done = distribute(US_BSL, written(tmp_path, rows_of(deal, 8)))
    assert done.conservation_error < 1e-12
    assert done.cash.reinvested.sum() > 0.1  # principal is reinvested, so class A keeps its balance
    np.testing.assert_allclose(done.cash.balance[-1, 0], deal.deal.balance[0])
    assert any("collections end on" in note for note in done.notes)
    assert np.isnan(done.numbers["A-1"]["price"])  # not 10 % of par: payments are still to come
    rate = 0.04 + 0.0135
    np.testing.assert_allclose(done.cash.interest[0, 0], deal.deal.balance[0] * rate * 92 / 360)


@pytest.mark.parametrize("name", ["european", "us_bsl"])
def test_the_first_periods_of_a_deal_are_its_own_dates(name):
    """Also where payment dates roll off weekends, which the terms' dates do not."""
    deal = read_deal(config_path(f"deals/{name}.toml"))
    whole, part = first_periods(deal, len(deal.payment_dates)), first_periods(deal, 5)
    for field in ("note_fraction", "fee_fraction", "new_year", "refinanced", "reinvesting",
                  "can_call", "call_date", "is_last", "years"):
        np.testing.assert_array_equal(getattr(whole.calendar, field),
                                      getattr(deal.calendar, field))
        np.testing.assert_array_equal(getattr(part.calendar, field),
                                      getattr(deal.calendar, field)[:5])
    assert float(part.calendar.is_last.sum()) == 0.0 < float(deal.calendar.is_last[-1])


@pytest.mark.parametrize("change,message", [
    (lambda f: f.drop(columns="index"), "column index: missing; want the SOFR fixing"),
    (lambda f: f.drop(columns="default"), "column default: missing"),
    (lambda f: f.assign(typo=1), "typo: unknown column; known columns here: pay_date"),
    (lambda f: f.assign(pay_date=f.pay_date.iloc[::-1].to_numpy()), "want a date after"),
    (lambda f: f.assign(interest=-1.0), r"row 2, interest: '-1.0'; want a number of at least 0"),
    (lambda f: f.assign(recovery=1e9), "recovery . loss so far exceed the defaults"),
    (lambda f: f.assign(end_performing=[*f.end_performing[:3], 1e6]), "end_performing of the row"),
    (lambda f: f.assign(pay_date=["2026-01-16", *f.pay_date[1:]]),
     "row 2, pay_date: '2026-01-16'; want the deal's payment date 2026-01-15"),
    (lambda f: f.iloc[:0], "no rows"),
    (lambda f: f.assign(**{c: f[c] / 2 for c in ("prepayment", "default", "recovery", "loss",
                                                 "end_performing")}), "50.0% of the deal's target"),
])
def test_bad_collections_are_explained(tmp_path, change, message):
    frame = rows_of(read_deal(US_BSL), 4).astype({"interest": object})
    with pytest.raises(InputError, match=message):
        distribute(US_BSL, written(tmp_path, change(frame)))


@pytest.mark.slow
def test_command_line_writes_what_it_prints(tmp_path):
    runner, out = CliRunner(), tmp_path / "o.json"
    done = runner.invoke(app, ["waterfall", str(GOLDEN / "H7_call.json"), "--out", str(out)])
    assert done.exit_code == 0 and "cash in = cash out" in done.output
    assert json.loads(out.read_text())["notes"]["A"][0]["interest"] > 5e6
    assert not list(tmp_path.glob("*.partial"))
    shown = runner.invoke(app, ["waterfall", "--show", str(US_BSL)])
    assert shown.exit_code == 0
    assert 'op = "cure_tests", tests = ["A/B OC", "A/B IC"]' in shown.output
    explained = runner.invoke(app, ["deal", "check", str(US_BSL)])
    assert explained.exit_code == 0 and "Interest proceeds, on ordinary dates" in explained.output


@pytest.mark.parametrize("arguments,message", [
    (["waterfall", str(US_BSL)], "want --collections"),
    (["waterfall", "nowhere.json"], "no such file"),
    (["waterfall", str(GOLDEN / "H7_call.json"), "--out", "x.xlsx"], "ending in .json or .csv"),
    (["break-even", "--cpr", "20"], "--cpr 20.0: want a fraction"),
])
def test_bad_commands_exit_with_2(arguments, message):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2 and message in done.stderr

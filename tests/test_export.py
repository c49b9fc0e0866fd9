"""Exports (Parquet, the oracle schema) and conversions of public loan files."""

import json
import pathlib

import jax
import numpy as np
import official_layouts as layouts
import pandas as pd
import pyarrow.parquet
import pytest
from conftest import SMALL, short_deal

from clo_gen.io.config import read_config
from clo_gen.io.deal import read_deal
from clo_gen.io.oracle import read_oracle
from clo_gen.io.oracle_write import oracle_data
from clo_gen.io.problems import InputError, Problems
from clo_gen.io.tables import config_path
from clo_gen.jobs.convert import convert_job
from clo_gen.jobs.export import export_job, oracle_job
from clo_gen.jobs.run import main_job
from clo_gen.jobs.waterfall import distribute

GOLDEN = pathlib.Path(__file__).parent / "golden"
CASES = ["H7_call", "H10_interest_diversion", *(
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("H1_plain_no_stress", "H3_oc_cure", "H5_floating_notes"))]
SIMPLE = """name = "constructed"
target_par = 100.0
closing = 2026-01-15
first_payment = 2026-04-15
maturity = 2026-10-15
defaulted_price = 0.0
ccc_limit = 1.0
notes = [{ name = "A", balance = 60.0, spread_bps = 150, deferrable = true },
         { name = "B", balance = 20.0, rate = 0.07, deferrable = true, day_count = "30/360" }]
equity = { name = "E", balance = 20.0 }
fees = [{ name = "trustee", amount = 0.1, per = "payment" },
        { name = "manager", rate = 0.001, per = "payment", rank = "subordinated" }]
tests = [{ name = "OC", kind = "oc", through = "B", trigger = 1.2 }]
waterfall = { standard = "US" }
"""
CASH = """pay_date,interest,scheduled_principal,prepayment,default,recovery,loss,\
end_performing,index
2026-04-15,2,0,5,5,0,0,90,0.04
2026-07-15,2,0,10,0,1,1,80,0.045
2026-10-15,2,0,80,0,2,1,0,0.05
"""


@pytest.mark.parametrize("name", CASES)
def test_the_schema_is_written_as_it_is_read(name, tmp_path):
    first = read_oracle(GOLDEN / f"{name}.json")
    (tmp_path / "x.json").write_text(json.dumps(oracle_data(first.deal, first.collections)))
    again = read_oracle(tmp_path / "x.json")
    assert again.deal.waterfall == first.deal.waterfall and again.deal.lists == first.deal.lists
    for x, y in zip(jax.tree.leaves((first.deal.deal, first.collections.collections)),
                    jax.tree.leaves((again.deal.deal, again.collections.collections)), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-15)


@pytest.mark.slow
def test_a_deal_with_its_collections_is_distributed_alike_after_the_export(tmp_path):
    deal, cash = tmp_path / "deal.toml", tmp_path / "cash.csv"
    deal.write_text(SIMPLE.replace('waterfall = { standard = "US" }', """[waterfall]
interest = [{ op = "pay_fee", fee = "trustee" }, { op = "pay_all_interest", notes = "A" },
            { op = "pay_all_interest", notes = "B" },
            { op = "cure_tests", tests = ["OC"] }, { op = "pay_fee", fee = "manager" },
            { op = "pay_residual_to_equity" }]
principal = [{ op = "pay_all_interest", notes = "A" }, { op = "pay_note_principal", notes = "A" },
             { op = "pay_all_interest", notes = "B" }, { op = "pay_note_principal", notes = "B" },
             { op = "pay_residual_to_equity" }]
"""))
    cash.write_text(CASH)
    want = oracle_job(deal, cash, tmp_path / "out.json")
    got = distribute(tmp_path / "out.json")
    for name in ("interest", "principal", "balance", "fees", "ratio", "cure"):
        np.testing.assert_allclose(getattr(got.cash, name), getattr(want.cash, name), atol=1e-12)
    assert float(want.cash.cure.sum()) > 0
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["deal"]["notes"][0]["rate_by_pay_date"]["2026-07-15"] == pytest.approx(0.06)
    assert written["expected"]["notes"]["A"][0]["interest"] == pytest.approx(
        60 * 0.055 * 90 / 360, abs=1e-6)
    with pytest.raises(InputError, match="want the name of a new file"):
        oracle_job(deal, cash, tmp_path / "out.json")


def test_what_the_schema_cannot_say_is_named(monkeypatch):
    monkeypatch.setattr(Problems, "shown", 100)
    deal = read_deal(config_path("deals/us_bsl.toml"))
    case = read_oracle(GOLDEN / "H7_call.json")
    with pytest.raises(InputError) as error:
        oracle_data(deal, case.collections)
    text = str(error.value)
    assert "reinvestment: the schema has none" in text and "not deferrable" in text
    assert "an IC test; the schema has OC tests only" in text
    assert "fees[1]" in text and "due by payment" in text
    assert "the collections end on 20" in text


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "small"
    config, base = read_config(overrides=[*SMALL, short_deal(), 'scenarios=["baseline","adverse"]'])
    main_job(config, base, folder)
    return folder


@pytest.mark.slow
def test_a_run_as_parquet(run, tmp_path):
    made = export_job(run, tmp_path / "out")
    paths = pd.read_parquet(tmp_path / "out" / "paths.parquet")
    assert paths.groupby("scenario").size().to_dict() == {"adverse": 8, "baseline": 8}
    with np.load(run / "paths.npz") as arrays:
        want, ratio = arrays["adverse/loss"], arrays["adverse/default"]
    got = paths[paths["scenario"] == "adverse"]
    np.testing.assert_array_equal(got["loss"], want)
    months = pd.read_parquet(tmp_path / "out" / "months.parquet")
    np.testing.assert_array_equal(
        months[months["scenario"] == "adverse"]["default"].to_numpy().reshape(ratio.shape), ratio)
    assert {"gdp_growth_yoy", "policy_rate"} <= set(months)
    classes = pd.read_parquet(tmp_path / "out" / "classes.parquet")
    assert len(classes) == 2 * sum(c.startswith("tranche_loss ") for c in paths)
    about = json.loads(pyarrow.parquet.read_schema(tmp_path / "out" / "tape.parquet").metadata[
        b"clo_gen"])
    assert about["data"]["tape"] == "synthetic" and made.notes == ("synthetic data: tape",)
    assert made.rows["tape.parquet"] == len(pd.read_csv(run / "tape.csv"))


@pytest.mark.slow
def test_only_runs_are_exported(run, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        export_job(tmp_path, tmp_path / "out")
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("summary.json", "config.toml", "paths.npz"):
        (broken / name).write_bytes((run / name).read_bytes())
    (broken / "paths.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match="no run .*; want a folder written by clo-gen run"):
        export_job(broken, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_public_loan_files_become_training_files(tmp_path):
    (tmp_path / "o.txt").write_text(layouts.freddie_origination())
    (tmp_path / "p.txt").write_text(layouts.freddie_performance())
    done = convert_job("freddie-mac", [tmp_path / "o.txt", tmp_path / "p.txt"], tmp_path / "f")
    assert done.summary["default"] == 2 and done.summary["prepaid"] == 1
    assert done.summary["mean_severity"] == pytest.approx((0.31 + 30_000 / 119_900) / 2)
    assert sorted(p.name for p in (tmp_path / "f").iterdir()) == [
        "cohort_counts.csv", "loans.parquet", "panel.parquet", "summary.json"]
    files = []
    for n in range(4):
        files.append(tmp_path / f"{n}.xml")
        files[-1].write_text(layouts.abs_ee_xml(n))
    done = convert_job("auto-loans", files, tmp_path / "a", trust="T")
    assert done.rows["auto_loans.csv"] == 4 and done.summary["loans"] == 4
    with pytest.raises(InputError, match="want one of freddie-mac, auto-loans"):
        convert_job("other", [], tmp_path / "x")
    assert not (tmp_path / "x").exists()

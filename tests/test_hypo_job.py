"""`clo-gen hypo`: files in, results out; a hypo pool goes down the main graph."""

import pathlib

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from clo_gen.break_even import timing_curves
from clo_gen.cli import app
from clo_gen.hypo import Obligor, hypo_pool_discrete_constraints
from clo_gen.hypo.break_even import break_even_default_rate
from clo_gen.hypo.tape import as_tape
from clo_gen.io.problems import InputError
from clo_gen.io.tables import config_path
from clo_gen.jobs.hypo import hypo_job, save

HEAD = ("deal,pool_par,conc_limit_basis,dscore_min,ob_max,ind_max,riskscore_max,ob_exceptions,"
        "ind_exceptions,ob_floor,ind_floor,force_low,is_simple_industry\n")
ROWS = ("a,100,100,55,0.02,0.1,3000,5x0.025,1x0.15;2x0.12,0.005,0.04,17:0.05,no\n"
        "b,100,100,500,0.02,0.1,3000,,,0.005,0.04,,no\n")
SHIPPED = config_path("hypo/us_2016.toml")


def cli(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


@pytest.fixture
def deals(tmp_path):
    path = tmp_path / "deals.csv"
    path.write_text(HEAD + ROWS)
    return path


def test_a_table_of_deals(deals, tmp_path):
    out = tmp_path / "results.csv"
    done = cli("hypo", deals, "--out", out)
    assert done.exit_code == 0, done.output
    found = pd.read_csv(out).set_index("deal")
    assert found["is_solve"].tolist() == [True, False]
    one = hypo_pool_discrete_constraints(
        100.0, 100.0, 55.0, 0.02, 0.1, 3000.0, [(5, 0.025)], [(1, 0.15), (2, 0.12)], 0.005, 0.04,
        force_low=(17, 0.05))
    assert found.loc["a", "dscore"] == one["dscore"]
    assert found.loc["a", "ob_exceptions"] == "5x0.025"
    table = done.output.split("solved:")[0].splitlines()
    assert any("NO" in line for line in table) and max(map(len, table)) <= 80


def test_one_deal_with_its_pictures(tmp_path):
    out = tmp_path / "pool"
    report = hypo_job(SHIPPED)
    save(report, out)
    assert {p.name for p in out.iterdir()} == {"results.csv", "obligors.csv", "pool.png",
                                               "sdr_curve.json"}
    assert report.monitors[0].is_solve and report.monitors[0].stage == "bisection"
    assert pd.read_csv(out / "obligors.csv")["pct"].sum() == pytest.approx(1.0)
    with pytest.raises(InputError, match="want a new or empty folder"):
        save(report, out)


@pytest.mark.parametrize("old,new,part", [
    ("17:0.05", "17-5", "row 2, force_low: '17-5'; want text such as 17:0.05"),
    ("5x0.025", "5*0.025", "row 2, ob_exceptions: '5*0.025'; want text such as"),
    (",55,", ",,", "row 2, dscore_min: missing"), (",55,", ",x,", "row 2, dscore_min: 'x'; want"),
    ("force_low", "forced", "forced: unknown column; known columns here: deal, pool_par"),
    ("5x0.025", "5x0.01", "row 2 (a): 1 problem\n  ob_exceptions[1]: 0.01; want more than ob_max"),
])
def test_wrong_tables(deals, old, new, part):
    deals.write_text(deals.read_text().replace(old, new, 1))
    done = cli("hypo", deals, "--out", deals.with_name("out.csv"))
    assert done.exit_code == 2 and part in done.stderr
    assert not deals.with_name("out.csv").exists()


def test_all_is_judged_before_anything_is_solved_and_written(tmp_path):
    path = tmp_path / "deal.toml"
    path.write_text(SHIPPED.read_text().replace("dscore_min = 55", "dscore_min = -5").replace(
        "was = 0.0394", 'was = "x"') + 'is_simple_industry = "no"\nn_simple_industry = 40.7\n')
    done = cli("hypo", path, "--out", tmp_path / "out")
    for part in ("dscore_min: -5", "was: 'x'", "is_simple_industry: 'no'; want True or False",
                 "n_simple_industry: 40.7; want a whole number"):
        assert part in done.stderr
    assert done.exit_code == 2 and not list(tmp_path.glob("out*"))


def test_a_lower_bound_of_0_is_drawn(tmp_path):
    path = tmp_path / "deal.toml"
    path.write_text(SHIPPED.read_text().replace("rs_bound_lower = 1000", "rs_bound_lower = 0"))
    save(hypo_job(path), tmp_path / "out")
    assert (tmp_path / "out" / "pool.png").exists() and not list(tmp_path.glob("*.partial"))


def test_wrong_toml_and_wrong_out(tmp_path, deals):
    path = tmp_path / "deal.toml"
    path.write_text(SHIPPED.read_text().replace("ob_max", "ob_limit").replace("was = ", "wax = "))
    done = cli("hypo", path)
    for part in ("ob_limit: unknown key", "wax: unknown key", "ob_max: missing"):
        assert part in done.stderr
    done = cli("hypo", deals, "--out", tmp_path / "folder")
    assert done.exit_code == 2 and "want a name ending in .csv" in done.stderr


POOL = [Obligor(0.02, k % 20, rating=15 - (k > 30)) for k in range(50)]
DEAL = config_path("deals/static_amortising.toml")


def test_a_pool_becomes_a_tape():
    frame = as_tape({str(n): o for n, o in enumerate(POOL)}, par=1e8,
                    cutoff=pd.Timestamp("2025-10-15").date(), was=0.036, warr=0.45, wal=5.0)
    assert frame["current_balance"].astype(float).sum() == pytest.approx(1e8)
    assert set(frame["rating"]) == {"B", "B+"} and set(frame["data_label"]) == {"hypothetical"}
    assert set(frame["maturity_date"]) == {"2030-10-15"} and float(frame["spread_bps"][0]) == 360
    pool = hypo_pool_discrete_constraints(1e8, 1e8, 50.0, 0.02, 0.1, 2700.0, None, None, 0.005,
                                          0.04)
    whole = as_tape(pool, par=1e8, cutoff=pd.Timestamp("2025-10-15").date(), was=0.036, warr=0.45,
                    wal=5.0)
    assert len(whole) == pool["n_obligors"]
    with pytest.raises(InputError, match="par: -1; want a number above 0"):
        as_tape(pool, par=-1, cutoff=pd.Timestamp("2025-10-15").date(), was=3.6, warr=45, wal=5.0)
    with pytest.raises(InputError, match="obligor 1 has no rating"):
        as_tape([Obligor(1.0, 0)], par=1.0, cutoff=pd.Timestamp("2025-10-15").date(), was=0.04,
                warr=0.4, wal=5.0)


@pytest.mark.slow
def test_own_break_even_rates_fall_with_rank_and_rise_with_recovery():
    timings = {"even": (0.25,) * 4}
    low, high = (break_even_default_rate(POOL, DEAL, was=0.04, warr=warr, wal=4.0, shifts=(0.0,),
                                         timings=timings) for warr in (0.3, 0.99))
    assert low.converged.all() and (np.diff(low.rate, axis=1) <= 0).all()
    assert (high.rate >= low.rate).all() and (high.rate > low.rate).any()
    # Loans that prepaid or matured cannot default: no more than an aim of 1 along the timing.
    assert 0.5 < high.rate.max() < 0.95 and high.rate[0, 0] == high.rate.max()
    assert low.to_frame().shape == (1, len(low.classes)) and (low.lowest == low.rate[0]).all()


def test_timings_are_judged():
    names, curves = timing_curves(None, 72)
    assert names == ("early", "even", "late") and curves.sum(1) == pytest.approx(np.ones(3))
    with pytest.raises(InputError) as error:
        timing_curves({"a": (0.5, 0.4), "b": (0.1,) * 10}, 72)
    assert "a: (0.5, 0.4); want shares by year" in str(error.value)
    assert "b: '10 years'; want at most the deal's 6" in str(error.value)


def test_shipped_deal_says_what_is_assumed():
    assert "Assumptions" in pathlib.Path(SHIPPED).read_text()

"""What the mutation tests break: shipped and constructed files, and the steps that read them, as
the commands do, up to what is compiled."""

import dataclasses
import datetime
import functools
import io
import pathlib
from collections.abc import Callable

import mutations
import numpy as np
import official_layouts as layouts
import pandas as pd

from clo_gen import assembly as assemble
from clo_gen.io import config as run_config
from clo_gen.io.abs_ee import read_abs_ee
from clo_gen.io.auto_lives import read_auto_lives
from clo_gen.io.auto_panel import read_auto_panel
from clo_gen.io.auto_payments import payment_tables
from clo_gen.io.backtest_config import read_backtest
from clo_gen.io.checkpoint import load_record, save_record
from clo_gen.io.cohort_counts import read_cohort_counts
from clo_gen.io.collections import read_collections
from clo_gen.io.deal import read_deal
from clo_gen.io.default_counts import read_default_counts
from clo_gen.io.freddie_mac import read_freddie_mac
from clo_gen.io.given_paths import read_sets
from clo_gen.io.macro import read_macro
from clo_gen.io.oracle import read_oracle
from clo_gen.io.panel import read_panel, read_rating_events, transition_counts
from clo_gen.io.quality import holdings, members
from clo_gen.io.quality_limits import read_limits
from clo_gen.io.sba import read_charge_offs
from clo_gen.io.synthetic import synthetic_tape
from clo_gen.io.tables import config_path, data_path
from clo_gen.io.tape import read_column_map, read_tape
from clo_gen.jobs import calibrate, hypo, stage2, train, waterfall
from clo_gen.models.prepayment import Prepayment
from clo_gen.states import DELINQUENCY, RATING, REPORTED

GOLDEN = pathlib.Path(__file__).parent / "golden"
CUTOFF = datetime.date(2025, 10, 15)
LIENS = {"first": 0.6, "second": 0.3, "unsecured": 0.35}


@dataclasses.dataclass(frozen=True)
class Target:
    """Files of a folder, of which one is broken at a time, and what reads them."""

    name: str
    files: dict  # name -> bytes
    broken: dict  # name of a file that is broken -> the changes beside mutations.BYTES
    read: Callable  # of the folder


@functools.cache
def _tape():
    frame = synthetic_tape(obligors=12, par=5.5e8, cutoff=CUTOFF, spread_bps=336, seed=3,
                           rating_weights={"BB": 0.25, "B": 0.5, "CCC+": 0.25})
    return frame


def _csv(frame):
    return frame.to_csv(index=False).encode()


def _parquet(frame):
    out = io.BytesIO()
    frame.to_parquet(out)
    return out.getvalue()


def _shipped(name):
    return config_path(name).read_bytes()


def _head(path, rows):
    return b"\n".join(path.read_bytes().split(b"\n")[:rows]) + b"\n"


def _read_tape(folder, name="tape.csv", columns=None):
    loaded = read_tape(folder / name, cutoff=CUTOFF, space=RATING, indices=("SOFR",),
                       recovery_by_lien=LIENS,
                       columns=columns and read_column_map(folder / columns))
    terms = read_limits(_limits_file())
    members(holdings(loaded, [0.04], terms.basis), terms.groups)


def _limits_file():
    return config_path("limits/us_2016.toml")


def _prepare_run(folder):
    """What clo-gen run reads before it compiles; see assemble.assemble."""
    config, folder = run_config.read_config(folder / "config.toml")
    terms = read_deal(folder / config.deal).terms
    tape = assemble.load_tape(config, folder, terms)
    deal = read_deal(folder / config.deal, par=tape.par)
    assemble._check_maturities(tape, deal)
    run_config.read_scenarios(folder / config.scenario_file, ("baseline", *config.scenarios),
                              config.macro.series, deal.months)
    run_config.curve_table(config.indices, deal.months)
    if config.macro.source != "embedded":
        assemble.load_macro(config.macro, folder, run_config.cutoff_month(terms.closing))
    if config.transitions.events != "embedded":
        assemble.load_counts(config.transitions, folder)


def _panel(folder, space=DELINQUENCY):
    panel = read_panel(folder / "panel.csv", space)
    transition_counts(panel, space, "panel", unit="loan_id")


def _events(folder):
    transition_counts(read_rating_events(folder / "events.csv", RATING), RATING, "events")


def _macro(layout, series, **options):
    def read(folder):
        history = read_macro(folder / "macro.csv", layout=layout, **options)
        history.until(history.frame.index[-1], series)

    return read


def _waterfall(folder):
    deal = read_deal(folder / "deal.toml")
    loaded = read_collections(folder / "c.csv", par=deal.par, deal=deal.deal)
    problems = waterfall.Problems("c.csv")
    waterfall._matched(deal, loaded, problems)
    problems.raise_if_any()


def _training(folder):
    settings = train.read_training(folder / "t.toml")
    train.chosen(settings, None)


def _freddie(folder):
    asset = read_freddie_mac(folder / "o.txt", folder / "p.txt")
    transition_counts(asset.months, REPORTED, "panel", unit="loan_id")
    asset.cohort_counts(), asset.panel()


def _autos(folder):
    asset, months = read_abs_ee(sorted(folder.glob("a*")))
    payment_tables(asset.loans, months)
    asset.cohort_counts(), asset.panel()


def _collections():
    rows = ("pay_date,interest,scheduled_principal,prepayment,default,recovery,loss,"
            "end_performing,index\n")
    left = 2.5e8
    for date in read_deal(config_path("deals/static_amortising.toml")).payment_dates[:8]:
        rows += f"{date},8e6,1e6,9e6,1e6,3e5,2e5,{left - 11e6},0.04\n"
        left -= 11e6
    return rows.encode()


def _months_of_panel():
    days = (0, 35, 65, 95, 125, 0, 0, 31)
    return pd.DataFrame({
        "loan_id": np.repeat(["a", "b", "c", "d"], 8), "reporting_month":
        [f"2019-{m:02d}" for m in range(1, 9)] * 4, "current_balance": 100.0,
        "days_past_due": [0] * 8 + list(days[:5]) + [125] * 3 + [0, 31, 0, 0, 31, 61, 31, 0] + [
            0] * 8, "cohort": np.repeat(["x", "x", "y", "y"], 8)})


def _auto_files():
    loans = pd.DataFrame({
        "loan_id": ["1", "2"], "trust": "T", "orig_month": "2019-01", "orig_balance": 20_000,
        "orig_term": 60, "orig_rate": 0.07, "model_year": 2018, "vehicle_value": 22_000,
        "fico": [700, 600], "pti": 0.1, "risk_cat": ["prime", "subprime"], "new_used": "used",
        "sched_payment": 400, "lgd_at_chargeoff": ["", 0.5]})
    months = pd.DataFrame({
        "loan_id": ["1"] * 4 + ["2"] * 4, "month": [f"2019-{m:02d}" for m in range(2, 6)] * 2,
        "age": [1, 2, 3, 4] * 2, "bal_beg": 19_000, "payment": 400, "missed_run": 0,
        "state": ["C"] * 7 + ["PP"]})
    return {"loans.csv": _csv(loans), "months.csv": _csv(months)}


def _knobs(folder):
    load_record(folder / "model.npz")


HYPO = (
    "deal,pool_par,conc_limit_basis,dscore_min,ob_max,ind_max,riskscore_max,ob_floor,ind_floor,"
    "ob_exceptions,ind_exceptions,force_high,force_low\n"
    "one,5e8,5e8,60,0.02,0.10,2800,0.001,0.001,2x0.025,1x0.15;2x0.12,,\n"
    "two,4e8,4e8,55,0.025,0.12,2900,0.001,0.001,,,,\n")
COUNTS = "bond,risk_cat,month,n_current,n_default,n_prepaid\n" + "".join(
    f"{bond},{band},2019-{m:02d},{1000 - 20 * m},{m},{2 * m}\n"
    for bond in ("T1", "T2") for band in ("prime", "subprime") for m in range(1, 9))
DEFAULTS = "year,rating,firms,defaults\n" + "".join(
    f"{year},{rating},{firms},{firms // 50}\n" for year in range(1990, 2010)
    for rating, firms in (("BB", 400), ("B", 300)))
LIVES = ("bond,risk_cat,orig_apr,cur_age,cur_balance,calc_pmt,report0,Z,D,R\n" + "".join(
    f"T{n % 2},prime,0.07,3,15000,350,2018-0{1 + n % 3},{8 + n},{int(n % 3 == 0)},{int(n % 3 == 1)}"
    "\n" for n in range(12)))
SBA = ("loan_id,naics2,approval_fy,term_months,n_emp,new_business,revolving,chargeoff_date,"
       "disbursement_date,disbursed,status,chargeoff_principal,approved,sba_guaranteed\n" + "".join(
           f"{n},44,2005,84,5,2,Y,2009-0{1 + n % 9}-15,2005-06-30,50000,CHGOFF,{20000 + n},50000,"
           "25000\n" for n in range(9)))
PATHS = "scenario,path,month,gdp_growth_yoy,unemployment_rate\n" + "".join(
    f"adverse,{p},{m},0.01,0.05\n" for p in (1, 2, 3) for m in range(1, 7))
WIDE = "month,gdp_growth_yoy,unemployment_rate\n" + "".join(
    f"{2015 + n // 12}-{n % 12 + 1:02d},0.02,0.0{4 + n % 3}\n" for n in range(60))
EVENTS = _head(data_path("rating_events_1999_2005.csv"), 120)
MAP = b"""[columns]
"Asset ID" = "loan_id"
"Par" = "current_balance"
"Type" = "rate_type"
"Maturity" = "maturity_date"
"Margin" = "spread_bps"
"Coupon" = "interest_rate"
"S&P" = "rating_sp"
"Price" = "market_price"
[units]
market_price = "percent"
interest_rate = "percent"
[values.rate_type]
Floating = "float"
Fixed = "fixed"
"""
MAPPED = b"""Asset ID,Par,Type,Maturity,Margin,Coupon,S&P,Price
1,1000000,Floating,2030-10-15,350,,B+,99.5
2,2000000,Fixed,2029-04-15,,8.0,BB-,97
3,3000000,Floating,2031-04-15,400,,CCC+,80
"""


def _deal(name):
    def read(folder):
        read_deal(folder / "deal.toml")

    return Target(f"deal {name}", {"deal.toml": _shipped(f"deals/{name}.toml")},
                  {"deal.toml": mutations.TOML * 2}, read)


def _one(name, file, data, changes, read):
    return Target(name, {file: data}, {file: changes}, read)


def _run_files():
    config = _shipped("quickstart.toml").decode().replace('"deals/us_bsl.toml"', '"deal.toml"')
    head, _, rest = config.partition("[tape.synthetic]")
    config = head + '[tape]\nfile = "tape.csv"\n\n' + rest[rest.index("[macro]"):]
    return {"config.toml": config.encode(), "deal.toml": _shipped("deals/us_bsl.toml"),
            "scenarios.toml": _shipped("scenarios.toml"), "tape.csv": _csv(_tape())}


def _saved_model(folder):
    path = folder / "model.npz"
    save_record(path, Prepayment(np.array(0.2), np.array(0.5), np.array(0.01), "credit_spread_cp"))
    return path.read_bytes()


def targets(folder):
    """Every Target; `folder` is for what has to be written once."""
    table, toml = mutations.TABLE, mutations.TOML
    found = [
        _one("tape", "tape.csv", _csv(_tape()), table * 2, _read_tape),
        _one("tape, Parquet", "tape.parquet", _parquet(_tape()), (),
             functools.partial(_read_tape, name="tape.parquet")),
        Target("column map", {"map.toml": MAP, "tape.csv": MAPPED},
               {"map.toml": toml, "tape.csv": table},
               functools.partial(_read_tape, columns="map.toml")),
        _one("panel", "panel.csv", _csv(_months_of_panel()), table, _panel),
        _one("rating events", "events.csv", EVENTS, table, _events),
        _one("macro, FRED", "macro.csv", layouts.fred().encode(), table,
             _macro("fred", ("unemployment_rate", "policy_rate"))),
        _one("macro, FRED-MD", "macro.csv", layouts.fred_md().encode(), table,
             _macro("fred", ("unemployment_rate", "policy_rate"))),
        _one("macro, Fed", "macro.csv", layouts.fed_domestic().encode(), table,
             _macro("fed", ("unemployment_rate", "gdp_growth_yoy"),
                    scenario="Supervisory Severely Adverse")),
        _one("macro, wide", "macro.csv", WIDE.encode(), table,
             _macro("wide", ("unemployment_rate", "gdp_growth_yoy"))),
        *(_deal(name) for name in ("us_bsl", "us_2016", "european", "middle_market",
                                   "static_amortising")),
        Target("run", _run_files(), {"config.toml": toml * 3, "scenarios.toml": toml,
                                     "deal.toml": toml, "tape.csv": table}, _prepare_run),
        *(_one(f"training {name}", "t.toml", _shipped(name), toml, _training)
          for name in ("stage1.toml", "train_auto.toml", "train_smoke.toml")),
        *(_one(name, "b.toml", _shipped(name), toml, lambda folder: read_backtest(
            folder / "b.toml")) for name in ("backtest.toml", "backtest_auto.toml")),
        *(_one(name, "c.toml", _shipped(name), toml, lambda folder: calibrate.read_calibration(
            folder / "c.toml")) for name in ("calibrate.toml", "calibrate_auto.toml")),
        _one("stage2", "s.toml", _shipped("stage2.toml"), toml,
             lambda folder: stage2.read_stage2(folder / "s.toml")),
        _one("hypo table", "h.csv", HYPO.encode(), table, lambda f: hypo.read_hypo(f / "h.csv")),
        _one("hypo deal", "h.toml", _shipped("hypo/us_2016.toml"), toml,
             lambda folder: hypo.read_hypo(folder / "h.toml")),
        _one("limits", "l.toml", _shipped("limits/us_2016.toml"), toml,
             lambda folder: read_limits(folder / "l.toml")),
        *(_one(f"oracle {name}", "o.json", (GOLDEN / name).read_bytes(), mutations.JSON * 2,
               lambda folder: read_oracle(folder / "o.json"))
          for name in ("H3_oc_cure.json", "H7_call.json", "H10_interest_diversion.json")),
        Target("collections", {"deal.toml": _shipped("deals/static_amortising.toml"),
                               "c.csv": _collections()},
               {"c.csv": table * 2, "deal.toml": toml}, _waterfall),
        _one("cohort counts", "c.csv", COUNTS.encode(), table,
             lambda folder: read_cohort_counts(folder / "c.csv").ages(
                 pd.period_range("2019-01", periods=3, freq="M"))),
        _one("default counts", "d.csv", DEFAULTS.encode(), table,
             lambda folder: read_default_counts(folder / "d.csv")),
        _one("auto lives", "l.csv", LIVES.encode(), table,
             lambda folder: read_auto_lives(folder / "l.csv", "2019-12")),
        _one("charge-offs", "s.csv", SBA.encode(), table,
             lambda folder: read_charge_offs(folder / "s.csv")),
        _one("macro paths", "p.csv", PATHS.encode(), table, lambda folder: read_sets(
            folder / "p.csv", ("gdp_growth_yoy", "unemployment_rate"))),
        Target("auto panel", _auto_files(), {"loans.csv": table, "months.csv": table},
               lambda folder: read_auto_panel(folder / "loans.csv", folder / "months.csv")),
        Target("Freddie Mac", {"o.txt": layouts.freddie_origination().encode(),
                               "p.txt": layouts.freddie_performance().encode()},
               {"o.txt": mutations.PIPED, "p.txt": mutations.PIPED}, _freddie),
        Target("asset-level XML", {f"a{n}.xml": layouts.abs_ee_xml(n).encode() for n in range(3)},
               {"a1.xml": mutations.XML}, _autos),
        Target("asset-level CSV", {f"a{n}.csv": layouts.abs_ee_csv(n).encode() for n in range(3)},
               {"a1.csv": table}, _autos),
        _one("checkpoint", "model.npz", _saved_model(folder), (), _knobs),
    ]
    return {target.name: target for target in found}

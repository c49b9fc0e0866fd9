"""The main job as a user runs it: files, numbers, refusals."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import openpyxl
import pandas as pd
import pytest
from conftest import SMALL, short_deal

from clo_gen.assembly import assemble
from clo_gen.io.config import read_config
from clo_gen.io.folders import choose_folder
from clo_gen.io.problems import InputError, WriteError
from clo_gen.io.tables import config_path
from clo_gen.jobs import report as jobs_report
from clo_gen.jobs.export import export_job
from clo_gen.jobs.other_findings import read_all
from clo_gen.jobs.report import read_run_files, report_job, report_sheets, write_report
from clo_gen.jobs.run import main_job
from clo_gen.report.workbook import write_workbook

CLASSES = ["A-1", "A-2", "B", "C", "D-1a", "D-1b", "D-2", "E", "subordinated"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(summary, evaluation, folder) of 256 paths of the quickstart with 60 loans."""
    config, folder = read_config(overrides=["paths=256", "tape.synthetic.obligors=60"])
    return main_job(config, folder, tmp_path_factory.mktemp("run") / "out")


def test_the_run_folder_is_complete(finished):
    folder = finished[2]
    tables = {"summary.json", "evaluation.json", "timing.json", "tranches.csv", "coverage.csv",
              "tape.csv", "tables.xlsx", "chart_data.json"}
    others = {"config.toml", "manifest.json", "paths.npz", "report.html", "figures"}
    assert {p.name for p in folder.iterdir()} == tables | others
    figures = {p.stem for p in (folder / "figures").iterdir()}
    assert {"structure", "macro_1", "losses", "loss_distribution", "cash_4", "test_1",
            "transitions_4", "class_9_loss"} <= figures
    assert len(list((folder / "figures").glob("*.png"))) == len(figures)
    assert not list(folder.parent.glob("*.partial"))


def test_summary_has_the_promised_names(finished):
    summary = json.loads((finished[2] / "summary.json").read_text())
    assert list(summary["scenarios"]) == ["baseline", "adverse", "severely_adverse", "stagflation"]
    for scenario in summary["scenarios"].values():
        assert {"expected_loss", "var_99", "cvar_99", "std_error"} <= set(scenario["portfolio"])
        assert list(scenario["tranches"]) == CLASSES
        for numbers in scenario["tranches"].values():
            assert {"loss_probability", "expected_loss", "wal_years", "irr"} <= set(numbers)
            assert 0 <= numbers["loss_probability"] <= 1 and 0 <= numbers["expected_loss"] <= 1
    assert summary["cash_conservation_error"] < 1e-9
    tape = pd.read_csv(finished[2] / "tape.csv")
    # Source: S&P global corporates 1981-2016, one-year default rates of BB, B, CCC/C.
    rate = tape["rating"].str.strip("+-").map({"BB": 0.0072, "B": 0.0376, "CCC": 0.2678})
    assert summary["pool"]["historical_default_rate"] == pytest.approx(
        np.average(rate, weights=tape["current_balance"]))
    timing = json.loads((finished[2] / "timing.json").read_text())
    assert timing["compile_s"] > 0 and timing["run_s"] > 0
    assert [summary["data"][k]["kind"] for k in ("macro", "transitions", "tape")] == [
        "real", "real", "synthetic"]


def test_worse_scenarios_lose_more_by_four_standard_errors(finished):
    portfolio = {k: s["portfolio"] for k, s in finished[0]["scenarios"].items()}
    for worse, better in (("severely_adverse", "adverse"), ("adverse", "baseline"),
                          ("stagflation", "baseline")):
        gap = portfolio[worse]["expected_loss"] - portfolio[better]["expected_loss"]
        error = np.hypot(portfolio[worse]["std_error"], portfolio[better]["std_error"])
        assert gap > 4 * error, (worse, better, gap, error)


def test_junior_classes_lose_at_least_as_often(finished):
    for scenario in finished[0]["scenarios"].values():
        chance = [scenario["tranches"][c]["loss_probability"] for c in CLASSES]
        assert (np.diff(chance) >= 0).all(), chance


def test_numbers_in_the_files_agree(finished):
    summary, _, folder = finished
    table = pd.read_csv(folder / "tranches.csv")
    assert len(table) == 4 * 9
    paths = np.load(folder / "paths.npz")
    np.testing.assert_allclose(paths["adverse/loss"].mean(),
                               summary["scenarios"]["adverse"]["portfolio"]["expected_loss"])
    row = table[(table["scenario"] == "adverse") & (table["class"] == "E")].iloc[0]
    np.testing.assert_allclose(paths["adverse/tranche_loss"][:, 7].mean(), row["expected_loss"])
    coverage = pd.read_csv(folder / "coverage.csv")
    assert len(coverage) == 4 * 7 * 52
    first = coverage[(coverage["scenario"] == "baseline") & (coverage["test"] == "E OC")].iloc[0]
    assert 1.0 < first["ratio_median"] < 1.15 and abs(
        first["cushion_median"] - (first["ratio_median"] - 1.037)) < 1e-9
    tape = pd.read_csv(folder / "tape.csv")
    assert set(tape["data_label"]) == {"synthetic"}


@pytest.mark.slow
def test_the_resolved_config_gives_the_same_numbers(finished, tmp_path):
    config, folder = read_config(finished[2] / "config.toml")
    again, _, _ = main_job(config, folder, tmp_path / "again")
    assert again["scenarios"] == finished[0]["scenarios"]


def test_the_report_is_one_file_with_every_chart(finished):
    page = (finished[2] / "report.html").read_text()
    hosts = set(re.findall(r"https?://[^\"' <]+", page))
    assert hosts == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # namespaces
    assert "tape: synthetic" in page and page.count("<svg") > 40
    names = re.findall(r'data-chart="(\w+)"', page)
    assert len(names) == len(set(names)) > 40
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:href="|url\()#([\w.-]+)', page))
    assert used <= set(ids)
    for drawn in re.findall(r"<svg.*?</svg>", page, flags=re.S):
        ElementTree.fromstring(drawn)


HOSTILE = ("<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>", "{{ 7 * 7 }}",
           "=1+1", "@SUM(A1)", "x" * 5000, "\u05e9\u05dc\u05d5\u05dd \u4f60\u597d", "$\\frac{$",
           "a&b\"'")


def renamed(run, names):
    """The files of a run under other names of deal, scenarios, classes and tests."""
    text = json.dumps({k: run[k] for k in ("summary", "evaluation", "data")})
    for old, new in names.items():
        text = text.replace(json.dumps(old), json.dumps(new))
    return json.loads(text) | {"coverage": run["coverage"].replace(names)}


def test_hostile_names_are_shown_as_text(finished, tmp_path):
    run = read_run_files(finished[2])
    old = [run["summary"]["deal"]["name"], *run["summary"]["scenarios"], *CLASSES[4:7],
           run["data"]["tests"][0]["name"]]
    names = dict(zip(old, HOSTILE, strict=True))
    write_report(tmp_path, renamed(run, names))
    page = (tmp_path / "report.html").read_text()
    assert "<script>alert" not in page and "<img" not in page and "49" not in page.split("<h1>")[
        1].split("</h1>")[0]
    assert page.count("</script>") == page.count("<script")
    for drawn in re.findall(r"<svg.*?</svg>", page, flags=re.S):
        ElementTree.fromstring(drawn)
    for values in re.findall(r'<script type="application/json">(.*?)</script>', page):
        json.loads(values)
    book = openpyxl.load_workbook(tmp_path / "tables.xlsx")
    cells = [c for sheet in book for row in sheet.iter_rows() for c in row]
    assert {c.data_type for c in cells} <= {"s", "n", "b"}  # no formula
    assert "@SUM(A1)" in {c.value for c in cells} and "=1+1" in {c.value for c in cells}


@pytest.mark.slow
def test_the_report_is_the_same_each_time_and_takes_other_findings_in(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished[2], folder)
    before = {p.name: p.read_bytes() for p in (folder / "figures").iterdir()}
    before |= {name: (folder / name).read_bytes() for name in ("report.html", "tables.xlsx")}
    other = tmp_path / "run-tail"
    other.mkdir()
    data = json.loads((folder / "summary.json").read_text())["data"]
    (other / "tail.json").write_text(json.dumps({"title": "made up", "data": data}))
    (other / "tail.csv").write_text("number,plain\n<b>VaR</b>,0.25\n")
    assert report_job(folder) == (["Tail"], [])
    assert "&lt;b&gt;VaR" in (folder / "report.html").read_text()
    (other / "tail.json").write_text('{"title": "of another deal", "data": {}}')
    assert report_job(folder) == ([], ["run-tail"])
    shutil.rmtree(other)
    assert report_job(folder) == ([], [])
    assert before == {p.name: p.read_bytes() for p in (folder / "figures").iterdir()} | {
        name: (folder / name).read_bytes() for name in ("report.html", "tables.xlsx")}
    with pytest.raises(InputError, match="no findings"):
        report_job(folder, [tmp_path])
    with pytest.raises(InputError, match="no run"):
        report_job(tmp_path)


def test_findings_of_a_structure_and_a_hypo_pool_are_drawn(tmp_path):
    structure, pool = tmp_path / "structure", tmp_path / "pool"
    structure.mkdir()
    pool.mkdir()
    pd.DataFrame({"class": ["A", "$B$"], "size_before": [8e6, 2e6], "size_after": [7e6, 3e6],
                  "loss_probability_after": [0.0, 0.05], "error_after": [0.0, 0.01],
                  "limit_after": [0.001, 0.06]}).to_csv(structure / "classes.csv", index=False)
    (structure / "summary.json").write_text(
        '{"title": "t", "currency": "USD", "request": {"checks": 500}}')
    pd.DataFrame({"obligor": ["a", "b"], "pct": [0.4, 0.6], "industry": [3, 5]}).to_csv(
        pool / "obligors.csv", index=False)
    pd.DataFrame({"deal": ["d"], "dscore": [55.0]}).to_csv(pool / "results.csv", index=False)
    (pool / "sdr_curve.json").write_text('{"riskscore": [1000, 3000], "sdr": [0.5, 0.7], '
                                         '"bdr_less_cushion": 0.6, "solution": 2000}')
    first, second = read_all([pool, structure])
    assert (first["title"], second["title"]) == ("Structure", "Hypo pool")
    _, limits = (chart for chart, _, _ in first["charts"])
    assert ">1<" in limits.svg and "mathdefault" not in limits.svg and "$B$" in limits.svg
    ladder, industries, monitor = (chart for chart, _, _ in second["charts"])
    assert ladder.hover[0]["labels"] == ["b", "a"]  # by size
    assert ladder.hover[0]["lines"][0]["values"] == [60.0, 40.0]
    assert industries.hover[0]["labels"] == ["industry 5", "industry 3"]
    assert monitor.hover[0]["lines"][0]["values"] == [50.0, 70.0]


def test_findings_of_one_kind_have_sheets_of_their_own(finished, tmp_path):
    run, long = read_run_files(finished[2]), "a title that no sheet of a workbook can hold whole"
    found = [{"sheet": long, "frames": [pd.DataFrame({"value": [i]})]} for i in range(3)]
    write_workbook(tmp_path / "tables.xlsx", report_sheets(run, found))
    book = openpyxl.load_workbook(tmp_path / "tables.xlsx")
    own = [sheet for sheet in book if sheet.title[:1].isdigit()]
    assert [sheet["A2"].value for sheet in own] == [0, 1, 2]
    assert len({sheet.title.lower() for sheet in book}) == 10


def test_one_report_is_drawn_at_a_time_and_leftovers_go(finished, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(finished[2], folder)
    (folder / ".report.partial").mkdir()  # of one that was killed
    (folder / ".report.partial" / "report.html").write_text("half")

    def draw(draft, run, found):
        with pytest.raises(InputError, match="another process is working on it"):
            report_job(folder)
        for name in ("report.html", "tables.xlsx"):
            (draft / name).write_text("new")
        (draft / "figures").mkdir()

    monkeypatch.setattr(jobs_report, "write_report", draw)
    before = {p.name for p in folder.iterdir()} - {".report.partial"}
    report_job(folder)
    assert {p.name for p in folder.iterdir()} == before
    assert (folder / "report.html").read_text() == "new"
    assert not list((folder / "figures").iterdir())

    def fail(draft, run, found):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jobs_report, "write_report", fail)
    with pytest.raises(InputError, match="cannot be written .No space"):
        report_job(folder)
    assert {p.name for p in folder.iterdir()} == before
    assert (folder / "report.html").read_text() == "new"


@pytest.mark.slow
def test_a_deal_of_less_than_a_year_runs(tmp_path):
    """No yearly matrix, and an export whose ids stay text."""
    lines = ["loan_id,current_balance,rate_type,maturity_date,spread_bps,rating"]
    lines += [f"{i:04d},5500000,float,2026-0{4 + i % 3}-15,340,B" for i in range(1, 101)]
    (tmp_path / "tape.csv").write_text("\n".join(lines))
    deal = pathlib.Path(short_deal()[6:-1]).read_text().replace("2038-10-15", "2026-07-15")
    (tmp_path / "deal.toml").write_text(deal)
    config, folder = read_config(overrides=[
        "paths=8", "block=8", 'scenarios=["baseline"]', f"deal='{tmp_path / 'deal.toml'}'",
        f"tape={{file='{tmp_path / 'tape.csv'}'}}"])
    _, _, out = main_job(config, folder, tmp_path / "out")
    data = json.loads((out / "chart_data.json").read_text())
    assert data["scenarios"]["baseline"]["matrices"] == []
    assert "transitions_1" not in (out / "report.html").read_text()
    export_job(out, tmp_path / "parquet")
    tape = pd.read_parquet(tmp_path / "parquet" / "tape.parquet")
    assert list(tape["loan_id"][:2]) == ["0001", "0002"] and tape["current_balance"].sum() == 5.5e8


def test_held_out_check_is_reported_with_its_baselines(finished):
    check = json.loads((finished[2] / "evaluation.json").read_text())["transitions"]
    assert check["fitted"] == "1999-05 to 2003-12" and check["tested"].startswith("2004-01")
    assert set(check["models"]) == {"prior", "constant", "logit", "logit_free"}
    used, constant = check["models"]["logit"], check["models"]["constant"]
    word = "beats" if used["log_likelihood"] > constant["log_likelihood"] else "does not beat"
    assert word in check["verdict"]


def test_runs_are_never_overwritten(finished, tmp_path, monkeypatch):
    config, _ = read_config()
    with pytest.raises(InputError, match="exists already"):
        choose_folder(config.name, finished[2])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "quickstart").mkdir(parents=True)
    assert choose_folder(config.name, None).name == "quickstart-2"


def clo_gen(*arguments, cwd):
    return subprocess.run([sys.executable, "-m", "clo_gen", *arguments], capture_output=True,
                          text=True, cwd=cwd)


@pytest.mark.slow
def test_command_line_runs_and_refuses(tmp_path):
    settings = [x for s in SMALL if "paths" not in s for x in ("--set", s)]
    done = clo_gen("run", "--paths", "8", "--seed", "5", "--out", "here", *settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "written to here" in done.stdout and "tape: synthetic" in done.stdout
    assert json.loads((tmp_path / "here" / "summary.json").read_text())["seed"] == 5
    again = clo_gen("run", "--out", "here", cwd=tmp_path)
    assert again.returncode == 2 and "never overwritten" in again.stderr
    assert "Traceback" not in again.stderr
    wrong = clo_gen("run", "--set", "paths=few", cwd=tmp_path)
    assert wrong.returncode == 2 and "paths: 'few'; want a valid integer" in wrong.stderr


def test_a_wrong_tape_is_one_message_and_leaves_nothing(tmp_path):
    (tmp_path / "tape.csv").write_text(
        "loan_id,current_balance,rate_type,maturity_date,spread_bps,rating\n"
        "a,-1,float,2030-01-01,300,B\nb,5,float,2030-01-01,300,Q\n")
    done = clo_gen("run", "--out", "here", "--tape", "tape.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert "row 2 (a), current_balance: '-1'" in done.stderr
    assert "row 3 (b), rating: 'Q'" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "here").exists()


def test_the_tape_a_run_wrote_can_be_read_back_and_stays_synthetic(finished, tmp_path):
    config, folder = read_config(overrides=[f"tape={{file='{finished[2] / 'tape.csv'}'}}"])
    again, before = assemble(config, folder), finished[0]
    assert again.provenance["tape"]["kind"] == "synthetic"
    assert len(again.tape.frame) == before["pool"]["loans"] == 60


def test_an_edited_deal_is_the_users_own(finished, tmp_path):
    text = config_path("deals/us_bsl.toml").read_text().replace("1.2158", "1.2500")
    (tmp_path / "us_bsl.toml").write_text(text)
    config, folder = read_config(overrides=[f"deal='{tmp_path / 'us_bsl.toml'}'"])
    assert assemble(config, folder).provenance["deal"]["kind"] == "user"
    assert finished[0]["data"]["deal"]["kind"] == "real"


def test_loans_that_outlive_a_deal_that_cannot_sell_them_are_refused(tmp_path):
    (tmp_path / "tape.csv").write_text(
        "loan_id,current_balance,rate_type,maturity_date,spread_bps,rating\n"
        "a,550000000,float,2040-01-01,300,B\n")
    text = config_path("deals/us_bsl.toml").read_text()
    (tmp_path / "deal.toml").write_text(text.replace("call = {", "# {"))
    config, folder = read_config(overrides=[f"tape={{file='{tmp_path / 'tape.csv'}'}}",
                                            f"deal='{tmp_path / 'deal.toml'}'"])
    with pytest.raises(InputError, match=r"row 2 \(a\), maturity_date: '2040-01-01'; want a date"):
        assemble(config, folder)


@pytest.mark.slow
def test_a_failed_write_leaves_the_paths_to_go_on_with(tmp_path, monkeypatch):
    config, folder = read_config(overrides=[*SMALL, short_deal(), 'scenarios=["baseline"]'])
    from clo_gen.jobs import run

    def full_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr(run, "write_report", full_disk)
    with pytest.raises(WriteError, match="no space left; go on with clo-gen run --resume"):
        main_job(config, folder, tmp_path / "out")
    assert list((tmp_path / "out.partial").rglob("*.npz")) and not (tmp_path / "out").exists()


def test_a_history_that_does_not_suit_the_generator_is_a_clear_error(tmp_path):
    months = pd.period_range("1985-01", "2025-09", freq="M").astype(str)
    runaway = np.linspace(0.0, 1.0, len(months)) ** 8  # grows ever faster: no stable VAR
    noise = np.random.default_rng(0).normal(0, 1e-6, len(months))
    pd.DataFrame({"month": months, "gdp_growth_yoy": runaway + noise, "policy_rate": 0.02 + noise,
                  "unemployment_rate": 0.05 + noise, "credit_spread_cp": 0.01 + runaway}).to_csv(
        tmp_path / "macro.csv", index=False)
    config, folder = read_config(overrides=[
        f"macro.source='{tmp_path / 'macro.csv'}'", "macro.layout=wide", "macro.lags=1",
        'macro.series=["gdp_growth_yoy","unemployment_rate","policy_rate","credit_spread_cp"]'])
    with pytest.raises(InputError, match="macro.csv: macro: the VAR.1. fitted to .* not stable"):
        assemble(config, folder)


@pytest.mark.slow
def test_a_users_own_tape_runs(tmp_path):
    rows = "\n".join(f"L{i},5500000,float,203{i % 3}-0{1 + i % 9}-15,340,B" for i in range(100))
    (tmp_path / "tape.csv").write_text(
        "loan_id,current_balance,rate_type,maturity_date,spread_bps,rating\n" + rows + "\n")
    config, folder = read_config(overrides=["paths=8", "block=8", 'scenarios=["baseline"]',
                                            short_deal(),
                                            f"tape={{file='{tmp_path / 'tape.csv'}'}}"])
    summary, _, _ = main_job(config, folder, tmp_path / "out")
    assert summary["data"]["tape"]["kind"] == "user"
    assert summary["cash_conservation_error"] < 1e-9


def test_a_file_that_is_here_may_be_set_from_here(tmp_path, monkeypatch):
    """--set takes names from the current folder when they are there, else from the config's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    config, folder = read_config(overrides=["calibration.run=mine"])
    assert folder / config.calibration.run == tmp_path / "mine"
    assert read_config(overrides=["calibration.run=runs/other"])[0].calibration.run == "runs/other"


def test_the_same_complaint_about_many_rows_is_folded(tmp_path):
    head = "loan_id,current_balance,rate_type,maturity_date,spread_bps"
    rows = [f"{i},5e6,float,{2024 if i < 9 else 2030}-01-01,340" for i in range(20)]
    (tmp_path / "tape.csv").write_text("\n".join([head, *rows]))
    config, folder = read_config(overrides=[f"tape={{file='{tmp_path / 'tape.csv'}'}}"])
    with pytest.raises(InputError) as error:
        assemble(config, folder)
    said = str(error.value)
    assert said.count("want a date after the cut-off") == 4
    assert "maturity_date: the same in 5 more rows" in said
    assert said.count("rating: missing") == 1 and "rating: missing in all 20 rows" in said

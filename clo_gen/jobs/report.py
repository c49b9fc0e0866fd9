"""The report of a run folder: report.html, tables.xlsx and figures, from the folder's own files."""

import pathlib
import shutil

import pandas as pd

from clo_gen.io.csv_file import read_written
from clo_gen.io.folders import alone, draft_of
from clo_gen.io.json_data import read_json
from clo_gen.io.problems import InputError
from clo_gen.jobs import other_findings
from clo_gen.plots import run_charts
from clo_gen.plots.run import color_of
from clo_gen.report.page import write_page
from clo_gen.report.workbook import write_workbook
from clo_gen.summary import read_summary, tranche_table

FILES = ("report.html", "tables.xlsx", "figures")


def report_job(folder, others=()):
    """Writes the report of the run `folder` again, with what the folders `others` found (those of
    clo-gen sensitivity, correlation, tail ...; folders <run>-sensitivity and so on beside the run
    are taken too, where they say that they are of its tape and deal). Returns the names of the
    findings taken, and those of the folders beside it that were left out.

    Raises InputError for a folder that is no run, or that no other command has written, and while
    another process draws this report.
    """
    folder = pathlib.Path(folder).resolve()
    run = read_run_files(folder)
    own, left_out = other_findings.beside(folder, run["summary"])
    taken = list(dict.fromkeys([*(pathlib.Path(f).resolve() for f in others), *own]))
    left_out = [name for name in left_out if name not in {f.name for f in taken}]
    found = other_findings.read_all(taken)
    try:
        with alone(folder, "summary.json"):
            _replace(folder, run, found)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
    return [f["title"] for f in found], left_out


def _replace(folder, run, found):
    """Writes all before the first of the old files goes, which then takes some renames."""
    draft = folder / ".report.partial"
    shutil.rmtree(draft, ignore_errors=True)  # of one that was killed
    try:
        (draft / "old").mkdir(parents=True)
        write_report(draft, run, found)
        for name in FILES:
            if (folder / name).is_dir():  # a file is replaced in one go
                (folder / name).rename(draft / "old" / name)
            (draft / name).replace(folder / name)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def read_run_files(folder):
    """{"summary", "evaluation", "data", "coverage"} of a run folder. Raises InputError."""
    if draft_of(folder).exists() and not folder.exists():
        raise InputError(f"{folder}: not complete; go on with clo-gen run --resume {folder}")
    summary = read_summary(folder)
    try:
        evaluation, data = (read_json(folder / name)
                            for name in ("evaluation.json", "chart_data.json"))
        coverage = read_written(folder / "coverage.csv")
        _ = data["scenarios"], data["classes"], data["tests"], evaluation["transitions"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: {error}; want a folder written by this version of clo-gen "
                         "run") from None
    return {"summary": summary, "evaluation": evaluation, "data": data, "coverage": coverage}


def write_report(draft, run, found=()):
    """Writes FILES into the folder `draft`; `run` as read_run_files gives it."""
    shutil.rmtree(draft / "figures", ignore_errors=True)  # of a run that was killed just here
    (draft / "figures").mkdir()
    charts = run_charts.charts(run["data"], run["summary"], draft / "figures")
    colors = [color_of(name, i) for i, name in enumerate(run["summary"]["scenarios"])]
    write_page(draft / "report.html", run, charts, found, colors)
    write_workbook(draft / "tables.xlsx", report_sheets(run, found))


def report_sheets(run, found):
    """{sheet: (columns, rows)} of the workbook; findings have sheets of their own."""
    s = run["summary"]
    pool = pd.DataFrame([{"scenario": name} | {k: v for k, v in c["portfolio"].items()
                                               if not isinstance(v, list)}
                         for name, c in s["scenarios"].items()])
    yearly = pd.DataFrame([{"scenario": name, "year": y + 1, "default_rate": d,
                            "prepayment_rate": p}
                           for name, c in s["scenarios"].items()
                           for y, (d, p) in enumerate(zip(
                               c["portfolio"]["default_rate_by_year"],
                               c["portfolio"]["prepayment_rate_by_year"], strict=True))])
    data = pd.DataFrame([{"input": name, "kind": d["kind"], "source": d["source"],
                          "notes": "; ".join(d["notes"])} for name, d in s["data"].items()])
    words = pd.DataFrame(s["definitions"].items(), columns=["name", "meaning"])
    tables = {"classes": tranche_table(s), "pool": pool, "years": yearly,
              "coverage": run["coverage"], "structure": pd.DataFrame(run["data"]["classes"]),
              "data": data, "definitions": words}
    sheets = {name: (list(t.columns), t.astype(object).itertuples(index=False))
              for name, t in tables.items()}
    for number, f in enumerate(found, 1):
        for part, frame in enumerate(f["frames"], 1):
            name = f"{number} {f['sheet']}" if part == 1 else f"{number}.{part} {f['sheet']}"
            sheets[name] = (list(frame.columns), frame.astype(object).itertuples(index=False))
    return sheets

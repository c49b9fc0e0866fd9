"""The report of a run folder: report.html, tables.xlsx and figures, from the folder's own files."""

import pathlib
import shutil
import tempfile

import pandas as pd

from clo_gen.io.folders import draft_of
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

    Raises InputError for a folder that is no run, or that no other command has written.
    """
    folder = pathlib.Path(folder).resolve()
    run = read_run_files(folder)
    own, left_out = other_findings.beside(folder, run["summary"])
    taken = list(dict.fromkeys([*(pathlib.Path(f).resolve() for f in others), *own]))
    left_out = [name for name in left_out if name not in {f.name for f in taken}]
    found = other_findings.read_all(taken)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".report") as draft:
            draft = pathlib.Path(draft)  # type: ignore[assignment]
            write_report(draft, run, found)
            for name in FILES:
                if (folder / name).is_dir():
                    shutil.rmtree(folder / name)
                (draft / name).replace(folder / name)  # type: ignore[operator]
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
    return [f["title"] for f in found], left_out


def read_run_files(folder):
    """{"summary", "evaluation", "data", "coverage"} of a run folder. Raises InputError."""
    if draft_of(folder).exists() and not folder.exists():
        raise InputError(f"{folder}: not complete; go on with clo-gen run --resume {folder}")
    summary = read_summary(folder)
    try:
        evaluation, data = (read_json(folder / name)
                            for name in ("evaluation.json", "chart_data.json"))
        # A test may be called NA.
        coverage = pd.read_csv(folder / "coverage.csv", keep_default_na=False, na_values=[""])
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
    write_workbook(draft / "tables.xlsx", _sheets(run, found))


def _sheets(run, found):
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
        for frame in f["frames"]:
            sheets[f"{number} {f['sheet']}"] = (list(frame.columns), frame.astype(
                object).itertuples(index=False))
    return sheets

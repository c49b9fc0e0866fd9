"""Public loan files as loan-month panels, and as the files that training configs name."""

import dataclasses
import pathlib

from clo_gen.io.abs_ee import read_abs_ee
from clo_gen.io.auto_payments import payment_tables
from clo_gen.io.csv_file import write_csv
from clo_gen.io.folders import choose_folder, new_folder
from clo_gen.io.freddie_mac import read_freddie_mac
from clo_gen.io.json_data import write_json
from clo_gen.io.problems import InputError
from clo_gen.jobs.export import write_parquet

KINDS = ("freddie-mac", "auto-loans")


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What was written: {file: rows}, figures of the panel, and what to know about it."""

    folder: pathlib.Path
    rows: dict
    summary: dict
    notes: tuple[str, ...]


def convert_job(kind, files, out=None, *, trust=None, default_days=None):
    """Conversion of public loan files of a `kind` of KINDS into a new folder.

    freddie-mac: `files` are the origination and the performance file, or the zip file of both;
    auto-loans: one file (XML or CSV) a reporting period of one `trust`. panel.parquet is read by
    io.panel.read_panel in the space reported_delinquency; cohort_counts.csv is a [transition.data]
    file with source = "cohort_counts"; auto_loans.csv and auto_months.csv are the files of
    [trajectory.data]. Raises InputError with every problem, before anything is written.
    """
    files = [pathlib.Path(f) for f in files]
    if kind not in KINDS:
        raise InputError(f"{kind}: want one of {', '.join(KINDS)}")
    if default_days is not None and not 30 <= default_days <= 3600:
        raise InputError(f"--default-days {default_days}: want days from 30 to 3600")
    if trust is not None and kind != "auto-loans":
        raise InputError(f"--trust {trust}: for auto-loans only; loans of {kind} are in the cohort "
                         "of their first payment's year")
    payments = {}
    if kind == "freddie-mac":
        if len(files) not in (1, 2):
            raise InputError("freddie-mac: want the origination and the performance file, or the "
                             "zip file of both")
        asset, notes = read_freddie_mac(*files, default_days=default_days), ()
    else:
        asset, months = read_abs_ee(files, trust=trust or "trust", default_days=default_days)
        loans, paid, notes = payment_tables(asset.loans, months)
        payments = {"auto_loans.csv": loans, "auto_months.csv": paid}
    tables = {"panel.parquet": asset.panel(), "loans.parquet": asset.loans,
              "cohort_counts.csv": asset.cohort_counts(), **payments}
    summary = _summary(asset, kind, default_days)
    notes = (*asset.notes, *notes)
    out = choose_folder(f"{kind}-panel", out)
    with new_folder(out) as draft:
        for name, table in tables.items():
            if name.endswith(".csv"):
                write_csv(table, draft / name)
            else:
                write_parquet(table, draft / name, {"source": asset.source, "kind": "user"})
        write_json(draft / "summary.json", summary | {"notes": notes})
    return Conversion(out, {name: len(table) for name, table in tables.items()}, summary, notes)


def _summary(asset, kind, default_days):
    months, ends = asset.months, asset.months["state"].value_counts()
    severity = asset.loans["severity"].dropna()
    return {"kind": kind, "source": asset.source, "default_days": default_days,
            "loans": int(months["loan_id"].nunique()), "loan_months": len(months),
            "first_month": str(months["month"].min()), "last_month": str(months["month"].max()),
            **{name: int(ends.get(name, 0)) for name in ("default", "prepaid", "matured")},
            "severities": len(severity),
            "mean_severity": float(severity.mean()) if len(severity) else None}

"""A run folder as Parquet files; a deal with its collections as JSON of clo_waterfall_oracle_v1."""

import dataclasses
import json
import pathlib

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet

from clo_gen.io.checkpoint import read_arrays
from clo_gen.io.csv_file import read_csv
from clo_gen.io.folders import choose_folder, new_file, new_folder, want_new_file
from clo_gen.io.json_data import read_json, write_json
from clo_gen.io.oracle_write import oracle_data
from clo_gen.io.problems import InputError
from clo_gen.io.tape import COLUMNS
from clo_gen.io.toml import load_toml
from clo_gen.jobs.waterfall import as_json, distribute

_BY_PATH = ("loss", "conservation_error")
_BY_CLASS = ("tranche_loss", "unpaid_interest", "wal_years", "irr", "price")
_BY_MONTH = ("opening", "default", "prepayment", "booked_loss")


@dataclasses.dataclass(frozen=True)
class Export:
    """What was written: {file: rows}, and what of the data is synthetic."""

    folder: pathlib.Path
    rows: dict
    notes: tuple[str, ...]


def export_job(run, out=None):
    """Export of a folder that clo-gen run wrote: a new folder with tape, paths (one row a scenario
    and path), months (of the first paths), classes and coverage as Parquet.

    Every file carries in its schema metadata, under the key clo_gen, the run, its deal and the
    kinds of its data. Raises InputError when `run` is no run, or `out` is in the way.
    """
    run = pathlib.Path(run)
    try:
        summary = read_json(run / "summary.json")
        series = load_toml(run / "config.toml")["macro"]["series"]
        kinds = {part: data["kind"] for part, data in summary["data"].items()}
        classes = {name: list(s["tranches"]) for name, s in summary["scenarios"].items()}
        arrays = read_arrays(run / "paths.npz")
        tables = {"paths": _paths(arrays, classes), "months": _months(arrays, classes, series)}
    except InputError:
        raise
    except Exception as error:  # files of another program, or damaged ones, raise nearly anything
        raise InputError(f"{run}: no run ({type(error).__name__}: {str(error)[:200]}); want a "
                         "folder written by clo-gen run") from None
    tables["tape"] = _typed(read_csv(run / "tape.csv"), _TAPE_NUMBERS)
    for name, file in (("classes", "tranches.csv"), ("coverage", "coverage.csv")):
        table = read_csv(run / file)
        tables[name] = _typed(table, set(table.columns) - {"scenario", "class", "test", "date"})
    about = {"run": run.resolve().name, "deal": summary["deal"]["name"], "data": kinds}
    out = choose_folder(f"{run.resolve().name}-parquet", out)
    with new_folder(out) as draft:
        for name, table in tables.items():
            write_parquet(table, draft / f"{name}.parquet", about)
    made = sorted(part for part, kind in kinds.items() if kind == "synthetic")
    return Export(out, {f"{name}.parquet": len(t) for name, t in tables.items()},
                  (f"synthetic data: {', '.join(made) or 'none'}",))


def write_parquet(table, path, about):
    """Writes a frame with `about` (JSON data) in its schema metadata under the key clo_gen."""
    found = pyarrow.Table.from_pandas(table, preserve_index=False)
    metadata = (found.schema.metadata or {}) | {b"clo_gen": json.dumps(about).encode()}
    pyarrow.parquet.write_table(found.replace_schema_metadata(metadata), path)


def _paths(arrays, classes):
    parts = []
    for scenario, names in classes.items():
        columns = {"scenario": scenario, "path": arrays[f"{scenario}/path"]}
        columns |= {name: arrays[f"{scenario}/{name}"] for name in _BY_PATH}
        columns |= {f"{name} {of}": arrays[f"{scenario}/{name}"][:, k]
                    for name in _BY_CLASS for k, of in enumerate(names)}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _months(arrays, classes, series):
    parts = []
    for scenario in classes:
        macro = arrays[f"{scenario}/macro"]
        count, months = macro.shape[:2]
        path = arrays[f"{scenario}/path"][:count]
        columns = {"scenario": scenario, "path": np.repeat(path, months),
                   "month": np.tile(np.arange(1, months + 1), count)}
        columns |= {name: macro[:, :, m].ravel() for m, name in enumerate(series)}
        columns |= {name: arrays[f"{scenario}/{name}"].ravel() for name in _BY_MONTH}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


_TAPE_NUMBERS = {c.name for c in COLUMNS if c.kind in ("number", "integer")}


def _typed(frame, numeric=None):
    """Columns that hold nothing but numbers and blanks as numbers; with `numeric` only those of
    these names, so that an id such as 007 stays what it is."""
    out = {}
    for name in frame:
        if numeric is not None and name not in numeric:
            out[name] = frame[name]
            continue
        blank = frame[name] == ""
        numbers = pd.to_numeric(frame[name].mask(blank), errors="coerce")
        out[name] = frame[name] if (numbers.isna() & ~blank).any() or blank.all() else numbers
    return pd.DataFrame(out)


def oracle_job(deal, collections, out, *, rate=0.07):
    """Writes the JSON file `out`: a deal (TOML) with its collections (CSV), or a JSON file of the
    schema again, and what is distributed as `expected`. Returns the Distribution.

    Raises InputError for bad input, for terms that the schema cannot say, and where `out` exists.
    """
    out = want_new_file(out, ".json")
    done = distribute(deal, collections, rate=rate)
    data = oracle_data(done.deal, done.collections, expected=as_json(done))
    with new_file(out) as draft:
        write_json(draft, data)
    return done

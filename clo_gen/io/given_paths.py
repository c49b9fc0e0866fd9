"""Files of macro paths: one row a path and month, one column a series."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from clo_gen.io.csv_file import write_csv
from clo_gen.io.table import Column, read_judged


def write_paths(path: str | pathlib.Path, series: Sequence[str], sets: Mapping[str, np.ndarray], *,
                named: bool = True) -> None:
    """Writes the CSV of `sets` {scenario: [N, T, M]}: columns scenario (where `named`), path, month
    (both from 1) and one for each of the `series`, fractions."""
    parts = []
    for name, values in sets.items():
        count, months, _ = values.shape
        frame = pd.DataFrame(values.reshape(-1, len(series)), columns=list(series))
        frame.insert(0, "month", np.tile(np.arange(1, months + 1), count))
        frame.insert(0, "path", np.repeat(np.arange(1, count + 1), months))
        if named:
            frame.insert(0, "scenario", name)
        parts.append(frame)
    write_csv(pd.concat(parts), path)


def read_paths(path: str | pathlib.Path, series: Sequence[str], scenario: str,
               months: int) -> np.ndarray:
    """Paths [N, T, M] of a file as write_paths writes it; T is `months`.

    Where it has a column `scenario`, the rows of that name are read, else all of them. Raises
    InputError with every problem: missing series, cells, paths shorter than `months`.
    """
    table, problems = _judged(path, series)
    if "scenario" in table:
        names = list(dict.fromkeys(table["scenario"].dropna()))
        table = table[table["scenario"] == scenario]
        if table.empty:
            problems.add("column scenario", ", ".join(names), f"rows of {scenario!r}, the "
                         "scenario of the run")
    problems.raise_if_any()
    return _stacked(table[table["month"] <= months], series, months, problems)


def read_sets(path: str | pathlib.Path, series: Sequence[str]) -> dict[str, np.ndarray]:
    """{scenario: [N, T, M]} of a file as write_paths writes it, "" for one without scenarios.

    Raises InputError with every problem.
    """
    table, problems = _judged(path, series)
    problems.raise_if_any()
    parts = table.groupby("scenario", sort=False) if "scenario" in table else [("", table)]
    return {name: _stacked(part, series, int(part["month"].max()), problems)
            for name, part in parts}


def _judged(path, series):
    numbers = [Column(name, "number", low=-2.0, high=2.0, want="a fraction (0.045 is 4.5 %)")
               for name in series]
    columns = (Column("scenario"), Column("path", "integer", low=1),
               Column("month", "integer", low=1), *numbers)
    return read_judged(path, columns, optional=("scenario",),
                       filled=("scenario", "path", "month", *series))


def _stacked(table, series, months, problems):
    table = table.sort_values(["path", "month"], kind="stable")
    found = table.groupby("path", sort=True)["month"].agg(["size", "nunique"])
    for number, row in found[(found != months).any(axis=1)].iterrows():
        problems.add(f"path {number:g}", f"{row['nunique']} months in {row['size']} rows",
                     f"each month from 1 to {months}, once")
    if found.empty:
        problems.say("no path; want at least one")
    problems.raise_if_any()
    return table[list(series)].to_numpy(float).reshape(len(found), months, len(series))

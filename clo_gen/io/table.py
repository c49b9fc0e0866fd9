"""Tables of user data: read as text, then judged column by column with every complaint kept."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet

from clo_gen.io import limits
from clo_gen.io.csv_file import read_csv
from clo_gen.io.files import checked
from clo_gen.io.problems import InputError, Problems

_TRUE, _FALSE = ("true", "yes", "1", "1.0", "y"), ("false", "no", "0", "0.0", "n")
_ROWS_SHOWN = 4  # of one column's complaints


@dataclasses.dataclass(frozen=True)
class Column:
    """What one column accepts. `low` and `high` are inclusive and in the column's own unit."""

    name: str
    kind: str = "text"  # text, number, integer, date, month, choice, flag
    low: float = -np.inf
    high: float = np.inf
    choices: tuple[str, ...] = ()
    want: str = ""

    @property
    def accepted(self) -> str:
        if self.want:
            return self.want
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        if self.kind == "flag":
            return "yes or no"
        if self.kind == "month":
            return "a month such as 2019-03"
        if self.kind == "date":
            return "a date such as 2025-10-15"
        noun = "a whole number" if self.kind == "integer" else "a number"
        if np.isfinite(self.low) and np.isfinite(self.high):
            return f"{noun} in [{self.low:g}, {self.high:g}]"
        return noun + (f" of at least {self.low:g}" if np.isfinite(self.low) else "")


def read_table(path: Any) -> pd.DataFrame:
    """A CSV or Parquet file as text, blanks as "". Raises InputError when it cannot be read."""
    path = pathlib.Path(path)
    frame = _read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else read_csv(path)
    if frame.empty:
        raise InputError(f"{path}: no rows; want a header and at least one row" + _separated(frame))
    return frame


def _separated(frame):
    """A hint for files that other characters than commas separate."""
    names = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
    found = [names[s] for s in names if len(frame.columns) == 1 and s in str(frame.columns[0])]
    return f" (it has one column with {found[0]} in it; want commas)" if found else ""


def _read_parquet(path):
    checked(path, limits.TABLE_BYTES)
    try:
        found = pyarrow.parquet.read_metadata(path)
        size = sum(found.row_group(i).total_byte_size for i in range(found.num_row_groups))
        if (found.num_rows > limits.TABLE_ROWS or found.num_columns > limits.TABLE_COLUMNS
                or size > limits.TABLE_BYTES):
            raise InputError(f"{path}: {found.num_rows:,} rows, {found.num_columns:,} columns, "
                             f"{size / limits.MB:,.0f} MB unpacked; want at most "
                             f"{limits.TABLE_ROWS:,}, {limits.TABLE_COLUMNS:,} and "
                             f"{limits.TABLE_BYTES / limits.MB:,.0f} MB")
        frame = pd.read_parquet(path)
        # Texts are decoded only here: a byte that is no UTF-8 shows up late.
        frame = as_text(frame)
    except InputError:
        raise
    except Exception as error:  # pyarrow raises many kinds for a broken file
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: not a readable table ({said[:200]})") from None
    frame.columns = [str(name).strip() for name in frame.columns]
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise InputError(f"{path}: column {repeated[0]!r} appears twice")
    return frame


def as_text(frame: Any) -> pd.DataFrame:
    """A DataFrame of any types as the text that a file would hold, blanks as ""."""
    return frame.astype(object).where(frame.notna(), "").astype(str)


def need_columns(frame: pd.DataFrame, names: Iterable[str], problems: Problems) -> None:
    """Complains of each of `names` that is no column of `frame`."""
    for name in names:
        if name not in frame:
            problems.say(f"column {name}: missing; it is required")


def need_cells(frame: pd.DataFrame, names: Sequence[str], problems: Problems) -> None:
    """Complains of each blank cell in the columns `names` of a text `frame`."""
    for name in names:
        for row in np.flatnonzero((frame[name].str.strip() == "").to_numpy()):
            problems.say(f"{row_label(row)}, {name}: missing")


def need_values(table: pd.DataFrame, names: Any, problems: Problems) -> None:
    """Complains of each column of `names` that has rows without a value, in a typed `table`."""
    for name in names:
        if table[name].isna().any():
            problems.say(f"{name}: {int(table[name].isna().sum())} rows without a value")


def row_label(row: Any) -> str:
    """Name of a row as an editor counts it: the header is row 1."""
    return f"row {row + 2}"


def read_judged(path: pathlib.Path | str, columns: Sequence[Column], *,
                optional: Sequence[str] = (),
                filled: Sequence[str] = ()) -> tuple[pd.DataFrame, Problems]:
    """(typed table, Problems) of a file whose rows are named by number.

    Every column but the `optional` ones must be there, and no cell of those `filled` may be blank;
    a missing column raises InputError, every other complaint is left in Problems.
    """
    frame, problems = read_table(path), Problems(path)
    need_columns(frame, (c.name for c in columns if c.name not in optional), problems)
    problems.raise_if_any()
    table = judge(frame, columns, problems, row_label)
    need_cells(frame, [name for name in filled if name in frame], problems)
    return table, problems


def complain_of_rows(rows: Any, name: str, problems: Problems, complain: Callable) -> None:
    """complain(row) for the first of the `rows`, and in one line how many more have the same."""
    for row in rows[:_ROWS_SHOWN]:
        complain(row)
    if len(rows) > _ROWS_SHOWN:
        problems.say(f"{name}: the same in {len(rows) - _ROWS_SHOWN} more rows")


def judge(frame: Any, columns: Any, problems: Problems, label: Callable) -> pd.DataFrame:
    """Typed copy of the known `columns` of `frame`; blanks become None/nan.

    `label(row)` names a row in a complaint. Text kinds give str or None, numbers float.
    """
    out = {}
    for column in columns:
        if column.name not in frame:
            continue
        text = frame[column.name].astype(str).str.strip()
        blank = (text == "").to_numpy()
        values, bad = _convert(column, text.mask(blank))
        complain_of_rows(
            np.flatnonzero(bad & ~blank), column.name, problems, lambda row: problems.add(
                f"{label(row)}, {column.name}", text.iloc[row], column.accepted))  # noqa: B023
        out[column.name] = values
    return pd.DataFrame(out, index=frame.index)


def _convert(column, text):
    """(values, bad [n] bool) of one column; `text` has nan for blanks."""
    if column.kind in ("number", "integer"):
        values = pd.to_numeric(text, errors="coerce").astype(float)
        bad = ~(values.abs() <= limits.LARGEST) | (values < column.low) | (values > column.high)
        if column.kind == "integer":
            bad |= values != np.round(values)
        return values.mask(bad), bad.to_numpy()
    if column.kind in ("date", "month"):
        day = "" if column.kind == "date" else "?"
        shaped = text.str.fullmatch(rf"\d{{4}}-\d{{2}}(-\d{{2}}([ T].*)?){day}").eq(True)
        year = pd.to_numeric(text.str[:4].where(shaped), errors="coerce")
        shaped &= (year >= limits.FIRST_YEAR) & (year <= limits.LAST_YEAR)
        values = pd.to_datetime(text.where(shaped), errors="coerce", format="ISO8601")
        return values, values.isna().to_numpy()
    if column.kind == "choice":
        known = {choice.lower(): choice for choice in column.choices}
        values = text.str.lower().map(known)
        return values, values.isna().to_numpy()
    if column.kind == "flag":
        lower = text.str.lower()
        values = lower.map({**dict.fromkeys(_TRUE, 1.0), **dict.fromkeys(_FALSE, 0.0)})
        return values, values.isna().to_numpy()
    return text, np.zeros(len(text), bool)

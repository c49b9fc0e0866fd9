"""CSV files: read whole as text, with every doubt refused; written so that no cell is a formula.

A spreadsheet takes a cell that begins with = + - @ for a formula. What the package writes has an
apostrophe before such text (numbers stay), which spreadsheets show as text; it is taken off again
when the package reads the file.
"""

import csv
import io
import re
import warnings

import pandas as pd

from clo_gen.io import limits
from clo_gen.io.files import checked, refuse_control
from clo_gen.io.problems import InputError

_CHUNK = 16 * limits.MB
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_GUARDED = re.compile(r"^'(?='*[=+\-@\t\r])")


def read_csv(path, *, separator=",", names=None):
    """The cells of a delimited file as a frame of text, blanks as ""; names without the blanks
    around them. `names` are those of a file without a header.

    A row that is short has blanks at its end. Raises InputError: not a text, not UTF-8, a column
    twice, a row with more fields than the header, quotes that do not end, beyond io.limits.
    """
    path = checked(path, limits.TABLE_BYTES)
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty; want a header and at least one row")
    _scan(path, separator)
    header = _header(path, separator) if names is None else list(names)
    _refuse_repeated(path, header)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig",
                                skipinitialspace=True, sep=separator, index_col=False,
                                header=0 if names is None else None, names=names)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); "
                         "want a CSV file saved as UTF-8") from None
    except pd.errors.ParserWarning:
        raise InputError(f"{path}: rows have more fields than the {len(header)} columns; want as "
                         "many, with quotes around a cell that holds the separator") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error) as error:
        raise InputError(f"{path}: not a readable table ({str(error).splitlines()[0]})") from None
    frame = frame.fillna("")
    frame.columns = [str(name).strip() for name in frame.columns]
    for name in frame:
        if (frame[name].str.len() > limits.FIELD).any():
            raise InputError(f"{path}: column {str(name)[:80]!r}: a cell of more than "
                             f"{limits.FIELD:,} characters; want a table")
    return _unguarded(frame)


def read_written(path, **options):
    """The frame that write_csv or csv_text wrote to `path`: numbers as numbers, blanks as nan, any
    other text (NA too) as it was. `options` are those of pandas.read_csv."""
    return _unguarded(pd.read_csv(path, keep_default_na=False, na_values=[""], **options))


def _unguarded(frame):
    for name in frame:
        if frame[name].dtype.kind == "O" and frame[name].str.startswith("'").any():
            frame[name] = frame[name].str.replace(_GUARDED, "", regex=True)
    return frame


def _scan(path, separator):
    """Raises InputError for what must be known before the file is parsed."""
    rows, tail, start = 0, b"", 0
    with open(path, "rb") as file:
        head = file.readline(limits.LINE_BYTES + 1)
        if head.count(separator.encode()) >= limits.TABLE_COLUMNS:
            raise InputError(f"{path}: over {limits.TABLE_COLUMNS:,} columns; want a table")
        file.seek(0)
        while chunk := file.read(_CHUNK):
            refuse_control(path, chunk, start)
            *lines, tail = (tail + chunk).replace(b"\r\n", b"\n").replace(
                b"\r", b"\n").split(b"\n")
            rows, start = rows + len(lines), start + len(chunk)
            if max(map(len, (*lines, tail))) > limits.LINE_BYTES:
                raise InputError(f"{path}: a line of over {limits.LINE_BYTES / limits.MB:g} MB; "
                                 "want a table")
            if rows > limits.TABLE_ROWS:
                raise InputError(f"{path}: over {limits.TABLE_ROWS:,} rows; want fewer, in several "
                                 "files")


def _header(path, separator):
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file, delimiter=separator, skipinitialspace=True), [])
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); "
                         "want a CSV file saved as UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{path}: not a readable table ({error})") from None


def _refuse_repeated(path, header):
    names = [name.strip() for name in header]
    repeated = next((name for name in names if name and names.count(name) > 1), None)
    if repeated is not None:
        raise InputError(f"{path}: column {repeated[:80]!r} appears twice")


def text_cell(value):
    """`value`, or where it is text that a spreadsheet would take for a formula, that text with an
    apostrophe before it."""
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return "'" + value
    return value


def _guarded(frame):
    out = frame.rename(columns=text_cell)
    for name, column in zip(out.columns, (frame[c] for c in frame), strict=True):
        if not pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_datetime64_dtype(
                column):
            out[name] = column.map(text_cell)
    return out


def write_csv(frame, path=None, *, index=False):
    """Writes `frame` to `path`; without one returns the text. No cell of it is a formula."""
    frame = _guarded(frame.reset_index() if index else frame)
    return frame.to_csv(path, index=False)


def csv_text(rows, columns=None):
    """CSV text of `rows` (dicts); `columns` are those of the first one."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0] if columns is None else columns),
                            lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: text_cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()

"""Files of a user, before anything parses them: there, whole, of a sane size, text; and names that
become files."""

import pathlib
import re
from typing import Annotated

from pydantic import AfterValidator

from clo_gen.io import limits
from clo_gen.io.problems import InputError


def checked(path, most):
    """`path` as a Path of a regular file of 1 to `most` bytes. Raises InputError."""
    path = pathlib.Path(path)
    try:
        found = path.stat()
        if not path.is_file():
            raise InputError(f"{path}: not a file; want a plain file")
        with open(path, "rb"):
            pass
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file") from None
    except ValueError as error:
        raise InputError(f"{str(path)!r}: not a file name ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if found.st_size > most:
        raise InputError(f"{path}: {found.st_size / limits.MB:,.0f} MB; want at most "
                         f"{most / limits.MB:,.0f} MB")
    return path


def exists(path):
    """Whether something is at `path`; False for what cannot be a path."""
    try:
        return pathlib.Path(path).exists()
    except (OSError, ValueError):
        return False


_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # all but tab and ends of lines


def refuse_control(path, data, start=0):
    """Raises InputError where the bytes `data`, from byte `start` of a file on, are not of a text:
    binary data, and what would move the cursor of a terminal."""
    if found := _CONTROL.search(data):
        what = "NUL byte" if found[0] == b"\0" else f"control character {found[0]!r}"
        raise InputError(f"{path}: not text (a {what} at byte {start + found.start()}); want a "
                         "text file saved as UTF-8")


def read_text(path, most):
    """Text of a UTF-8 file of at most `most` bytes. Raises InputError."""
    path = checked(path, most)
    data = path.read_bytes()
    refuse_control(path, data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); "
                         "want a text file saved as UTF-8") from None


def depth(value):
    """How many dicts and lists of parsed data lie within each other (one that is empty counts)."""
    level, found = [value], 0
    while level := [v for v in level if isinstance(v, dict | list)]:
        level = [child for v in level for child in (v.values() if isinstance(v, dict) else v)]
        found += 1
    return found


def refuse_depth(path, value):
    """Raises InputError where parsed data is deeper than limits.DEPTH."""
    if depth(value) > limits.DEPTH:
        raise InputError(too_deep(path))


def too_deep(path):
    return f"{path}: nested too deeply; want at most {limits.DEPTH} levels"


def _file_name(name):
    if not re.fullmatch(limits.NAME, name) or name.endswith("."):
        raise ValueError("a name of at most 100 letters, digits, dots, dashes and underscores that "
                         "starts with a letter or digit and ends with no dot: it names a folder")
    if name.split(".")[0].lower() in limits.RESERVED:
        raise ValueError("a name that no operating system keeps for itself: it names a folder")
    return name


FileName = Annotated[str, AfterValidator(_file_name)]


def is_file_name(name):
    """Whether `name` can name a file or folder, on any system, inside the one it is put in."""
    try:
        return bool(_file_name(name))
    except ValueError:
        return False

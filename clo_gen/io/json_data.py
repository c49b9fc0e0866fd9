"""JSON files: plain numbers, and null where there is none."""

import json
import math
import re
from typing import Any

import numpy as np

from clo_gen.io import limits
from clo_gen.io.files import read_text, refuse_depth, too_deep
from clo_gen.io.problems import InputError

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # half a character, perhaps; no file can hold one


def plain(value: Any) -> Any:
    """`value` as JSON data: NumPy types as Python's, nan and infinities as None, at any depth."""
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Any, value: Any) -> None:
    """Writes `value` as strict JSON."""
    path.write_text(json.dumps(plain(value), indent=2, allow_nan=False))


def read_json(path):
    """The data of a JSON file.

    Raises InputError for what JSON leaves open and data cannot mean: a key twice in one object,
    NaN, Infinity, numbers beyond double precision, half characters; and beyond io.limits.
    """
    text = read_text(path, limits.JSON_BYTES)
    try:
        value = json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_constant,
                           parse_float=_finite, parse_int=_whole)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise InputError(too_deep(path)) from None
    except UnicodeEncodeError:
        raise InputError(f"{path}: not valid JSON: a text has half a character (\\ud800 to "
                         "\\udfff alone)") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {str(error)[:300]}") from None
    refuse_depth(path, value)
    return value


def _once_each(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for n, name in enumerate(names) if name in names[:n])
        raise ValueError(f"the key {twice!r} appears twice in one object")
    return found


def _no_constant(text):
    raise ValueError(f"{text} is no JSON number")


def _finite(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _whole(text):
    if len(text) > limits.DIGITS:
        raise ValueError(f"the number {text[:40]}... is too large")
    return int(text)

"""TOML files into frozen pydantic records, every complaint at once."""

import pathlib
import re
import tomllib
from typing import Any

import pydantic

from clo_gen.io import limits
from clo_gen.io.files import read_text, refuse_depth, too_deep
from clo_gen.io.problems import InputError, Problems


class Record(pydantic.BaseModel):
    """Base of every TOML record: frozen, strict types, unknown keys refused."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True,
                                       allow_inf_nan=False)


_DEAL = {"target_par", "notes", "waterfall"}  # what every deal file has, and no other file


def load_toml(path: str | pathlib.Path) -> dict[str, Any]:
    """The file as a dict. Raises InputError when it cannot be read or is not TOML."""
    return parse_toml(read_text(path, limits.CONFIG_BYTES), path)


def parse_toml(text, source):
    """TOML `text` as a dict. Raises InputError that names the `source`."""
    keys = re.split(r"[,=\[\]{}\n]", re.sub(r"(?m)^\s*#.*$", "", text))
    if any(part.count(".") > limits.CONFIG_DOTS for part in keys):
        raise InputError(too_deep(source))
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{source}: not valid TOML: {error}") from None
    except ValueError as error:  # a number of thousands of digits, a date that is none
        raise InputError(f"{source}: not valid TOML: {str(error)[:200]}") from None
    except RecursionError:
        raise InputError(too_deep(source)) from None
    refuse_depth(source, data)
    return data


def parse(data: Any, model: Any, source: Any) -> Any:
    """`data` (dict) as `model`. Raises InputError with the key path of every problem."""
    try:
        return model.model_validate(_tuples(data))
    except pydantic.ValidationError as error:
        if _DEAL <= data.keys() and _DEAL.isdisjoint(model.model_fields):
            raise InputError(f"{source}: a deal; this command starts from another file; want "
                             "clo-gen run --deal FILE, or clo-gen deal check FILE") from None
        problems = Problems(source)
        for e in error.errors():
            _explain(problems, e, model)
        problems.raise_if_any()


def _tuples(value):
    """TOML arrays as tuples, so that the records built from them are hashable."""
    if isinstance(value, list):
        return tuple(_tuples(v) for v in value)
    if isinstance(value, dict):
        return {k: _tuples(v) for k, v in value.items()}
    return value


def _explain(problems, error, model):
    place = ".".join(f"[{p + 1}]" if isinstance(p, int) else p for p in error["loc"])
    place = place.replace(".[", "[")
    if error["type"] == "extra_forbidden":
        known = ", ".join(_fields_at(model, error["loc"][:-1]))
        problems.say(f"{place}: unknown key; known keys here: {known}")
    elif error["type"] == "missing":
        problems.say(f"{place}: missing")
    else:
        tabular = error["type"] in ("model_type", "dict_type")
        want = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        want = "a table such as { key = value }" if tabular else want
        problems.add(place or "file", error["input"], want)


def _fields_at(model, location):
    """Names of the fields of the record that `location` leads to."""
    for part in location:
        if part not in model.model_fields:  # a number, or a key that the user chose
            continue
        annotation = model.model_fields[part].annotation
        model = next((a for a in _leaves(annotation) if hasattr(a, "model_fields")), model)
    return list(model.model_fields)


def _leaves(annotation):
    args = getattr(annotation, "__args__", ())
    return [leaf for a in args for leaf in _leaves(a)] if args else [annotation]

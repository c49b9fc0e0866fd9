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


# What files of a kind have, and those of no other: (keys, kind, the command that takes one).
_KINDS = (
    ({"target_par", "notes", "waterfall"}, "a deal",
     "clo-gen run --deal FILE, or clo-gen deal check FILE"),
    ({"paths", "scenarios"}, "a run config", "clo-gen run FILE"),
    ({"transition"}, "a training config", "clo-gen train FILE"),
    ({"pool_par", "dscore_min"}, "limits of a hypo pool", "clo-gen hypo FILE"),
    ({"limits"}, "limits of a portfolio", "clo-gen quality TAPE --limits FILE"),
    ({"shape"}, "a scenario file", 'scenario_file = "FILE" in a run config'),
)


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
        refuse_other_kind(data, model.model_fields, source)
        problems, extra = Problems(source), {}  # type: ignore[var-annotated]
        for e in error.errors():
            if e["type"] == "extra_forbidden":
                extra.setdefault(e["loc"][:-1], []).append(str(e["loc"][-1]))
            else:
                _explain(problems, e, model)
        for location, names in extra.items():
            problems.unknown(names, _fields_at(model, location),
                             place=f"{_place(location)}." if location else "")
        problems.raise_if_any()


def refuse_other_kind(data, known, source):
    """Raises InputError when the file `source` is plainly of a kind that does not have the keys
    `known`."""
    for keys, kind, command in _KINDS:
        if keys <= data.keys() and keys.isdisjoint(known):
            raise InputError(f"{source}: {kind}; this command starts from another file; "
                             f"want {command}") from None


def said_of(error):
    """What pydantic says of a value, in the words of all messages."""
    want = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    for old, new in (("greater than or equal to", "at least"), ("less than or equal to", "at most"),
                     ("greater than", "more than")):
        want = want.replace(old, new)
    return want


def _tuples(value):
    """TOML arrays as tuples, so that the records built from them are hashable."""
    if isinstance(value, list):
        return tuple(_tuples(v) for v in value)
    if isinstance(value, dict):
        return {k: _tuples(v) for k, v in value.items()}
    return value


def _place(location):
    text = ".".join(f"[{p + 1}]" if isinstance(p, int) else p for p in location)
    return text.replace(".[", "[")


def _explain(problems, error, model):
    place = _place(error["loc"])
    if error["type"] == "missing":
        problems.say(f"{place}: missing")
        return
    want = said_of(error)
    if error["type"] == "model_type":
        first, *more = _fields_at(model, error["loc"])
        want = f"a table such as {{ {first} = ... }}" + (
            f"; other keys: {', '.join(more)}" if more else "")
    elif error["type"] == "dict_type":
        want = "a table such as { key = value }"
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

"""Checkpoints: a tree of arrays as one npz file with its structure in JSON. No code is loaded.

A model record (a frozen dataclass of this package that holds arrays, numbers, texts, tuples, dicts
and further records) is stored whole and read back without knowing its shapes. A training state is
stored leaf by leaf and read back into a state of the same shapes.
"""

import dataclasses
import hashlib
import importlib
import io
import json
import pathlib
import zipfile
import zlib
from typing import Any

import jax
import numpy as np

from clo_gen.io import limits
from clo_gen.io.files import checked, depth
from clo_gen.io.problems import InputError

_STRUCTURE = "structure.json"
_RECORDS = ("clo_gen.models.", "clo_gen.train.", "clo_gen.states")  # modules that a file may name


def _write(path, arrays, structure):
    """One npz file, complete or not there."""
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(structure).encode(), np.uint8)
    np.savez(buffer, **arrays, **{_STRUCTURE: text})  # type: ignore[arg-type]
    path = pathlib.Path(path)
    draft = path.with_name(path.name + ".partial")
    draft.write_bytes(buffer.getvalue())
    draft.replace(path)


def _read(path):
    try:
        arrays = read_arrays(checked(path, limits.CHECKPOINT_BYTES))
        structure = json.loads(arrays.pop(_STRUCTURE).tobytes())
        if depth(structure) > 4 * limits.DEPTH or not isinstance(structure, dict):
            raise ValueError("its structure is none that clo_gen writes")
    except InputError:
        raise
    except (ValueError, KeyError, RecursionError, OSError, EOFError, zipfile.BadZipFile, zlib.error,
            NotImplementedError) as error:
        raise InputError(f"{path}: not a checkpoint of clo_gen ({str(error)[:200]})") from None
    return arrays, structure


def read_arrays(path):
    """{name: array} of an npz file; nothing in it is executed (objects are refused).

    Raises ValueError where it unpacks to more than limits.CHECKPOINT_BYTES, and what a damaged zip
    file raises, which is nearly anything.
    """
    with zipfile.ZipFile(path) as packed:
        size = sum(entry.file_size for entry in packed.infolist())
    if size > limits.CHECKPOINT_BYTES:
        raise ValueError(f"unpacks to {size / limits.MB:,.0f} MB")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _pack(value, arrays):
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return {"tuple": [_pack(v, arrays) for v in value]}
    if isinstance(value, dict):
        return {"dict": {k: _pack(v, arrays) for k, v in value.items()}}
    if dataclasses.is_dataclass(value):
        kind = type(value)
        return {"record": f"{kind.__module__}:{kind.__qualname__}",
                "fields": {f.name: _pack(getattr(value, f.name), arrays)
                           for f in dataclasses.fields(value)}}
    name = f"a{len(arrays)}"
    arrays[name] = np.asarray(value)
    return {"array": name}


def _unpack(value, arrays, path):
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "tuple" in value:
        return tuple(_unpack(v, arrays, path) for v in value["tuple"])
    if "dict" in value:
        return {k: _unpack(v, arrays, path) for k, v in value["dict"].items()}
    module, _, name = value["record"].partition(":")
    kind = None
    if module.startswith(_RECORDS):
        try:
            kind = getattr(importlib.import_module(module), name, None)
        except ImportError:  # a module of another version
            kind = None
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise InputError(f"{path}: {value['record']} is no record of this version of clo_gen")
    known = {f.name for f in dataclasses.fields(kind)}
    fields = value["fields"]
    if set(fields) != known:
        raise InputError(f"{path}: {name} was saved with the fields {', '.join(sorted(fields))}; "
                         f"this version has {', '.join(sorted(known))}")
    return kind(**{k: _unpack(v, arrays, path) for k, v in fields.items()})


def save_record(path: str | pathlib.Path, record: Any,
                about: dict | None = None) -> None:
    """Writes a model record and `about` (JSON data: config, data, metrics) to one file."""
    arrays: dict = {}
    structure = {"record": _pack(record, arrays), "about": about or {}}
    _write(path, arrays, structure)


def load_record(path: str | pathlib.Path) -> Any:
    """(record, about) of a file written by save_record. Raises InputError for any other file."""
    arrays, structure = _read(path)
    if "record" not in structure:
        raise InputError(f"{path}: holds a training state, not a model")
    try:
        return _unpack(structure["record"], arrays, path), structure["about"]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a model of clo_gen ({error!r:.200})") from None


def save_state(path: str | pathlib.Path, state: Any, about: dict | None = None) -> None:
    """Writes the leaves of a training state and `about` (JSON data) to one file."""
    leaves = jax.tree.leaves(state)
    _write(path, {f"a{i}": np.asarray(x) for i, x in enumerate(leaves)}, {"about": about or {}})


def load_state(path: str | pathlib.Path, like: Any) -> tuple[Any, Any]:
    """(state, about) of a file written by save_state, in the structure of `like`.

    Raises InputError when it does not fit.
    """
    arrays, structure = _read(path)
    leaves, tree = jax.tree.flatten(like)
    found = [arrays.get(f"a{i}") for i in range(len(leaves))]
    if len(arrays) != len(leaves) or any(
            x is None or x.shape != y.shape or x.dtype != y.dtype
            for x, y in zip(found, leaves, strict=True)):
        raise InputError(f"{path}: the training state does not fit this model; want the config and "
                         "the version it was saved with")
    return jax.tree.unflatten(tree, [jax.numpy.asarray(x) for x in found]), structure["about"]


def fingerprint(tree: Any) -> Any:
    """Sixteen hex digits that name the data of a tree of arrays."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        leaf = np.ascontiguousarray(leaf)
        digest.update(f"{leaf.dtype}{leaf.shape}".encode())
        digest.update(leaf.tobytes())
    return digest.hexdigest()[:16]

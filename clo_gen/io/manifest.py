"""What a run was started with, so that it is gone on with only as the same run."""

import hashlib
import pathlib
from typing import Any

from clo_gen import __version__
from clo_gen.io.checkpoint import fingerprint
from clo_gen.io.config import RunConfig
from clo_gen.io.json_data import plain, read_json, write_json
from clo_gen.io.problems import InputError, Problems

NAME = "manifest.json"
_TABLES_WITH_RUN = ("macro", "transitions", "trajectory", "calibration")


def resolved(config: RunConfig, folder: str | pathlib.Path) -> dict[str, Any]:
    """The run config as TOML data with absolute file names."""

    def bare(value):
        if isinstance(value, dict):
            return {k: bare(v) for k, v in value.items() if v is not None}
        return [bare(v) for v in value] if isinstance(value, list | tuple) else value

    data = bare(config.model_dump())
    for table, key in _named_files(data):
        table[key] = str((folder / table[key]).resolve())
    return data


def _named_files(data):
    """(table, key) of every file or folder that a config as TOML data names."""
    places = [(data, "deal"), (data, "scenario_file")]
    places += [(data["tape"], key) for key in ("file", "columns")]
    places += [(data["macro"], "source"), (data["macro"], "paths"), (data["transitions"], "events")]
    places += [(data[name], "run") for name in _TABLES_WITH_RUN if name in data]
    return [(table, key) for table, key in places if table.get(key, "embedded") != "embedded"]


def _digest(path):
    """Sixteen hex digits that name the content of a file, or of all files of a folder."""
    path, digest = pathlib.Path(path), hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(file.relative_to(path).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def manifest(config: RunConfig, folder: pathlib.Path, arrays: Any,
             **options: Any) -> dict[str, Any]:
    """JSON data: config, content of every file it names, versions, devices, a fingerprint of
    `arrays` (all that the simulation is given), and `options`, which a resumed run may change."""
    import jax
    import jaxlib

    data = resolved(config, folder)
    files = {table[key]: _digest(table[key]) for table, key in _named_files(data)}
    return plain({"config": _flat(data), "files": files, "arrays": fingerprint(arrays),
                  "versions": {"clo_gen": __version__, "source of clo_gen": _source(),
                               "jax": jax.__version__, "jaxlib": jaxlib.__version__},
                  "platform": jax.devices()[0].platform,
                  # XLA compiles the program of a single device another way (jobs.simulation).
                  "devices": "one" if jax.local_device_count() == 1 else "two or more",
                  "options": options})


def _source():
    """Sixteen hex digits that name the package's own code: a version under work changes too."""
    package, digest = pathlib.Path(__file__).parent.parent, hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _flat(data, prefix=""):
    if not isinstance(data, dict):
        return {prefix.rstrip("."): data}
    return {key: value for name, part in data.items()
            for key, value in _flat(part, f"{prefix}{name}.").items()}


def write(draft: pathlib.Path, found: dict[str, Any]) -> None:
    """Writes the manifest of a run, in one go."""
    half = draft / (NAME + ".half")
    write_json(half, found)
    half.replace(draft / NAME)


def read(draft: pathlib.Path) -> Any:
    """The manifest in the folder `draft`, or None when there is none. Raises InputError for a file
    that is none."""
    if not (draft / NAME).is_file():
        return None
    found = read_json(draft / NAME)
    tables = ("config", "files", "versions", "options")
    lacking = [key for key in (*tables, "arrays", "platform", "devices")
               if not isinstance(found, dict) or key not in found
               or key in tables and not isinstance(found[key], dict)]
    if lacking:
        raise InputError(f"{draft / NAME}: lacks {', '.join(lacking)}; want what this version of "
                         "clo_gen writes, or a new run")
    return found


def refuse_changes(old: dict[str, Any], new: dict[str, Any], draft: pathlib.Path) -> None:
    """Raises InputError with every difference between what a run was started with and what it would
    go on with."""
    problems = Problems(f"--resume {draft}: started with other input")
    for part, called in (("config", ""), ("versions", "version: ")):
        before, now = old[part], new[part]
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                problems.say(f"{called}{key}: was {before.get(key)!r}, now {now.get(key)!r}")
    for file in sorted(old["files"].keys() & new["files"].keys()):
        if old["files"][file] != new["files"][file]:
            problems.say(f"{file}: its content has changed")
    for part in ("platform", "devices"):
        if old[part] != new[part]:
            problems.say(f"{part}: was {old[part]}, now {new[part]}")
    if not problems.found and old["arrays"] != new["arrays"]:
        problems.say("the same files give other arrays: shipped data, libraries or the kind of "
                     "machine changed")
    problems.raise_if_any()

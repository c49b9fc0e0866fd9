"""What a run was started with, so that it is gone on with only as the same run."""

import hashlib
import pathlib

from clo_gen import __version__
from clo_gen.io.checkpoint import fingerprint
from clo_gen.io.json_data import plain, read_json, write_json
from clo_gen.io.problems import InputError, Problems

NAME = "manifest.json"
_PARTS = {"config", "files", "arrays", "versions", "platform"}
_TABLES_WITH_RUN = ("macro", "transitions", "trajectory", "calibration")


def resolved(config, folder):
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


def manifest(config, folder, arrays):
    """JSON data: config, content of every file it names, versions, and a fingerprint of `arrays`
    (all that the simulation is given)."""
    import jax

    data = resolved(config, folder)
    files = {table[key]: _digest(table[key]) for table, key in _named_files(data)}
    return plain({"config": _flat(data), "files": files, "arrays": fingerprint(arrays),
                  "versions": {"clo_gen": __version__, "jax": jax.__version__},
                  "platform": jax.devices()[0].platform})


def _flat(data, prefix=""):
    if not isinstance(data, dict):
        return {prefix.rstrip("."): data}
    return {key: value for name, part in data.items()
            for key, value in _flat(part, f"{prefix}{name}.").items()}


def write(draft, found):
    """Writes the manifest of a new run, in one go."""
    half = draft / (NAME + ".half")
    write_json(half, found)
    half.replace(draft / NAME)


def read(draft):
    """The manifest in the folder `draft`, or None when there is none."""
    if not (draft / NAME).exists():
        return None
    found = read_json(draft / NAME)
    if not isinstance(found, dict) or not _PARTS <= found.keys():
        raise InputError(f"{draft / NAME}: not what a run wrote; want a new run")
    return found


def refuse_changes(old, new, draft):
    """Raises InputError with every difference between what a run was started with and what it would
    go on with."""
    problems = Problems(f"--resume {draft}: started with other input")
    for part, called in (("config", ""), ("versions", "version of ")):
        before, now = old[part], new[part]
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                problems.say(f"{called}{key}: was {before.get(key)!r}, now {now.get(key)!r}")
    for file in sorted(old["files"].keys() & new["files"].keys()):
        if old["files"][file] != new["files"][file]:
            problems.say(f"{file}: its content has changed")
    if old["platform"] != new["platform"]:
        problems.say(f"platform: was {old['platform']}, now {new['platform']}")
    if not problems.found and old["arrays"] != new["arrays"]:
        problems.say("the same files give other arrays: shipped data, libraries or the kind of "
                     "machine changed")
    problems.raise_if_any()

"""`clo-gen compare` of experiments: measured figures of several beside what was expected."""

import dataclasses
import json
import pathlib

import pandas as pd

from clo_gen.io.folders import choose_folder, new_folder
from clo_gen.io.problems import InputError
from clo_gen.plots.experiment import write_expectations

KEYS = {"experiment", "question", "command", "seconds", "small", "figures"}


@dataclasses.dataclass(frozen=True)
class Experiments:
    """What several experiments measured."""

    runs: tuple  # names, in the order given
    table: pd.DataFrame  # run, figure, value, low, high, holds (None: nothing was expected), small
    settings: pd.DataFrame  # one row an experiment: question, command, seconds, small


def _summary(folder):
    """The summary of an experiment's folder, or None where it is something else."""
    try:
        summary = json.loads((pathlib.Path(folder) / "summary.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return summary if isinstance(summary, dict) and KEYS <= summary.keys() else None


def are_experiments(folders):
    """Whether every folder was written by a script of experiments/."""
    return all(_summary(folder) is not None for folder in folders)


def collect_job(folders, out=None):
    """(Experiments, folder written) of folders that are experiments. Raises InputError for a single
    one, and for the same one twice."""
    paths = [pathlib.Path(folder) for folder in folders]
    if len(paths) < 2 or len({path.resolve() for path in paths}) < len(paths):
        raise InputError("compare: want at least two folders, each once")
    short = [path.name for path in paths]
    names = short if len(set(short)) == len(short) else [str(path) for path in paths]
    summaries = dict(zip(names, map(_summary, paths), strict=True))
    rows = [{"run": name} | figure | {"small": s["small"]}
            for name, s in summaries.items() for figure in s["figures"]]
    settings = [{"run": name} | {key: s[key] for key in ("question", "command", "seconds", "small")}
                for name, s in summaries.items()]
    found = Experiments(tuple(names), pd.DataFrame(rows), pd.DataFrame(settings))
    out = choose_folder("compare", out)
    with new_folder(out) as draft:
        found.table.to_csv(draft / "compare.csv", index=False)
        found.settings.to_csv(draft / "runs.csv", index=False)
        write_expectations(draft / "compare.png", rows)
    return found, out

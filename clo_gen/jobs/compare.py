"""`clo-gen compare`: several runs (or several experiments) in one table and one picture."""

import dataclasses
import functools
import pathlib

import pandas as pd

from clo_gen.io.csv_file import write_csv
from clo_gen.io.folders import choose_folder, new_folder
from clo_gen.io.problems import InputError, collect_complaints
from clo_gen.jobs.experiments import are_experiments, collect_job
from clo_gen.plots.compare import write_figure
from clo_gen.summary import read_summary

POOL: dict[str, str | None] = {"expected_loss": "std_error", "var_99": "var_99_std_error",
                               "cvar_99": "cvar_99_std_error"}
CLASS: dict[str, str | None] = {"loss_probability": "loss_probability_std_error",
                                "expected_loss": "expected_loss_std_error", "irr": None,
                                "price": None}
ABOUT = {"deal.name": str, "paths": int, "seed": int, "mode": str, "pool.loans": int}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What several runs say of the same things."""

    runs: tuple  # names, in the order given
    table: pd.DataFrame  # run, scenario, of ("pool" or a class), quantity, value, std_error
    settings: pd.DataFrame  # one row a run: paths, seed, mode, tape, synthetic parts


def read_summaries(folders):
    """{name: summary} of run folders; names are the folders' own, or whole paths where two are the
    same. Raises InputError that names every folder that is no run, and what its summary lacks."""
    paths = [pathlib.Path(folder) for folder in folders]
    found = collect_complaints([functools.partial(_read, path) for path in paths])
    if len(found) < 2:
        raise InputError("compare: want at least two run folders")
    short = [path.name for path in paths]
    names = short if len(set(short)) == len(short) else [str(path) for path in paths]
    if len(set(names)) < len(names):
        raise InputError("compare: the same folder twice")
    return dict(zip(names, found, strict=True))


def _read(folder):
    summary = read_summary(folder)
    if lacking := list(_lacking(summary)):
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        raise InputError(f"{folder / 'summary.json'}: lacks {', '.join(lacking[:5])}{more}; want "
                         "what this version of clo-gen run writes")
    return summary


def _lacking(summary):
    """Names of what `comparison` reads and a summary lacks, or has as something else."""
    for place, kind in ABOUT.items():
        value = summary
        for key in place.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, kind):
            yield place
    tables = {key: summary.get(key) if isinstance(summary, dict) else None
              for key in ("data", "scenarios")}
    for key, table in tables.items():
        if not isinstance(table, dict) or not table:
            yield key
            tables[key] = {}
    for name, part in tables["data"].items():  # type: ignore[union-attr]
        if not isinstance(part, dict) or not isinstance(part.get("kind"), str):
            yield f"data.{name}.kind"
    for name, scenario in tables["scenarios"].items():  # type: ignore[union-attr]
        place = f"scenarios.{name}"
        scenario = scenario if isinstance(scenario, dict) else {}
        yield from _lacking_numbers(f"{place}.portfolio", scenario.get("portfolio"), POOL)
        tranches = scenario.get("tranches")
        if not isinstance(tranches, dict) or not tranches:
            yield f"{place}.tranches"
            continue
        for of, numbers in tranches.items():
            yield from _lacking_numbers(f"{place}.tranches.{of}", numbers, CLASS)


def _lacking_numbers(place, numbers, wanted):
    for key in wanted:
        if not isinstance(numbers, dict) or key not in numbers or not isinstance(
                numbers[key], int | float | None):
            yield f"{place}.{key}"


def comparison(summaries):
    """Comparison of {name: summary}."""
    rows, settings = [], []
    for run, s in summaries.items():
        settings.append({"run": run, "deal": s["deal"]["name"], "paths": s["paths"],
                         "seed": s["seed"], "mode": s["mode"], "loans": s["pool"]["loans"],
                         "synthetic": ", ".join(k for k, d in s["data"].items()
                                                if d["kind"] == "synthetic") or "nothing"})
        for scenario, numbers in s["scenarios"].items():
            for of, part, wanted in (("pool", numbers["portfolio"], POOL), *(
                    (name, t, CLASS) for name, t in numbers["tranches"].items())):
                rows += [{"run": run, "scenario": scenario, "of": of, "quantity": quantity,
                          "value": part[quantity], "std_error": part.get(error)}
                         for quantity, error in wanted.items()]
    return Comparison(tuple(summaries), pd.DataFrame(rows), pd.DataFrame(settings))


def compare_job(folders, out=None):
    """(Comparison, folder written) of run folders; of experiments' folders the Experiments. Raises
    InputError for bad input."""
    if folders and are_experiments(folders):
        return collect_job(folders, out)
    found = comparison(read_summaries(folders))
    out = choose_folder("compare", out)
    with new_folder(out) as draft:
        write_csv(found.table, draft / "compare.csv")
        write_csv(found.settings, draft / "runs.csv")
        write_figure(draft / "compare.png", found)
    return found, out

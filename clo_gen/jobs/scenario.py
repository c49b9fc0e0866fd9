"""`clo-gen scenario`: macro paths generated, conditioned, blended or replayed, as a folder."""

import dataclasses
import pathlib
import re
from typing import Any

import jax
import numpy as np

from clo_gen.assembly import load_macro
from clo_gen.io.config import cutoff_month
from clo_gen.io.deal import read_deal
from clo_gen.io.folders import choose_folder, new_file, new_folder, want_new_file
from clo_gen.io.given_paths import read_sets, write_paths
from clo_gen.io.json_data import read_json, write_json
from clo_gen.io.problems import Problems
from clo_gen.macro_model import macro_model_of
from clo_gen.plots.run import TITLES, write_macro_figure
from clo_gen.terminal.console import new_table

KINDS = ("generate", "condition", "blend", "replay")
_YEARS = (1, 3, 5)  # of the table


@dataclasses.dataclass(frozen=True)
class Request:
    """What is wanted; `months` None is the deal's length."""

    kind: str  # one of KINDS
    scenarios: tuple[str, ...] = ()  # condition: at most one; empty: those of the config
    paths: int = 500
    months: int | None = None
    at: tuple[str, ...] = ()  # condition: SERIES@MONTH=VALUE; blend: SCENARIO@MONTH=WEIGHT
    start: str | None = None  # replay: first month repeated
    how: str = "differences"
    held: int | None = None  # replay: months repeated, None: as many as there are


@dataclasses.dataclass(frozen=True)
class Report:
    """Sets of macro paths, and what they are."""

    title: str
    scenario: str  # of the config, under whose name a run takes the paths
    sets: dict  # name -> [N, T, M] fractions
    series: tuple[str, ...]
    past: np.ndarray  # [H, M] months before the paths
    notes: tuple[str, ...]
    summary: dict


def scenario_job(config, folder, request: Request, out=None, *, on_stage=lambda text: None):
    """(Report of a Request, folder written: `out`, or runs/<name>-<kind>). Raises InputError with
    every problem."""
    problems = Problems(f"scenario {request.kind}")
    for name, value in (("--paths", request.paths), ("--months", request.months),
                        ("--held", request.held)):
        if value is not None and not 1 <= value <= 100_000:
            problems.add(name, value, "a whole number from 1 to 100000")
    problems.raise_if_any()
    asked = parsed(request)
    out = choose_folder(f"{config.name}-{request.kind}", out)
    names = request.scenarios or tuple(config.scenarios)
    if request.kind == "blend":
        names = tuple(asked)
    model = macro_model_of(config.model_copy(update={"scenarios": names}), folder, request.months)
    on_stage("drawing")
    key = jax.random.key(config.seed)
    sets, notes, found = _DRAW[request.kind](model, request, asked, names, key, (config, folder))
    first = cutoff_month(read_deal(pathlib.Path(folder) / config.deal).terms.closing) + 1
    report = _report(config, request, sets, model, (notes, found), first)
    on_stage("writing")
    with new_folder(out) as draft:
        # A run takes unnamed paths under any of its scenarios.
        write_paths(draft / "paths.csv", report.series, sets, named=request.kind == "generate")
        write_json(draft / "summary.json", report.summary)
        write_macro_figure(draft / "fan.png", report.series, report.past, sets)
    return report, out


def parsed(request: Request):
    """The texts of `request.at` as conditions {series: [dict]} or weights {scenario: [(month,
    weight)]}. Raises InputError with every text that is neither."""
    if request.kind not in ("condition", "blend"):
        return {}
    option = {"condition": "--at", "blend": "--weight"}[request.kind]
    want = ("SERIES@MONTH=VALUE, or LOW..HIGH, such as gdp_growth_yoy@12=-0.04"
            if request.kind == "condition" else "SCENARIO@MONTH=WEIGHT, such as adverse@24=1")
    problems = Problems(f"scenario {request.kind}")
    out: dict = {}
    if not request.at:
        problems.say(f"{option}: missing; want {want}")
    number = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
    for text in request.at:
        found = re.fullmatch(rf"\s*(\w+)@(\d{{1,6}})=({number})?(\.\.)?({number})?\s*", text)
        parts: tuple[Any, ...] = found.groups() if found else (None,) * 5
        name, month, low, is_range, high = parts
        point = is_range is None
        if name is None or (point and (low is None or high is not None)) or (
                not point and (low is high is None or request.kind == "blend")):
            problems.add(option, text, want)
        elif request.kind == "blend":
            out.setdefault(name, []).append((int(month), float(low)))
        else:
            bounds = {"value": float(low)} if point else {
                k: float(v) for k, v in (("low", low), ("high", high)) if v is not None}
            out.setdefault(name, []).append({"month": int(month)} | bounds)
    problems.raise_if_any()
    return out


def _generate(model, request, asked, names, key, config):
    return {name: model.generate(request.paths, key, name) for name in names}, (), {}


def _condition(model, request, asked, names, key, config):
    found = model.generate_conditional(asked, request.paths, key=key, scenario=names[0])
    notes = [f"{c.place}: {c.wanted}; {high:.1%} of the model's paths lie below"
             if c.low == c.high else f"{c.place}: {c.wanted}"
             for c, (_, high) in zip(found.conditions, found.quantile, strict=True)]
    notes += [f"all {len(found.values):,} paths meet them; the likeliest such path is "
              f"{found.distance:.2f} standard deviations of noise away; effective draws "
              f"{found.effective:,.0f} of {found.candidates:,}"]
    return {names[0]: found.values}, tuple(notes), {
        "conditions": [dataclasses.asdict(c) for c in found.conditions],
        "distance_sd": found.distance, "effective": found.effective}


def _blend(model, request, asked, names, key, config):
    scenario = model.blend({name: sorted(points) for name, points in asked.items()})
    return {"blend": model.generate(request.paths, key, scenario)}, (), {"weights": asked}


def _replay(model, request, asked, names, key, config):
    settings, folder = config
    history = load_macro(settings.macro, folder, None)
    path = model.replay(history, request.start, request.how)[: request.held]
    values = model.hold(path, request.paths, key=key)
    note = (f"months 1 to {len(path)} repeat {request.start} on ({request.how}), the same on every "
            "path; the model draws what follows")
    return {f"replay {request.start}": values}, (note,), {"start": request.start,
                                                         "how": request.how, "held": len(path)}


_DRAW = {"generate": _generate, "condition": _condition, "blend": _blend, "replay": _replay}


def _report(config, request, sets, model, extra, first):
    notes, found = extra
    months = next(iter(sets.values())).shape[1]
    title = f"{config.name}: {request.paths:,} paths, {months} months from {first}"
    quantiles = {name: {series: {str(12 * y): np.quantile(values[:, 12 * y - 1, m],
                                                          (0.05, 0.5, 0.95)).tolist()
                                 for y in _YEARS if 12 * y <= months}
                        for m, series in enumerate(model.series)}
                 for name, values in sets.items()}
    past = np.asarray(model.history)
    summary = {"title": title, "request": dataclasses.asdict(request), "seed": config.seed,
               "generator": config.macro.generator, "first_month": str(first), "months": months,
               "series": model.series, "now": past[-1], "quantiles_5_50_95": quantiles} | found
    own = next(iter(sets)) if request.kind == "generate" else config.scenarios[0]
    return Report(title, own, sets, tuple(model.series), past, tuple(notes), summary)


def table(report: Report):
    """Rich table: now, and the median with its 5 to 95 % band by year, a block a scenario."""
    years = [y for y in _YEARS if 12 * y <= report.summary["months"]]
    out = new_table(report.title, ["%", "now", *(f"year {y}" for y in years)])
    for name, values in report.sets.items():
        out.add_section()
        out.add_row(name.replace("_", " "), *[""] * (1 + len(years)))
        for m, series in enumerate(report.series):
            cells = []
            for y in years:
                low, middle, high = 100 * np.quantile(values[:, 12 * y - 1, m], (0.05, 0.5, 0.95))
                cells.append(f"{middle:.1f} ({low:.1f} to {high:.1f})")
            out.add_row("  " + TITLES.get(series, series), f"{100 * report.past[-1, m]:.1f}",
                        *cells)
    return out


def plot_job(folders, out):
    """Draws the fans of several folders' paths into the picture `out`; returns the sets' names.

    Raises InputError for a folder that clo-gen scenario did not write, or for other series.
    """
    out = want_new_file(out, ".png", ".svg")
    problems, sets, series, past = Problems("scenario plot"), {}, None, None
    for folder in map(pathlib.Path, folders):
        try:
            about = read_json(folder / "summary.json")
            own = tuple(about["series"])
        except (OSError, ValueError, KeyError, TypeError):
            problems.say(f"{folder}: no macro paths; want a folder written by clo-gen scenario")
            continue
        if series not in (None, own):
            problems.add(str(folder), ", ".join(own), "the series of the first: "
                         + ", ".join(series))
            continue
        series, past = own, np.array([about["now"]], float)
        for name, values in read_sets(folder / "paths.csv", series).items():
            label = f"{folder.name} {name}".strip()
            sets[label if label not in sets else f"{folder} {name}".strip()] = values
    problems.raise_if_any()
    with new_file(out) as draft:
        write_macro_figure(draft, series, past, sets)
    return list(sets)

"""`clo-gen reverse-stress`: the likeliest macro paths under which a class first loses."""

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from clo_gen.analysis import reverse_stress as rs
from clo_gen.analysis.likeliest_path import away_from_usual, likeliest_paths, usual_paths
from clo_gen.assembly import Assembly, assemble
from clo_gen.io.csv_file import write_csv
from clo_gen.io.folders import choose_folder, new_folder
from clo_gen.io.json_data import write_json
from clo_gen.io.problems import Problems
from clo_gen.plots import reverse_stress as plot_reverse_stress

STARTS = 4  # searches side by side
BLOCK = 64  # sampled lives a call
SHOWN_YEARS = 5


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for."""

    class_name: str | None = None  # None: the most junior note
    event: str = "loss"  # or "oc"
    answers: int = 3
    draws: int = 512  # sampled lives a path
    scenario: str | None = None  # None: the config's first
    cosine: float = 0.7  # of two answers' shocks, at most


@dataclasses.dataclass(frozen=True)
class Report:
    """Answers, likeliest first, with what they mean."""

    title: str
    answers: tuple  # analysis.likeliest_path.Answer
    usual: Any  # analysis.likeliest_path.Usual
    paths: tuple[np.ndarray, ...]  # [T, M] each
    rows: tuple[dict, ...]  # one an answer
    years: pd.DataFrame  # answer, year, series, value, usual, sds
    notes: tuple[str, ...]
    series: tuple[str, ...]
    summary: dict


def event_of(a: Assembly, request: Request):
    """(Event, its name in words). Raises InputError with every problem of the request."""
    problems = Problems("reverse-stress")
    names = a.deal.classes
    name = names[-2] if request.class_name is None else request.class_name
    tests = {t.through: (q, t) for q, t in enumerate(a.deal.terms.tests) if t.kind == "oc"}
    if request.event not in ("loss", "oc"):
        problems.add("event", request.event, "loss or oc")
    elif request.event == "loss" and name not in names:
        problems.add("class", name, "one of " + ", ".join(names))
    elif request.event == "oc" and name not in tests:
        problems.add("class", name, "one that an OC test ends at: " + (", ".join(tests) or "none"))
    if rs.generator(a.params.macro) is None:
        problems.add("macro.generator", a.config.macro.generator,
                     "var or cvae: paths that are a map of normal noise")
    if a.config.mode == "trajectory":
        problems.add("mode", a.config.mode, "markov or expected: the search and the sampled lives "
                     "follow levels 1 and 2")
    if request.scenario is not None and request.scenario not in a.scenarios:
        problems.add("scenario", request.scenario, "one of " + ", ".join(a.scenarios))
    for field, low, high in (("answers", 1, 10), ("draws", 2, 100_000)):
        if not low <= getattr(request, field) <= high:
            problems.add(field, getattr(request, field), f"{low} to {high}")
    if not 0.0 <= request.cosine < 1.0:
        problems.add("cosine", request.cosine, "at least 0 and below 1")
    problems.raise_if_any()
    if request.event == "oc":
        q, test = tests[name]
        return rs.Event("oc", q), f"{test.name} falls below {test.trigger:.2%}"
    return rs.Event("loss", names.index(name)), f"class {name} first loses ({rs.LOST:.1%} of it)"


def compiled_lives(event, setup):
    """Compiled (problem, values [T, M], key, numbers [n]) -> amounts [n]; see run_forward."""
    def lives(problem, values, key, numbers):
        return rs.run_forward(problem, values, key, numbers, event=event, setup=setup)

    return jax.jit(lives)


def reverse_stress_job(config, folder, request: Request, out=None, *,
                       on_stage=lambda text: None):
    """(Report of a run config under a Request, folder written: `out`, or
    runs/<name>-reverse-stress). Raises InputError with every problem."""
    out = choose_folder(f"{config.name}-reverse-stress", out)
    on_stage("reading and fitting")
    report = examine(assemble(config, folder), request, on_stage=on_stage)
    save(report, out)
    return report, out


def examine(a: Assembly, request: Request, *, on_stage=lambda text: None):
    """Report of an Assembly under a Request; nothing is written."""
    event, words = event_of(a, request)
    scenario = request.scenario or next(iter(a.scenarios))
    start, draw, look, life = jax.random.split(jax.random.key(a.config.seed), 4)
    problem = rs.Problem(a.params, a.inputs, a.scenarios[scenario], start)
    on_stage("compiling")
    clock = time.perf_counter()
    size = rs.noise_size(problem)
    margins = rs.compile_margins(event, a.setup).lower(
        problem, jnp.zeros((STARTS, size)), jnp.zeros(())).compile()
    lives = compiled_lives(event, a.setup).lower(
        problem, problem.scenario.shape, life, jnp.arange(BLOCK)).compile()
    compiled = time.perf_counter()
    answers = likeliest_paths(problem, margins, event, key=draw, answers=request.answers,
                              starts=STARTS, cosine=request.cosine,
                              on_answer=lambda n: on_stage(f"searching path {n + 1}"))
    found = time.perf_counter()
    on_stage("sampling")
    paths = tuple(np.asarray(jax.jit(rs.macro_values)(problem, x.noise)) for x in answers)
    rows = tuple(_row(problem, event, (lives, life, request.draws), x, path)
                 for x, path in zip(answers, paths, strict=True))
    timing = {"compile_s": compiled - clock, "search_s": found - compiled,
              "sampling_s": time.perf_counter() - found}
    usual = usual_paths(problem, look)
    title = f"{a.deal.terms.name}, scenario {scenario}: {words}"
    years = _years(answers, paths, usual, a.setup.series)
    summary = {"title": title, "event": request.event, "scenario": scenario,
               "seed": a.config.seed, "answers": rows, "timing": timing, "data": a.provenance}
    return Report(title, answers, usual, paths, rows, years, _notes(answers, request, timing, a),
                  a.setup.series, summary)


def _row(problem, event, drawing, answer, values):
    """One answer in numbers; sampled losses with and without the systematic factors drawn.

    `drawing` = (program of compiled_lives, key, number of lives).
    """
    lives, key, draws = drawing
    out = {"distance": answer.distance, "reached": answer.reached, "margin": answer.margin,
           "log_density_below_mode": -0.5 * answer.distance**2,
           "first_order_probability": answer.probability, "expected_mode_amount": answer.amount,
           "aligned": answer.aligned, "likeness": answer.likeness}
    for label, own in (("loans", rs.without_factors(problem)), ("all", problem)):
        blocks = [np.asarray(lives(own, values, key, first + jnp.arange(BLOCK)))
                  for first in range(0, draws, BLOCK)]
        amounts = np.concatenate(blocks)[:draws]
        out |= {f"{label}_drawn_share": float(rs.happened(event, amounts).mean()),
                f"{label}_drawn_mean": float(amounts.mean()),
                f"{label}_drawn_mean_error": float(amounts.std() / np.sqrt(draws))}
    return {k: (None if isinstance(v, float) and not np.isfinite(v) else v)
            for k, v in out.items()}


def _years(answers, paths, usual, series):
    rows = []
    for n, values in enumerate(paths):
        means, sds = away_from_usual(values, usual)
        middle = away_from_usual(usual.middle, usual)[0]
        rows += [{"answer": n + 1, "year": y + 1, "series": name, "value": means[y, m],
                  "usual": middle[y, m], "sds": sds[y, m]}
                 for y in range(len(means)) for m, name in enumerate(series)]
    return pd.DataFrame(rows)


def _notes(answers, request, timing, a):
    notes = []
    if answers[0].distance == 0.0:
        notes.append("it happens on the likeliest path of all already: there is nothing to search")
    elif not answers[0].reached:
        notes.append(f"not reached: within {answers[0].distance:.1f} standard deviations of noise "
                     f"the nearest path leaves a margin of {answers[0].margin:.2%}; the macro "
                     "covariates of the transition model saturate (transitions.saturation)")
    elif len(answers) < request.answers:
        notes.append(f"{len(answers)} of {request.answers} answers: no further path within reach "
                     f"differs from these by a cosine of {request.cosine:g} or less")
    notes += [f"{name}: {data['kind']} - {data['source']}" for name, data in a.provenance.items()]
    return (*notes, "compile {compile_s:.1f} s, search {search_s:.1f} s, sampling {sampling_s:.1f} "
            "s".format(**timing))


def tables(report: Report):
    """Rich tables: the answers in numbers, and the first of them year by year."""
    from clo_gen.terminal.console import new_table

    summary = new_table(report.title, [
        "answer", "distance", "density /\nlikeliest", "aligned", "likeness",
        "P(event)\nloans drawn", "P(event)\nall drawn", "mean amount\nall drawn"])

    def number(x, form):
        return "-" if x is None else format(x, form)

    for n, row in enumerate(report.rows):
        summary.add_row(
            f"{n + 1}" + ("" if row["reached"] else " (not reached)"),
            f"{row['distance']:.2f} sd", f"{np.exp(row['log_density_below_mode']):.2g}",
            number(row["aligned"], ".2f"), number(row["likeness"], ".2f"),
            f"{row['loans_drawn_share']:.0%}", f"{row['all_drawn_share']:.0%}",
            f"{row['all_drawn_mean']:.1%} +- {row['all_drawn_mean_error']:.1%}")
    first = report.years[(report.years["answer"] == 1) & (report.years["year"] <= SHOWN_YEARS)]
    years = new_table("answer 1: mean of each year, and its distance from the likeliest path in "
                      "standard deviations", ["", *(f"year {y}" for y in first["year"].unique())])
    for name, rows in first.groupby("series", sort=False):
        years.add_row(name, *(f"{100 * v:.1f} % ({s:+.1f})" for v, s in
                              zip(rows["value"], rows["sds"], strict=True)))
    return summary, years


def save(report: Report, out):
    """Writes the folder `out` in one go."""
    with new_folder(out) as draft:
        write_json(draft / "summary.json", report.summary)
        write_csv(report.years, draft / "years.csv")
        months = [pd.DataFrame(p, columns=list(report.series)).assign(
            answer=n + 1, month=np.arange(1, len(p) + 1)) for n, p in enumerate(report.paths)]
        write_csv(pd.concat(months).set_index(["answer", "month"]), draft / "paths.csv", index=True)
        np.savez_compressed(draft / "noise.npz", noise=np.stack([x.noise for x in report.answers]))
        plot_reverse_stress.write_figure(draft / "paths.png", report)

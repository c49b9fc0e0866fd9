"""`clo-gen tail`: rare losses of a class and of the pool, by plain paths and by tilted ones."""

import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy.stats import norm

from clo_gen.analysis import reverse_stress as rs
from clo_gen.analysis import tilt as tl
from clo_gen.analysis.tail_numbers import Number, control_alone, curves, lost, numbers
from clo_gen.analysis.tilt_search import (
    Programs,
    compile_loss,
    compile_margins,
    find_tilt,
    unit,
)
from clo_gen.assembly import Assembly, assemble
from clo_gen.io.csv_file import write_csv
from clo_gen.io.folders import choose_folder, new_folder
from clo_gen.io.json_data import write_json
from clo_gen.io.problems import Problems
from clo_gen.plots import tail as plot_tail

BLOCK = 256  # paths a call
FEW = 30  # effective paths in a tail below which its interval is not to be trusted
NORMAL = float(norm.ppf(0.975))
APART = 3.0  # standard errors of their difference from which plain and tilted disagree
TILTS = (8, 3)  # directions and shifts of a class and the pool: one program for all paths


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for."""

    class_name: str | None = None  # None: the most senior that loses on a plain path
    scenario: str | None = None  # None: the config's first
    paths: int = 8192  # plain ones, and as many tilted ones with their pilot
    pilot: int = 512
    level: float = 0.999  # of the pool's VaR
    defence: float = 0.1  # share of tilted paths that are not shifted


@dataclasses.dataclass(frozen=True)
class Report:
    """Both estimates of every number, and the curves of the picture."""

    title: str
    rows: tuple[dict, ...]  # one a number: plain and tilted value and half width, ratio, z, ess
    curves: dict  # loss [G]; plain, tilted: P(pool loss above it); their half widths
    verdict: str
    notes: tuple[str, ...]
    summary: dict


def judge(a: Assembly, request: Request):
    """Raises InputError with every problem of the request."""
    problems = Problems("tail")
    if request.class_name is not None and request.class_name not in a.deal.classes:
        problems.add("class", request.class_name, "one of " + ", ".join(a.deal.classes))
    if request.scenario is not None and request.scenario not in a.scenarios:
        problems.add("scenario", request.scenario, "one of " + ", ".join(a.scenarios))
    if a.config.mode == "trajectory":
        problems.add("mode", a.config.mode, "markov or expected: the search follows levels 1 and 2")
    least = 4 * tl.REPLICATIONS
    if not least <= request.pilot <= 100_000:
        problems.add("pilot", request.pilot, f"a number from {least} to 100000")
    if not request.pilot + least <= request.paths <= 10_000_000:
        problems.add("paths", request.paths, f"a number from {request.pilot + least} (the pilot "
                     f"and {least}) to 10000000")
    for field, low, high in (("level", 0.5, 0.99999), ("defence", 0.01, 0.9)):
        if not low <= getattr(request, field) <= high:
            problems.add(field, getattr(request, field), f"a number from {low:g} to {high:g}")
    problems.raise_if_any()


def tail_job(config, folder, request: Request, out=None, *, on_stage=lambda text: None):
    """(Report of a run config under a Request, folder written: `out`, or runs/<name>-tail). Raises
    InputError with every problem."""
    out = choose_folder(f"{config.name}-tail", out)
    on_stage("reading and fitting")
    report = examine(assemble(config, folder), request, on_stage=on_stage)
    with new_folder(out) as draft:
        write_json(draft / "tail.json", report.summary)
        write_csv(pd.DataFrame(report.rows), draft / "tail.csv")
        plot_tail.write_figure(draft / "tail.png", report)
    return report, out


def examine(a: Assembly, request: Request, *, on_stage=lambda text: None):
    """Report of an Assembly under a Request; nothing is written."""
    judge(a, request)
    scenario = request.scenario or next(iter(a.scenarios))
    key = jax.random.key(a.config.seed)
    # Tilted paths share no draw with plain ones, so that each checks the other.
    centre, pilot, main = (jax.random.fold_in(jax.random.fold_in(key, tl.BESIDE), n)
                           for n in range(3))
    problem = rs.Problem(a.params, a.inputs, a.scenarios[scenario], centre)
    case = problem, jnp.asarray(a.config.temperature, float)
    clock = _Clock(on_stage)
    block = -(-min(BLOCK, request.pilot // 2) // jax.device_count()) * jax.device_count()
    clock.start("compiling")
    # Plain paths have a program of their own: they need not pay for what tilted ones count.
    own = tl.compile_paths(a.setup)
    programs = Programs(tl.compile_paths(a.setup, twist=a.setup.mode == "markov"),
                        compile_loss(a.setup))
    none = tl.no_tilt(problem, a.setup, *TILTS)
    for paths in (own, programs.paths):
        tl.run_paths(paths, case, none, key, block, block)
    clock.start("compiling gradients")
    control = jnp.asarray(unit(np.asarray(programs.loss(problem, none.control)[1])))
    clock.start("plain paths")
    plain = tl.run_paths(own, case, none.replace(control=control), key, request.paths, block)
    k = _class_of(a, request, plain)
    clock.start("compiling gradients")
    programs = dataclasses.replace(programs, margins=compile_margins(a.setup, k))
    programs.margins(problem, jnp.zeros((2, control.shape[0])), jnp.zeros(()))
    clock.start("searching the tilt")
    found = find_tilt(programs, case, a.setup, (k, request.level, request.pilot, request.defence),
                      pilot, block)
    clock.start("tilted paths")
    count = (request.paths - request.pilot) // tl.REPLICATIONS * tl.REPLICATIONS
    tilted = tl.run_paths(programs.paths, case, found.tilt.replace(control=control), main, count,
                          block)
    clock.start("")
    return _report(a, request, scenario, k, (plain, tilted, found), clock.seconds)


class _Clock:
    """Seconds by stage."""

    def __init__(self, on_stage):
        self.seconds: dict[str, float] = {}
        self.on_stage, self.stage, self.began = on_stage, None, 0.0

    def start(self, stage):
        now = time.perf_counter()
        if self.stage is not None:
            self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + now - self.began
        self.stage, self.began = stage, now
        self.on_stage(stage)


def _class_of(a, request, plain):
    """Class asked for; else the most senior that loses on a plain path, or the most junior note."""
    if request.class_name is not None:
        return a.deal.classes.index(request.class_name)
    notes = range(len(a.deal.classes) - 1)
    return next((k for k in notes if lost(plain, k).any()), notes[-1])


def _row(name, plain: Number, tilted: Number):
    """One number of both; without a plain path in the tail there is nothing to compare."""
    seen = plain.effective != 0.0
    both = float(np.hypot(plain.half, tilted.half))
    return {"number": name, "plain": plain.value,
            "plain_half_width": plain.half if seen else float("nan"),
            "tilted": tilted.value, "tilted_half_width": tilted.half,
            "ratio": plain.half / tilted.half if seen and tilted.half > 0 else float("nan"),
            "z": NORMAL * (tilted.value - plain.value) / both if seen and both > 0 else
            float("nan"),
            "plain_tail_paths": plain.effective, "tilted_tail_paths": tilted.effective}


def _verdict(rows):
    compared = [row for row in rows if np.isfinite(row["z"])]
    worst = max(compared, key=lambda row: abs(row["z"]))
    word = "agree" if abs(worst["z"]) < APART else "DISAGREE"
    return (f"plain and tilted {word}: at most {abs(worst['z']):.1f} standard errors apart "
            f"({worst['number']})")


def _report(a, request, scenario, k, outcomes, seconds):
    plain, tilted, found = outcomes
    name, level = a.deal.classes[k], 100 * request.level
    labels = (f"{name} loss probability", f"{name} imputed loss", f"pool VaR {level:g}",
              f"pool CVaR {level:g}", "pool mean loss")
    each = (numbers(plain, k, request.level),
            numbers(tilted, k, request.level, tl.REPLICATIONS))
    rows = tuple(_row(label, p, q) for label, p, q in zip(
        labels, each[0].values(), each[1].values(), strict=True))
    verdict = _verdict(rows)
    title = (f"{a.deal.terms.name}, scenario {scenario}: {len(plain.loss):,} plain paths; "
             f"{request.pilot:,} pilot and {len(tilted.loss):,} tilted paths")
    used = seconds["searching the tilt"] + seconds["tilted paths"]
    summary = {"title": title, "request": dataclasses.asdict(request), "class": name,
               "scenario": scenario, "seed": a.config.seed, "numbers": rows, "verdict": verdict,
               "replications": tl.REPLICATIONS, "means": np.asarray(found.tilt.means).tolist(),
               "gradients": found.slopes, "pilot_tail_paths": found.events,
               "design_point": {"distance": found.distance, "margin": found.margin},
               "mean_twist": float(np.mean(found.tilt.twist)),
               "twisted": found.tilt.twisted.tolist(), "timing": seconds,
               "equal_seconds_factor": float(np.sqrt(seconds["plain paths"] / used)),
               "control_alone": control_alone(plain, rows[-1]["plain_half_width"]),
               "data": a.provenance}
    return Report(title, rows, curves(plain, tilted), verdict,
                  _notes(a, rows, found, summary), summary)


def _notes(a, rows, found, summary):
    notes = [f"{row['number']}: only {row['tilted_tail_paths']:.0f} effective paths lie in the "
             "tail; take more, the interval is not to be trusted" for row in rows
             if row["tilted_tail_paths"] < FEW]
    notes += [f"{row['number']}: no plain path is in the tail" for row in rows
              if row["plain_tail_paths"] == 0.0]
    notes += [f"{row['number']}: tilted paths are no better than plain ones ("
              f"{row['ratio']:.2f}); the tail is not rare, or the tilt misses it"
              for row in rows[:4] if row["ratio"] < 1.0]
    if found.margin > 0:
        notes.append(f"in the pool's mean the class loses nowhere within reach (margin "
                     f"{found.margin:.2%}); its direction is that of the nearest noise")
    if rs.generator(a.params.macro) is None:
        notes.append("the block bootstrap is no map of normal noise: only the factors are tilted")
    c = summary["control_alone"]
    notes.append(f"the control alone, on plain paths: mean loss {c['value']:.3%} +- "
                 f"{c['half_width']:.3%}, {c['ratio']:.2f} times narrower")
    s = summary["timing"]
    notes.append(
        f"plain {s['plain paths']:.1f} s; tilted {s['tilted paths']:.1f} s after "
        f"{s['searching the tilt']:.1f} s of search and pilot ({found.slopes} gradients): at equal "
        f"seconds the ratios are {summary['equal_seconds_factor']:.2f} times those shown; compile "
        f"{s['compiling']:.1f} s, for the gradients {s['compiling gradients']:.1f} s more")
    return (*notes, *(f"{n}: {data['kind']} - {data['source']}"
                      for n, data in a.provenance.items()))

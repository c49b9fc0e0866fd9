"""`clo-gen structure`: class sizes for the highest equity IRR within each rating's loss rate."""

import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy.stats import beta

from clo_gen.analysis import structuring as st
from clo_gen.assembly import Assembly, assemble
from clo_gen.io.csv_file import write_csv
from clo_gen.io.folders import choose_folder, new_folder
from clo_gen.io.json_data import write_json
from clo_gen.io.problems import Problems
from clo_gen.io.tables import data_path, idealised_default_table_standin
from clo_gen.plots import structuring as plot_structuring
from clo_gen.risk.rating import idealised_rate
from clo_gen.solve.sequential import Limits, climb

BLOCK = 64  # sampled lives a call
AT_BOUND = 0.9  # of the most a spread may move: the smooth bound leaves it a fifth of its slope
TEMPERATURE = 0.002  # of the tests while searching; what is found is judged at 0


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for."""

    paths: int = 512  # that the structure is fitted to
    checks: int = 2048  # fresh ones that judge it
    scenario: str | None = None  # None: the config's first
    spread_slope: float = 3.0  # relative rise per unit of enhancement a class gives up
    least_size: float = 0.5  # of each class's size at the start, equity's too
    most_size: float = 2.0
    steps: int = 30


@dataclasses.dataclass(frozen=True)
class Report:
    """Structure before and after, judged on fresh paths."""

    title: str
    currency: str
    paths: int  # fresh ones
    rows: tuple[dict, ...]  # one a class
    equity: dict  # irr before and after, errors
    notes: tuple[str, ...]
    summary: dict


def rating_rows(ratings):
    """Row of the idealised table for each of `ratings` (any agency's name). Raises InputError."""
    scale = pd.read_csv(data_path("rating_scale.csv"))
    known = {name: row for row, names in enumerate(
        scale[["sp", "moodys", "dbrs"]].to_numpy()) for name in names}
    problems = Problems("structure")
    last = len(idealised_default_table_standin().names)
    for name, rating in ratings.items():
        if known.get(rating, last) >= last:
            problems.add(f"notes {name}, rating", rating, "a rating of any agency, AAA to CCC-")
    problems.raise_if_any()
    return np.array([known[rating] for rating in ratings.values()])


def market_of(a: Assembly, request: Request):
    """st.Market of an Assembly."""
    names, tests = a.deal.classes, a.deal.terms.tests
    ends = np.full(a.inputs.deal.trigger.shape[0], -1)
    for q, test in enumerate(tests):
        if test.kind == "oc":
            ends[q] = names.index(test.through)
    return st.Market(a.inputs.deal, jnp.asarray(request.spread_slope, float), jnp.asarray(ends),
                     jnp.asarray(a.deal.priority))


def judge(a: Assembly, request: Request):
    """Raises InputError with every problem of the request."""
    problems = Problems("structure")
    if request.scenario is not None and request.scenario not in a.scenarios:
        problems.add("scenario", request.scenario, "one of " + ", ".join(a.scenarios))
    if a.config.mode == "trajectory":
        problems.add("mode", a.config.mode, "markov or expected: the pool is drawn from levels 1 "
                     "and 2")
    for field, low, high in (("paths", 32, 20_000), ("checks", 32, 200_000), ("steps", 1, 500),
                             ("spread_slope", 0, 50), ("least_size", 0.01, 1),
                             ("most_size", 1, 20)):
        if not low <= getattr(request, field) <= high:
            problems.add(field, getattr(request, field), f"{low} to {high}")
    problems.raise_if_any()


def _pools(a, scenario, key, count):
    """st.Pools of `count` sampled lives, block by block."""
    setup = dataclasses.replace(a.setup, mode="markov")
    live = jax.jit(lambda p, i, s, k, n: st.live_pools(p, i, s, k, n, setup=setup))
    size = min(BLOCK, count)
    parts = [live(a.params, a.inputs, a.scenarios[scenario], key, first + jnp.arange(size))
             for first in range(0, count, size)]
    return jax.tree.map(lambda *x: jnp.concatenate(x)[:count], *parts)


def _limits(table_rows, wal):
    """Idealised rates [K-1] of the classes' ratings at their WAL."""
    table = idealised_default_table_standin()
    return np.array([float(idealised_rate(table, jnp.asarray(w))[r])
                     for r, w in zip(table_rows, wal, strict=True)])


def allowed_losses(limit, paths):
    """Paths of `paths` that may lose [K-1] int: one standard error below the limit, for sizes that
    are fitted to the very paths."""
    cautious = limit - np.sqrt(limit * (1.0 - limit) / paths)
    return np.floor(np.maximum(cautious, 0.0) * paths + 1e-9).astype(int)


def structure(a: Assembly, request: Request, *, on_stage=lambda text: None):
    """Report of an Assembly under a Request; nothing is written."""
    judge(a, request)
    rated = {note.name: note.rating for note in a.deal.terms.notes}
    rows = rating_rows(rated)
    scenario = request.scenario or next(iter(a.scenarios))
    fit_key, check_key = jax.random.split(jax.random.key(a.config.seed))
    market, clock = market_of(a, request), time.perf_counter()
    on_stage("sampling the pool")
    pools = _pools(a, scenario, fit_key, request.paths)
    sampled = time.perf_counter()
    on_stage("compiling the waterfall")
    assess = st.compile_structure(a.setup.waterfall)
    start = np.asarray(a.inputs.deal.balance[:-1])

    def at(sizes, limit):
        allowed = jnp.asarray(allowed_losses(limit, request.paths))
        return jax.tree.map(np.asarray, assess(
            jnp.asarray(sizes), market, pools, a.inputs.calendar, allowed,
            jnp.asarray(TEMPERATURE)))

    limit = _limits(rows, at(start, np.zeros(len(start)))[2].wal_years)
    compiled = time.perf_counter()
    box = _box(np.asarray(a.inputs.deal.balance), request)
    found = _climb(at, start, (limit, box), request, on_stage)
    limit = _limits(rows, at(found.x, limit)[2].wal_years)  # WALs moved: once more, from there
    found = _climb(at, found.x, (limit, box), request, on_stage)
    solved = time.perf_counter()
    on_stage("judging on fresh paths")
    fresh = _pools(a, scenario, check_key, request.checks)
    before, after = (_judged(a, market, jnp.asarray(x), fresh, rows) for x in (start, found.x))
    timing = {"sampling_s": sampled - clock, "compile_s": compiled - sampled,
              "search_s": solved - compiled, "checks_s": time.perf_counter() - solved}
    return _report(a, request, scenario, found, (before, after, rated), timing)


def _climb(at, start, limits, request, on_stage):
    limit, box = limits

    def evaluate(sizes):
        (irr, margin), (slope, jacobian), _ = at(sizes, limit)
        return float(irr), slope, margin, jacobian

    return climb(evaluate, start, box, steps=request.steps,
                 on_step=lambda k: on_stage(f"structuring, step {k}"))


def _box(balance, request):
    """Limits of the sizes: each class's own, and those of equity, which is what they leave."""
    debt, equity = balance[:-1], balance[-1]
    ends = [balance.sum() - request.least_size * equity, -(debt.sum() + equity
                                                           - request.most_size * equity)]
    return Limits(request.least_size * debt, request.most_size * debt,
                  np.stack([np.ones(len(debt)), -np.ones(len(debt))]), np.array(ends))


def _judged(a, market, sizes, fresh, rows):
    """A structure on fresh paths under hard tests: dict of arrays by class, and of equity."""
    deal = st.structured(sizes, market)
    run = jax.jit(lambda d, p, c: st.outcome(d, p, c, jnp.zeros(()), waterfall=a.setup.waterfall))
    found = run(deal, fresh, a.inputs.calendar)
    lost = np.asarray(found.lost, float)
    limit = _limits(rows, np.asarray(found.wal_years))
    return {"size": np.asarray(sizes) * a.deal.par, "spread": np.asarray(deal.spread[:-1]),
            "loss_probability": lost.mean(0), "error": lost.std(0) / np.sqrt(len(lost)),
            "limit": limit, "wal_years": np.asarray(found.wal_years),
            "equity_size": float(deal.balance[-1]) * a.deal.par, "irr": float(found.irr),
            "irr_error": float(st.irr_error(found, a.inputs.calendar.years)),
            "trigger": np.asarray(deal.trigger)}


def _report(a, request, scenario, found, judged, timing):
    before, after, rated = judged
    keys = ("size", "spread", "loss_probability", "error", "limit", "wal_years")
    rows = tuple({"class": name, "rating": rating}
                 | {f"{key}_before": float(before[key][k]) for key in keys}
                 | {f"{key}_after": float(after[key][k]) for key in keys}
                 for k, (name, rating) in enumerate(rated.items()))
    equity = {f"{key}_{when}": d[key] for when, d in (("before", before), ("after", after))
              for key in ("equity_size", "irr", "irr_error")}
    for row in rows:
        row["verdict"] = verdict(row["loss_probability_after"], row["limit_after"], request.checks)
    notes = [f"{word} its limit on fresh paths (95 % each way): "
             + (", ".join(r["class"] for r in rows if r["verdict"] == word) or "none")
             for word in ("within", "over")]
    notes += [f"open, {request.checks:,} paths cannot tell: "
              + (", ".join(r["class"] for r in rows if r["verdict"] == "open") or "none"),
             *_at_bounds(rows, equity, request),
             f"limits: {idealised_default_table_standin().source}",
             f"spreads rise by {request.spread_slope:g} x the enhancement given up (assumed)",
             "the search settled" if found.settled else f"the search ended unsettled after "
             f"{found.steps} steps",
             *(f"{name}: {data['kind']} - {data['source']}"
               for name, data in a.provenance.items()),
             "sampling {sampling_s:.1f} s, compile {compile_s:.1f} s, search {search_s:.1f} s, "
             "checks {checks_s:.1f} s".format(**timing)]
    title = (f"{a.deal.terms.name}, scenario {scenario}: equity IRR {equity['irr_before']:.2%} -> "
             f"{equity['irr_after']:.2%}")
    summary = {"title": title, "currency": a.deal.terms.currency,
               "request": dataclasses.asdict(request), "classes": rows, "equity": equity,
               "triggers_after": after["trigger"].tolist(),
               "fitted_margins": found.margins.tolist(), "settled": found.settled,
               "seed": a.config.seed, "timing": timing, "data": a.provenance}
    return Report(title, summary["currency"], request.checks, rows, equity, tuple(notes), summary)


def verdict(rate, limit, paths):
    """"within", "over" or "open": the loss probability seen against its limit, with the exact
    one-sided 95 % bounds of Clopper and Pearson (1934)."""
    lost = round(rate * paths)
    if beta.ppf(0.95, lost + 1, max(paths - lost, 1e-12)) <= limit:
        return "within"
    return "over" if lost and beta.ppf(0.05, lost, paths - lost + 1) > limit else "open"


def _at_bounds(rows, equity, request):
    sizes = {r["class"]: r["size_after"] / r["size_before"] for r in rows if r["size_before"] > 0}
    if equity["equity_size_before"] > 0:
        sizes["equity"] = equity["equity_size_after"] / equity["equity_size_before"]
    ends = [f"{name} ({ratio:.2f} times)" for name, ratio in sizes.items()
            if min(abs(ratio - request.least_size), abs(ratio - request.most_size)) < 1e-3]
    found = [f"sizes that stand on their bounds: {', '.join(ends)}"] if ends else []
    moves = {r["class"]: r["spread_after"] / r["spread_before"] for r in rows
             if r["spread_before"] > 0}
    ends = [f"{name} ({ratio:.2f} times)" for name, ratio in moves.items()
            if abs(ratio - 1.0) > AT_BOUND * st.MOST_MOVE]
    return found + ([f"spreads that stand on their bound of {st.MOST_MOVE:.0%} either way, or "
                     f"within a tenth of it: {', '.join(ends)}"] if ends else [])


def structure_job(config, folder, request: Request, out=None, *, on_stage=lambda text: None):
    """(Report, folder written: `out`, or runs/<name>-structure). Raises InputError."""
    out = choose_folder(f"{config.name}-structure", out)
    on_stage("reading and fitting")
    report = structure(assemble(config, folder), request, on_stage=on_stage)
    with new_folder(out) as draft:
        write_json(draft / "summary.json", report.summary)
        write_csv(pd.DataFrame(report.rows), draft / "classes.csv")
        plot_structuring.write_figure(draft / "structure.png", report)
    return report, out


def table(report: Report):
    """Rich table: sizes, spreads and loss probabilities before and after."""
    from clo_gen.terminal.console import new_table

    out = new_table(report.title, ["class", "rating", f"size, {report.currency} m", "spread, bp",
                                   "P(loss)", "limit", ""])
    for r in report.rows:
        out.add_row(r["class"], r["rating"],
                    f"{r['size_before'] / 1e6:.1f} > {r['size_after'] / 1e6:.1f}",
                    f"{r['spread_before'] * 1e4:.0f} > {r['spread_after'] * 1e4:.0f}",
                    f"{r['loss_probability_before']:.2%} > {r['loss_probability_after']:.2%} "
                    f"+- {r['error_after']:.2%}", f"{100 * r['limit_after']:.2g}%",
                    r["verdict"])
    e = report.equity
    out.add_row("equity", "", f"{e['equity_size_before'] / 1e6:.1f} > "
                f"{e['equity_size_after'] / 1e6:.1f}", "", f"IRR {e['irr_before']:.2%} > "
                f"{e['irr_after']:.2%} +- {e['irr_error_after']:.2%}", "", "")
    return out

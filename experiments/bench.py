"""How fast is each stage?

    python experiments/bench.py [--paths 512] [--cases markov-1k,waterfall]

One JSON line a case: compile time apart from the median of 5 runs, peak memory, device, dtype and
commit. About 4 minutes on 2 cores. Expected there: markov at least 30 million loan-months a second
with macro, factors, cash and recovery lags included. BENCHMARKS.md holds the figures and floors.
"""

import argparse
import datetime
import functools
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from clo_gen import gradients, mesh, pipeline, rng  # noqa: E402
from clo_gen.assemble import assemble  # noqa: E402
from clo_gen.cash.new_collateral import from_rates  # noqa: E402
from clo_gen.deal.waterfall import run_waterfall  # noqa: E402
from clo_gen.hypo import Obligor, batch, problem  # noqa: E402
from clo_gen.io.config import read_config  # noqa: E402
from clo_gen.io.deal import load_deal  # noqa: E402
from clo_gen.io.deal_arrays import purchases  # noqa: E402
from clo_gen.io.deal_terms import DealTerms  # noqa: E402
from clo_gen.io.tables import config_path  # noqa: E402
from clo_gen.io.toml import load_toml, parse  # noqa: E402
from clo_gen.models import systematic  # noqa: E402
from clo_gen.records import Collections  # noqa: E402

MONTHS = 60


def assembly(obligors, mode="markov"):
    config, folder = read_config(overrides=[f"tape.synthetic.obligors={obligors}", f"mode={mode}"])
    return assemble(config, folder)


def collections_of(a, params, inputs, scenario, key, number, months=MONTHS):
    """One path's Collections over the first `months`: macro, transitions, factors, loans, cash."""
    key = rng.path_key(key, number)
    path = a.setup.macro_sample(params.macro, key, inputs.history, scenario, a.setup.series)
    path = path.replace(values=path.values[:months])
    shifts = systematic.sample(params.loadings, rng.sources(key), months, a.setup.groups)
    index = pipeline.index_paths(path, inputs.curves[: months + 1], a.setup.index_columns)
    plan = jax.tree.map(lambda x: x[:months], inputs.schedule)
    return pipeline.collect(inputs.tape, plan, inputs.deal,
                            pipeline.transitions_of(params, path, a.setup), shifts, index, key,
                            space=a.setup.space, mode=a.setup.mode, lag=a.setup.recovery_lag)


def pool_case(obligors, mode, paths):
    a = assembly(obligors, mode)
    one = functools.partial(collections_of, a)
    batch = jax.vmap(one, in_axes=(None, None, None, None, 0))
    args = (a.params, a.inputs, a.scenarios["baseline"], jax.random.key(0), jnp.arange(paths))
    return batch, args, 4, {"loans": obligors, "months": MONTHS, "paths": paths,
                            "unit": "loan-months", "work": obligors * MONTHS * paths}


def full_deal():
    """us_bsl over ten years (40 payment dates) with every feature on: pari passu and fixed classes,
    refinancing, a diversion, a reserve account, a swap, a cap, reinvestment, a call, an event of
    default, OC and IC tests, haircuts, fee caps, interest and bases, incentive fee."""
    data = load_toml(config_path("deals/us_bsl.toml"))
    notes = data["notes"]
    notes[0] |= {"group": "A", "refinance": {"date": datetime.date(2028, 1, 15), "spread_bps": 110}}
    notes[1]["group"] = "A"
    notes[2] = {k: v for k, v in notes[2].items() if k != "spread_bps"} | {"rate": 0.055}
    data["fees"][1] |= {"basis": "average", "interest": 0.05}
    return load_deal(parse(data | {
        "maturity": datetime.date(2035, 10, 15),
        "reinvestment": data["reinvestment"] | {"term_months": 60, "after": 0.3},
        "call": data["call"] | {"equity_irr": 0.25},
        "diversions": [{"name": "diversion", "through": "E", "trigger": 1.045}],
        "reserves": [{"name": "interest reserve", "initial": 2e6, "amount": 1e6,
                      "of_notes": {"A-1": 0.002}}],
        "hedges": [{"name": "swap", "kind": "swap", "notional": 50e6, "rate": 0.035},
                   {"name": "cap", "kind": "cap", "notional": 50e6, "rate": 0.05,
                    "premium": 0.001}]}, DealTerms, "bench"), "bench")


def made_up_collections(key, months):
    """Collections [months] of a pool under random default and prepayment rates."""
    draws = jax.random.uniform(key, (4, months))
    default, prepay, ccc = 0.006 * draws[0], 0.03 * draws[1], 0.2 * draws[2]
    stay = (1.0 - default) * (1.0 - prepay)
    opening = jnp.cumprod(jnp.concatenate([jnp.ones(1), stay[:-1]]))
    par, lost = opening * stay, opening * default
    late = jnp.concatenate([jnp.zeros(12), lost])[:months]
    defaulted = jnp.cumsum(lost - late)
    prices = jnp.array([0.45, 0.55, 0.65, 0.7, 0.7])
    buckets = (par * ccc)[:, None, None] * jnp.array([0.1, 0.1, 0.1, 0.2, 0.5])
    return Collections(
        interest=opening * (0.004 + 0.003 * draws[3]), scheduled_principal=0.0 * par,
        prepayment=opening * (1.0 - default) * prepay, default=lost, recovery=0.6 * late,
        loss=0.4 * late, performing=par, defaulted=defaulted, defaulted_value=0.5 * defaulted,
        ccc_par=buckets, ccc_value=buckets * prices, carrying_haircut=0.01 * par,
        par_by_state=jnp.zeros((months, 0)))


def waterfall_case(paths, gradient=False, block=500):
    """The waterfall alone, every feature on; with `gradient`, that of a price with respect to all
    deal terms too. The collections are random: no simulation is timed."""
    d = full_deal()
    buys, dates = purchases(d.terms), len(d.payment_dates)
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(jnp.arange(paths))
    collections = jax.jit(jax.vmap(lambda k: made_up_collections(k, d.months)))(keys)
    index = jax.jit(jax.vmap(lambda k: 0.01 + 0.05 * jax.random.uniform(k, (dates,))))(keys)

    def cash(deal, calendar, collections, index):
        new = from_rates(buys, 0.03, 0.2, index, calendar)
        return run_waterfall(deal, d.waterfall, collections, index, 0.01, calendar=calendar,
                             new=new)

    def value(deal, calendar, collections, index):
        paid = cash(deal, calendar, collections, index)
        return jnp.sum((paid.interest + paid.principal) * jnp.arange(1.0, 10.0))

    one = jax.value_and_grad(value) if gradient else cash

    def run(deal, calendar, collections, index):
        batch = jax.vmap(lambda c, i: one(deal, calendar, c, i))
        return (batch if paths % block else mesh.in_blocks(batch, block))(collections, index)

    return run, (d.deal, d.calendar, collections, index), (2, 3), {
        "dates": dates, "classes": 9, "paths": paths, "unit": "path-dates", "work": paths * dates}


def graph_case(paths):
    a = assembly(200)
    batch = functools.partial(pipeline.simulate_batch, setup=a.setup)
    args = (a.params, a.inputs, a.scenarios["baseline"], jax.random.key(0), jnp.arange(paths), 0.0)
    work = int(a.inputs.tape.maturity.sum()) * paths  # months after a loan's maturity do not count
    return batch, args, 4, {"loans": 200, "months": a.deal.months, "paths": paths,
                            "unit": "loan-months", "work": work}


def gradient_case(paths, gradient, block=32):
    """Class prices and pool loss in mode expected, 200 loans, 120 months; with `gradient` in every
    number of params, tape, schedule, deal, calendar and history at once."""
    text = config_path("deals/us_bsl.toml").read_text()
    with tempfile.TemporaryDirectory() as folder:
        deal = pathlib.Path(folder) / "ten_years.toml"
        deal.write_text(re.sub("(?m)^maturity = .*$", "maturity = 2035-10-15", text))
        a = assemble(*read_config(overrides=["mode=expected", f"deal={str(deal)!r}"]))

    def run(params, inputs, scenario, key, numbers):
        def one(args, i):
            got = pipeline.simulate(*args, scenario, rng.path_key(key, i), 0.01, setup=a.setup)
            return got.tranches.price[:-1].sum() + got.loss, got.log_prob

        def mean(numbers):
            if gradient:
                return gradients.gradient(one, (params, inputs), numbers, block=block).gradient
            many = jax.vmap(lambda i: one((params, inputs), i)[0])
            return jax.lax.map(many, numbers.reshape(-1, block)).mean()

        return jax.tree.map(lambda x: x.mean(0), jax.vmap(mean)(numbers))

    paths = max(paths // 2, block * jax.device_count())
    numbers = jnp.arange(paths).reshape(jax.device_count(), -1)
    args = (a.params, a.inputs, a.scenarios["adverse"], jax.random.key(0), numbers)
    return run, args, 4, {"loans": 200, "months": a.deal.months, "paths": paths,
                          "unit": "loan-months", "work": 200 * a.deal.months * paths}


def hypo_deals(count):
    """Random deals near published limits; of about one in six the industry exceptions must go."""
    draw = np.random.default_rng(0)

    def deal():
        ob, ind = draw.uniform(0.015, 0.025), draw.uniform(0.08, 0.12)
        return dict(
            pool_par=1.0, conc_limit_basis=draw.uniform(0.95, 1.15), ob_max=ob, ind_max=ind,
            dscore_min=draw.uniform(45, 75), riskscore_max=draw.uniform(2400, 3300),
            ob_exceptions=[(int(draw.integers(0, 6)), 1.25 * ob)], ob_floor=0.005,
            ind_exceptions=[(1, 1.5 * ind), (2, 1.2 * ind)], ind_floor=0.04)

    return [deal() for _ in range(count)]


def hypo_case(kind, count):
    """Deals a second of the compiled batch, 256 obligors, results back on the host."""
    judged = [problem.discrete_inputs(**deal) for deal in hypo_deals(count)]
    problems = batch.stacked([problem.discrete_problem(i, exceptions=8, groups=4) for i in judged])
    tables = problem.tables_of(judged[0])

    def discrete():
        return batch.solve_discrete_batch(problems, tables, obligors=256, industries=32)

    if kind == "discrete":
        return discrete, count
    pools = discrete().pool
    monitor = problem.formula_problem(problem.formula_inputs(
        hypo_pool_diversity=[Obligor(1.0, 0)], run_mode="SP_WARF", rs_abs_max=4000.0,
        coef_bdr=(0.109706, 4.140929, 1.064031), rvst_target_par=1.0, collat_prin_amt=0.99,
        was=0.036, warr=0.4, wal=5.0, rs_bound_lower=500.0, rs_bound_higher=4500.0))
    monitors = batch.stacked([monitor] * count)
    return lambda: batch.solve_formula_batch(monitors, pools), count


def random_case(paths):
    """The floor of a draw a loan and month: the random numbers alone."""

    def run(key, numbers):
        def one(i):
            def month(total, t):
                draw = jax.random.uniform(jax.random.fold_in(rng.path_key(key, i), t), (1000,),
                                          jnp.float32)
                return total + draw.sum(), None

            return jax.lax.scan(month, jnp.float32(0), jnp.arange(MONTHS))[0]

        return jax.vmap(one)(numbers)

    return run, (jax.random.key(0), jnp.arange(paths)), 1, {
        "paths": paths, "unit": "numbers", "work": 1000 * MONTHS * paths}


CASES = {
    "random-numbers": random_case,
    "markov-200": lambda n: pool_case(200, "markov", n),
    "markov-1k": lambda n: pool_case(1000, "markov", n),
    "markov-10k": lambda n: pool_case(10_000, "markov", max(n // 8, 8)),
    "expected-1k": lambda n: pool_case(1000, "expected", max(n // 4, 8)),
    "waterfall": lambda n: waterfall_case(10_000 * n // 512),
    "waterfall-gradient": lambda n: waterfall_case(10_000 * n // 512, gradient=True),
    "graph-200": graph_case,
    "graph-expected": lambda n: gradient_case(n, gradient=False),
    "graph-gradient": lambda n: gradient_case(n, gradient=True),
}
HYPO = ("hypo-discrete", "hypo-formula")


def timed(run, repeats=6):
    """Median and spread in seconds of `run` after the first call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]), max(times[1:]) - min(times[1:]), times[0]


def measure_hypo(name, deals):
    run, count = hypo_case(name.removeprefix("hypo-"), deals)
    median, spread, first = timed(run)
    return {"case": name, "deals": count, "obligors": 256, "unit": "deals",
            "compile_s": round(first - median, 2), "median_s": round(median, 4),
            "spread_s": round(spread, 4), "per_s": round(count / median),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "devices": jax.device_count(), "platform": jax.devices()[0].platform,
            "dtype": "float64"}


def measure(name, paths):
    if name in HYPO:
        return measure_hypo(name, 10_000 * paths // 512)
    run, args, spread_at, facts = CASES[name](paths)
    devices = mesh.path_mesh()
    spread_at = (spread_at,) if isinstance(spread_at, int) else spread_at
    shardings = tuple(mesh.by_path(devices) if i in spread_at else mesh.replicated(devices)
                      for i in range(len(args)))
    args = tuple(jax.device_put(a, s) for a, s in zip(args, shardings, strict=True))
    start = time.perf_counter()
    compiled = jax.jit(run, in_shardings=shardings).lower(*args).compile()
    compile_s = time.perf_counter() - start
    median, spread, _ = timed(lambda: compiled(*args))
    return {"case": name, **facts, "compile_s": round(compile_s, 2), "median_s": round(median, 4),
            "spread_s": round(spread, 4), "per_s": round(facts["work"] / median),
            "temporaries_mb": compiled.memory_analysis().temp_size_in_bytes // 2**20,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "devices": jax.device_count(), "platform": jax.devices()[0].platform,
            "dtype": "float64 money, float32 draws"}


def start_up():
    code = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
    seconds = {name: min(float(subprocess.run([sys.executable, "-c", code.format(name)],
                                              capture_output=True, text=True).stdout)
                         for _ in range(3)) for name in ("jax", "clo_gen")}
    return {"case": "start-up", **{f"import_{k}_s": round(v, 3) for k, v in seconds.items()}}


def commit():
    folder = pathlib.Path(__file__).parent
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                          cwd=folder)
    return done.stdout.strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paths", type=int, default=512)
    parser.add_argument("--cases", default=",".join((*CASES, *HYPO)))
    options = parser.parse_args()
    for case in options.cases.split(","):
        print(json.dumps(measure(case, options.paths) | {"commit": commit()}), flush=True)
    print(json.dumps(start_up() | {"commit": commit()}))

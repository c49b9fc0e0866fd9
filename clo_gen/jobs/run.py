"""The main job: simulate a deal under scenarios, block by block, and write a run folder.

Finished blocks stand in <folder>.partial/blocks; a run that was killed goes on from there and ends
with the same bytes (timing.json and pictures' times aside).
"""

import dataclasses
import json
import shutil
import time

import jax
import numpy as np

from clo_gen.assembly import Assembly, assemble
from clo_gen.chart_data import chart_data
from clo_gen.evaluate.transition_baselines import held_out_transitions
from clo_gen.io import manifest
from clo_gen.io.csv_file import write_csv
from clo_gen.io.folders import choose_folder, draft_of, publish
from clo_gen.io.json_data import plain, write_json
from clo_gen.io.problems import Interrupted, WriteError
from clo_gen.jobs import guards, simulation
from clo_gen.jobs.blocks import Blocks
from clo_gen.jobs.hosts import Hosts
from clo_gen.jobs.report import write_report
from clo_gen.jobs.start import at_work, begin
from clo_gen.summary import coverage_table, summarise, tranche_table


def write_files(a: Assembly, results, summary, evaluation, timing, draft):
    """Everything of a run folder but its config, manifest and blocks."""
    write_json(draft / "summary.json", summary)
    write_json(draft / "timing.json", timing)
    write_json(draft / "evaluation.json", evaluation)
    write_csv(tranche_table(summary), draft / "tranches.csv")
    write_csv(a.tape.frame, draft / "tape.csv")
    arrays = {f"{name}/{field.name}": getattr(record, field.name) for name, r in results.items()
              for record in (r.numbers, r.curves) for field in dataclasses.fields(record)}
    np.savez(draft / "paths.npz", **{f"{name}/path": r.path for name, r in results.items()},
             **arrays)
    data, coverage = chart_data(a, results), coverage_table(a, results)
    (draft / "chart_data.json").write_text(json.dumps(data, separators=(",", ":"),
                                                      allow_nan=False))
    write_csv(coverage, draft / "coverage.csv")
    write_report(draft, {"summary": plain(summary), "evaluation": plain(evaluation), "data": data,
                         "coverage": coverage})


def main_job(config, folder, out=None, *, resume=False, memory=None, check=None, hosts=None,
             on_stage=lambda text: None, on_start=lambda done, total: None,
             on_block=lambda name, paths: None):
    """Runs a config and writes its folder. Returns (summary, evaluation, folder written), with
    `timing` and `checks` in the summary; the first two are None on every process but the first.

    `folder` is where the config's file names start from, `out` the run folder (None: the next free
    one under runs/); with `resume` the three are those of jobs.start.prepare. `memory` [bytes]
    bounds the paths computed at once; `check` runs every path again under checkify (jobs.guards);
    None means 2 GB and no, or what a resumed run was started with. The rest reports progress.

    Raises InputError for bad input. On Ctrl-C it raises Interrupted, a KeyboardInterrupt, and where
    a file cannot be written WriteError, an OSError; both say how to go on.
    """
    hosts = hosts or Hosts()
    if out is not None and not resume:
        choose_folder(config.name, out, joins=hosts.process > 0)  # complain before the work
    where = out
    try:
        start = time.perf_counter()
        on_stage("reading and fitting")
        a = assemble(config, folder)
        evaluation = {"transitions": held_out_transitions(config.transitions, a.counts, a.macro,
                                                          config.macro.series)}
        a, where, options = begin(a, folder, out, resume, {"memory": memory, "check": check}, hosts)
        timing = {"fit_s": time.perf_counter() - start}
        with at_work(where, options, hosts):
            summary = _run(a, where, options["check"], evaluation, timing, hosts, on_stage,
                           on_start, on_block)
    except (KeyboardInterrupt, OSError) as stop:
        advice = None if where is None else _advice(where)
        if advice is None:
            raise
        kind = Interrupted if isinstance(stop, KeyboardInterrupt) else WriteError
        said = [str(stop)] * bool(str(stop)) + [advice] * (advice not in str(stop))
        raise kind("; ".join(said)) from None  # another process may have said it
    return summary, None if summary is None else evaluation, where


def _run(a, out, check, evaluation, timing, hosts, on_stage, on_start, on_block):
    """Simulates what is missing and writes the run; returns its summary on the first process."""
    blocks = Blocks(draft_of(out) / "blocks")
    timing |= _simulate(a, blocks, hosts, on_stage, on_start, on_block)
    if hosts.processes > 1:
        on_stage("waiting for the other processes")
    hosts.wait()  # until every block is there
    checks = summary = None
    if hosts.process == 0:
        on_stage("writing")
        results = simulation.gather(a, a.config.block, blocks)
        if check:
            checks = guards.check(a, results, on_path=lambda done, total: on_stage(
                f"checking path {done:,} of {total:,}") if done % 50 == 1 else None)
            write_json(draft_of(out) / "checks.json", checks)
        summary = summarise(a, results)
        write_files(a, results, summary, evaluation, timing, draft_of(out))
        publish(out)
    hosts.wait()  # until the run is written: the first process must not lose the others
    if hosts.process > 0:
        return None
    shutil.rmtree(out / "blocks", ignore_errors=True)
    return summary | {"timing": timing, "checks": checks}  # type: ignore[operator]


def _advice(out):
    """How to go on with the run that was to be in `out`; None where nothing has begun."""
    if manifest.read(draft_of(out)) is not None:
        return f"go on with clo-gen run --resume {out}"
    if (out / "summary.json").exists():
        return f"{out} is complete; clo-gen run --resume {out} removes what is left of its blocks"
    return None


def _simulate(a, blocks, hosts, on_stage, on_start, on_block):
    """Computes the blocks that are missing; returns their timing."""
    block, total = a.config.block, a.config.paths * len(a.scenarios)
    mine = simulation.wanted(a, block, hosts.process, hosts.processes)
    todo = blocks.missing(mine)
    on_start((len(mine) - len(todo)) * block, total // hosts.processes)
    if not todo:
        return {"compile_s": 0.0, "run_s": 0.0, "paths": 0}
    on_stage("compiling")
    sim = simulation.simulator(a, block)
    on_stage("simulating")
    started = time.perf_counter()
    with simulation.finishes_the_block() as pressed:
        simulation.simulate(a, sim, blocks, todo,
                            stop=lambda: hosts.news() or (Interrupted() if pressed() else None),
                            on_block=lambda name, done: on_block(name, done * block))
    run_s = time.perf_counter() - started
    # Months up to each loan's maturity: those after it cost next to nothing.
    months = np.minimum(np.asarray(a.inputs.tape.maturity), a.deal.months)
    loan_months = float(months.sum()) * block * len(todo)
    return {"compile_s": sim.compile_s, "run_s": run_s, "paths": len(todo) * block,
            "loan_months_per_s": loan_months / run_s, "block": block, "devices": sim.devices,
            "temporaries_mb": sim.temporaries / 1e6, "platform": jax.devices()[0].platform}

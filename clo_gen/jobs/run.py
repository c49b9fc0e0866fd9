"""The main job: simulate a deal under scenarios, block by block, and write a run folder.

Finished blocks stand in <folder>.partial/blocks; a run that was killed goes on from there and ends
with the same bytes (timing.json and pictures' times aside).
"""

import dataclasses
import pathlib
import shutil
import time

import jax
import numpy as np
import tomli_w

from clo_gen import report
from clo_gen.assembly import Assembly, assemble
from clo_gen.evaluate.transition_baselines import held_out_transitions
from clo_gen.io import manifest
from clo_gen.io.config import read_config
from clo_gen.io.csv_file import write_csv
from clo_gen.io.folders import choose_folder, draft_of, publish
from clo_gen.io.json_data import write_json
from clo_gen.io.problems import InputError, Interrupted
from clo_gen.jobs import guards, simulation
from clo_gen.jobs.blocks import Blocks
from clo_gen.plots import run as plot
from clo_gen.summary import coverage_table, summarise, tranche_table

MEMORY = 2_000_000_000  # bytes, for the paths that are computed at once


@dataclasses.dataclass(frozen=True)
class Hosts:
    """One of several processes that share a run; all write to the same folder."""

    process: int = 0
    processes: int = 1

    def wait(self, name):
        """Until every process has come here."""
        if self.processes > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices(name)


def prepare(path, out, resume, overrides=(), hosts=None):
    """(RunConfig, its folder, run folder) of a new or resumed run.

    A resumed run goes on with its own config; a config beside --resume has to say the same. Raises
    InputError when there is nothing to resume, or when `out` has an interrupted run.
    """
    hosts = hosts or Hosts()
    if resume is None:
        if hosts.processes > 1 and out is None:
            raise InputError("--out: missing; want a folder that all processes share")
        config, folder = read_config(path, overrides)
        # The first of several processes may have started the run that the others join.
        return config, folder, choose_folder(config.name, out, joins=hosts.process > 0)
    if out is not None:
        raise InputError("--resume goes on in the run's own folder; want no --out beside it")
    out = pathlib.Path(resume).resolve()
    out = out.with_name(out.name.removesuffix(".partial"))
    started = manifest.read(draft_of(out))
    if (out / "summary.json").exists():  # killed while it tidied up, perhaps
        shutil.rmtree(out / "blocks", ignore_errors=True)
    if started is None:
        raise InputError(f"--resume {resume}: " + (
            "this run is complete" if (out / "summary.json").exists() else
            f"no interrupted run; want a folder that has {draft_of(out).name} beside it"))
    own = draft_of(out) / "config.toml"
    config, folder = read_config(own if path is None else path, overrides)
    if config.block is None:
        config = config.model_copy(update={"block": started["config"]["block"]})
    return config, folder, out


def _start(a: Assembly, folder, out, hosts):
    """(Assembly with the run's block, its draft folder with a manifest); refuses a run that was
    started with other input."""
    draft = draft_of(out)

    def this():
        return manifest.manifest(a.config, folder, (a.params, a.inputs, a.scenarios))

    if hosts.process == 0 and manifest.read(draft) is None:
        shutil.rmtree(draft, ignore_errors=True)
        try:
            draft.mkdir(parents=True)
            (draft / "config.toml").write_text(tomli_w.dumps(manifest.resolved(a.config, folder)))
            manifest.write(draft, this())
        except OSError as error:
            raise InputError(f"--out {out}: cannot be written ({error.strerror})") from None
    hosts.wait("the run folder is there")
    theirs = manifest.read(draft)
    if theirs is None:
        raise InputError(f"--out {out}: not seen by process {hosts.process}; want a folder that "
                         "all processes share")
    if hosts.process > 0:  # nodes may differ in devices and memory: the first one decides
        a = with_block(a, theirs["config"]["block"])
    manifest.refuse_changes(theirs, this(), draft)
    return a, draft


def with_block(a: Assembly, block):
    """The assembly with blocks of `block` paths."""
    return dataclasses.replace(a, config=a.config.model_copy(update={"block": block}))


def write_files(a: Assembly, results, summary, evaluation, timing, draft):
    """Everything of a run folder but its config, manifest and blocks."""
    write_json(draft / "summary.json", summary)
    write_json(draft / "timing.json", timing)
    write_json(draft / "evaluation.json", evaluation)
    write_csv(tranche_table(summary), draft / "tranches.csv")
    write_csv(coverage_table(a, results), draft / "coverage.csv")
    write_csv(a.tape.frame, draft / "tape.csv")
    arrays = {f"{name}/{field.name}": getattr(record, field.name) for name, r in results.items()
              for record in (r.numbers, r.curves) for field in dataclasses.fields(record)}
    np.savez(draft / "paths.npz", **{f"{name}/path": r.path for name, r in results.items()},
             **arrays)
    figures = plot.write_figures(a, results, draft)
    report.write_report(summary, evaluation, figures, draft / "report.html")


def main_job(config, folder, out=None, *, memory=MEMORY, check=False, hosts=None,
             on_stage=lambda text: None, on_start=lambda done, total: None,
             on_block=lambda name, paths: None):
    """Runs a config and writes its folder. Returns (summary, evaluation, folder written), with
    `timing` and `checks` in the summary; the first two are None on every process but the first.

    `folder` is where the config's file names start from, `out` is a new folder or that of
    `prepare`; `memory` [bytes] bounds the paths computed at once; `check` runs every path again
    under checkify (jobs.guards); the rest reports progress. Raises InputError for bad input and
    Interrupted, with what to do, on Ctrl-C or when the disk is full.
    """
    hosts = hosts or Hosts()
    out = choose_folder(config.name, out, joins=True)
    start = time.perf_counter()
    on_stage("reading and fitting")
    a = assemble(config, folder)
    block = simulation.choose_block(config, len(a.tape.frame), jax.local_device_count(),
                                    jax.devices()[0].platform, memory)
    a = with_block(a, block)
    evaluation = {"transitions": held_out_transitions(config.transitions, a.counts, a.macro,
                                                      config.macro.series)}
    a, draft = _start(a, folder, out, hosts)
    blocks = Blocks(draft / "blocks")
    timing = {"fit_s": time.perf_counter() - start}
    try:
        timing |= _simulate(a, blocks, hosts, on_stage, on_start, on_block)
        hosts.wait("every block is there")
        if hosts.process > 0:
            hosts.wait("the run is written")  # else the first process would lose the others
            return None, None, out
        on_stage("writing")
        results = simulation.gather(a, a.config.block, blocks)
        checks = None
        if check:
            checks = guards.check(a, results, on_path=lambda done, total: on_stage(
                f"checking path {done:,} of {total:,}") if done % 50 == 1 else None)
            write_json(draft / "checks.json", checks)
        summary = summarise(a, results)
        write_files(a, results, summary, evaluation, timing, draft)
        publish(out)
    except (KeyboardInterrupt, OSError) as stop:
        raise Interrupted(_how_to_go_on(stop, out)) from None
    hosts.wait("the run is written")
    shutil.rmtree(out / "blocks", ignore_errors=True)
    return summary | {"timing": timing, "checks": checks}, evaluation, out


def _how_to_go_on(why, out):
    return f"{why}{'; ' if str(why) else ''}go on with clo-gen run --resume {out}"


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
    with simulation.finishes_the_block() as stop:
        simulation.simulate(a, sim, blocks, todo, stop=stop,
                            on_block=lambda name, done: on_block(name, done * block))
    run_s = time.perf_counter() - started
    # Months up to each loan's maturity: those after it cost next to nothing.
    months = np.minimum(np.asarray(a.inputs.tape.maturity), a.deal.months)
    loan_months = float(months.sum()) * block * len(todo)
    return {"compile_s": sim.compile_s, "run_s": run_s, "paths": len(todo) * block,
            "loan_months_per_s": loan_months / run_s, "block": block, "devices": sim.devices,
            "temporaries_mb": sim.temporaries / 1e6, "platform": jax.devices()[0].platform}

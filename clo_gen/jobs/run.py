"""The main job: simulate a deal under scenarios, block by block, and write a run folder."""

import contextlib
import dataclasses
import functools
import pathlib
import shutil
import time

import jax
import jax.numpy as jnp
import numpy as np
import tomli_w

from clo_gen import mesh, pipeline, report
from clo_gen.assemble import Assembly, assemble
from clo_gen.evaluate.transition_baselines import held_out_transitions
from clo_gen.io.json_data import write_json
from clo_gen.io.problems import InputError
from clo_gen.plots import run as plot
from clo_gen.summary import coverage_table, keep, summarise, tranche_table


def compile_block(a: Assembly, block):
    """(compiled function of (params, inputs, scenario, key, numbers, temperature), seconds).

    It runs `block` paths, spread over all devices.
    """
    devices = mesh.path_mesh()
    spread, whole = mesh.by_path(devices), mesh.replicated(devices)

    def run_block(params, inputs, scenario, key, numbers, temperature):
        batch = functools.partial(pipeline.simulate_batch, setup=a.setup)
        return keep(batch(params, inputs, scenario, key, numbers, temperature))

    function = jax.jit(run_block, in_shardings=(whole, whole, whole, whole, spread, whole),
                       out_shardings=spread)
    scenario = next(iter(a.scenarios.values()))
    example = (a.params, a.inputs, scenario, jax.random.key(0), jnp.arange(block), jnp.zeros(()))
    start = time.perf_counter()
    compiled = function.lower(*example).compile()
    return compiled, time.perf_counter() - start


def simulate_scenarios(a: Assembly, compiled, block, *, on_block=lambda name, done: None):
    """{scenario: PathNumbers on the host} for all paths of the config."""
    devices = mesh.path_mesh()
    spread, whole = mesh.by_path(devices), mesh.replicated(devices)
    key = jax.device_put(jax.random.key(a.config.seed), whole)
    params, inputs = jax.device_put((a.params, a.inputs), whole)
    temperature = jax.device_put(jnp.asarray(a.config.temperature, float), whole)
    results = {}
    for name, scenario in a.scenarios.items():
        scenario = jax.device_put(scenario, whole)
        parts = []
        for first in range(0, a.config.paths, block):
            numbers = jax.device_put(first + jnp.arange(block), spread)
            part = compiled(params, inputs, scenario, key, numbers, temperature)
            parts.append(jax.tree.map(np.asarray, part))
            on_block(name, min(first + block, a.config.paths))
        results[name] = jax.tree.map(lambda *x: np.concatenate(x)[: a.config.paths], *parts)
    return results


def _draft(out):
    """Where a run is written before it is complete."""
    return out.with_name(out.name + ".partial")


@contextlib.contextmanager
def new_folder(out):
    """A draft folder that becomes the folder `out` of choose_folder when all went well: `out` is
    complete or not there."""
    out = pathlib.Path(out)
    draft = _draft(out)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    if out.exists():
        out.rmdir()
    draft.rename(out)


def choose_folder(config, out):
    """The run folder: `out`, or runs/<name>, or runs/<name>-2 and so on when that exists.

    Raises InputError when `out` exists and is not an empty folder: runs are never overwritten.
    """
    if out is not None:
        out = pathlib.Path(out)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            if not _draft(out).exists():  # else a killed run left it; new_folder clears it
                _draft(out).mkdir()
                _draft(out).rmdir()
        except OSError as error:
            raise InputError(f"--out {out}: cannot be written ({error.strerror}); want a folder "
                             "that can be made") from None
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"--out {out}: exists already; want a new or empty folder, runs are "
                             "never overwritten")
        return out
    folder, number = pathlib.Path("runs") / config.name, 2
    while folder.exists():
        folder, number = pathlib.Path("runs") / f"{config.name}-{number}", number + 1
    return folder


def resolved(config, folder):
    """The config as TOML data with absolute file names."""

    def plain(value):
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if v is not None}
        return [plain(v) for v in value] if isinstance(value, list | tuple) else value

    data = plain(config.model_dump())
    data["deal"] = str((folder / config.deal).resolve())
    if data["macro"]["source"] != "embedded":
        data["macro"]["source"] = str((folder / data["macro"]["source"]).resolve())
    if data["transitions"]["events"] != "embedded":
        data["transitions"]["events"] = str((folder / data["transitions"]["events"]).resolve())
    data["scenario_file"] = str((folder / config.scenario_file).resolve())
    for table in ("macro", "transitions", "trajectory", "calibration"):
        if "run" in data.get(table, {}):
            data[table]["run"] = str((folder / data[table]["run"]).resolve())
    for key in ("file", "columns"):
        if key in data["tape"]:
            data["tape"][key] = str((folder / data["tape"][key]).resolve())
    return data


def write_run(a: Assembly, results, summary, evaluation, config_folder, out):
    """Writes the run folder in one go: `out` is complete or not there."""
    with new_folder(out) as draft:
        _write_files(a, results, summary, evaluation, config_folder, draft)


def _write_files(a, results, summary, evaluation, config_folder, draft):
    (draft / "config.toml").write_text(tomli_w.dumps(resolved(a.config, config_folder)))
    write_json(draft / "summary.json", summary)
    write_json(draft / "evaluation.json", evaluation)
    tranche_table(summary).to_csv(draft / "tranches.csv", index=False)
    coverage_table(a, results).to_csv(draft / "coverage.csv", index=False)
    a.tape.frame.to_csv(draft / "tape.csv", index=False)
    arrays = {f"{name}/{field.name}": getattr(n, field.name) for name, n in results.items()
              for field in dataclasses.fields(n)}
    np.savez_compressed(draft / "paths.npz", **arrays)
    figures = plot.write_figures(a, results, draft)
    report.write_report(summary, evaluation, figures, draft / "report.html")


def main_job(config, folder, out=None, *, on_stage=lambda text: None,
             on_block=lambda name, done: None):
    """Runs a config and writes its folder. Returns (summary, evaluation, folder written).

    `folder` is where the config's file names start from; `on_stage` and `on_block` report progress.
    """
    out = choose_folder(config, out)
    start = time.perf_counter()
    on_stage("reading and fitting")
    a = assemble(config, folder)
    evaluation = {"transitions": held_out_transitions(config.transitions, a.counts, a.macro,
                                                      config.macro.series)}
    fitted = time.perf_counter()
    on_stage("compiling")
    devices = jax.device_count()
    block = -(-min(config.block, config.paths) // devices) * devices
    compiled, compile_s = compile_block(a, block)
    on_stage("simulating")
    started = time.perf_counter()
    results = simulate_scenarios(a, compiled, block, on_block=on_block)
    run_s = time.perf_counter() - started
    # Months up to each loan's maturity: those after it cost next to nothing.
    loan_months = int(np.sum(a.tape.tape.maturity)) * config.paths * len(results)
    timing = {"fit_s": fitted - start, "compile_s": compile_s, "run_s": run_s,
              "loan_months_per_s": loan_months / run_s, "devices": devices,
              "platform": jax.devices()[0].platform}
    on_stage("writing")
    summary = summarise(a, results, timing)
    write_run(a, results, summary, evaluation, folder, out)
    return summary, evaluation, out

"""The main job: simulate a deal under scenarios, block by block, and write a run folder."""

import dataclasses
import functools
import importlib.metadata
import json
import pathlib
import shutil
import time

import jax
import jax.numpy as jnp
import numpy as np
import tomli_w
from flax import struct

from clo_gen import __version__, mesh, pipeline
from clo_gen.assemble import Assembly, assemble
from clo_gen.deal.tranche import closing_oc_ratios, credit_enhancement
from clo_gen.evaluate import held_out_transitions
from clo_gen.io.problems import InputError
from clo_gen.risk.losses import tail, yearly_rate

LEVELS = (0.90, 0.95, 0.99, 0.999)
UNPAID = 1e-9  # principal or interest unpaid at maturity above this share of par is a loss


@struct.dataclass
class PathNumbers:
    """What a run keeps of each path, leading axis N; float32 where a picture is all it feeds."""

    loss: jax.Array  # [N] share of par
    conservation_error: jax.Array  # [N]
    tranche_loss: jax.Array  # [N, K] principal unpaid over original balance
    unpaid_interest: jax.Array  # [N, K] over original balance
    wal_years: jax.Array  # [N, K]
    irr: jax.Array  # [N, K] nan where not converged
    price: jax.Array  # [N, K]
    macro: jax.Array  # [N, T, M]
    default: jax.Array  # [N, T] par of new defaults
    prepayment: jax.Array  # [N, T]
    opening: jax.Array  # [N, T] performing par
    booked_loss: jax.Array  # [N, T]
    ratio: jax.Array  # [N, P, Q]
    tranche_interest: jax.Array  # [N, P, K]
    tranche_principal: jax.Array  # [N, P, K]
    fees: jax.Array  # [N, P]


def _keep(result: pipeline.PathResult):
    c, t, cash = result.collections, result.tranches, result.cash
    numbers = PathNumbers(
        loss=result.loss,
        conservation_error=result.conservation_error,
        tranche_loss=t.loss,
        unpaid_interest=t.unpaid_interest,
        wal_years=t.wal_years,
        irr=jnp.where(t.irr_converged, t.irr, jnp.nan),
        price=t.price,
        macro=result.macro.values,
        default=c.default,
        prepayment=c.prepayment,
        opening=c.performing + c.scheduled_principal + c.prepayment + c.default,
        booked_loss=c.loss,
        ratio=cash.ratio,
        tranche_interest=cash.interest,
        tranche_principal=cash.principal,
        fees=cash.fees.sum(-1) + cash.incentive,
    )
    small = {name: getattr(numbers, name).astype(jnp.float32) for name in (
        "macro", "default", "prepayment", "opening", "booked_loss", "ratio", "tranche_interest",
        "tranche_principal", "fees")}
    return numbers.replace(**small)


def compile_block(a: Assembly, block):
    """(compiled function of (params, inputs, scenario, key, numbers, temperature), seconds).

    It runs `block` paths, spread over all devices.
    """
    devices = mesh.path_mesh()
    spread, whole = mesh.by_path(devices), mesh.replicated(devices)

    def run_block(params, inputs, scenario, key, numbers, temperature):
        batch = functools.partial(pipeline.simulate_batch, setup=a.setup)
        return _keep(batch(params, inputs, scenario, key, numbers, temperature))

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


def _number(x):
    """A float for JSON: nan and infinities become null."""
    x = float(x)
    return x if np.isfinite(x) else None


def _quiet_mean(x):
    """Mean over paths, ignoring nan; nan where no path has a number."""
    counts = np.isfinite(x).sum(0)
    return np.where(counts > 0, np.where(np.isfinite(x), x, 0.0).sum(0) / np.maximum(counts, 1),
                    np.nan)


def _portfolio(n: PathNumbers):
    t = tail(jnp.asarray(n.loss), LEVELS)
    years = {"default_rate_by_year": n.default, "prepayment_rate_by_year": n.prepayment}
    out = {"expected_loss": float(t.mean), "std_error": float(t.mean_error)}
    for i, level in enumerate(LEVELS):
        label = f"{level * 100:g}".replace(".", "_")
        out |= {f"var_{label}": float(t.var[i]), f"var_{label}_std_error": float(t.var_error[i]),
                f"cvar_{label}": float(t.cvar[i]),
                f"cvar_{label}_std_error": float(t.cvar_error[i])}
    for name, events in years.items():
        rates = yearly_rate(jnp.asarray(events.mean(0), float), jnp.asarray(n.opening.mean(0),
                                                                            float))
        out[name] = [float(rate) for rate in rates]
    return out


def _tranche(n: PathNumbers, k):
    lost = (n.tranche_loss[:, k] > UNPAID) | (n.unpaid_interest[:, k] > UNPAID)
    p, paths = lost.mean(), len(lost)
    irr, wal = n.irr[:, k], n.wal_years[:, k]
    known = irr[np.isfinite(irr)]
    return {
        "loss_probability": float(p),
        "loss_probability_std_error": float(np.sqrt(p * (1 - p) / paths)),
        "expected_loss": float(n.tranche_loss[:, k].mean()),
        "expected_loss_std_error": float(n.tranche_loss[:, k].std() / np.sqrt(paths)),
        "expected_unpaid_interest": float(n.unpaid_interest[:, k].mean()),
        "wal_years": _number(_quiet_mean(wal)),
        "never_repaid": float(np.isnan(wal).mean()),
        "irr": _number(known.mean()) if len(known) else None,
        "irr_median": _number(np.median(known)) if len(known) else None,
        "irr_not_converged": float(1.0 - len(known) / paths),
        "price": float(n.price[:, k].mean()),
    }


def _versions():
    names = ("jax", "jaxlib", "flax", "jaxopt", "numpy", "pandas")
    return {"clo_gen": __version__} | {n: importlib.metadata.version(n) for n in names}


def summarise(a: Assembly, results, timing):
    """The content of summary.json."""
    deal = a.deal
    scenarios = {}
    for name, n in results.items():
        tranches = {c: _tranche(n, k) for k, c in enumerate(deal.classes)}
        scenarios[name] = {"portfolio": _portfolio(n), "tranches": tranches}
    error = max(float(np.max(n.conservation_error)) for n in results.values())
    enhancement = np.asarray(credit_enhancement(deal.deal))
    oc = np.asarray(closing_oc_ratios(deal.deal))
    return {
        "name": a.config.name,
        "paths": a.config.paths,
        "seed": a.config.seed,
        "mode": a.config.mode,
        "scenarios": scenarios,
        "deal": {
            "name": deal.terms.name,
            "par": deal.par,
            "currency": deal.terms.currency,
            "payment_dates": [str(d) for d in deal.payment_dates],
            "credit_enhancement": dict(zip(deal.classes, map(float, enhancement), strict=True)),
            "closing_oc_ratio": dict(zip(deal.classes[:-1], map(float, oc), strict=True)),
            "not_modelled": list(deal.not_modelled),
        },
        "cash_conservation_error": error,
        "timing": timing,
        "data": a.provenance,
        "versions": _versions(),
        "definitions": {
            "expected_loss": "portfolio: lifetime loss over initial par; class: principal unpaid "
                             "at maturity over original balance (subordinated notes: balance not "
                             "covered by all distributions)",
            "loss_probability": "principal or interest unpaid at maturity above 1e-9",
            "irr": "mean over paths of the effective yearly yield bought at par (equity at its "
                   "price); -1 when nothing comes back",
            "price": "mean present value at the realised index plus the class's own spread, "
                     "equity at the hurdle rate",
            "std_error": "Monte Carlo standard error of the expected loss",
        },
    }


def tranche_table(summary):
    """Rows of tranches.csv: one a scenario and class."""
    import pandas as pd

    rows = []
    for name, scenario in summary["scenarios"].items():
        for tranche, numbers in scenario["tranches"].items():
            rows.append({"scenario": name, "class": tranche,
                         "credit_enhancement": summary["deal"]["credit_enhancement"][tranche],
                         **numbers})
    return pd.DataFrame(rows)


def choose_folder(config, out):
    """The run folder: `out`, or runs/<name>, or runs/<name>-2 and so on when that exists.

    Raises InputError when `out` exists and is not an empty folder: runs are never overwritten.
    """
    if out is not None:
        out = pathlib.Path(out)
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"--out {out}: exists already; want a new or empty folder, runs are "
                             "never overwritten")
        return out
    folder, number = pathlib.Path("runs") / config.name, 2
    while folder.exists():
        folder, number = pathlib.Path("runs") / f"{config.name}-{number}", number + 1
    return folder


def _resolved(config, folder):
    """The config as TOML data with absolute file names."""

    def plain(value):
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if v is not None}
        return [plain(v) for v in value] if isinstance(value, list | tuple) else value

    data = plain(config.model_dump())
    data["deal"] = str((folder / config.deal).resolve())
    data["scenario_file"] = str((folder / config.scenario_file).resolve())
    for key in ("file", "columns"):
        if key in data["tape"]:
            data["tape"][key] = str((folder / data["tape"][key]).resolve())
    return data


def write_run(a: Assembly, results, summary, evaluation, config_folder, out):
    """Writes the run folder in one go: a killed run leaves no half-written folder behind."""
    from clo_gen import plot, report

    out = pathlib.Path(out)
    draft = out.with_name(out.name + ".partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    (draft / "config.toml").write_text(tomli_w.dumps(_resolved(a.config, config_folder)))
    (draft / "summary.json").write_text(json.dumps(summary, indent=2))
    (draft / "evaluation.json").write_text(json.dumps(evaluation, indent=2))
    tranche_table(summary).to_csv(draft / "tranches.csv", index=False)
    a.tape.frame.to_csv(draft / "tape.csv", index=False)
    arrays = {f"{name}/{field.name}": getattr(n, field.name) for name, n in results.items()
              for field in dataclasses.fields(n)}
    np.savez_compressed(draft / "paths.npz", **arrays)
    figures = plot.write_figures(a, results, draft)
    report.write_report(summary, evaluation, figures, draft / "report.html")
    if out.exists():
        out.rmdir()
    draft.rename(out)


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
    loan_months = len(a.tape.frame) * a.deal.months * config.paths * len(results)
    timing = {"fit_s": fitted - start, "compile_s": compile_s, "run_s": run_s,
              "loan_months_per_s": loan_months / run_s, "devices": devices,
              "platform": jax.devices()[0].platform}
    on_stage("writing")
    summary = summarise(a, results, timing)
    write_run(a, results, summary, evaluation, folder, out)
    return summary, evaluation, out

"""`clo-gen hypo`: hypo pools of a table of deals, or of one deal with its pictures."""

import dataclasses
import pathlib

import jax
import numpy as np
import pandas as pd

from clo_gen.hypo import Obligor, hypo_pools_discrete, hypo_pools_formula
from clo_gen.hypo.entry import judged_discrete, judged_formula
from clo_gen.hypo.monitor import sdr_at
from clo_gen.hypo.problem import formula_problem, pool_of, pool_size
from clo_gen.io.csv_file import write_csv
from clo_gen.io.folders import choose_folder, new_file, new_folder, want_new_file
from clo_gen.io.json_data import write_json
from clo_gen.io.problems import InputError, Problems, collect_complaints
from clo_gen.io.table import Column, judge, read_table
from clo_gen.io.toml import load_toml, refuse_other_kind

_NUMBERS = ("pool_par", "conc_limit_basis", "dscore_min", "ob_max", "ind_max", "riskscore_max",
            "ob_floor", "ind_floor")
_MONITOR = ("rs_abs_max", "rvst_target_par", "collat_prin_amt", "was", "warr", "wal",
            "rs_bound_lower", "rs_bound_higher")
# Beside these: texts such as 2x0.025;1x0.02 (exceptions), 17:0.05 (forced ratings), 1;2;3 (lists).
COLUMNS = (
    Column("deal"), *(Column(name, "number") for name in (*_NUMBERS, *_MONITOR)),
    Column("monitor_cushion", "number"), Column("ob_exceptions"), Column("ind_exceptions"),
    Column("force_high"), Column("force_low"), Column("is_simple_industry", "flag"),
    Column("n_simple_industry", "integer", 1), Column("run_mode"), Column("coef_bdr"),
    Column("coef_sdr"),
)
_NAMES = tuple(column.name for column in COLUMNS)


@dataclasses.dataclass(frozen=True)
class HypoReport:
    """What was asked, what was found: one entry a deal, `monitors` None where not asked for."""

    deals: tuple[dict, ...]
    pools: tuple
    monitors: tuple

    def rows(self):
        """One dict a deal: results of both solves, exceptions as text."""
        return [_row(d, p, m) for d, p, m in zip(self.deals, self.pools, self.monitors,
                                                 strict=True)]


def hypo_job(path):
    """HypoReport of a table (CSV or Parquet, one row a deal) or of one deal (TOML).

    Keys are the arguments of hypo_pool_discrete_constraints; where run_mode is given, those of
    hypo_pool_formula_constraints too, solved on the pool that the limits allow. Raises InputError
    with every problem.
    """
    names, deals, limits, asked, to_monitor = read_hypo(path)
    pools = hypo_pools_discrete(limits)
    monitors: list = [None] * len(deals)
    if asked:
        found = hypo_pools_formula(to_monitor([pool["obligors"] for pool in pools]))
        for n, monitor in zip(asked, found, strict=True):
            monitors[n] = monitor
    return HypoReport(tuple({"deal": name} | d for name, d in zip(names, deals, strict=True)),
                      tuple(pools), tuple(monitors))


def read_hypo(path):
    """What hypo_job solves, read and judged: (names of the deals, their arguments, arguments of
    their limits, numbers of those with a monitor, what makes the monitors' arguments from pools).

    Raises InputError with every problem.
    """
    path = pathlib.Path(path)
    deals = [_one_deal(path)] if path.suffix == ".toml" else _deals(path)
    names = [d.pop("deal") for d in deals]
    places = [d.pop("place", name) for d, name in zip(deals, names, strict=True)]
    limits = [{"ob_exceptions": None, "ind_exceptions": None, "source": f"{path}, {place}"} | {
        k: v for k, v in d.items() if k in _NUMBERS or k in (
            "ob_exceptions", "ind_exceptions", "force_high", "force_low", "is_simple_industry",
            "n_simple_industry")} for d, place in zip(deals, places, strict=True)]
    asked = [n for n, d in enumerate(deals) if d.get("run_mode")]

    def to_monitor(pools):
        return [_monitor_inputs(deals[n], pools[n], f"{path}, {places[n]}") for n in asked]

    any_pool = [Obligor(1.0, 0)]  # judges the rest before the work begins
    collect_complaints([lambda: judged_discrete(limits), *(
        lambda one=one: judged_formula([one]) for one in to_monitor([any_pool] * len(deals)))])
    return names, deals, limits, asked, to_monitor


def _monitor_inputs(deal, obligors, source):
    keys = (*_MONITOR, "run_mode", "coef_bdr", "coef_sdr", "monitor_cushion", "force_high",
            "force_low")
    return {k: deal.get(k) for k in keys} | {
        "hypo_pool_diversity": obligors, "source": f"{source}, CDO Monitor"}


def _deals(path):
    """Arguments of every row of a table."""
    frame = read_table(path)
    problems = Problems(path)
    problems.unknown([name for name in frame.columns if name not in _NAMES], _NAMES, what="column")
    for name in (n for n in _NUMBERS if n not in frame):
        problems.say(f"column {name}: missing")

    def label(row):
        return f"row {row + 2}"

    typed = judge(frame, COLUMNS, problems, label)
    deals = []
    for n, row in enumerate(typed.to_dict("records")):
        given = {k: v for k, v in row.items() if v is not None and v == v}
        if "is_simple_industry" in given:  # a flag column holds 1 and 0
            given["is_simple_industry"] = given["is_simple_industry"] == 1.0
        for name in (k for k in _NUMBERS if k in typed and k not in given
                     and not str(frame[k].iloc[n]).strip()):
            problems.say(f"{label(n)}, {name}: missing")
        name = f"{label(n)} ({given['deal']})" if "deal" in given else label(n)
        deals.append(_with_texts(given, label(n), problems) | {
            "deal": given.get("deal", label(n)), "place": name})
    problems.raise_if_any()
    return deals


def _one_deal(path):
    """Arguments of a TOML deal."""
    given, problems = load_toml(path), Problems(path)
    refuse_other_kind(given, _NAMES, path)
    problems.unknown([key for key in given if key not in _NAMES], _NAMES)
    for name in (n for n in _NUMBERS if n not in given):
        problems.say(f"{name}: missing")
    deal = _with_texts(given, "", problems)
    problems.raise_if_any()
    return deal | {"deal": str(given.get("deal", path.stem))}


def _with_texts(given, place, problems):
    """The values with texts read as exceptions, pairs and lists of numbers."""
    kinds = {"ob_exceptions": ("2x0.025;1x0.02", _exceptions), "force_high": ("12:0.2", _lock),
             "ind_exceptions": ("1x0.15;2x0.12", _exceptions), "force_low": ("17:0.05", _lock),
             "coef_bdr": ("0.11;4.14;1.06", _list), "coef_sdr": ("seven numbers, a;b;c", _list)}
    out = dict(given)
    for key, (example, read) in kinds.items():
        if isinstance(given.get(key), str):
            try:
                out[key] = read(given[key])
            except ValueError:
                problems.add(f"{place}, {key}" if place else key, given[key],
                             f"text such as {example}")
    return out


def _exceptions(text):
    pairs = [part.split("x") for part in text.split(";") if part.strip()]
    return [(int(number), float(share)) for number, share in pairs]


def _lock(text):
    rating, share = text.split(":")
    return int(rating), float(share)


def _list(text):
    return [float(part) for part in text.split(";")]


def _text(exceptions):
    return ";".join(f"{e.number}x{e.percentage:.6g}" for e in exceptions)


def _row(deal, pool, monitor):
    row = {"deal": deal["deal"], **{k: pool[k] for k in (
        "is_solve", "stage", "dscore", "riskscore", "ob_base", "ind_base")},
        "ob_exceptions": _text(pool["ob_exceptions"]),
        "ind_exceptions": _text(pool["ind_exceptions"]), "n_obligors": pool["n_obligors"],
        "n_industries": pool["n_industries"], "tables": pool["tables"]}
    if monitor is None:
        return row
    numbers = ("is_solve", "stage", "riskscore_solution", "riskscore_realized",
               "credit_dispersion", "adj_bdr", "bdr", "sdr", "tables")
    return row | {f"monitor_{k}": getattr(monitor, k) for k in numbers} | {
        f"monitor_{k}": v for k, v in monitor.sdr_diag.items()}


def place_of(out):
    """The path that save writes to: a .csv or a folder. Raises InputError where it is there."""
    out = pathlib.Path(out)
    if out.suffix == ".csv":
        return want_new_file(out, ".csv")
    return choose_folder(out.name, out)


def save(report: HypoReport, out):
    """Writes the results: a CSV of all deals, or for one deal a new folder with results.csv,
    obligors.csv, pool.png and, with a monitor, sdr_curve.json. Raises InputError when that
    cannot be; then nothing is left."""
    rows, out = pd.DataFrame(report.rows()), place_of(out)
    if out.suffix != ".csv" and len(report.pools) > 1:
        raise InputError(f"--out {out}: want a name ending in .csv for a table of deals")
    if out.suffix == ".csv":
        with new_file(out) as draft:
            write_csv(rows, draft)
    else:
        with new_folder(out) as draft:
            _write_folder(draft, report, rows)


def _write_folder(folder, report, rows):
    from clo_gen.plots.run import write_hypo_figure

    rated = report.monitors[0] or report.pools[0]
    obligors = rated["obligors"] if isinstance(rated, dict) else rated.obligors
    write_csv(rows, folder / "results.csv")
    write_csv(rated.to_frame(), folder / "obligors.csv", index=True)
    curve = sdr_curve(report)
    write_hypo_figure(folder / "pool.png", report.deals[0]["deal"], list(obligors.values()), curve)
    if curve is not None:
        names = ("riskscore", "sdr", "bdr_less_cushion", "solution")
        write_json(folder / "sdr_curve.json", dict(zip(names, curve, strict=True)))


def sdr_curve(report: HypoReport, points=60):
    """(risk scores [n], SDR [n], adjusted BDR less cushion, solution) of one deal's monitor, or
    None when there is none: the pool at scores between the bounds."""
    deal, monitor = report.deals[0], report.monitors[0]
    if monitor is None:
        return None
    judged, = judged_formula([_monitor_inputs(deal, report.pools[0]["obligors"], "curve")])
    top = min(judged["rs_bound_higher"], judged["rs_abs_max"])
    scores = np.linspace(judged["rs_bound_lower"], top, points)
    with jax.enable_x64(True):
        problem = formula_problem(judged)
        pool = pool_of(judged["pool"], pool_size(len(judged["pool"])))
        curve = jax.jit(jax.vmap(sdr_at, (None, None, 0)))
        sdr = np.asarray(curve(problem, pool, scores))
    return scores, sdr, monitor.adj_bdr - judged["monitor_cushion"], monitor.riskscore_solution

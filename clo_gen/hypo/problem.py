"""Plain inputs of one deal into the records that the solvers read: NumPy numbers, for a device
array of each would cost more than the solve."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from clo_gen.hypo import checks
from clo_gen.hypo.diversity import CELLS
from clo_gen.hypo.objects import Obligor
from clo_gen.hypo.records import (
    DiscreteProblem,
    DiversityTable,
    FormulaProblem,
    Locks,
    Pool,
    Tables,
)
from clo_gen.io.hypo_tables import (
    diversity_table,
    idealised_default_rates,
    industry_codes,
    moodys_risk_scores,
    sdr_coefficients,
    sp_rating_factors,
)
from clo_gen.io.problems import Problems
from clo_gen.risk.rating import RatingTable, idealised_rate

MOST_OBLIGORS = 10_000
# Arrays are padded to multiples of these, pools by powers of two: each new size compiles anew.
OB_EXCEPTIONS, IND_EXCEPTIONS, INDUSTRIES, OBLIGORS = 8, 4, 32, 256


def padded(units: np.ndarray | list[float], size: int) -> np.ndarray:
    return np.asarray(list(units) + [0.0] * (size - len(units)), float)


def rounded_up(count: int, to: int) -> int:
    return max(math.ceil(count / to), 1) * to


def room_for(i: dict[str, Any]) -> int:
    """Padded size of the largest pool that a deal of judged inputs can have."""
    scale = i["conc_limit_basis"] / i["pool_par"]
    return pool_size(2 + len(i["ob_exceptions"]) + math.ceil(1.0 / (i["ob_floor"] * scale)))


def pool_size(count: int) -> int:
    """Padded size of a pool of `count` obligors."""
    return OBLIGORS * 2 ** max(math.ceil(math.log2(count / OBLIGORS)), 0)


def discrete_inputs(*, pool_par: Any, conc_limit_basis: Any, dscore_min: Any, ob_max: Any,
                    ind_max: Any, riskscore_max: Any, ob_exceptions: Any, ind_exceptions: Any,
                    ob_floor: Any, ind_floor: Any, risk_score_tbl: Any = None, tables: Any = None,
                    force_high: Any = None, force_low: Any = None, is_simple_industry: Any = False,
                    n_simple_industry: Any = 40,
                    source: str = "hypo_pool_discrete_constraints") -> dict[str, Any]:
    """Judged inputs of one deal as plain numbers; raises InputError with every problem.

    `tables` may hold "dscore" [n, 2] (lower bound, score) and "ind_codes" [n]; what is missing is
    the shipped table.
    """
    p = Problems(source)
    n: dict[str, Any] = {name: checks.number(p, name, value, above=0.0) for name, value in (
        ("pool_par", pool_par), ("conc_limit_basis", conc_limit_basis))}
    n |= {name: checks.number(p, name, value, 0.0) for name, value in (
        ("dscore_min", dscore_min), ("riskscore_max", riskscore_max))}
    for name, limit, floor in (("ob", ob_max, ob_floor), ("ind", ind_max, ind_floor)):
        n |= {f"{name}_{end}": checks.number(p, f"{name}_{end}", value, 1e-6, 1.0)
              for end, value in (("max", limit), ("floor", floor))}
        if n[f"{name}_floor"] > n[f"{name}_max"]:
            p.add(f"{name}_floor", floor, f"at most {name}_max, which is {limit:g}")
    for name, given in (("ob", ob_exceptions), ("ind", ind_exceptions)):
        n[f"{name}_exceptions"] = checks.exceptions(p, f"{name}_exceptions", given,
                                                    n[f"{name}_max"], f"{name}_max")
    scores = (moodys_risk_scores() if risk_score_tbl is None
              else checks.rising_table(p, "risk_score_tbl", risk_score_tbl))
    high, low = checks.locks(p, force_high, force_low, scores)
    bound, score, codes = _tables(p, tables)
    if not isinstance(is_simple_industry, bool | np.bool_):
        p.add("is_simple_industry", is_simple_industry, "True or False")
    if checks.whole_number(n_simple_industry) is None or not 1 <= n_simple_industry <= 1000:
        p.add("n_simple_industry", n_simple_industry, "a whole number in [1, 1000]")
    _check_size(p, n)
    p.raise_if_any()
    shipped = [name for name, given in (("risk scores", risk_score_tbl), ("diversity", (
        tables or {}).get("dscore"))) if given is None]
    return n | {"risk_score": scores, "high": high, "low": low, "bound": bound, "score": score,
                "codes": codes, "simple": bool(is_simple_industry),
                "n_simple": int(n_simple_industry),
                "label": f"shipped: {', '.join(shipped)}" if shipped else "the user's own"}


def _check_size(p, n):
    """A slip of units must not ask for a pool of millions."""
    scale = n["conc_limit_basis"] / n["pool_par"] if n["pool_par"] > 0 else math.nan
    if not 0.1 <= scale <= 10.0 and not math.isnan(scale):
        p.add("conc_limit_basis / pool_par", f"{scale:g}", "a ratio in [0.1, 10]")
    elif n["ob_floor"] * scale < 1.0 / MOST_OBLIGORS:
        p.add("ob_floor", n["ob_floor"], f"limits that {MOST_OBLIGORS:,} obligors can fill")


def _tables(p, tables):
    """(bounds, scores, codes) of `tables`, or the shipped ones."""
    given = {} if tables is None else tables
    if not isinstance(given, dict) or set(given) - {"dscore", "ind_codes"}:
        p.add("tables", given, "a dict with dscore [n, 2] and ind_codes [n]")
        return None, None, ()
    bound, score = diversity_table()
    if given.get("dscore") is not None:
        table = checks.array(given["dscore"])
        table = np.zeros(0) if table is None else table
        good = table.ndim == 2 and table.shape[1:] == (2,) and np.isfinite(table).all()
        steps = np.diff(table, axis=0) if good else np.zeros((0, 2))
        if not good or len(table) < 2 or table[0, 0] > 0 or (steps[:, 1] < 0).any() or not (
                steps[:, 0] > table[-1, 0] / (CELLS - 1)).all():
            p.add("tables['dscore']", f"an array {table.shape}", "[n, 2]: lower bounds that rise "
                  "from 0 by more than a thousandth of the last, and scores that never fall")
        else:
            bound, score = table[:, 0], table[:, 1]
    codes = given.get("ind_codes")
    codes = range(len(industry_codes())) if codes is None else np.asarray(
        list(codes) if isinstance(codes, range | set) else codes)
    codes = codes.tolist() if isinstance(codes, np.ndarray) and codes.ndim == 1 else list(
        codes if isinstance(codes, range) else ())
    if not codes or len(set(codes)) < len(codes):
        p.add("tables['ind_codes']", given["ind_codes"], "a list of codes, each once")
    return bound, score, tuple(codes)


def discrete_problem(i: dict[str, Any], *, exceptions: int, groups: int) -> DiscreteProblem:
    """DiscreteProblem of judged inputs, exceptions padded to `exceptions` and `groups`."""
    def real(name):
        return np.asarray(i[name], float)

    return DiscreteProblem(
        **{name: real(name) for name in (
            "pool_par", "conc_limit_basis", "dscore_min", "riskscore_max", "ob_max", "ind_max",
            "ob_floor", "ind_floor")},
        ob_exceptions=padded(i["ob_exceptions"], exceptions),
        ind_exceptions=padded(i["ind_exceptions"], groups), locks=_locks(i),
        codes=np.asarray(len(i["codes"])), n_simple_industry=np.asarray(i["n_simple"]),
        is_simple_industry=i["simple"])


def tables_of(i: dict[str, Any]) -> Tables:
    """Tables of judged inputs, on the device."""
    risk_score, bound, score = (jnp.asarray(i[name], float) for name in (
        "risk_score", "bound", "score"))
    return Tables(risk_score, DiversityTable(bound, score))


def _locks(i):
    (high, high_share), (low, low_share) = i["high"], i["low"]
    return Locks(np.asarray(low), np.asarray(low_share, float), np.asarray(high),
                 np.asarray(high_share, float))


def formula_inputs(*, hypo_pool_diversity: Any, run_mode: Any, rs_abs_max: Any, coef_bdr: Any,
                   coef_sdr: Any = None, risk_score_tbl: Any = None, IDT_sp: Any = None,
                   WARF_sp: Any = None, rvst_target_par: Any, collat_prin_amt: Any, was: Any,
                   warr: Any, wal: Any, rs_bound_lower: Any, rs_bound_higher: Any,
                   monitor_cushion: Any = None, force_high: Any = None, force_low: Any = None,
                   source: str = "hypo_pool_formula_constraints") -> dict[str, Any]:
    """Judged inputs of one deal; raises InputError with every problem."""
    p = Problems(source)
    names, pool = checks.obligors(p, hypo_pool_diversity)
    mode = checks.run_mode(p, run_mode)
    n: dict[str, Any] = {name: checks.number(p, name, value, above=0.0) for name, value in (
        ("rvst_target_par", rvst_target_par), ("collat_prin_amt", collat_prin_amt),
        ("rs_abs_max", rs_abs_max), ("rs_bound_higher", rs_bound_higher))}
    n |= {name: checks.number(p, name, value, 0.0) for name, value in (
        ("wal", wal), ("rs_bound_lower", rs_bound_lower))}
    n["was"] = checks.number(p, "was", was, -1.0, 1.0)
    n["warr"] = checks.number(p, "warr", warr, 0.0, 0.999999)
    n["monitor_cushion"] = checks.number(
        p, "monitor_cushion", 0.0 if monitor_cushion is None else monitor_cushion, -1.0, 1.0)
    if n["rs_bound_lower"] > min(n["rs_bound_higher"], n["rs_abs_max"]):
        p.add("rs_bound_lower", rs_bound_lower, "at most rs_bound_higher and rs_abs_max")
    n["coef_bdr"] = checks.numbers(p, "coef_bdr", coef_bdr, exactly=3)
    if coef_sdr is None:
        n["coef_sdr"] = sdr_coefficients(mode) if mode in ("SP_WARF", "EPDR") else None
    else:
        n["coef_sdr"] = checks.numbers(p, "coef_sdr", coef_sdr, exactly=7, above=0.0)
    scores = (moodys_risk_scores() if risk_score_tbl is None
              else checks.rising_table(p, "risk_score_tbl", risk_score_tbl))
    n["risk_score"], (n["high"], n["low"]) = scores, checks.locks(p, force_high, force_low, scores)
    n["level"], n["label"] = _levels(p, mode, WARF_sp, IDT_sp, n["wal"], scores)
    p.raise_if_any()
    return n | {"pool": pool, "names": names, "run_mode": mode}


def _levels(p, mode, warf, idt, wal, scores):
    """([R] rating factors or default rates over `wal` years, what table they are)."""
    own, name = "the user's own", "WARF_sp" if mode == "SP_WARF" else "IDT_sp"
    if mode == "SP_WARF" and warf is None:
        table, label = sp_rating_factors(), "shipped: S&P rating factors"
    elif mode == "SP_WARF":
        table, label = checks.rising_table(p, "WARF_sp", warf), own
    else:
        table, label = idealised_default_rates() if idt is None else (checks.array(idt), own)
        table = np.zeros(0) if table is None else table
        if table.ndim != 2 or not table.size or not ((table >= 0) & (table <= 1)).all():
            p.add(name, f"an array {table.shape}", "[ratings, years] of fractions in [0, 1]")
            return None, label
    if table is None or scores is None:  # complained of
        return None, label
    if len(table) != len(scores):
        p.add(name, f"{len(table)} ratings", f"as many ratings as risk_score_tbl, {len(scores)}")
        return None, label
    if mode == "SP_WARF":
        return table, label
    years = np.arange(1.0, table.shape[1] + 1)
    rates = RatingTable(rate=np.asarray(table), years=np.asarray(years), names=(), source=label)
    return np.asarray(idealised_rate(rates, np.asarray(wal, float))), label


def formula_problem(i: dict[str, Any]) -> FormulaProblem:
    """FormulaProblem of judged inputs."""
    real = {name: np.asarray(i[name], float) for name in (
        "rs_abs_max", "rs_bound_lower", "rs_bound_higher", "rvst_target_par", "collat_prin_amt",
        "was", "warr", "wal", "monitor_cushion", "risk_score", "level")}
    return FormulaProblem(bdr_coefficients=np.asarray(i["coef_bdr"], float),
                          sdr_coefficients=np.asarray(i["coef_sdr"], float),
                          locks=_locks(i), run_mode=i["run_mode"], **real)


def pool_of(listed: list[Obligor], obligors: int) -> Pool:
    """Pool of Obligors by falling share, padded to `obligors`; industries and regions by number."""
    def coded(values):
        numbers = {value: n for n, value in enumerate(dict.fromkeys(values))}
        return np.asarray([numbers[v] for v in values] + [0] * (obligors - len(values)))

    share = np.array([o.percentage for o in listed])
    return Pool(padded(share / share.sum(), obligors), coded([o.industry for o in listed]),
                coded([o.region for o in listed]), np.ones(obligors, int),
                np.asarray(len(listed)))

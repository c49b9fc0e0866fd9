"""The documented entry points: plain Python in, plain Python out, one deal or many.

They run in double precision whatever the caller's setting: look-ups and packing have exact ties.

Reference: hypo_pool_api. Limits are judged by clo_gen.hypo.problem, before anything is traced.
"""

import functools
import inspect
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import jax
import numpy as np

from clo_gen.hypo import checks
from clo_gen.hypo.batch import solve_discrete_batch, solve_formula_batch, stacked
from clo_gen.hypo.objects import ConcLimitException, HypoPool, HypoResultMonitor, Obligor
from clo_gen.hypo.problem import (
    IND_EXCEPTIONS,
    INDUSTRIES,
    OB_EXCEPTIONS,
    discrete_inputs,
    discrete_problem,
    formula_inputs,
    formula_problem,
    pool_of,
    pool_size,
    room_for,
    rounded_up,
    tables_of,
)
from clo_gen.hypo.records import MONITOR_STAGES, STAGES
from clo_gen.io.problems import InputError, Problems, collect_complaints

Exceptions = Iterable[ConcLimitException | tuple[int, float]] | None
Forced = tuple[int, float] | None  # (rating, share of the pool)
RiskScores = Mapping[int, float] | Sequence[float] | None


def hypo_pool_discrete_constraints(
        pool_par: float, conc_limit_basis: float, dscore_min: float, ob_max: float, ind_max: float,
        riskscore_max: float, ob_exceptions: Exceptions, ind_exceptions: Exceptions,
        ob_floor: float, ind_floor: float, risk_score_tbl: RiskScores = None,
        tables: dict | None = None, force_high: Forced = None, force_low: Forced = None,
        is_simple_industry: bool = False, n_simple_industry: int = 40) -> HypoPool:
    """HypoPool: the most concentrated, worst rated pool that the limits allow.

    Percentages are fractions of `conc_limit_basis`; `ob_exceptions` and `ind_exceptions` list
    ConcLimitException or (number, percentage). `risk_score_tbl` ({rating: score} or a list, best
    first) and `tables` ({"dscore": [n, 2] of (lower bound, score), "ind_codes": [n]}) are the
    shipped ones when None. `force_high` and `force_low` are (rating, share of the pool) or None.
    Par and basis in currency. Raises ValueError with every problem of the inputs.

    >>> pool = cg.hypo_pool_discrete_constraints(
    ...     pool_par=431.16e6, conc_limit_basis=500e6, dscore_min=55, riskscore_max=3218.21,
    ...     ob_max=0.02, ind_max=0.10, ob_exceptions=[(5, 0.025)],
    ...     ind_exceptions=[(1, 0.15), (2, 0.12)], ob_floor=0.005, ind_floor=0.04)
    >>> pool["is_solve"], round(pool["dscore"], 3), round(pool["riskscore"], 2)
    (True, 55.025, 3216.3)
    >>> pool.to_frame().head(2).round(4)
               pct         par  industry  region  rating
    obligor
    OB001    0.029  12500000.0         0       0      16
    OB002    0.029  12500000.0         0       0      16
    """
    return hypo_pools_discrete([dict(locals())])[0]


def hypo_pool_formula_constraints(
        hypo_pool_diversity: Iterable[Obligor] | Mapping[str, Obligor], run_mode: str,
        rs_abs_max: float, coef_bdr: Sequence[float], coef_sdr: Sequence[float] | None,
        risk_score_tbl: RiskScores, IDT_sp: np.ndarray | None, WARF_sp: RiskScores,
        rvst_target_par: float, collat_prin_amt: float, was: float, warr: float, wal: float,
        rs_bound_lower: float, rs_bound_higher: float, monitor_cushion: float | None = None,
        force_high: Forced = None, force_low: Forced = None) -> HypoResultMonitor:
    """HypoResultMonitor: the worst rating mixture of a pool that still passes the CDO Monitor.

    `hypo_pool_diversity` is a list of Obligor, or the `obligors` of a discrete result; `run_mode`
    "SP_WARF" or "EPDR". Coefficients are positive, in the published order; `coef_sdr`,
    `risk_score_tbl`, `IDT_sp` ([ratings, years] of fractions) and `WARF_sp` are the shipped ones
    when None. Pars in currency, `was` and `warr` fractions, `wal` years, SDR and BDR fractions.
    Raises ValueError with every problem of the inputs.

    >>> pool = [cg.hypo.Obligor(0.02, industry=n % 10) for n in range(50)]
    >>> monitor = cg.hypo_pool_formula_constraints(
    ...     pool, run_mode="SP_WARF", rs_abs_max=4000, coef_bdr=[0.109706, 4.140929, 1.064031],
    ...     coef_sdr=None, risk_score_tbl=None, IDT_sp=None, WARF_sp=None, rvst_target_par=500e6,
    ...     collat_prin_amt=499e6, was=0.0394, warr=0.36, wal=4.6, rs_bound_lower=1000,
    ...     rs_bound_higher=4000)
    >>> monitor.is_solve, round(monitor.riskscore_solution), round(monitor.sdr, 3)
    (True, 2630, 0.651)
    """
    return hypo_pools_formula([dict(locals())])[0]


def hypo_pools_discrete(deals: Sequence[dict]) -> list[HypoPool]:
    """[HypoPool] of many deals, each a dict of hypo_pool_discrete_constraints's arguments."""
    judged = judged_discrete(deals)
    exceptions, groups = (rounded_up(max(len(i[name]) for i in judged), to) for name, to in (
        ("ob_exceptions", OB_EXCEPTIONS), ("ind_exceptions", IND_EXCEPTIONS)))
    results: list = [None] * len(judged)
    # Deals of one table shape and of one size class run together: a pool of 512 costs twice 256.
    with jax.enable_x64(True):
        for (obligors, industries, *_), members in _grouped_by(judged, _shape):
            problems = stacked([discrete_problem(judged[n], exceptions=exceptions, groups=groups)
                                for n in members])
            found = solve_discrete_batch(problems, tables_of(judged[members[0]]),
                                         obligors=obligors, industries=industries)
            for place, n in enumerate(members):
                one = jax.tree.map(lambda x, place=place: x[place], found)
                results[n] = _hypo_pool(judged[n], one)
    return results


def _shape(i):
    """What deals share to be solved together: room for obligors, industries, mode, tables."""
    industries = i["n_simple"] if i["simple"] else len(i["codes"])
    return (room_for(i), rounded_up(industries, INDUSTRIES), i["simple"],
            *(np.asarray(i[name], float).tobytes() for name in ("risk_score", "bound", "score")))


def hypo_pools_formula(deals: Sequence[dict]) -> list[HypoResultMonitor]:
    """[HypoResultMonitor] of many deals, each a dict of hypo_pool_formula_constraints's arguments.
    """
    judged = judged_formula(deals)
    obligors = pool_size(max(len(i["pool"]) for i in judged))
    results: list = [None] * len(judged)
    with jax.enable_x64(True):
        for _, members in _grouped_by(judged, lambda i: (i["run_mode"], len(i["risk_score"]))):
            problems = stacked([formula_problem(judged[n]) for n in members])
            pools = stacked([pool_of(judged[n]["pool"], obligors) for n in members])
            found = solve_formula_batch(problems, pools)
            for place, n in enumerate(members):
                results[n] = _monitor(judged[n], jax.tree.map(
                    lambda x, place=place: x[place], found))
    return results


def _grouped_by(judged, shape):
    """[(shape, numbers of the deals that have it)]."""
    keys = [shape(i) for i in judged]
    return [(key, [n for n, k in enumerate(keys) if k == key]) for key in dict.fromkeys(keys)]


def _judged(deals, judge):
    """Judged inputs of all deals; one InputError with the complaints about all of them."""
    def one(n, deal):
        deal = dict(deal)
        if len(deals) > 1:
            deal.setdefault("source", f"deal {n + 1}")
        _check_keys(deal, judge)
        return judge(**deal)

    if not isinstance(deals, list | tuple) or not all(isinstance(d, dict) for d in deals):
        raise InputError("deals: want a list of dicts, one a deal")
    if not deals:
        raise InputError("no deals; want at least one")
    return collect_complaints([functools.partial(one, n, deal) for n, deal in enumerate(deals)])


def _check_keys(deal, judge):
    """Raises InputError for arguments that are missing or unknown."""
    known = inspect.signature(judge).parameters
    problems = Problems(deal.get("source", "deal"))
    problems.unknown([name for name in deal if name not in known],
                     [name for name in known if name != "source"], what="argument")
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in deal:
            problems.say(f"{name}: missing")
    problems.raise_if_any()


def judged_discrete(deals: Any) -> list[dict[str, Any]]:
    """Judged inputs of hypo_pools_discrete's deals; raises InputError with every problem."""
    return _judged(deals, discrete_inputs)


def judged_formula(deals: Any) -> list[dict[str, Any]]:
    """Judged inputs of hypo_pools_formula's deals; raises InputError with every problem."""
    return _judged(deals, formula_inputs)


def _hypo_pool(i, r):
    count, pool = int(r.pool.count), r.pool
    columns = zip(*(x[:count].tolist() for x in (pool.share, pool.industry, pool.rating)),
                  strict=True)
    obligors = OrderedDict(
        (f"OB{n + 1:03d}", Obligor(share, code if i["simple"] else i["codes"][code],
                                   rating=rating, par=share * i["pool_par"]))
        for n, (share, code, rating) in enumerate(columns))
    return HypoPool(
        is_solve=bool(r.is_solve), dscore=float(r.dscore), riskscore=float(r.riskscore),
        ob_base=float(r.ob_base), ind_base=float(r.ind_base),
        ob_exceptions=_grouped(r.ob_exceptions),
        ind_exceptions=[] if i["simple"] else _grouped(r.ind_exceptions),
        obligors=obligors, stage=STAGES[int(r.stage)], t=float(r.t),
        n_obligors=count, n_industries=int(r.n_industries), tables=i["label"])


def _grouped(units):
    """[ConcLimitException] of unit exceptions, equal ones together."""
    return [ConcLimitException(len(list(same)), share) for share, same in groupby(
        float(x) for x in units if x > 0)]


def _monitor(i, r):
    obligors = OrderedDict(
        (name, Obligor(o.percentage, o.industry, o.region, int(r.rating[n]), o.par))
        for n, (name, o) in enumerate(zip(i["names"], i["pool"], strict=True)))
    d = r.sdr_diag
    return HypoResultMonitor(
        **{name: float(getattr(r, name)) for name in (
            "riskscore_solution", "riskscore_realized", "credit_dispersion", "adj_bdr", "bdr",
            "sdr")},
        is_solve=bool(r.is_solve),
        sdr_diag={name: float(getattr(d, name)) for name in (
            "level", "drd", "odm", "idm", "rdm", "wal")},
        obligors=obligors, stage=MONITOR_STAGES[int(r.stage)], tables=i["label"])


def hypo_pool_cqt(matrix: Sequence[Sequence[float]], between: int = 0,
                  **limits: Any) -> list[HypoPool]:
    """[HypoPool] for every row of a collateral quality matrix, solved in one batch.

    `matrix` lists rows (diversity, risk score, spread, recovery); `between` further rows are put
    between neighbours by linear interpolation. `limits` are the other arguments of
    hypo_pool_discrete_constraints. Each result has the keys `was` and `warr` of its row too.
    """
    rows, problems = checks.array(matrix), Problems("hypo_pool_cqt")
    if rows is None or rows.ndim != 2 or rows.shape[1] != 4 or not np.isfinite(rows).all():
        problems.add("matrix", matrix, "rows of diversity, risk score, spread, recovery")
    if checks.whole_number(between) is None or between < 0:
        problems.add("between", between, "a whole number, 0 or more")
    for name in {"dscore_min", "riskscore_max"} & set(limits):
        problems.say(f"{name}: comes from the matrix")
    problems.raise_if_any()
    at = np.arange((len(rows) - 1) * (between + 1) + 1) / (between + 1)
    rows = np.stack([np.interp(at, np.arange(len(rows)), column) for column in rows.T], axis=1)
    pools = hypo_pools_discrete([
        limits | {"dscore_min": row[0], "riskscore_max": row[1], "source": f"matrix row {n + 1}"}
        for n, row in enumerate(rows.tolist())])
    for pool, row in zip(pools, rows.tolist(), strict=True):
        pool |= {"dscore_min": row[0], "riskscore_max": row[1], "was": row[2], "warr": row[3]}
    return pools

"""Hypo pools against worked cases: tests/golden/hypo_cases.json, derived by hand and by a separate
reference program from published tables and formulas, and every *.json of CLO_GEN_HYPO_CASES."""

import json
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_hypo import RATES

from clo_gen.hypo import (
    Obligor,
    hypo_pool_discrete_constraints,
    hypo_pool_formula_constraints,
)
from clo_gen.hypo import monitor as formulas
from clo_gen.hypo.diversity import diversity_score
from clo_gen.hypo.ratings import overlay, score_of
from clo_gen.hypo.records import DiversityTable, FormulaProblem, Locks, Pool, SdrMeasures
from clo_gen.io import hypo_tables as tables

FOLDERS = [pathlib.Path(__file__).parent / "golden" / "hypo_cases.json"]
if os.environ.get("CLO_GEN_HYPO_CASES"):
    FOLDERS += sorted(pathlib.Path(os.environ["CLO_GEN_HYPO_CASES"]).glob("*.json"))
CASES = [case for path in FOLDERS for case in json.loads(path.read_text())]
RISK, FACTORS = tables.moodys_risk_scores(), tables.sp_rating_factors()
MEASURES = ("level", "drd", "odm", "idm", "rdm", "wal")


def pool_of(pct, rating=None, industry=None):
    n = len(pct)
    zeros = jnp.zeros(n, int)
    return Pool(jnp.asarray(pct, float), zeros if industry is None else jnp.asarray(industry),
                zeros, jnp.ones(n, int) if rating is None else jnp.asarray(rating), jnp.asarray(n))


def locks_of(i):
    (high, high_share), (low, low_share) = (i.get(name) or (1, 0.0) for name in (
        "force_high", "force_low"))
    return Locks(jnp.asarray(low), jnp.asarray(low_share), jnp.asarray(high),
                 jnp.asarray(high_share))


def monitor_problem(mode, *, wal=5.0, level=FACTORS, **numbers):
    """FormulaProblem with only the numbers that a case gives."""
    given = dict.fromkeys(("rs_abs_max", "rs_bound_lower", "rs_bound_higher", "rvst_target_par",
                           "collat_prin_amt", "was", "warr", "monitor_cushion"), 1.0) | numbers
    coefficients = given.pop("coef", (0.0, 0.0, 0.0))
    return FormulaProblem(
        bdr_coefficients=jnp.asarray(coefficients), wal=jnp.asarray(wal), run_mode=mode,
        sdr_coefficients=jnp.asarray(tables.sdr_coefficients(mode)), locks=locks_of({}),
        risk_score=jnp.asarray(RISK), level=jnp.asarray(level),
        **{k: jnp.asarray(v, float) for k, v in given.items()})


def diversity_of(i):
    table = DiversityTable(*map(jnp.asarray, tables.diversity_table()))
    return float(diversity_score(jnp.asarray(i["pct"]), jnp.asarray(i["industry"]), len(i["pct"]),
                                 table, industries=32))


def rated(i):
    if "rating" in i:
        return float(score_of(pool_of(i["pct"], i["rating"]), jnp.asarray(RISK))[0])
    pool = overlay(pool_of(i["pct"]), i["target"], jnp.asarray(RISK), locks_of(i))
    realized = float(score_of(pool, jnp.asarray(RISK))[0])
    return {"rating": pool.rating.tolist(), "realized": realized,
            "feasible": realized <= i["target"] + 1e-9}


def measured(p, pct, rating, industry):
    m = formulas.measures(p, pool_of(pct, industry=industry), jnp.asarray(pct),
                          p.level[jnp.asarray(rating) - 1])
    return {name: float(getattr(m, name)) for name in MEASURES} | {
        "sdr": float(formulas.sdr(m, p.sdr_coefficients, p.run_mode))}


def monitor_case(case):
    i = case["inputs"]
    if "level" in i:
        mode = "SP_WARF" if i["coef"][1] > 100 else "EPDR"
        m = SdrMeasures(**{name: float(i[name]) for name in MEASURES})
        return float(formulas.sdr(m, i["coef"], mode))
    if "mode" in i:
        p = monitor_problem(i["mode"], wal=i["wal"])
        n = i["n"]
        return measured(p, [1 / n] * n, [15] * 50 + [14] * (n - 50), [k % 20 for k in range(n)])
    if "op" in i:
        p = monitor_problem("SP_WARF", coef=(i["bdr"], 0.0, 0.0), rvst_target_par=i["op"],
                            collat_prin_amt=i["np"], warr=i["warr"])
        return float(formulas.adjusted_bdr(p))
    return float(formulas.bdr(monitor_problem("SP_WARF", coef=i["coef"], was=i["was"],
                                              warr=i["warr"])))


def arguments(i):
    """Inputs of a case as the entry point takes them: the tables it names are the shipped ones."""
    out = {k: v for k, v in i.items() if k not in ("risk_score_tbl", "n_codes", "WARF_sp",
                                                   "IDT_sp", "pool")}
    return out | ({"tables": {"ind_codes": range(i["n_codes"])}} if "n_codes" in i else {})


def discrete_case(case):
    r = hypo_pool_discrete_constraints(**arguments(case["inputs"]))
    obligors = list(r["obligors"].values())
    return r | {name: [e.percentage for e in r[name] for _ in range(e.number)]
                for name in ("ob_exceptions", "ind_exceptions")} | {"obligors": {
                    "pct": [o.percentage for o in obligors],
                    "industry": [o.industry for o in obligors],
                    "rating": [o.rating for o in obligors]}}


def formula_case(case):
    i = case["inputs"]
    if "D9" in i["pool"]:
        d9 = next(c for c in CASES if c["id"] == "D9")
        pool = hypo_pool_discrete_constraints(**arguments(d9["inputs"]))["obligors"]
    else:
        assert "10 equal obligors, each in its own industry" in i["pool"]
        pool = [Obligor(0.1, k) for k in range(10)]
    m = hypo_pool_formula_constraints(pool, risk_score_tbl=None, IDT_sp=None, WARF_sp=None,
                                      **arguments(i))
    return vars(m) | {"rating": [o.rating for o in m.obligors.values()]}


def downgraded(case):
    """F1: 20 names in one industry, WAL 5."""
    p = monitor_problem("SP_WARF", wal=5.0)
    return {name: measured(p, [0.05] * 20, [14] * 19 + [last], [0] * 20)["sdr"]
            for name, last in (("before", 15), ("after", 16))}


def every_downgrade_counts(case):
    """F2: random pools, of which one name is downgraded by a notch."""
    r = np.random.default_rng(5)
    rates, years = np.asarray(RATES), np.arange(0.0, 11.0)
    n, pools = 12, case["inputs"]["random_pools"]
    share, rating = r.dirichlet(np.ones(n), pools), r.integers(1, 19, (pools, n))
    worse = rating + (np.arange(n) == r.integers(0, n, (pools, 1)))
    industry, wal = r.integers(0, 5, (pools, n)), r.uniform(0.5, 10, pools)
    level = np.stack([[np.interp(w, years, [0.0, *row]) for row in rates] for w in wal])
    p = monitor_problem("EPDR")

    def one(share, rating, industry, wal, level):
        p_one = p.replace(wal=wal)
        pool = Pool(share, industry, jnp.zeros(n, int), rating, n)
        m = formulas.measures(p_one, pool, share, level[rating - 1])
        return formulas.sdr(m, p.sdr_coefficients, "EPDR")

    many = jax.jit(jax.vmap(one))
    rises = many(share, worse, industry, wal, level) > many(share, rating, industry, wal, level)
    return {"violations": int((~rises).sum())}


KINDS = {"A": lambda c: diversity_of(c["inputs"]), "B": lambda c: rated(c["inputs"]),
         "C": monitor_case, "D": discrete_case, "E": formula_case}
RULES = {"F1": downgraded, "F2": every_downgrade_counts}


def compare(got, want, tol, path=""):
    if isinstance(want, dict):
        for key in want:
            compare(got[key], want[key], tol, f"{path}.{key}")
    elif isinstance(want, list):
        assert len(got) == len(want), path
        for n, (a, b) in enumerate(zip(got, want, strict=True)):
            compare(a, b, tol, f"{path}[{n}]")
    elif isinstance(want, bool | str):
        assert got == want, path
    else:
        assert got == pytest.approx(want, abs=tol), path


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["id"])
def test_case(case):
    solve = RULES.get(case["id"]) or KINDS[case["id"][0]]
    compare(solve(case), case["expected"], case["tol"])

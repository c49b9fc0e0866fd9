"""Hypo pools: an independent slow program agrees, laws hold, a deal does not see its batch."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import random_hypo
import reference_hypo

from clo_gen import hypo
from clo_gen.hypo import ConcLimitException
from clo_gen.hypo import monitor as formulas
from clo_gen.hypo.problem import (
    formula_inputs,
    formula_problem,
    pool_of,
)
from clo_gen.io import hypo_tables as tables

SLOW = pytest.mark.slow
D9 = dict(pool_par=431.16e6, conc_limit_basis=500e6, dscore_min=55, ob_max=0.02, ind_max=0.10,
          riskscore_max=3218.21, ob_exceptions=[ConcLimitException(5, 0.025)],
          ind_exceptions=[(1, 0.15), (2, 0.12)], ob_floor=0.005, ind_floor=0.04)


@pytest.fixture(scope="module")
def solved():
    """[(arguments, HypoPool)] of random deals, in one block."""
    deals = [random_hypo.discrete_deal(seed) for seed in range(128)]
    return list(zip(deals, hypo.hypo_pools_discrete(deals), strict=True))


@pytest.fixture(scope="module")
def monitored(solved):
    deals = [random_hypo.formula_deal(seed, solved[seed][1]["obligors"]) for seed in range(128)]
    return list(zip(deals, hypo.hypo_pools_formula(deals), strict=True))


def agree_discrete(solved):
    for deal, got in solved:
        want = reference_hypo.discrete(**random_hypo.oracle_discrete(deal))
        assert (got["is_solve"], got["stage"]) == (want["is_solve"], want["stage"]), deal
        for name in ("dscore", "riskscore", "ob_base", "ind_base", "t"):
            assert got[name] == pytest.approx(want[name], abs=1e-6), (name, deal)
        for name in ("ob_exceptions", "ind_exceptions"):
            assert random_hypo.units(got[name]) == pytest.approx(want[name], abs=1e-6), deal
        obligors = got["obligors"].values()
        assert [o.percentage for o in obligors] == pytest.approx(want["pct"], abs=1e-6)
        assert [o.industry for o in obligors] == want["industry"]
        assert [o.rating for o in obligors] == want["rating"]


def test_discrete_agrees_with_slow_loops(solved):
    agree_discrete(solved[:60])


def test_every_stage_is_met(solved):
    assert {pool["stage"] for _, pool in solved} == {"inner", "partial", "industry", "fail"}
    assert 0.2 < np.mean([pool["is_solve"] for _, pool in solved]) < 0.95


def test_formula_agrees_with_slow_loops(monitored):
    agree_formula(monitored)
    assert {m.stage for _, m in monitored} == {"max_passes", "min_fails", "upper_bound_passes",
                                               "bisection"}


def agree_formula(monitored):
    for deal, got in monitored:
        want = reference_hypo.formula(**random_hypo.oracle_formula(deal))
        assert (got.stage, got.is_solve) == (want["stage"], want["is_solve"])
        for name in ("riskscore_solution", "riskscore_realized", "credit_dispersion", "adj_bdr",
                     "bdr", "sdr"):
            assert getattr(got, name) == pytest.approx(want[name], rel=1e-9, abs=1e-6), name
        assert got.sdr_diag == pytest.approx(want["sdr_diag"], rel=1e-9)
        assert [o.rating for o in got.obligors.values()] == want["rating"]


def test_own_tables_regions_and_locks_of_the_monitor(solved):
    """Whatever a user hands in is used; locks alone may exceed the deal's maximum."""
    deals = []
    for seed in range(6):
        r = np.random.default_rng([seed, 13])
        pool = {name: dataclasses.replace(o, region=int(r.integers(4)))
                for name, o in solved[seed][1]["obligors"].items()}
        base = tables.sdr_coefficients(("SP_WARF", "EPDR")[seed % 2])
        deals.append(random_hypo.formula_deal(seed, pool) | {
            "coef_sdr": (base * r.uniform(0.9, 1.1, 7)).tolist(),
            "risk_score_tbl": [10.0 * (n + 1) ** 2 for n in range(19)],
            "WARF_sp": [13.0 * (n + 1) ** 2 for n in range(19)],
            "IDT_sp": [[0.002 * (n + 1) * (y + 1) for y in range(8)] for n in range(19)]})
    deals[0] |= {"force_low": (19, 0.9), "force_high": None, "rs_abs_max": 1600.0,
                 "coef_bdr": [5.0, 4.0, 1.0]}
    found = hypo.hypo_pools_formula(deals)
    agree_formula(zip(deals, found, strict=True))
    assert (found[0].stage, found[0].is_solve) == ("max_passes", False)
    assert found[0].sdr_diag["rdm"] > 1.5


def test_a_pool_keeps_the_names_of_its_obligors(solved):
    pool = list(solved[0][1]["obligors"].values())
    named = {f"issuer {n}": o for n, o in reversed(list(enumerate(pool)))}
    kept = hypo.hypo_pool_formula_constraints(**random_hypo.formula_deal(0, named)).obligors
    assert set(kept) == set(named)
    assert all(kept[name].percentage == named[name].percentage for name in named)


def test_laws_of_discrete_pools(solved):
    for deal, pool in solved:
        share = [o.percentage for o in pool["obligors"].values()]
        assert sum(share) == pytest.approx(1.0, abs=1e-12)
        assert (np.diff(share) <= 1e-15).all() and min(share) > 1e-6
        pars = [o.par for o in pool["obligors"].values()]
        assert sum(pars) == pytest.approx(deal["pool_par"])
        for name in ("ob", "ind"):
            base = pool[f"{name}_base"]
            assert deal[f"{name}_floor"] - 1e-12 <= base <= deal[f"{name}_max"] + 1e-12
            used, given = (random_hypo.units(x[f"{name}_exceptions"]) for x in (pool, deal))
            if not deal["is_simple_industry"]:
                assert used[:-1] == pytest.approx(given[: max(len(used) - 1, 0)])
                assert not used or used[-1] <= given[len(used) - 1] + 1e-12
        if pool["is_solve"]:
            assert pool["dscore"] >= deal["dscore_min"] - 1e-9
            assert pool["riskscore"] <= deal["riskscore_max"] + 1e-5


def test_laws_of_monitor_solutions(monitored):
    for deal, m in monitored:
        if m.is_solve:
            assert m.adj_bdr - (deal["monitor_cushion"] or 0.0) >= m.sdr
            assert m.riskscore_realized <= deal["rs_abs_max"] + 1e-5
        elif m.stage == "min_fails":
            assert m.adj_bdr - (deal["monitor_cushion"] or 0.0) <= m.sdr
            assert m.riskscore_solution == deal["rs_bound_lower"]


def same(a, b):
    assert {k: v for k, v in a.items() if k != "obligors"} == {
        k: v for k, v in b.items() if k != "obligors"}
    assert a["obligors"] == b["obligors"]


def test_result_does_not_depend_on_the_batch(solved):
    """Bit for bit, in batches of 1, 7 and 128; of 400, in many blocks, in the slow tests."""
    deals = [deal for deal, _ in solved]
    for n, pool in enumerate(hypo.hypo_pools_discrete(deals[:7])):
        same(pool, solved[n][1])
    for n in (0, 5):
        same(hypo.hypo_pool_discrete_constraints(**deals[n]), solved[n][1])


AS_USERS_COMPILE = """
import jax
import numpy as np
import random_hypo
from clo_gen.hypo import batch, hypo_pools_discrete
from clo_gen.hypo.discrete import solve_discrete
from clo_gen.hypo.problem import discrete_inputs, discrete_problem, room_for, tables_of

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", 4)
judged = [discrete_inputs(**random_hypo.discrete_deal(seed)) for seed in range(128)]
judged = [i for i in judged if not i["simple"] and room_for(i) == 256][:32]
shared = tables_of(judged[0])
problems = batch.stacked([discrete_problem(i, exceptions=8, groups=4) for i in judged])
sharded = batch.solve_discrete_batch(problems, shared, obligors=256, industries=32)
plain = jax.jit(jax.vmap(lambda p: solve_discrete(p, shared, obligors=256, industries=32)))
assert jax.device_count() == 4 and len(judged) == 32
for a, b in zip(jax.tree.leaves(sharded), jax.tree.leaves(plain(problems)), strict=True):
    np.testing.assert_array_equal(a, b)
deals = [random_hypo.discrete_deal(seed) for seed in range(400)]
few, many = hypo_pools_discrete(deals[:128]), hypo_pools_discrete(deals)
assert few == many[:128]
"""


@SLOW
def test_sharded_is_unsharded_and_many_blocks_are_one():
    """Bit for bit: in blocks over four devices, and the plain vmap of the one-deal solve on one; in
    one block of 128 deals and among 400.

    Compiled as for users: the tests' own flags vectorise these programs differently.
    """
    unset = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    tests = pathlib.Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", AS_USERS_COMPILE], capture_output=True, text=True,
                          env=unset | {"PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"})
    assert done.returncode == 0, done.stderr


@SLOW
def test_more_deals_agree_with_slow_loops():
    """150 discrete and 75 formula deals out of 400."""
    deals = [random_hypo.discrete_deal(seed) for seed in range(400)]
    pools = hypo.hypo_pools_discrete(deals)
    agree_discrete(list(zip(deals, pools, strict=True))[:150])
    formula = [random_hypo.formula_deal(seed, pools[seed]["obligors"]) for seed in range(75)]
    agree_formula(zip(formula, hypo.hypo_pools_formula(formula), strict=True))


def test_permuted_exceptions_and_scaled_par_change_nothing(solved):
    wanted = [(deal, pool) for deal, pool in solved if len(deal["ob_exceptions"]) > 1][:20]
    permuted = [deal | {name: deal[name][::-1] for name in ("ob_exceptions", "ind_exceptions")}
                for deal, _ in wanted]
    scaled = [deal | {name: 8.0 * deal[name] for name in ("pool_par", "conc_limit_basis")}
              for deal, _ in wanted]
    for (_, pool), a, b in zip(wanted, hypo.hypo_pools_discrete(permuted),
                               hypo.hypo_pools_discrete(scaled), strict=True):
        same(pool, a)
        assert [(o.percentage, o.industry, o.rating) for o in b["obligors"].values()] == [
            (o.percentage, o.industry, o.rating) for o in pool["obligors"].values()]


@pytest.mark.parametrize("name,step", [("monitor_cushion", 0.01), ("warr", -0.02), ("was", -0.002),
                                       ("collat_prin_amt", -2e6)])
def test_harder_monitor_never_raises_the_score(monitored, name, step):
    """In EPDR mode, where the SDR rises with every downgrade."""
    deals = [deal for deal, _ in monitored if deal["run_mode"] == "EPDR"][:25]
    before = [m.riskscore_solution for deal, m in monitored if deal["run_mode"] == "EPDR"][:25]
    harder = [deal | {name: (deal[name] or 0.0) + step} for deal in deals]
    after = hypo.hypo_pools_formula(harder)
    assert all(m.riskscore_solution <= b for m, b in zip(after, before, strict=True))
    assert any(m.riskscore_solution < b for m, b in zip(after, before, strict=True))


def test_one_bad_deal_leaves_the_others(solved):
    deals = [deal for deal, _ in solved[:5]]
    impossible = deals[0] | {"dscore_min": 500.0}
    pools = hypo.hypo_pools_discrete([*deals, impossible])
    assert not pools[-1]["is_solve"] and pools[-1]["stage"] == "fail"
    for pool, (_, want) in zip(pools, solved[:5], strict=False):
        same(pool, want)


EDGES = {
    "exceptions beyond the pool": dict(ob_exceptions=[(4, 0.3)], dscore_min=1.0),
    "most of them must go": dict(ob_exceptions=[(4, 0.3)], dscore_min=30.0),
    "floors at the limits": dict(ob_floor=0.02, ind_floor=0.10, dscore_min=30.0),
    "one obligor": dict(ob_max=1.0, ob_floor=1.0, ind_max=1.0, ind_floor=1.0, dscore_min=1.0,
                        ob_exceptions=None, ind_exceptions=None),
    "limits beyond the pool": dict(conc_limit_basis=4e9, ob_floor=0.03, ob_max=0.2, ind_max=0.5,
                                   ob_exceptions=None, ind_exceptions=None, dscore_min=3.0),
    "larger than an industry": dict(ob_max=0.05, ob_floor=0.04, ind_max=0.03, ind_floor=0.03,
                                    ob_exceptions=None, ind_exceptions=None, dscore_min=20.0),
    "all locked": dict(force_low=(17, 0.4), force_high=(10, 0.6)),
    "locks beyond the score": dict(force_low=(19, 0.9), riskscore_max=2000.0),
}


def test_edges_agree_with_slow_loops():
    deals = [D9 | change for change in EDGES.values()]
    listed = [deal | {name: [ConcLimitException(*e) if isinstance(e, tuple) else e
                             for e in deal[name] or ()]
                      for name in ("ob_exceptions", "ind_exceptions")} for deal in deals]
    pools = hypo.hypo_pools_discrete(deals)
    agree_discrete(zip(listed, pools, strict=True))
    unsolved = {name for name, pool in zip(EDGES, pools, strict=True) if not pool["is_solve"]}
    assert unsolved == {"floors at the limits", "locks beyond the score"}


@pytest.mark.slow
def test_deals_with_different_tables_share_a_batch():
    steep = [10.0 * (n + 1) ** 2 for n in range(19)]
    coarse = {"dscore": [[0.0, 0.0], [0.5, 1.0], [1.5, 1.5], [3.0, 2.0]]}
    deals = [D9, D9 | {"risk_score_tbl": steep, "riskscore_max": 2000.0},
             D9 | {"tables": coarse, "dscore_min": 20.0}]
    for pool, deal in zip(hypo.hypo_pools_discrete(deals), deals, strict=True):
        same(pool, hypo.hypo_pool_discrete_constraints(**deal))
    limits = {k: v for k, v in deals[2].items() if k != "tables"}
    want = reference_hypo.discrete(**limits | {
        "ob_exceptions": [0.025] * 5, "ind_exceptions": [0.15, 0.12, 0.12], "n_codes": 32,
        "risk_score_tbl": random_hypo.RISK, "dscore_table": coarse["dscore"]})
    assert pool["dscore"] == pytest.approx(want["dscore"])


def test_more_industries_than_codes():
    """Codes repeat, and the diversity score counts the joint load."""
    deal = D9 | {"dscore_min": 8.0, "ob_exceptions": None, "ind_exceptions": None,
                 "ind_max": 0.04, "tables": {"ind_codes": [101, 102, 103, 104, 105]}}
    pool = hypo.hypo_pool_discrete_constraints(**deal)
    want = reference_hypo.discrete(
        **{k: v for k, v in deal.items() if k != "tables"} | {
            "ob_exceptions": [], "ind_exceptions": [], "risk_score_tbl": random_hypo.RISK,
            "dscore_table": random_hypo.DIVERSITY, "n_codes": 5})
    assert pool["n_industries"] == 5 and want["dscore"] == pytest.approx(pool["dscore"])
    industries = [o.industry for o in pool["obligors"].values()]
    assert industries == [101 + code for code in want["industry"]]


def test_matrix_interpolates_between_rows():
    limits = {k: v for k, v in D9.items() if k not in ("dscore_min", "riskscore_max")}
    rows = [(50, 2800, 0.036, 0.44), (60, 3000, 0.038, 0.43)]
    pools = hypo.hypo_pool_cqt(rows, between=3, **limits)
    assert [p["dscore_min"] for p in pools] == [50, 52.5, 55, 57.5, 60]
    assert pools[2]["was"] == pytest.approx(0.037) and pools[4]["riskscore_max"] == 3000
    one = hypo.hypo_pool_discrete_constraints(**limits, dscore_min=52.5, riskscore_max=2850.0)
    assert one["obligors"] == pools[1]["obligors"]


def test_frames_and_own_tables():
    table = np.column_stack([random_hypo.BOUND, random_hypo.SCORE])
    own = hypo.hypo_pool_discrete_constraints(
        **D9, risk_score_tbl={n + 1: x for n, x in enumerate(random_hypo.RISK)},
        tables={"dscore": table, "ind_codes": np.arange(1, 33)})
    shipped = hypo.hypo_pool_discrete_constraints(**D9)
    assert own["tables"] == "the user's own" and shipped["tables"].startswith("shipped")
    a, b = own.to_frame(), shipped.to_frame()
    assert list(a.columns) == ["pct", "par", "industry", "region", "rating"]
    assert (a["industry"] == b["industry"] + 1).all() and (a["pct"] == b["pct"]).all()
    m = hypo.hypo_pool_formula_constraints(**random_hypo.formula_deal(1, shipped["obligors"]))
    assert "stand-in" in m.tables and m.to_frame()["rating"].between(1, 19).all()


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 5, 7])  # 6 has no score at which it is 0
def test_relaxed_solution_has_the_gradient_of_its_differences(solved, seed):
    deal = random_hypo.formula_deal(seed, solved[seed][1]["obligors"]) | {
        "rs_abs_max": 8000.0, "rs_bound_lower": 20.0, "rs_bound_higher": 4700.0}
    judged = formula_inputs(**deal)
    problem, pool = jax.tree.map(jnp.asarray, (formula_problem(judged),
                                               pool_of(judged["pool"], 256)))
    names = ("was", "warr", "monitor_cushion")

    def solution(x):
        p = problem.replace(**dict(zip(names, x, strict=True)))
        root = formulas.relaxed_solution(p, pool)
        return root.x, root.converged

    x = jnp.stack([getattr(problem, name) for name in names])
    (score, converged), gradient = jax.jit(jax.value_and_grad(solution, has_aux=True))(x)
    assert converged
    step = 1e-6
    both = [jax.jit(solution)(x + s * step * jnp.eye(3)[n])[0] for n in range(3) for s in (1, -1)]
    differences = (np.array(both[::2]) - np.array(both[1::2])) / (2 * step)
    assert np.asarray(gradient) == pytest.approx(differences, rel=1e-4)
    assert gradient[0] > 0 and gradient[2] < 0
    hard = hypo.hypo_pool_formula_constraints(**deal)
    assert hard.riskscore_solution == pytest.approx(float(score), rel=0.05)


def test_entry_points_work_without_double_precision():
    with jax.enable_x64(False):
        pool = hypo.hypo_pool_discrete_constraints(**D9)
    same(pool, hypo.hypo_pool_discrete_constraints(**D9))

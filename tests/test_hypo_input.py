"""Hypo pools: wrong input is one message with every problem, before anything is solved."""

import numpy as np
import pytest
import random_hypo

from clo_gen import hypo
from clo_gen.hypo import ConcLimitException, Obligor, entry

GOOD = dict(pool_par=431.16e6, conc_limit_basis=500e6, dscore_min=55, ob_max=0.02, ind_max=0.10,
            riskscore_max=3218.21, ob_exceptions=[ConcLimitException(5, 0.025)],
            ind_exceptions=[(1, 0.15), (2, 0.12)], ob_floor=0.005, ind_floor=0.04)
BAD = GOOD | {
    "pool_par": -1, "ob_max": 1.5, "ind_floor": 0.2, "ob_exceptions": [(2, "a"), (1.5, 0.03)],
    "ind_exceptions": [(1, 0.05), (1, 1.2)], "risk_score_tbl": [1, 2, 2],
    "n_simple_industry": 0, "is_simple_industry": "no",
    "tables": {"dscore": [[0, 1], [0, 2]], "ind_codes": [1, 1]}}


@pytest.fixture(autouse=True)
def nothing_is_solved(monkeypatch):
    def solved(*_, **__):
        raise AssertionError("solved before the input was judged")

    for name in ("solve_discrete_batch", "solve_formula_batch"):
        monkeypatch.setattr(entry, name, solved)


def test_every_problem_of_a_deal_at_once():
    with pytest.raises(ValueError) as error:
        hypo.hypo_pool_discrete_constraints(**BAD)
    for part in (
            "pool_par: -1; want a number above 0", "ob_max: 1.5; want a number in [1e-06, 1]",
            "ind_floor: 0.2; want at most ind_max, which is 0.1",
            "ob_exceptions[1]: (2, 'a'); want",
            "ob_exceptions[2]: (1.5, 0.03); want a whole number",
            "ind_exceptions[1]: 0.05; want more than ind_max, which is 0.1",
            "ind_exceptions[2]: (1, 1.2); want ConcLimitException(number, percentage)",
            "risk_score_tbl[3]: 2.0; want more than 2", "n_simple_industry: 0; want a whole number",
            "is_simple_industry: 'no'; want True or False",
            "tables['dscore']: 'an array (2, 2)'; want",
            "tables['ind_codes']: [1, 1]; want a list"):
        assert part in str(error.value)


@pytest.mark.parametrize("change,part", [
    ({"ob_exceptions": 0.03}, "ob_exceptions: 0.03; want a list of ConcLimitException"),
    ({"ob_exceptions": [(10**6, 0.06)]}, "a whole number of obligors or industries in [0, 200]"),
    ({"tables": {"dscore": "abc"}}, "tables['dscore']: 'an array (0,)'; want [n, 2]"),
    ({"tables": {"ind_codes": 5}}, "tables['ind_codes']: 5; want a list of codes"),
    ({"tables": {"codes": 5}}, "want a dict with dscore [n, 2] and ind_codes [n]"),
    ({"risk_score_tbl": {1: 1.0, "b": 2.0}}, "want ratings 1, 2, 3, ... without gaps as keys"),
    ({"risk_score_tbl": [-1.0, 2.0]}, "risk_score_tbl[1]: -1.0; want a number of at least 0"),
    ({"conc_limit_basis": 500.0}, "want a ratio in [0.1, 10]"),
    ({"ob_floor": 1e-5}, "ob_floor: 1e-05; want limits that 10,000 obligors can fill"),
    ({"ob_max": "2%"}, "ob_max: '2%'; want a number in [1e-06, 1]"),
    ({"force_low": (30, 0.1)}, "force_low rating: 30; want a whole number in [1, 19]"),
    ({"dscore_min": np.nan}, "dscore_min: nan; want a number of at least 0"),
])
def test_wrong_limits(change, part):
    with pytest.raises(ValueError) as error:
        hypo.hypo_pool_discrete_constraints(**GOOD | change)
    assert part in str(error.value)


@pytest.mark.parametrize("change,part", [
    ({"hypo_pool_diversity": []}, "hypo_pool_diversity: empty; want at least one Obligor"),
    ({"hypo_pool_diversity": 5}, "hypo_pool_diversity: 5; want a list of Obligor"),
    ({"hypo_pool_diversity": [Obligor(0.5, 1)]}, "percentages: 'sum 0.500000'; want a sum of 1"),
    ({"hypo_pool_diversity": [Obligor(1.5, 1)]}, "[1].percentage: 1.5; want a fraction"),
    ({"hypo_pool_diversity": [Obligor(1.0, [1])]}, "names or whole numbers"),
    ({"run_mode": "WARF"}, "run_mode: 'WARF'; want SP_WARF or EPDR"),
    ({"run_mode": ["x"]}, "run_mode: ['x']; want SP_WARF or EPDR"),
    ({"warr": 1.0}, "warr: 1.0; want a number in [0, 0.999999]"),
    ({"monitor_cushion": np.ones(2)}, "monitor_cushion: [1. 1.]; want a number in [-1, 1]"),
    ({"coef_bdr": [1, 2]}, "coef_bdr: [1, 2]; want 3 numbers"),
    ({"coef_sdr": [0.2, 9e3, 2e4, 0.0, 2e3, 34, 27]}, "want 7 numbers above 0"),
    ({"rs_bound_lower": 9000.0}, "rs_bound_lower: 9000.0; want at most rs_bound_higher"),
    ({"force_low": (17, 0.8), "force_high": (1, 0.3)}, "want shares that sum to at most 1"),
    ({"WARF_sp": [1.0, 2.0]}, "WARF_sp: '2 ratings'; want as many ratings as risk_score_tbl, 19"),
    ({"run_mode": "EPDR", "IDT_sp": [[0.1], [0.1, 0.2]]}, "want [ratings, years] of fractions"),
])
def test_wrong_monitor(change, part):
    good = random_hypo.formula_deal(0, {"OB001": Obligor(1.0, 0)})
    with pytest.raises(ValueError) as error:
        hypo.hypo_pool_formula_constraints(**good | change)
    assert part in str(error.value) and str(error.value).startswith("hypo_pool_formula_constr")


def test_one_wrong_table_is_one_complaint():
    good = random_hypo.formula_deal(0, {"OB001": Obligor(1.0, 0)})
    with pytest.raises(ValueError) as error:
        hypo.hypo_pool_formula_constraints(**good | {"risk_score_tbl": [2.0, 1.0]})
    assert "1 problem" in str(error.value) and "WARF_sp" not in str(error.value)


def test_bad_deals_of_a_batch_are_all_named():
    misspelt = {("ob_mx" if k == "ob_max" else k): v for k, v in GOOD.items()}
    with pytest.raises(ValueError) as error:
        hypo.hypo_pools_discrete([GOOD, GOOD | {"ob_max": 2.0}, misspelt])
    for part in ("deal 2: 1 problem", "deal 3: 2 problems", "ob_mx: unknown argument, perhaps",
                 "ob_max: missing"):
        assert part in str(error.value)


@pytest.mark.parametrize("matrix,more,part", [
    ([(50, 2800, 0.036)], {}, "want rows of diversity, risk score, spread, recovery"),
    ([(50, "x", 0.036, 0.4)], {}, "want rows of diversity, risk score, spread, recovery"),
    ([(50, 2800, np.nan, 0.4)], {}, "want rows of diversity"),
    ([(50, 2800, 0.036, 0.4)], {"dscore_min": 3}, "dscore_min: comes from the matrix"),
    ([(50, 2800, 0.036, 0.4)], {"between": True}, "between: True; want a whole number"),
])
def test_wrong_matrix(matrix, more, part):
    limits = {k: v for k, v in GOOD.items() if k not in ("dscore_min", "riskscore_max")}
    with pytest.raises(ValueError) as error:
        hypo.hypo_pool_cqt(matrix, **limits | more)
    assert part in str(error.value)

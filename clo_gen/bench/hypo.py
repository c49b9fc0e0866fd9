"""Cases of hypo pools: the compiled batch with results back on the host."""

import numpy as np

from clo_gen.bench.measure import Work, scaled
from clo_gen.hypo import Obligor, batch, problem

OBLIGORS, INDUSTRIES = 256, 32


def made_up_deals(count):
    """Random deals near published limits; of about one in six the industry exceptions must go."""
    draw = np.random.default_rng(0)

    def deal():
        ob, ind = draw.uniform(0.015, 0.025), draw.uniform(0.08, 0.12)
        return dict(
            pool_par=1.0, conc_limit_basis=draw.uniform(0.95, 1.15), ob_max=ob, ind_max=ind,
            dscore_min=draw.uniform(45, 75), riskscore_max=draw.uniform(2400, 3300),
            ob_exceptions=[(int(draw.integers(0, 6)), 1.25 * ob)], ob_floor=0.005,
            ind_exceptions=[(1, 1.5 * ind), (2, 1.2 * ind)], ind_floor=0.04)

    return [deal() for _ in range(count)]


def _monitor():
    return problem.formula_problem(problem.formula_inputs(
        hypo_pool_diversity=[Obligor(1.0, 0)], run_mode="SP_WARF", rs_abs_max=4000.0,
        coef_bdr=(0.109706, 4.140929, 1.064031), rvst_target_par=1.0, collat_prin_amt=0.99,
        was=0.036, warr=0.4, wal=5.0, rs_bound_lower=500.0, rs_bound_higher=4500.0))


def pools(scale, folder, *, kind, deals):
    """`kind` discrete: the worst pool within limits; formula: the CDO Monitor on such pools.

    The library runs them in blocks of batch.BLOCK deals a device. The clock is around the solver:
    judging the deals and Python objects of the results are outside.
    """
    count = scaled(deals, scale)
    judged = [problem.discrete_inputs(**deal) for deal in made_up_deals(count)]
    problems = batch.stacked([problem.discrete_problem(i, exceptions=8, groups=4) for i in judged])
    tables = problem.tables_of(judged[0])

    def discrete():
        return batch.solve_discrete_batch(problems, tables, obligors=OBLIGORS,
                                          industries=INDUSTRIES)

    run = discrete
    if kind == "formula":
        found, monitors = discrete().pool, batch.stacked([_monitor()] * count)

        def run():
            return batch.solve_formula_batch(monitors, found)

    return Work(run=run, unit="deals", work=count, dtype="float64",
                sizes={"deals": count, "obligors": OBLIGORS})

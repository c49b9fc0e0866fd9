"""The worst pool that concentration limits, a diversity score and a risk score still allow.

`solve_discrete` is written for one deal; vmap for many (hypo.batch). A pool is described in the
search by its few different parts (exceptions, base, tail), not by its obligors.

Reference: hypo_pool_discrete_constraints. Where that text is silent: limits move to their floors
together, in one parameter t; the exception that is restored in part keeps the base at its floor.
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.hypo import diversity
from clo_gen.hypo.diversity import EPS
from clo_gen.hypo.ratings import overlay, score_of
from clo_gen.hypo.records import STAGES, DiscreteProblem, DiscreteResult, Pool, Tables
from clo_gen.hypo.trial import Settings, bases, shares_of_pool, shell_diversity
from clo_gen.solve.root import narrow

GRID = 128  # diversity is a step function of t and not monotone: look everywhere, then refine
HALVINGS = 40  # of a grid cell, to 7e-15 in t
BESIDE = 1e-9  # of a grid cell


def _kept(exceptions, keep):
    """The first `keep` of the exceptions."""
    return jnp.where(jnp.arange(exceptions.shape[0]) < keep, exceptions, 0.0)


def _last_true(flags):
    """Index of the last True; -1 without one."""
    return (flags * (jnp.arange(flags.shape[0]) + 1)).max(initial=0) - 1


def _trials(p: DiscreteProblem, groups):
    """Settings [n] that the search looks at.

    First the grid of t with everything kept, then the floors for 0 .. E - 1 obligor exceptions,
    then for 0 .. `groups` - 1 industry exceptions the grid without obligor exceptions.
    """
    grid = jnp.arange(GRID + 1, dtype=p.ob_max.dtype) / GRID
    ob, ind = p.ob_exceptions, p.ind_exceptions
    keep_ob = jax.vmap(_kept, (None, 0))(ob, jnp.arange(ob.shape[0]))
    keep_ind = jax.vmap(_kept, (None, 0))(ind, jnp.arange(groups))
    t = jnp.concatenate([grid, jnp.ones(ob.shape[0], grid.dtype), jnp.tile(grid, groups)])
    of_grid = jnp.zeros((GRID + 1) * groups)[:, None]
    return Settings(
        t, jnp.concatenate([jnp.tile(ob, (GRID + 1, 1)), keep_ob, of_grid * ob]),
        jnp.concatenate([jnp.tile(ind, (GRID + 1 + ob.shape[0], 1)),
                         jnp.repeat(keep_ind, GRID + 1, axis=0)]))


def _search(p: DiscreteProblem, passes, groups):
    """(stage, grid point, exceptions kept): the first of the four stages that has a solution."""
    each = p.ob_exceptions.shape[0]
    passed = jax.vmap(passes)(_trials(p, groups))
    inner, partial = passed[: GRID + 1], passed[GRID + 1: GRID + 1 + each]
    industry = passed[GRID + 1 + each:].reshape(groups, GRID + 1)
    partial = partial & (jnp.arange(each) < (p.ob_exceptions > 0).sum())
    industry = industry & (jnp.arange(groups) < (p.ind_exceptions > 0).sum())[:, None]
    ob_keep, ind_keep = _last_true(partial), _last_true(industry.any(1))
    stage = jnp.argmax(jnp.stack([inner.any(), ob_keep >= 0, ind_keep >= 0, True]))
    chosen = (industry & (jnp.arange(groups) == ind_keep)[:, None]).any(0)
    cell = jnp.argmax(jnp.where(stage == 0, inner, chosen))
    return stage, cell, jnp.maximum(ob_keep, 0), jnp.maximum(ind_keep, 0)


def solve_discrete(problem: DiscreteProblem, tables: Tables, *, obligors: int, industries: int,
                   last_stage: bool = True) -> DiscreteResult:
    """DiscreteResult of one deal, always; `is_solve` says whether it meets every limit.

    `obligors` is the most a pool can hold: at least 2 + E + 1 / (ob_floor * basis / par);
    `industries` the most industry codes of a deal, simple ones included. Without `last_stage`
    industry exceptions are never removed: most deals do not come to it, and it is most of the work.
    """
    p = problem
    index = diversity.score_index(tables.diversity)

    def passes(settings):
        d = shell_diversity(p, index, settings, industries=industries)
        return d >= p.dscore_min - EPS

    last_stage = last_stage and not p.is_simple_industry
    found = _search(p, passes, p.ind_exceptions.shape[0] if last_stage else 0)

    def trial(w):
        return _between(p, found, w)

    zero = jnp.zeros_like(p.ob_max)
    _, w = narrow(lambda w: passes(trial(w)), zero, zero + 1.0, HALVINGS)
    # The diversity of a listed pool may round to the other side of the step on which w stands.
    tries = jax.vmap(lambda w: _listed(p, tables, trial(w), obligors, industries))(
        jnp.stack([w, w + BESIDE]))
    beside = (tries.dscore[0] < p.dscore_min - EPS).astype(int)
    return _result(p, tables, found[0], jax.tree.map(lambda x: x[beside], tries))


def _between(p: DiscreteProblem, found, w):
    """Settings between those next to the solution: w = 0 fails (unless the limits comply), 1
    passes. `found` is what _search returned."""
    stage, cell, ob_keep, ind_keep = found
    inner, partial, industry, fail = (stage == i for i in range(len(STAGES)))
    t_pass, t_fail = cell / GRID, jnp.maximum(cell - 1, 0) / GRID
    t = jnp.where(partial | fail, 1.0, t_fail + w * (t_pass - t_fail))
    whole = p.ob_exceptions[ob_keep] if p.ob_exceptions.shape[0] else 0.0
    part = whole + w * (p.ob_floor - whole)
    at = jnp.arange(p.ob_exceptions.shape[0])
    in_part = jnp.where(at == ob_keep, part, _kept(p.ob_exceptions, ob_keep))
    return Settings(
        t, jnp.where(inner, p.ob_exceptions, jnp.where(partial, in_part, 0.0)),
        jnp.where(inner | partial, p.ind_exceptions,
                  jnp.where(industry, _kept(p.ind_exceptions, ind_keep), 0.0)))


class _Listed(struct.PyTreeNode):
    """A pool obligor by obligor, not yet rated."""

    settings: Settings
    pool: Pool
    dscore: jax.Array
    industries: jax.Array


def _listed(p, tables, settings, obligors, industries):
    ob_exceptions, base, ind_exceptions, ind_base = shares_of_pool(p, settings)
    share, count = diversity.obligor_shares(ob_exceptions, base, obligors)
    if p.is_simple_industry:
        code, used = jnp.arange(obligors) % p.n_simple_industry, p.n_simple_industry
        opened = count
    else:
        number = diversity.next_fit(share, ind_exceptions, ind_base)
        code, opened, used = number % p.codes, number[count - 1] + 1, p.codes
    dscore = diversity.diversity_score(share, code, count, tables.diversity,
                                       industries=industries)
    pool = Pool(share, code, jnp.zeros_like(code), jnp.ones_like(code), count)
    return _Listed(settings, pool, dscore, jnp.minimum(opened, used))


def _result(p, tables, stage, listed):
    """DiscreteResult: the listed pool with its ratings."""
    x = listed.settings
    base, ind_base = bases(p, x.t)
    pool = overlay(listed.pool, p.riskscore_max, tables.risk_score, p.locks)
    riskscore = score_of(pool, tables.risk_score)[0]
    # The overlay fits shares to EPS, so its score fits to EPS of the worst one.
    complies = (listed.dscore >= p.dscore_min - EPS) & (
        riskscore <= p.riskscore_max + EPS * tables.risk_score[-1])
    return DiscreteResult(
        is_solve=(stage < STAGES.index("fail")) & complies,
        dscore=listed.dscore, riskscore=riskscore, ob_base=base,
        ind_base=p.ind_max if p.is_simple_industry else ind_base,
        ob_exceptions=x.ob_exceptions, ind_exceptions=x.ind_exceptions, stage=stage, t=x.t,
        n_industries=listed.industries, pool=pool)

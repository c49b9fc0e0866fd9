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
from clo_gen.solve.root import narrow

GRID = 128  # diversity is a step function of t and not monotone: look everywhere, then refine
HALVINGS = 40  # of a grid cell, to 7e-15 in t
BESIDE = 1e-9  # of a grid cell


def scaled(problem: DiscreteProblem):
    """(problem with limits as shares of the pool, the factor): limits are shares of the basis."""
    s = problem.conc_limit_basis / problem.pool_par
    limits = ("ob_max", "ind_max", "ob_floor", "ind_floor", "ob_exceptions", "ind_exceptions")
    return problem.replace(**{name: s * getattr(problem, name) for name in limits}), s


def bases(p: DiscreteProblem, t):
    """(obligor, industry) base limits at t: 0 the limits, 1 their floors."""
    return p.ob_max + t * (p.ob_floor - p.ob_max), p.ind_max + t * (p.ind_floor - p.ind_max)


def _in_cycle(first, count, code, codes):
    """How many of the `count` whole numbers from `first` on leave the rest `code` [C] when divided
    by `codes`."""
    rounds = jnp.floor(count / codes)
    ahead = code - first % codes
    ahead = jnp.where(ahead < 0, ahead + codes, ahead)
    return jnp.where(code < codes, rounds + (ahead < count - rounds * codes), 0.0)


def _place_one(share, state, exceptions, base):
    """((industry, load), industry of it) after one more obligor; share 0 changes nothing."""
    number, load = state
    limit = diversity.limit_of_industry(number, exceptions, base)
    fits = (load + share <= limit + EPS) | (load == 0)
    number = jnp.where(fits, number, number + 1.0)
    return number, jnp.where(fits, load + share, share)


def _next_fit_units(used, base, at_base, tail, tails, unit, ind_exceptions, ind_base, code, codes):
    """Equivalent units [C] by industry code, as diversity.next_fit packs the pool.

    `unit` maps a share to equivalent units. Equal obligors fill an industry in one step.
    """
    zero = jnp.zeros_like(base)
    state, pieces = (zero, zero), []
    for e in range(used.shape[0]):
        number, load = _place_one(used[e], state, ind_exceptions, ind_base)
        state = jnp.where(used[e] > 0, number, state[0]), jnp.where(used[e] > 0, load, state[1])
        pieces.append((state[0], unit(used[e])))
    opened, load = state
    left = at_base
    for f in range(ind_exceptions.shape[0] + 1):  # the open industry, then those with exceptions
        number = state[0] + f
        limit = diversity.limit_of_industry(number, ind_exceptions, ind_base)
        before = load if f == 0 else zero
        fit = jnp.maximum(jnp.floor((limit - before + EPS) / base), jnp.where(before > 0, 0.0, 1.0))
        listed = number < (ind_exceptions > 0).sum()
        put = jnp.where(listed | (f == 0), jnp.clip(fit, 0.0, left), 0.0)
        left = left - put
        opened = jnp.where(put > 0, number, opened)
        load = jnp.where(put > 0, before + put * base, load)
        pieces.append((number, put * unit(base)))
    fit = jnp.maximum(jnp.floor((ind_base + EPS) / base), 1.0)
    full = jnp.floor(left / fit)
    rest, first = left - full * fit, opened + 1.0
    opened = opened + full + (rest > 0)
    load = jnp.where(rest > 0, rest * base, jnp.where(full > 0, fit * base, load))
    pieces.append((first + full, rest * unit(base)))
    state = opened, load
    for n in range(2):
        share = jnp.where(n < tails, tail, 0.0)
        number, load = _place_one(share, state, ind_exceptions, ind_base)
        state = jnp.where(share > 0, number, state[0]), jnp.where(share > 0, load, state[1])
        pieces.append((state[0], unit(share)))
    units = _in_cycle(first, full, code, codes) * (fit * unit(base))
    for number, amount in pieces:
        units = units + jnp.where(number % codes == code, amount, 0.0)
    return units


def _repeating_units(used, base, at_base, tail, tails, unit, code, codes):
    """Equivalent units [C] where obligor i is in industry i mod `codes`."""
    first = (used > 0).sum()
    units = _in_cycle(first, at_base, code, codes) * unit(base)
    units += _in_cycle(first + at_base, tails, code, codes) * unit(tail)
    for e in range(used.shape[0]):
        units = units + jnp.where(e % codes == code, unit(used[e]), 0.0)
    return units


def shell_diversity(p: DiscreteProblem, index, t, ob_exceptions, ind_exceptions, *, industries):
    """Diversity score [] of the pool at t with these exceptions, without listing its obligors."""
    base, ind_base = bases(p, t)
    used = diversity.cut_exceptions(ob_exceptions)
    at_base, tail, tails = diversity.base_and_tail(used, base)
    count = (used > 0).sum() + at_base + tails
    code = jnp.arange(industries, dtype=base.dtype)

    def unit(share):
        return diversity.equivalent_units(share, count)

    parts = (used, base, at_base, tail, tails, unit)
    if p.is_simple_industry:
        units = _repeating_units(*parts, code, p.n_simple_industry.astype(base.dtype))
    else:
        units = _next_fit_units(*parts, ind_exceptions, ind_base, code,
                                p.codes.astype(base.dtype))
    return diversity.indexed_score(units, index).sum()


def _kept(exceptions, keep):
    """The first `keep` of the exceptions."""
    return jnp.where(jnp.arange(exceptions.shape[0]) < keep, exceptions, 0.0)


def _last_true(flags):
    """Index of the last True; -1 without one."""
    return (flags * (jnp.arange(flags.shape[0]) + 1)).max(initial=0) - 1


def _trials(p: DiscreteProblem, groups):
    """(t [n], obligor exceptions [n, E], industry exceptions [n, F]) that the search looks at.

    First the grid of t with everything kept, then the floors for 0 .. E - 1 obligor exceptions,
    then for 0 .. `groups` - 1 industry exceptions the grid without obligor exceptions.
    """
    grid = jnp.arange(GRID + 1, dtype=p.ob_max.dtype) / GRID
    ob, ind = p.ob_exceptions, p.ind_exceptions
    keep_ob = jax.vmap(_kept, (None, 0))(ob, jnp.arange(ob.shape[0]))
    keep_ind = jax.vmap(_kept, (None, 0))(ind, jnp.arange(groups))
    t = jnp.concatenate([grid, jnp.ones(ob.shape[0], grid.dtype), jnp.tile(grid, groups)])
    of_grid = jnp.zeros((GRID + 1) * groups)[:, None]
    return t, jnp.concatenate([
        jnp.tile(ob, (GRID + 1, 1)), keep_ob, of_grid * ob]), jnp.concatenate([
            jnp.tile(ind, (GRID + 1 + ob.shape[0], 1)), jnp.repeat(keep_ind, GRID + 1, axis=0)])


def _search(p: DiscreteProblem, passes, groups):
    """(stage, grid point, exceptions kept): the first of the four stages that has a solution."""
    each = p.ob_exceptions.shape[0]
    passed = jax.vmap(passes)(*_trials(p, groups))
    inner, partial = passed[: GRID + 1], passed[GRID + 1: GRID + 1 + each]
    industry = passed[GRID + 1 + each:].reshape(groups, GRID + 1)
    partial = partial & (jnp.arange(each) < (p.ob_exceptions > 0).sum())
    industry = industry & (jnp.arange(groups) < (p.ind_exceptions > 0).sum())[:, None]
    ob_keep, ind_keep = _last_true(partial), _last_true(industry.any(1))
    stage = jnp.argmax(jnp.stack([inner.any(), ob_keep >= 0, ind_keep >= 0, True]))
    chosen = (industry & (jnp.arange(groups) == ind_keep)[:, None]).any(0)
    cell = jnp.argmax(jnp.where(stage == 0, inner, chosen))
    return stage, cell, jnp.maximum(ob_keep, 0), jnp.maximum(ind_keep, 0)


def solve_discrete(problem: DiscreteProblem, tables: Tables, *, obligors, industries,
                   last_stage=True):
    """DiscreteResult of one deal, always; `is_solve` says whether it meets every limit.

    `obligors` is the most a pool can hold: at least 2 + E + 1 / (ob_floor * basis / par);
    `industries` the most industry codes of a deal, simple ones included. Without `last_stage`
    industry exceptions are never removed: most deals do not come to it, and it is most of the work.
    """
    p, s = scaled(problem)
    index = diversity.score_index(tables.diversity)

    def passes(t, ob_exceptions, ind_exceptions):
        d = shell_diversity(p, index, t, ob_exceptions, ind_exceptions, industries=industries)
        return d >= p.dscore_min - EPS

    last_stage = last_stage and not p.is_simple_industry
    groups = p.ind_exceptions.shape[0] if last_stage else 0
    stage, cell, ob_keep, ind_keep = _search(p, passes, groups)
    inner, partial, industry, fail = (stage == i for i in range(len(STAGES)))
    t_pass, t_fail = cell / GRID, jnp.maximum(cell - 1, 0) / GRID

    def trial(w):
        """Settings at w: 0 fails (unless the limits comply), 1 passes."""
        t = jnp.where(partial | fail, 1.0, t_fail + w * (t_pass - t_fail))
        whole = p.ob_exceptions[ob_keep] if p.ob_exceptions.shape[0] else 0.0
        part = whole + w * (p.ob_floor - whole)
        at = jnp.arange(p.ob_exceptions.shape[0])
        in_part = jnp.where(at == ob_keep, part, _kept(p.ob_exceptions, ob_keep))
        ob = jnp.where(inner, p.ob_exceptions, jnp.where(partial, in_part, 0.0))
        ind = jnp.where(inner | partial, p.ind_exceptions,
                        jnp.where(industry, _kept(p.ind_exceptions, ind_keep), 0.0))
        return t, ob, ind

    _, w = narrow(lambda w: passes(*trial(w)), jnp.zeros_like(s), jnp.ones_like(s), HALVINGS)
    # The diversity of a listed pool may round to the other side of the step on which w stands.
    tries = jax.vmap(lambda w: _listed(p, tables, trial(w), obligors, industries))(
        jnp.stack([w, w + BESIDE]))
    beside = (tries.dscore[0] < p.dscore_min - EPS).astype(int)
    return _result(p, tables, s, stage, jax.tree.map(lambda x: x[beside], tries))


@struct.dataclass
class _Listed:
    """A pool obligor by obligor, not yet rated."""

    settings: tuple  # t, obligor and industry exceptions
    pool: Pool
    dscore: jax.Array
    industries: jax.Array


def _listed(p, tables, settings, obligors, industries):
    t, ob_exceptions, ind_exceptions = settings
    base, ind_base = bases(p, t)
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


def _result(p, tables, s, stage, listed):
    """DiscreteResult: the listed pool with its ratings, limits as shares of the basis again."""
    t, ob_exceptions, ind_exceptions = listed.settings
    base, ind_base = bases(p, t)
    pool = overlay(listed.pool, p.riskscore_max, tables.risk_score, p.locks)
    riskscore = score_of(pool, tables.risk_score)[0]
    # The overlay fits shares to EPS, so its score fits to EPS of the worst one.
    complies = (listed.dscore >= p.dscore_min - EPS) & (
        riskscore <= p.riskscore_max + EPS * tables.risk_score[-1])
    return DiscreteResult(
        is_solve=(stage < STAGES.index("fail")) & complies,
        dscore=listed.dscore, riskscore=riskscore, ob_base=base / s,
        ind_base=(p.ind_max if p.is_simple_industry else ind_base) / s,
        ob_exceptions=ob_exceptions / s, ind_exceptions=ind_exceptions / s, stage=stage, t=t,
        n_industries=listed.industries, pool=pool)

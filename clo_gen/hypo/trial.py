"""A trial pool of the discrete solve by its few different parts: exceptions, base and tail.

Its diversity score costs a dozen steps, where listing its obligors costs hundreds.
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.hypo import diversity
from clo_gen.hypo.diversity import EPS
from clo_gen.hypo.records import DiscreteProblem


class Settings(struct.PyTreeNode):
    """What a trial pool uses, as shares of the basis."""

    t: jax.Array  # [] how far the base limits moved
    ob_exceptions: jax.Array  # [E]
    ind_exceptions: jax.Array  # [F]


def bases(p: DiscreteProblem, t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(obligor, industry) base limits at t: 0 the limits, 1 their floors; shares of the basis."""
    return p.ob_max + t * (p.ob_floor - p.ob_max), p.ind_max + t * (p.ind_floor - p.ind_max)


def shares_of_pool(p: DiscreteProblem,
                   x: Settings) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """(obligor exceptions, base, industry exceptions, base) as shares of the pool."""
    scale = p.conc_limit_basis / p.pool_par
    base, ind_base = bases(p, x.t)
    return scale * x.ob_exceptions, scale * base, scale * x.ind_exceptions, scale * ind_base


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


def shell_diversity(p: DiscreteProblem, index: diversity.ScoreIndex, settings: Settings, *,
                    industries: int) -> jax.Array:
    """Diversity score [] of the pool with these settings, without listing its obligors."""
    ob_exceptions, base, ind_exceptions, ind_base = shares_of_pool(p, settings)
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

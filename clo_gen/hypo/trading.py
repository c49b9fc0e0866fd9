"""Trading within the limits of a deal as a linear program.

Trading buys and sells shares of L positions; their total stays what it is. Obligors have one
industry. What makes the limits linear:

- Exceptions go to the obligors and industries that are the largest now.
- Diversity: for a given number of obligors, equivalent units are concave in the shares, and so is a
  lower bound of the score table made of straight pieces. A pool that passes with both passes the
  look-up; the look-up may score more, up to 0.1 times the slope of its piece for each industry.

Letters besides those of Positions: I industry codes, K pieces of the score table; n = 4 L + I K
variables, m = 7 + L + 2 I + G rows. Reference: indenture terms Diversity Score, Collateral Quality
Test, Concentration Limitations.
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.hypo.records import DiversityTable, Positions, QualityLimits
from clo_gen.solve.quadratic import Program

KNOTS = (1.05, 3.05, 6.05, 10.05, 19.95)  # units at which the published score table bends
PENALTY = 1e4  # of a unit of breach, in units of the largest cost


class Trading(struct.PyTreeNode):
    """What may be traded; shares of the portfolio."""

    turnover: jax.Array  # [] bought at most, and thus sold at most
    buyable: jax.Array  # [L] of each position at most; 0 for padding


def score_pieces(table: DiversityTable) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(score at 0 units, lengths [K], slopes [K] falling) of a concave bound below `table`.

    It starts from the lower corners of the look-up's steps; a slope that rises is cut to the lowest
    before it, and KNOTS join what is left. Holds for any rising table; the published one loses
    0.001 by it.
    """
    corner = table.bound[1:]
    slope = _falling((table.score[1:-1] - table.score[:-2]) / jnp.diff(corner))
    score = table.score[0] + jnp.cumsum(jnp.pad(slope * jnp.diff(corner), (1, 0)))
    x = jnp.pad(jnp.minimum(jnp.asarray(KNOTS, corner.dtype), corner[-1]), (1, 0))
    place = jnp.clip(jnp.searchsorted(corner, x, side="right") - 1, 0, slope.shape[0] - 1)
    y = score[place] + slope[place] * (x - corner[place])
    length = jnp.diff(x)
    return y[0], length, jnp.diff(y) / jnp.where(length > 0, length, 1.0)


def _falling(x):
    """The lowest of x so far; the derivative of lax.cummin takes seconds to compile."""
    fixed, place = jax.lax.stop_gradient(x), jnp.arange(x.shape[0])
    return x[jax.lax.cummax(jnp.where(fixed <= jax.lax.cummin(fixed), place, 0))]


def caps(limit: jax.Array, exceptions: jax.Array, share: jax.Array) -> jax.Array:
    """Limit [n] of each share [n]: exceptions go to the largest in order, where above `limit`."""
    rank = jnp.argsort(jnp.argsort(-jax.lax.stop_gradient(share)))
    listed = jnp.pad(exceptions, (0, share.shape[0]))[:share.shape[0]]
    return jnp.maximum(listed[rank], limit)


def unit_of(limit: jax.Array) -> jax.Array:
    """Size [] of a limit, constant to autodiff; 1 where there is none."""
    return jax.lax.stop_gradient(jnp.where((limit > 0) & jnp.isfinite(limit), limit, 1.0))


def _incidence(code, live, codes):
    """[codes, L]: 1 where a live position has the code."""
    return (live & (code == jnp.arange(codes)[:, None])).astype(float)


def _limits_on_shares(limits: QualityLimits, positions: Positions, of_industry):
    """(rows [4 + I + G, L], their limits), all "at most": averages, industries, groups."""
    total = positions.share.sum()
    score = limits.risk_score[positions.rating - 1]
    averages = [(score, limits.riskscore_max, 1), (positions.spread, limits.was_min, -1),
                (positions.recovery, limits.warr_min, -1), (positions.life, limits.wal_max, 1)]
    rows = jnp.stack([sign * x / (total * unit_of(limit)) for x, limit, sign in averages])
    most = jnp.stack([sign * limit / unit_of(limit) for _, limit, sign in averages])
    industry = caps(limits.ind_max, limits.ind_exceptions, of_industry @ positions.share)
    most = jnp.concatenate([most, industry, limits.group_max])
    limited = jnp.isfinite(most)
    rows = jnp.concatenate([rows, of_industry, positions.member])
    return jnp.where(limited[:, None], rows, 0.0), jnp.where(limited, most, 1.0)


def _diversity(limits: QualityLimits, home):
    """(rows [1 + I] on units [L], on pieces [I K], their limits, room of the pieces [I K]).

    The pieces' scores reach the minimum; an industry's pieces add to its units at most.
    """
    first, length, slope = score_pieces(limits.diversity)
    industries, names = home.shape
    least = jnp.where(jnp.isfinite(limits.dscore_min), limits.dscore_min, 0.0)
    present, unit = home.any(1), unit_of(least)
    on_units = jnp.concatenate([jnp.zeros((1, names)), -home])
    on_pieces = jnp.concatenate([-jnp.tile(slope, industries)[None] / unit,
                                 jnp.repeat(jnp.eye(industries), length.shape[0], 1)])
    most = jnp.append((first * present.sum() - least) / unit, jnp.zeros(industries))
    return on_units, on_pieces, most, jnp.where(present[:, None], length, 0.0).reshape(-1)


def program_of(cost: jax.Array, limits: QualityLimits, trading: Trading, positions: Positions,
               count: jax.Array, *, industries: int, curvature: float = 0.0) -> Program:
    """Program in x = (bought [L], sold [L], units [L], units beyond the first [L], pieces [I K]).

    `cost` [2L] and `curvature` are of what is bought and sold. An obligor's share times `count`
    over the total is its units, 1 at most, and what is beyond. Limits are soft, turnover is hard.
    """
    share, size = positions.share, positions.share.shape[0]
    live = (share > 0) | (trading.buyable > 0)
    of_obligor = _incidence(positions.obligor, live, size)
    of_industry = _incidence(positions.industry, live, industries)
    here, most = _limits_on_shares(limits, positions, of_industry)
    home = (of_industry @ of_obligor.T > 0).astype(float)
    on_units, on_pieces, scored, room = _diversity(limits, home)
    name, everyone = share.sum() / count, jnp.ones((1, size))
    eye, m = name * jnp.eye(size), most.shape[0]

    def row(height, bought=0.0, sold=0.0, units=0.0, beyond=0.0, pieces=0.0):
        parts = [(bought, size), (sold, size), (units, size), (beyond, size),
                 (pieces, room.shape[0])]
        return jnp.concatenate([jnp.broadcast_to(x, (height, n)) for x, n in parts], 1)

    rows = [row(1, everyone, -everyone), row(1, everyone),
            row(size, of_obligor, -of_obligor, -eye, -eye), row(m, here, -here),
            row(scored.shape[0], units=on_units, pieces=on_pieces)]
    rhs = [jnp.zeros(1), trading.turnover[None], -of_obligor @ share, most - here @ share, scored]
    cap = caps(limits.ob_max, limits.ob_exceptions, of_obligor @ share)
    cap = jnp.where(of_obligor.any(1), jnp.minimum(cap, share.sum()) / name, 0.0)
    high = [jnp.minimum(trading.buyable, trading.turnover), share, jnp.minimum(cap, 1.0),
            jnp.maximum(cap - 1.0, 0.0), room]
    rest = 2 * size + room.shape[0]
    place = jnp.arange(2 + size + m + scored.shape[0])
    hard = (place < 2) | (place > 2 + size + m)
    most_cost = jax.lax.stop_gradient(jnp.abs(cost).max())
    penalty = PENALTY * jnp.where(most_cost > 0, most_cost, 1.0)
    return Program(
        cost=jnp.pad(cost, (0, rest)), high=jnp.concatenate(high), rhs=jnp.concatenate(rhs),
        curvature=jnp.pad(jnp.broadcast_to(curvature, 2 * size), (0, rest)),
        rows=jnp.concatenate(rows), equal=(place == 0) | ((place >= 2) & (place < 2 + size)),
        penalty=jnp.where(hard, jnp.inf, penalty))

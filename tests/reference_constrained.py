"""Random deals, HiGHS and plain NumPy tests of pools, to check clo_gen.hypo.constrained against."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linprog

from clo_gen.hypo.quality import quality
from clo_gen.hypo.records import DiversityTable, Positions, QualityLimits
from clo_gen.hypo.trading import KNOTS, Trading

L, HELD, OBLIGORS, CODES = 20, 14, 16, 6
FACTORS = [1, 10, 20, 40, 70, 120, 180, 260, 360, 610, 940, 1350, 1766, 2220, 2720, 3490, 4770,
           6500, 8070]  # Moody's rating factors, published
SP_WARF = [0.247621, 9162.65, 16757.2, 7677.8, 2177.56, 34.0948, 27.3896]  # published SDR, 2019


def published_score(k):
    """Row k of the published diversity table, about k / 10 units."""
    x = k / 10
    return np.where(x <= 1, x, np.where(x <= 3, 1 + (x - 1) / 2, np.where(
        x <= 6, np.round(2 + (x - 3) / 3, 4), np.where(x <= 10, 3 + (x - 6) / 4,
                                                       4 + (x - 10) / 10))))


BOUND = np.append(0.0, np.arange(200) / 10 + 0.05)
SCORE = published_score(np.arange(201.0))


def as_arrays(tree):
    return jax.tree.map(lambda x: jnp.asarray(x) if np.asarray(x).dtype.kind in "ib"
                        else jnp.asarray(x, float), tree)


@functools.cache
def deal(seed):
    """(limits, trading, positions): a random portfolio with room in every limit, 6 candidates.

    The last candidate may not be bought: padding.
    """
    r = np.random.default_rng(seed)
    share = np.append(r.dirichlet(np.full(HELD, 8.0)), np.zeros(L - HELD))
    obligor = np.append(np.arange(HELD), r.integers(0, OBLIGORS, L - HELD))
    rating = r.choice(np.arange(11, 19), L)
    industry = r.permutation(np.arange(OBLIGORS) % CODES)[obligor]
    positions = as_arrays(Positions(
        share=share, obligor=obligor, industry=industry, rating=rating,
        spread=0.02 + 0.004 * (rating - 10) + 0.004 * r.normal(size=L)**2,
        recovery=r.uniform(0.35, 0.6, L), life=r.uniform(2.0, 7.0, L),
        member=np.stack([rating >= 17, r.uniform(size=L) < 0.6]).astype(float)))
    table = DiversityTable(BOUND, SCORE)
    limits = as_arrays(QualityLimits(
        dscore_min=0.0, riskscore_max=np.inf, was_min=positions.spread @ share - 5e-4,
        warr_min=positions.recovery @ share - 0.01, wal_max=positions.life @ share + 0.1,
        ob_max=np.sort(share)[-3] + 0.02, ob_exceptions=np.sort(share)[-1:-3:-1] + 0.02,
        ind_max=0.25, ind_exceptions=np.array([0.5, 0.4]), group_max=positions.member @ share + 0.1,
        risk_score=np.array(FACTORS, float), diversity=table))
    limits = limits.replace(dscore_min=quality(positions, limits).result[0] - 0.6)
    buyable = np.append(np.full(L - 1, 0.06), 0.0)
    return limits, as_arrays(Trading(turnover=0.15, buyable=buyable)), positions


def breaching(seed):
    """The same, with a spread and a risk score that the portfolio does not have."""
    limits, trading, positions = deal(seed)
    score = positions.share @ limits.risk_score[positions.rating - 1]
    return (limits.replace(was_min=limits.was_min + 1e-3, riskscore_max=0.98 * score),
            trading.replace(turnover=jnp.asarray(0.5, float)), positions)


def ranked(limit, exceptions, now):
    """Limit of each: exceptions in order to the largest."""
    out = np.full(now.shape, float(limit))
    for k, place in enumerate(np.argsort(-now, kind="stable")[:len(exceptions)]):
        out[place] = max(limit, exceptions[k])
    return out


def reference(cost_share, cost_bought, deal, count):
    """HiGHS on (share [L], bought [L], units [L], score [codes]): written another way."""
    limits, trading, p = jax.tree.map(np.asarray, deal)
    one = np.eye(L)
    names, sectors = (code == np.arange(n)[:, None] for code, n in ((p.obligor, L),
                                                                    (p.industry, CODES)))
    home = np.array([[(names[o] & sectors[i]).any() for o in range(L)] for i in range(CODES)])
    rows, rhs = [], []

    def at_most(limit, share=0.0, bought=0.0, units=0.0, score=0.0):
        limit = np.atleast_1d(limit)
        if np.isfinite(limit).all():
            rows.append(np.hstack([np.broadcast_to(x, (len(limit), n)) for x, n in (
                (share, L), (bought, L), (units, L), (score, CODES))]))
            rhs.append(limit)

    at_most(p.share, share=one, bought=-one)
    at_most(trading.turnover, bought=1.0)
    at_most(ranked(limits.ob_max, limits.ob_exceptions, names @ p.share), share=names)
    at_most(ranked(limits.ind_max, limits.ind_exceptions, sectors @ p.share), share=sectors)
    at_most(limits.group_max, share=p.member)
    at_most(limits.riskscore_max, share=limits.risk_score[p.rating - 1])
    at_most(-limits.was_min, share=-p.spread)
    at_most(-limits.warr_min, share=-p.recovery)
    at_most(limits.wal_max, share=p.life)
    at_most(np.zeros(L), share=-count * names, units=one)
    x = np.append(0.0, KNOTS)
    y = np.interp(x, BOUND[1:], np.append(SCORE[:-1], 0.0)[:200])
    y[0] = -0.05
    for k in range(len(x) - 1):
        slope = (y[k + 1] - y[k]) / (x[k + 1] - x[k])
        at_most(np.full(CODES, y[k] - slope * x[k]), units=-slope * home, score=np.eye(CODES))
    at_most(np.full(CODES, y[-1]), score=np.eye(CODES))
    at_most(-limits.dscore_min, score=-1.0)
    bounds = [(0, None)] * L + [(0, b) for b in trading.buyable] + [(0, 1)] * L
    bounds += [(None, None)] * CODES
    found = linprog(np.concatenate([cost_share, cost_bought, np.zeros(L + CODES)]),
                    A_ub=np.vstack(rows), b_ub=np.concatenate(rhs),
                    A_eq=np.append(np.ones(L), np.zeros(2 * L + CODES))[None], b_eq=[1.0],
                    bounds=bounds)
    assert found.status == 0
    return found


def look_up_scores(shares, deal):
    """Diversity score of each of `shares` [X, L], by the look-up."""
    p = deal[2]
    names = np.stack([shares[:, np.asarray(p.obligor) == o].sum(1) for o in range(L)], 1)
    units = np.minimum(1.0, names * (names > 1e-9).sum(1)[:, None])
    home = {int(o): int(i) for o, i in zip(p.obligor, p.industry, strict=True)}
    sums = np.stack([sum(units[:, o] for o in range(L) if home.get(o) == i) + np.zeros(len(shares))
                     for i in range(CODES)], 1)
    return SCORE[np.searchsorted(BOUND, sums + 1e-9, side="right") - 1].sum(1)


def feasible(shares, deal):
    """Which of `shares` [X, L] pass every limit, the look-up included, and can be traded."""
    limits, trading, p = jax.tree.map(np.asarray, deal)
    names, sectors = (np.stack([shares[:, code == k].sum(1) for k in range(n)], 1)
                      for code, n in ((p.obligor, L), (p.industry, CODES)))
    bought, tie = np.maximum(shares - p.share, 0.0), 1e-9

    def in_ladder(sizes, limit, exceptions):
        rungs = np.full(sizes.shape[1], limit)
        rungs[:len(exceptions)] = np.maximum(limit, exceptions)
        return (-np.sort(-sizes, 1) <= rungs + tie).all(1)

    return ((shares >= -tie).all(1) & (np.abs(shares.sum(1) - 1) <= tie)
            & (bought.sum(1) <= trading.turnover + tie)
            & (bought <= trading.buyable + tie).all(1)
            & in_ladder(names, limits.ob_max, limits.ob_exceptions)
            & in_ladder(sectors, limits.ind_max, limits.ind_exceptions)
            & (shares @ p.member.T <= limits.group_max + tie).all(1)
            & (shares @ p.spread >= limits.was_min - tie)
            & (shares @ p.recovery >= limits.warr_min - tie)
            & (shares @ p.life <= limits.wal_max + tie)
            & (look_up_scores(shares, deal) >= limits.dscore_min - tie))

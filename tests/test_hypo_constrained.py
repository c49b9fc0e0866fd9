"""Worst and closest pools: optimal against HiGHS and random pools, priced, within the limits."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_constrained import (
    BOUND,
    CODES,
    FACTORS,
    SCORE,
    SP_WARF,
    L,
    as_arrays,
    breaching,
    deal,
    feasible,
    reference,
)

from clo_gen.hypo.constrained import (
    closest_portfolio,
    least_cushion_portfolio,
    stressed_portfolio,
)
from clo_gen.hypo.records import DiversityTable, FormulaProblem, Locks
from clo_gen.hypo.trading import score_pieces

DEALS = 4


def stacked(deals):
    return jax.tree.map(lambda *x: jnp.stack(x), *deals)


def item(tree, i):
    return jax.tree.map(lambda x: x[i], tree)


closest = jax.jit(functools.partial(closest_portfolio, industries=CODES))
WEIGHTS = np.random.default_rng(0).normal(size=L)


@jax.jit
@jax.vmap
def stressed_and_slopes(limits, trading, positions):
    """Of a batch: (Traded, derivatives of WEIGHTS times the shares, derivatives of the objective),
    both in (limits, trading)."""
    def both(limits, trading):
        result = stressed_portfolio(limits, trading, positions, industries=CODES)
        return (result.share @ WEIGHTS, result.objective), result

    _, pull, result = jax.vjp(both, limits, trading, has_aux=True)
    return result, pull((1.0, 0.0)), pull((0.0, 1.0))


def stressed(*deals):
    """Traded of a list of deals, DEALS at a time in one batch."""
    deals = [*deals, *deals[:1] * (-len(deals) % DEALS)]
    batches = [stressed_and_slopes(*stacked(deals[i:i + DEALS]))[0]
               for i in range(0, len(deals), DEALS)]
    return jax.tree.map(lambda *x: jnp.concatenate(x), *batches)


def closest_one_by_one(*deals):
    return stacked([closest(*one) for one in deals])


least = jax.jit(functools.partial(least_cushion_portfolio, industries=CODES))


@functools.cache
def stressed_deals():
    return stressed(*(deal(seed) for seed in range(DEALS)))


@functools.cache
def random_pools(seed, count):
    """10,000 feasible pools: mixtures of the present one and of vertices HiGHS finds."""
    r = np.random.default_rng(seed)
    vertices = [reference(r.normal(size=L), np.zeros(L), deal(seed), count).x[:L]
                for _ in range(40)]
    corners = np.stack([np.asarray(deal(seed)[2].share), *vertices])
    pools = r.dirichlet(np.full(len(corners), 0.05), 16_000) @ corners
    pools = pools[feasible(pools, deal(seed))]
    assert len(pools) >= 10_000
    return pools[:10_000]


def test_score_pieces_stay_below_the_look_up():
    table = DiversityTable(jnp.asarray(BOUND), jnp.asarray(SCORE))
    first, length, slope = map(np.asarray, jax.jit(score_pieces)(table))
    units = np.linspace(0.0, 25.0, 4001)
    filled = np.clip(units[:, None] - (np.cumsum(length) - length), 0.0, length)
    below = SCORE[np.searchsorted(BOUND, units + 1e-9, side="right") - 1] - first - filled @ slope
    assert (np.diff(slope) < 0).all() and below.min() > -1e-9 and below.max() < 0.105


@pytest.mark.parametrize("seed", range(DEALS))
def test_stressed_portfolio_equals_highs(seed):
    limits, trading, positions = deal(seed)
    result = item(stressed_deals(), seed)
    score = np.asarray(limits.risk_score)[np.asarray(positions.rating) - 1]
    found = reference(-score, np.zeros(L), deal(seed), float(result.count))
    assert result.converged and result.kkt < 1e-6
    np.testing.assert_allclose(result.objective, -found.fun, rtol=1e-8)
    np.testing.assert_allclose(result.share @ score, -found.fun, rtol=1e-7)
    assert feasible(np.asarray(result.share)[None], deal(seed))
    assert result.share[-1] == 0.0


def test_diversity_binds_somewhere():
    assert (stressed_deals().price.dscore_min < -1.0).any()


@pytest.mark.parametrize("seed", range(DEALS))
def test_no_random_pool_is_worse(seed):
    limits, _, positions = deal(seed)
    result = item(stressed_deals(), seed)
    pools = random_pools(seed, float(result.count))
    score = np.asarray(limits.risk_score)[np.asarray(positions.rating) - 1]
    assert result.objective >= (pools @ score).max() - 1e-6


def prices_by_differences(solve, deal, h=1e-5):
    """{limit: (price, difference of optima)} of every entry of every limit and of turnover."""
    limits, trading, positions = deal
    names = [name for name in ("dscore_min", "was_min", "warr_min", "wal_max", "ob_max", "ind_max",
                               "ob_exceptions", "ind_exceptions", "group_max")]
    moves, labels = [], []
    for name in names:
        value = getattr(limits, name)
        step = h * 1e2 if name == "dscore_min" else h
        for entry in np.ndindex(value.shape):
            labels.append((name, entry, step))
            moves += [(limits.replace(**{name: value.at[entry].add(s * step)}), trading, positions)
                      for s in (1, -1)]
    labels.append(("turnover", (), h))
    moves += [(limits, trading.replace(turnover=trading.turnover + s * h), positions)
              for s in (1, -1)]
    ends, result = solve(*moves).objective, item(solve(deal), 0)
    for k, (name, entry, step) in enumerate(labels):
        own = result.trading_price if name == "turnover" else result.price
        yield name, getattr(own, name)[entry], (ends[2 * k] - ends[2 * k + 1]) / (2 * step)


@pytest.mark.parametrize("solve,deal,scale", [
    (stressed, deal(1), 1e3),
    pytest.param(closest_one_by_one, breaching(1), 1.0, marks=pytest.mark.slow)])
def test_prices_are_differences_of_optima(solve, deal, scale):
    found = list(prices_by_differences(solve, deal))
    for name, price, difference in found:
        np.testing.assert_allclose(price, difference, rtol=1e-4, atol=1e-4 * scale, err_msg=name)
    assert sum(abs(price) > 1e-3 * scale for _, price, _ in found) >= 3


def test_derivatives():
    """Of the objective the prices; of the shares, where the optimum is unique, their change."""
    _, d_shares, d_objective = item(stressed_and_slopes(*stacked([deal(1)] * DEALS)), 0)
    limits, trading, positions = deal(1)
    result = item(stressed_deals(), 1)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-5), d_objective,
                 (result.price, result.trading_price))
    ends = [(limits, trading.replace(turnover=trading.turnover + s * 1e-5), positions)
            for s in (1, -1)]
    ends += [(limits.replace(ob_max=limits.ob_max + s * 1e-5), trading, positions) for s in (1, -1)]
    moved = np.asarray(stressed(*ends).share @ WEIGHTS)
    np.testing.assert_allclose(d_shares[1].turnover, (moved[0] - moved[1]) / 2e-5, rtol=1e-5)
    np.testing.assert_allclose(d_shares[0].ob_max, (moved[2] - moved[3]) / 2e-5, rtol=1e-5)


def test_limits_out_of_reach():
    """Not converged, and still a pool: nearer to the limits than before."""
    limits, trading, positions = deal(2)
    far = limits.replace(was_min=limits.was_min * 1.2)
    rooms = [trading.replace(turnover=jnp.asarray(x, float)) for x in (0.0, 0.001, 0.01, 0.05)]
    result = stressed(*((far, room, positions) for room in rooms))
    assert not result.converged.any()
    assert (np.diff(result.breach) < 0).all() and (result.breach > 0.05).all()
    np.testing.assert_allclose(result.share.sum(1), 1.0, atol=1e-6)
    np.testing.assert_allclose(result.share[0], positions.share, atol=1e-6)
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves((result.share, result.price)))


@pytest.mark.slow
def test_closest_portfolio_complies_with_least_turnover():
    """Three that breach, and a compliant one, which stays as it is."""
    deals = [*(breaching(seed) for seed in range(1, DEALS)), deal(0)]
    result = closest_one_by_one(*deals)
    assert result.converged.all() and (result.kkt < 1e-6).all()
    assert result.quality.passes.all() or (result.breach < 1e-8).all()
    for i, one in enumerate(deals[:-1]):
        assert not feasible(np.asarray(one[2].share)[None], one)
        found = reference(np.zeros(L), np.ones(L), one, float(result.count[i]))
        np.testing.assert_allclose(result.objective[i], found.fun, atol=1e-8)
        np.testing.assert_allclose(result.traded[i], found.fun, atol=1e-6)
    np.testing.assert_allclose(result.share[-1], deals[-1][2].share, atol=1e-7)
    assert result.traded[-1] < 1e-7


def cushion_problem():
    return as_arrays(FormulaProblem(
        bdr_coefficients=[0.15, 4.0, 0.5], sdr_coefficients=SP_WARF, rs_abs_max=5000.0,
        rs_bound_lower=0.0, rs_bound_higher=5000.0, rvst_target_par=500.0, collat_prin_amt=495.0,
        was=0.0, warr=0.0, wal=0.0, monitor_cushion=0.01, locks=Locks(1, 0.0, 1, 0.0),
        risk_score=np.array(FACTORS, float), level=np.array(FACTORS, float), run_mode="SP_WARF"))


def cushions(shares, deal):
    """Adjusted BDR less cushion less SDR of each of `shares` [X, L], in NumPy."""
    p = deal[2]
    level = np.array(FACTORS)[np.asarray(p.rating) - 1]
    warf, warr = shares @ level, shares @ p.recovery
    odm, idm = (1 / sum(shares[:, code == k].sum(1)**2 for k in range(L))
                for code in (np.asarray(p.obligor), np.asarray(p.industry)))
    drd = (shares * np.abs(level - warf[:, None])).sum(1)
    bdr = 0.15 + 4.0 * (shares @ p.spread) + 0.5 * warr
    a = SP_WARF
    return (bdr * 500 / 495 + (495 - 500) / (495 * (1 - warr)) - 0.01
            - (a[0] + warf / a[1] - drd / a[2] - odm / a[3] - idm / a[4] - 1 / a[5]
               + shares @ p.life / a[6]))


@pytest.mark.slow
def test_least_cushion():
    """Stationary, as low as any random pool here, priced."""
    limits, trading, positions = deal(1)
    result = least(cushion_problem(), limits, trading, positions)
    assert result.converged and result.kkt < 1e-6
    assert feasible(np.asarray(result.share)[None], deal(1))
    own = cushions(np.asarray(result.share)[None], deal(1))[0]
    np.testing.assert_allclose(result.objective, own, rtol=1e-6)
    assert own <= cushions(random_pools(1, float(result.count)), deal(1)).min() + 1e-9
    up, down = (least(cushion_problem(), limits, trading.replace(
        turnover=trading.turnover + h), positions).objective for h in (1e-5, -1e-5))
    np.testing.assert_allclose(result.trading_price.turnover, (up - down) / 2e-5, rtol=1e-3)

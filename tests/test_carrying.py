"""What coverage tests read of the pool: price buckets, haircuts, par by state, defaulted value."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_cash import L, T, calendar, collect, deal, record, tape

from clo_gen.cash import loans, pool
from clo_gen.cash.schedule import schedule
from clo_gen.states import RATING


def slow_values(t, d):
    """Each loan's carrying value per par: live, and as CCC in excess."""
    live, excess = [], []
    for price, market, maturity in zip(t.purchase_price, t.market_price, t.maturity, strict=True):
        values = [1.0]
        if price < d.discount_threshold:
            values.append(float(price))
        if maturity > T:
            values.append(float(d.long_dated_value))
        live.append(min(values))
        excess.append(min([*values, float(market), float(d.ccc_price)]))
    return np.array(live), np.array(excess)


def test_coverage_inputs_are_sums_over_the_loans(key):
    """Buckets, haircuts and par by state, from each loan's state and its lowest category."""
    t, d = tape(9), deal()
    live, excess = slow_values(t, d)
    assert {0.7} < set(live) and (live == 1.0).any() and (excess < live).any()
    got, path = collect(t, d, key, keep=True)
    states = np.asarray(path.weights).argmax(-1)
    plan = schedule(t, calendar(), jnp.asarray([0.03]))
    closing = np.asarray(plan.opening - plan.principal)
    alive = closing * (states < 7)
    np.testing.assert_allclose(got.carrying_haircut, (alive * (1 - live)).sum(1), atol=1e-14)
    ccc = closing * (states == 6)
    market = np.minimum(t.market_price, d.ccc_price)
    bucket = np.searchsorted(loans.BUCKET_EDGES, market, side="right")
    assert len(set(bucket)) > 2 and ccc.sum() > 0
    for b in range(5):
        inside = ccc * (bucket == b)
        np.testing.assert_allclose(got.ccc_par[:, 0, b], inside.sum(1), atol=1e-14)
        np.testing.assert_allclose(got.ccc_value[:, 0, b],
                                   (inside * (1 - live + excess)).sum(1), atol=1e-14)
    wanted = np.arange(T) % 3 == 2
    by_state = np.stack([(alive * (states == s)).sum(1) for s in range(7)], 1) * wanted[:, None]
    np.testing.assert_allclose(got.par_by_state, by_state, atol=1e-14)


@pytest.mark.parametrize("mode", ["markov", "expected"])
def test_par_by_state_adds_up_and_nothing_is_negative(key, mode):
    got = collect(tape(10), deal(), key, mode=mode)
    np.testing.assert_allclose(got.par_by_state.sum(1)[2::3], got.performing[2::3], atol=1e-14)
    np.testing.assert_allclose(got.par_by_state[2::3, 6], got.ccc_par.sum((1, 2))[2::3],
                               atol=1e-14)
    assert all((x > -1e-15).all() for x in jax.tree.leaves(got))
    assert (got.ccc_value <= got.ccc_par).all()


@pytest.mark.parametrize("lag", [40, 60])
def test_nothing_is_carried_after_three_years_in_default(key, lag):
    """Defaults of the path (a month of each) and at the cut-off, recovered only after month T."""
    t = tape(11)
    t = t.replace(state=jnp.where(jnp.arange(L) < 6, RATING.default, t.state),
                  default_age=jnp.where(jnp.arange(L) < 6, jnp.arange(L) * 7, 0))
    got = collect(t, deal(), key, lag=lag)
    carried = np.minimum(t.recovery_rate, 0.5) * t.balance
    age = np.arange(6) * 7
    at_start = [sum(carried[i] for i in range(6) if age[i] + m < 36 and m < max(lag - age[i], 1))
                for m in range(1, T + 1)]
    assert at_start[0] > at_start[-1] == 0.0
    later = collect(t.replace(balance=t.balance.at[:6].set(0.0)), deal(), key, lag=lag)
    np.testing.assert_allclose(got.defaulted_value - later.defaulted_value, at_start, atol=1e-14)
    assert got.defaulted[-1] > 0


def test_shares_over_lags_are_a_lag_when_one_of_them_is_all():
    rng_ = np.random.default_rng(0)
    t = tape(12).replace(default_age=jnp.asarray([0, 2, 9] * 4))
    flows = {f.name: jnp.asarray(rng_.uniform(0, 0.01, T)) for f in
             dataclasses.fields(loans.MonthCash)}
    sums = record(loans.MonthCash, **flows | {"ccc_par": jnp.zeros((T, 5)),
                                              "ccc_value": jnp.zeros((T, 5))})
    is_default = jnp.arange(L) < 6
    for write_off in (3, 36):
        a, b = (pool.collections(t, sums, is_default, lag, 0.5, write_off=write_off)
                for lag in (5, jnp.zeros(9).at[5].set(1.0)))
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            np.testing.assert_allclose(x, y, atol=1e-15)
    spread = pool.collections(t, sums, is_default, jnp.full(4, 0.25), 0.5)
    start = jnp.where(is_default, t.balance, 0.0).sum()
    np.testing.assert_allclose((spread.recovery + spread.loss).sum() + spread.defaulted[-1],
                               sums.default.sum() + start)
    np.testing.assert_allclose(spread.recovery[5], 0.25 * sums.recoverable[2:6].sum())

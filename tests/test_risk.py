"""Tail statistics and class numbers against closed forms and slow oracles."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import reference

from clo_gen.deal.analytics import internal_rate
from clo_gen.deal.tranche import metrics
from clo_gen.io.deal import read_deal
from clo_gen.io.tables import config_path
from clo_gen.records import TrancheCash
from clo_gen.risk.losses import tail, yearly_rate

LEVELS = (0.90, 0.95, 0.99, 0.999)


def paid(interest, principal, balance, unpaid, rate):
    """TrancheCash of what `metrics` reads, nothing else."""
    empty = dict.fromkeys(field.name for field in dataclasses.fields(TrancheCash))
    return TrancheCash(**empty).replace(interest=interest, principal=principal, balance=balance,
                                        unpaid=unpaid, rate=rate)


def test_tail_of_an_exponential_and_its_errors_are_honest():
    """VaR_a = -log(1 - a), CVaR_a = VaR_a + 1; reported errors against the spread over samples."""
    r = np.random.default_rng(0)
    parts = [tail(jnp.asarray(r.exponential(size=4000)), LEVELS) for _ in range(200)]
    for name, truth in (("var", -np.log(1 - np.array(LEVELS))),
                        ("cvar", 1 - np.log(1 - np.array(LEVELS)))):
        estimates = np.array([getattr(p, name) for p in parts])
        spread = estimates.std(0)
        bias = np.abs(estimates.mean(0) - truth)
        assert (bias[:3] < 4 * spread[:3] / np.sqrt(200) + 0.01).all(), (name, bias, spread)
        reported = np.array([getattr(p, f"{name}_error") for p in parts]).mean(0)
        np.testing.assert_allclose(reported[:3], spread[:3], rtol=0.25)
    means = np.array([p.mean for p in parts])
    np.testing.assert_allclose(np.mean([p.mean_error for p in parts]), means.std(), rtol=0.15)


def test_tail_of_one_number_and_of_no_loss():
    got = tail(jnp.zeros(10), LEVELS)
    assert got.mean == 0 and (got.var == 0).all() and (got.cvar == 0).all()


def test_cvar_is_at_least_var_and_levels_rise():
    got = tail(jnp.asarray(np.random.default_rng(1).gamma(0.3, size=777)), LEVELS)
    assert (got.cvar >= got.var).all() and (jnp.diff(got.var) >= 0).all()


def test_yearly_rate_is_events_over_mean_stock():
    events, stock = jnp.full(30, 0.01), jnp.concatenate([jnp.full(12, 0.5), jnp.zeros(18)])
    np.testing.assert_allclose(yearly_rate(events, stock), [0.24, np.nan])


@pytest.mark.parametrize("seed", range(4))
def test_irr_agrees_with_slow_bisection(seed):
    r = np.random.default_rng(seed)
    years = np.arange(1, 53) / 4
    flows = r.uniform(0, 0.2 * (seed + 1) / 10, 52)
    got, converged = internal_rate(jnp.asarray(flows), jnp.asarray(years), 0.7)
    assert converged
    np.testing.assert_allclose(got, reference.internal_rate(flows, years, 0.7), atol=1e-8)


def test_irr_of_a_bond_of_nothing_and_of_too_much():
    """A 5 % yearly bond at par yields 5 %; source: definition."""
    years = jnp.arange(1.0, 6.0)
    bond = jnp.full(5, 0.05).at[-1].add(1.0)
    np.testing.assert_allclose(internal_rate(bond, years, 1.0)[0], 0.05, atol=1e-10)
    assert internal_rate(jnp.zeros(5), years, 1.0) == (-1.0, True)
    assert not internal_rate(bond * 1e4, years, 1.0)[1]


def test_an_undamaged_note_is_worth_par_yields_its_coupon_and_has_no_loss():
    loaded = read_deal(config_path("deals/us_bsl.toml"))
    deal, calendar = loaded.deal, loaded.calendar
    periods, classes = len(loaded.payment_dates), 9
    rate = jnp.full((periods, classes), 0.06).at[:, -1].set(0.0)
    alive = jnp.where(jnp.arange(periods) < 20, 1.0, 0.0)[:, None]
    interest = deal.balance * rate * calendar.note_fraction * alive
    principal = jnp.zeros_like(interest).at[19].set(deal.balance)
    balance = deal.balance - jnp.cumsum(principal, axis=0)
    nothing = jnp.zeros_like(interest)
    cash = paid(interest, principal, balance, nothing, rate)
    got = metrics(deal, cash, calendar)
    np.testing.assert_allclose(got.loss, 0.0, atol=1e-12)
    np.testing.assert_allclose(got.price[:-1], 1.0, atol=1e-12)
    np.testing.assert_allclose(got.wal_years, float(calendar.years[19]), atol=1e-12)
    # 6 % ACT/360, paid quarterly, as an effective yearly ACT/365 yield.
    np.testing.assert_allclose(got.irr[0], (1 + 0.06 * 365 / 360 / 4) ** 4 - 1, atol=2e-5)


def test_a_note_never_repaid_has_no_wal_and_loses_all():
    loaded = read_deal(config_path("deals/us_bsl.toml"))
    flat = jnp.broadcast_to(loaded.deal.balance, (52, 9))
    nothing = jnp.zeros((52, 9))
    cash = paid(nothing, nothing, flat, flat * 0.5, nothing)
    got = metrics(loaded.deal, cash, loaded.calendar)
    assert np.isnan(got.wal_years).all() and (got.irr == -1).all()
    np.testing.assert_allclose(got.loss, 1.0)
    np.testing.assert_allclose(got.unpaid_interest, 0.5)

"""Collateral bought with principal: unit flows from transitions and from rates."""

import jax.numpy as jnp
import numpy as np
import pytest

from clo_gen.cash import new_collateral
from clo_gen.io.deal import read_deal
from clo_gen.io.tables import config_path
from clo_gen.states import RATING


@pytest.fixture(scope="module")
def calendar():
    return read_deal(config_path("deals/us_bsl.toml")).calendar


def bought(states, term=4, lag=2):
    return new_collateral.Purchases(mix=jnp.eye(states)[states // 2], price=jnp.asarray(0.98),
                                    spread=jnp.asarray(0.035), floor=jnp.asarray(0.0),
                                    recovery_rate=jnp.asarray(0.6), term=term, lag=lag)


def test_period_matrices_are_products_of_the_months(calendar):
    rng = np.random.default_rng(0)
    months = int(calendar.period.shape[0])
    monthly = rng.dirichlet(np.ones(4), size=(months, 4))
    got = new_collateral.period_matrices(jnp.asarray(monthly), calendar)
    for p in (0, 7, 51):
        members = np.flatnonzero(np.asarray(calendar.period) == p)
        want = np.linalg.multi_dot([monthly[t] for t in members])
        np.testing.assert_allclose(got[p], want, atol=1e-14)


def test_units_stay_default_prepay_or_mature(calendar):
    rng = np.random.default_rng(1)
    months, size = int(calendar.period.shape[0]), RATING.size
    monthly = np.zeros((months, size, size))
    monthly[:, :, : size - 1] = rng.dirichlet(np.ones(size - 1), size=(months, size))
    monthly[:, size - 3:] = np.eye(size)[size - 3:]
    new = new_collateral.from_transitions(bought(len(RATING.live)), jnp.asarray(monthly),
                                          jnp.full(months, 0.04), RATING, calendar)
    np.testing.assert_allclose(new.stay.sum(2) + new.default + new.prepay, 1.0, atol=1e-12)
    p, term = 9, new.term
    want = new.mix
    for q in range(p - term + 1, p + 1):
        want = want @ new.stay[q]
    np.testing.assert_allclose(new.matured[p], want, atol=1e-14)
    assert not new.matured[:term].any()
    np.testing.assert_allclose(new.interest[0], 0.075 * 92 / 360, atol=1e-12)
    assert new.is_ccc.tolist() == [0, 0, 0, 0, 0, 0, 1]


def test_rates_are_yearly(calendar):
    new = new_collateral.from_rates(bought(1), 0.04, 0.2, jnp.full(52, 0.03), calendar)
    years = np.diff(np.asarray(calendar.years), prepend=0.0)
    np.testing.assert_allclose(new.default[:, 0], 1 - 0.96**years)
    np.testing.assert_allclose(new.stay[:, 0, 0], 0.96**years * 0.8**years)

"""Analytics of a note: laws, gradients, and its place in the capital structure."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from clo_gen.deal import analytics
from clo_gen.deal.coverage import PAID_OFF
from clo_gen.deal.tranche import attachment_points, closing_oc_ratios, credit_enhancement, cushion

internal_rate = jax.jit(analytics.internal_rate)
discount_margin = jax.jit(analytics.discount_margin)
z_spread = jax.jit(analytics.z_spread)
YEARS = jnp.arange(1, 13) / 4.0
FRACTION = jnp.full(12, 0.25)
INDEX = jnp.linspace(0.05, 0.02, 12)


def floater(spread, seed=0):
    """Flows of an undamaged amortising floater of balance 1, and its principal."""
    principal = np.random.default_rng(seed).dirichlet(np.ones(12))
    opening = 1.0 - np.concatenate([[0.0], np.cumsum(principal)[:-1]])
    return jnp.asarray(opening * (INDEX + spread) * 0.25 + principal), jnp.asarray(principal)


def slope_of(f, x, step=1e-5):
    return (f(x + step) - f(x - step)) / (2 * step)


def close(got, want, tolerance=1e-8):
    np.testing.assert_allclose(got, want, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("spread", [0.0, 0.012, 0.075])
def test_an_undamaged_floater_at_par_has_its_spread_as_margin(spread):
    flows, _ = floater(spread)
    close(analytics.present_value(flows, analytics.floating_discount(spread, INDEX, FRACTION)), 1)
    root = discount_margin(flows, 1.0, INDEX, FRACTION)
    assert root.converged
    close(root.x, spread, 1e-12)


@pytest.mark.parametrize("price", [0.6, 0.95, 1.02])
def test_margins_and_spreads_reprice_the_flows(price):
    flows, _ = floater(0.03)
    margin = discount_margin(flows, price, INDEX, FRACTION)
    spread = z_spread(flows, price, INDEX, YEARS)
    assert margin.converged and spread.converged
    close(analytics.present_value(flows, analytics.floating_discount(margin.x, INDEX, FRACTION)),
          price)
    close(analytics.present_value(flows, analytics.discount_factors(INDEX + spread.x, YEARS)),
          price)


def test_durations_and_convexity_are_derivatives_of_value():
    flows, _ = floater(0.03)

    def value(rate):
        return analytics.present_value(flows, analytics.discount_factors(rate, YEARS))

    def floating_value(margin):
        return analytics.present_value(flows, analytics.floating_discount(margin, INDEX, FRACTION))

    for rate in (0.06, INDEX):
        close(analytics.modified_duration(flows, YEARS, rate),
              -slope_of(lambda s, r=rate: value(r + s), 0.0) / value(rate))
        close(analytics.convexity(flows, YEARS, rate),
              slope_of(jax.grad(lambda s, r=rate: value(r + s)), 0.0) / value(rate))
    close(analytics.spread_duration(flows, 0.02, INDEX, FRACTION),
          -slope_of(floating_value, 0.02) / floating_value(0.02))
    discount = analytics.discount_factors(0.06, YEARS)
    close(analytics.macaulay_duration(flows, YEARS, discount),
          analytics.modified_duration(flows, YEARS, 0.06) * 1.06)


def test_one_flow_has_its_date_as_duration_and_wal():
    flows = jnp.zeros(12).at[7].set(0.4)
    discount = analytics.discount_factors(0.09, YEARS)
    close(analytics.macaulay_duration(flows, YEARS, discount), 2.0)
    close(analytics.wal_years(flows, YEARS), 2.0)


def test_nothing_back_has_no_wal_no_duration_and_loses_all():
    nothing = jnp.zeros(12)
    assert internal_rate(nothing, YEARS, 1.0) == (-1.0, True)
    assert not discount_margin(nothing, 1.0, INDEX, FRACTION).converged
    assert not z_spread(nothing, 1.0, INDEX, YEARS).converged
    discount = analytics.discount_factors(0.05, YEARS)
    for number in (analytics.wal_years(nothing, YEARS),
                   analytics.macaulay_duration(nothing, YEARS, discount),
                   analytics.modified_duration(nothing, YEARS, 0.05),
                   analytics.convexity(nothing, YEARS, 0.05),
                   analytics.spread_duration(nothing, 0.01, INDEX, FRACTION)):
        assert np.isnan(number)
    assert analytics.present_value(nothing, discount) == 0


def test_no_margin_at_a_price_of_nothing():
    flows, _ = floater(0.02)
    assert not discount_margin(flows, 0.0, INDEX, FRACTION).converged


def test_prices_are_shares_of_balance_with_and_without_accrued():
    close(analytics.clean_price(51.0, 50.0, 0.0), 1.02)
    close(analytics.clean_price(51.0, 50.0, 1.0), 1.0)
    assert analytics.clean_price(0.0, 0.0, 0.0) == 0


NUMBERS = {name: jax.jit(number) for name, number in {
    "margin": lambda f: analytics.discount_margin(f, 0.97, INDEX, FRACTION).x,
    "z_spread": lambda f: analytics.z_spread(f, 0.97, INDEX, YEARS).x,
    "yield": lambda f: analytics.internal_rate(f, YEARS, 0.97)[0],
    "duration": lambda f: analytics.modified_duration(f, YEARS, 0.05),
    "convexity": lambda f: analytics.convexity(f, YEARS, 0.05),
    "spread_duration": lambda f: analytics.spread_duration(f, 0.01, INDEX, FRACTION),
    "wal": lambda f: analytics.wal_years(f, YEARS),
}.items()}


@pytest.mark.parametrize("name", NUMBERS)
def test_gradients_are_finite_differences_and_finite_at_nothing(name):
    number = NUMBERS[name]
    flows, _ = floater(0.02)
    bump = jnp.asarray(np.random.default_rng(1).normal(size=12)) * 0.01
    want = slope_of(lambda s: number(flows + s * bump), 0.0, 1e-4)
    gradient = jax.jit(jax.grad(number))
    close(jnp.vdot(gradient(flows), bump), want, 1e-6)
    if name not in ("margin", "z_spread"):  # their x means nothing when not converged
        assert np.isfinite(gradient(jnp.zeros(12))).all()


def test_vmap_is_a_loop():
    batch = jnp.stack([floater(0.02, seed)[0] * damage for seed, damage in
                       ((0, 1.0), (1, 0.7), (2, 0.0))])
    for number in NUMBERS.values():
        np.testing.assert_allclose(jax.vmap(number)(batch), [number(f) for f in batch],
                                   rtol=1e-10)


def test_equity_return_is_cash_over_cost():
    flows = jnp.full(12, 0.05)
    got = analytics.equity_return(flows, YEARS, 0.4)
    close(got.cash_on_cash, 0.125)
    close(got.multiple, 1.5)
    close(got.irr, reference.internal_rate(np.asarray(flows), np.asarray(YEARS), 0.4))
    lost = analytics.equity_return(jnp.zeros(12), YEARS, 0.4)
    assert lost.irr == -1 and lost.irr_converged and lost.multiple == 0


DEAL = types.SimpleNamespace(balance=jnp.array([0.5, 0.1, 0.2, 0.1, 0.15]))


def test_attachment_points_count_losses_from_the_equity_side():
    attachment, detachment = attachment_points(DEAL)
    close(attachment, [0.5, 0.4, 0.2, 0.1, 0.0])
    close(detachment, [1.0, 0.5, 0.4, 0.2, 0.1])
    close(credit_enhancement(DEAL), attachment)
    close(closing_oc_ratios(DEAL), [2.0, 1 / 0.6, 1 / 0.8, 1 / 0.9])


def test_pari_passu_classes_share_their_points():
    attachment, detachment = attachment_points(DEAL, group=[0, 1, 1, 2, 3])
    close(attachment, [0.5, 0.2, 0.2, 0.1, 0.0])
    close(detachment, [1.0, 0.5, 0.5, 0.2, 0.1])
    close(closing_oc_ratios(DEAL, group=[0, 1, 1, 2, 3])[1:3], [1 / 0.8, 1 / 0.8])
    # Layers of a group carry all losses between its points.
    close(detachment[1] - attachment[1], DEAL.balance[1] + DEAL.balance[2])


def test_cushion_is_what_may_be_lost_before_a_test_fails():
    got = cushion(jnp.array([[1.3, 1.1], [0.0, PAID_OFF]]), jnp.array([1.2, 1.2]))
    close(got.points[0], [0.1, -0.1])
    close(1.3 * (1 - got.share[0, 0]), 1.2)
    assert np.isnan(got.points[1]).all() and np.isnan(got.share[1]).all()

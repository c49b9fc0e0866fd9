"""Note losses, first-loss CDR and implied ratings against closed forms and published tables."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clo_gen.io.tables import idealised_default_table_standin, sp_default_table
from clo_gen.risk.break_even import first_loss_cdr
from clo_gen.risk.losses import note_losses
from clo_gen.risk.rating import (
    EXPECTED_LOSS_SEVERITY,
    idealised_rate,
    implied_rating,
    rating_name,
)


def close(got, want, tolerance=1e-8):
    np.testing.assert_allclose(got, want, atol=tolerance, rtol=tolerance)


def test_note_losses_by_hand():
    principal = jnp.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.2], [0.0, 0.6]])
    interest = jnp.array([[0.0, 0.0], [0.0, 0.1], [0.0, 0.0], [0.0, 0.1]])
    got = note_losses(principal, interest)
    close(got.expected_loss, [0.0, 0.2])
    close(got.probability, [0.0, 0.75])
    close(got.imputed_loss, [0.0, 0.25])
    close(got.severity[1], 1.0 / 3.0)
    close(got.expected_loss_error[1], np.std([0, 0, 0.2, 0.6]) / 2)
    assert np.isnan(got.severity[0])


def toy_unpaid(cdr, args):
    """Losses of a pool after `years`, layered: class k loses above its attachment point."""
    attachment, severity, years = args
    loss = severity * (1.0 - (1.0 - cdr) ** years)
    width = jnp.concatenate([jnp.ones(1), attachment[:-1]]) - attachment
    return jnp.clip((loss - attachment) / width, 0.0, 1.0)


break_even = jax.jit(lambda args: first_loss_cdr(toy_unpaid, args))


def toy_break_even(attachment, severity, years):
    return 1.0 - (1.0 - attachment / severity) ** (1.0 / years)


def test_first_loss_cdr_of_a_layered_pool():
    attachment = jnp.array([0.7, 0.35, 0.2, 0.05, 0.0])
    got = break_even((attachment, 0.6, 7.0))
    assert got.converged.all()
    assert got.never_lost.tolist() == [True, False, False, False, False]
    assert got.cdr[0] == 1.0 and not got.always_lost.any()
    close(got.cdr[1:4], toy_break_even(attachment[1:4], 0.6, 7.0), 1e-5)
    assert got.cdr[4] < 1e-5 and (jnp.diff(got.cdr) <= 0).all()


def test_first_loss_cdr_flags_a_class_lost_without_defaults():
    got = first_loss_cdr(lambda cdr, args: args + jnp.zeros(2) * cdr, jnp.array([0.1, 0.0]))
    assert got.always_lost.tolist() == [True, False] and got.never_lost.tolist() == [False, True]
    assert got.cdr.tolist() == [0.0, 1.0] and got.converged.all()


def test_first_loss_cdr_stops_at_a_jump():
    got = first_loss_cdr(lambda cdr, at: jnp.where(cdr > at, 0.5, 0.0), jnp.array([0.031, 0.4]))
    assert got.converged.all()
    close(got.cdr, [0.031, 0.4], 1e-6)


def test_first_loss_cdr_batches_and_its_gradient_is_the_closed_form():
    attachment = jnp.array([0.7, 0.35, 0.2, 0.05])
    severities = jnp.array([0.5, 0.6])
    got = jax.jit(jax.vmap(break_even, ((None, 0, None),)))((attachment, severities, 7.0))
    close(got.cdr[1], break_even((attachment, 0.6, 7.0)).cdr, 1e-12)
    slope = jax.jit(jax.jacrev(lambda s: break_even((attachment, s, 7.0)).cdr))(0.6)
    want = jax.vmap(jax.grad(toy_break_even, 1), (0, None, None))(attachment[1:], 0.6, 7.0)
    assert slope[0] == 0
    np.testing.assert_allclose(slope[1:], want, rtol=1e-3)

    def enclosed(s):  # what the function closes over counts like an argument
        return first_loss_cdr(lambda cdr, _: toy_unpaid(cdr, (attachment, s, 7.0)), ()).cdr

    np.testing.assert_allclose(jax.jit(jax.jacrev(enclosed))(0.6), slope, rtol=1e-9)


@pytest.mark.parametrize("read", [sp_default_table, idealised_default_table_standin])
def test_rating_tables_are_monotone(read):
    table = read()
    assert table.rate.shape == (len(table.names), len(table.years))
    assert (np.diff(table.rate, axis=0) >= 0).all() and (np.diff(table.rate, axis=1) >= 0).all()
    assert (table.rate >= 0).all() and (table.rate <= 1).all()


def test_sp_default_rates_are_the_published_ones():
    """Source: S&P global corporates 1981-2016, average cumulative, not adjusted for NR."""
    table = sp_default_table()
    assert table.names == ("AAA", "AA", "A", "BBB", "BB", "B", "CCC")
    close(table.rate[:, 0], [0.0, 0.0002, 0.0006, 0.0018, 0.0072, 0.0376, 0.2678])
    close(table.rate[5, 7], 0.3694)  # published 0.3621 at 20 years, below that at 15


def test_the_standin_agrees_with_the_rating_factors_at_ten_years():
    table = idealised_default_table_standin()
    assert "stand-in" in table.source
    close(table.rate[[0, 7, 15], 9], [1e-4, 0.026, 0.349], 1e-12)


@pytest.mark.parametrize("read", [sp_default_table, idealised_default_table_standin])
def test_implied_rating_is_monotone_and_finds_its_own_table(read):
    table = read()
    rates = jnp.linspace(0.0, 1.0, 101)
    for years in (0.3, 3.0, 4.6, 20.0, jnp.nan):
        index = jax.vmap(lambda p, y=years: implied_rating(p, y, table))(rates)
        assert (jnp.diff(index) >= 0).all() and index[0] == 0 and index[-1] == len(table.names)
    own = idealised_rate(table, 5.0)
    for i, rate in enumerate(own):
        found = implied_rating(rate, 5.0, table)
        assert found <= i and own[found] >= rate
        assert implied_rating(rate * 1.0001 + 1e-12, 5.0, table) > i


def test_implied_rating_interpolates_and_names():
    table = sp_default_table()
    close(idealised_rate(table, 1.5)[5], (0.0376 + 0.0856) / 2)
    close(idealised_rate(table, 0.5)[5], 0.0188)
    close(idealised_rate(table, 30.0), table.rate[:, -1])
    assert rating_name(table, implied_rating(0.05, 5.0, table)) == "BB"
    assert rating_name(table, implied_rating(0.9, 5.0, table)) == "below CCC"
    loss = 0.05 * EXPECTED_LOSS_SEVERITY
    assert implied_rating(loss, 5.0, table, severity=EXPECTED_LOSS_SEVERITY) == implied_rating(
        0.05, 5.0, table)

"""First-loss CDR of the classes of a deal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import FULL

from clo_gen.break_even import compile_batch, first_loss_cdrs, flat_vectors, under_vectors
from clo_gen.io.tables import config_path


@pytest.mark.slow
def test_first_loss_cdr_is_where_losses_start(small):
    a = small()
    found = jax.device_get(compile_batch(a.setup)(
        a.inputs, jnp.asarray([0.2, 0.2]), jnp.asarray([0.45, 0.65])))
    assert found.converged.all()
    cdr = found.cdr
    assert (np.diff(cdr, axis=1) <= 1e-6).all()  # senior classes survive more
    assert (cdr[1] < cdr[0] + 1e-9).all()  # a higher severity is survived less

    @jax.jit
    def unpaid(cdr):
        cash = under_vectors(a.inputs, flat_vectors(a.inputs, cdr, 0.2, 0.65), setup=a.setup)
        return (cash.balance[-1] + cash.unpaid[-1])[:-1] / a.inputs.deal.balance[:-1]

    for k in (1, 4, 7):
        assert unpaid(cdr[1, k] - 1e-4)[k] <= 1e-5 < unpaid(cdr[1, k] + 1e-3)[k]


@pytest.mark.slow
def test_gradient_in_deal_and_tape_meets_finite_differences(small):
    """Of the first-loss CDR in the spreads of notes and of loans: both pass by the solver."""
    a = small(f"deal='{config_path('deals/static_amortising.toml')}'")

    @jax.jit
    def cdr(spread, coupon):
        deal = a.inputs.deal.replace(spread=a.inputs.deal.spread + spread)
        tape = a.inputs.tape.replace(spread=a.inputs.tape.spread + coupon)
        return first_loss_cdrs(a.inputs.replace(deal=deal, tape=tape), 0.2, 0.6,
                               setup=a.setup).cdr

    zero, step = jnp.zeros(()), 2e-4
    slopes = jax.jit(jax.jacrev(cdr, (0, 1)))(zero, zero)
    for slope, move in zip(slopes, ((step, 0.0), (0.0, step)), strict=True):
        want = (cdr(*move) - cdr(*(-x for x in move))) / (2 * step)
        assert (jnp.abs(want) > 0.1).any()
        np.testing.assert_allclose(slope, want, rtol=0.05, atol=0.02)


@pytest.mark.slow
def test_cash_under_vectors_is_conserved(small):
    a = small(FULL)
    cash = jax.jit(lambda i: under_vectors(i, flat_vectors(i, 0.05, 0.2, 0.5), setup=a.setup))(
        a.inputs)
    assert cash.reinvested.sum() > 0
    balance = a.inputs.deal.balance
    np.testing.assert_allclose((balance - cash.principal.sum(0) - cash.balance[-1])[:-1], 0,
                               atol=1e-12)

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clo_gen.numerics import gate, safe_ratio


def test_hard_gate_passes_at_the_trigger_and_just_cured():
    assert gate(jnp.array(1.2), 1.2, 0.0) == 1.0
    assert gate(jnp.array(1.2) * (1 - 1e-13), 1.2, 0.0) == 1.0
    assert gate(jnp.array(1.1999), 1.2, 0.0) == 0.0


@pytest.mark.parametrize("x", [0.9, 1.1, 1.3])
def test_soft_gate_tends_to_the_hard_one(x):
    errors = [abs(gate(jnp.array(x), 1.2, t) - gate(jnp.array(x), 1.2, 0.0))
              for t in (1e-1, 1e-2, 1e-3)]
    assert errors[0] > errors[1] and errors[2] < 1e-12


def test_gradients_are_finite_at_ties_and_zeros():
    assert np.isfinite(jax.grad(lambda t: gate(jnp.array(1.2), t, 0.0))(1.2))
    assert np.isfinite(jax.grad(lambda d: safe_ratio(jnp.array(1.0), d, 0.0))(0.0))

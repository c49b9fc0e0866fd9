"""Monthly default and repayment of single loans from their rate, balance and age.

    log-odds of default = level + a log(rate) + b log(balance) + sum_k c_k exp(-age / tau_k)

and the same for repayment ahead of term, among loans that do not default. A rate says what the
lender knew of the risk; its logarithm lets the odds grow as a power of it, also beyond the rates
that a calibration has seen.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from clo_gen.models.transition import age_functions

TERMS = ("level", "log_rate", "log_balance", "age_6", "age_18", "age_48")
_RATE, _BALANCE = 0.10, 15_000.0  # where log_rate and log_balance are 0


class LoanHazards(struct.PyTreeNode):
    """Coefficients of TERMS."""

    default: jax.Array  # [6]
    prepaid: jax.Array  # [6]


def design(rate: jax.Array, balance: jax.Array, age: jax.Array) -> jax.Array:
    """[..., T, 6] TERMS of loans with `rate` [...], first `balance` [...] and `age` [..., T]."""
    rate, balance = (jnp.broadcast_to(jnp.log(x / unit)[..., None], age.shape)
                     for x, unit in ((rate, _RATE), (balance, _BALANCE)))
    return jnp.concatenate([jnp.stack([jnp.ones_like(age), rate, balance], axis=-1),
                            age_functions(age)], axis=-1)


def monthly(model: LoanHazards, rate: jax.Array, balance: jax.Array,
            age: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(default, repayment) probabilities [..., T] of a month, of those that live before it."""
    x = design(rate, balance, age)
    default = jax.nn.sigmoid(x @ model.default)
    return default, (1.0 - default) * jax.nn.sigmoid(x @ model.prepaid)


def living(default: jax.Array | np.ndarray, prepaid: jax.Array | np.ndarray,
           seen: jax.Array | np.ndarray) -> jax.Array:
    """[..., T] probability to live before each month; months that are not `seen` change nothing."""
    stay = jnp.where(seen, 1.0 - default - prepaid, 1.0)
    before = jnp.cumprod(stay, axis=-1)
    return jnp.concatenate([jnp.ones_like(before[..., :1]), before[..., :-1]], axis=-1)

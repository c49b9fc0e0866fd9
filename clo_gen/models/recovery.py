"""What is lost at default, given the loan: the diffusion head behind standardised features."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from clo_gen.models import diffusion
from clo_gen.models.diffusion import DiffusionConfig


class Recovery(struct.PyTreeNode):
    """Law of the severity at default (share lost; the recovery is 1 less that)."""

    params: dict
    mean: jax.Array  # [F] of the features
    scale: jax.Array  # [F]
    limit: jax.Array  # [] standard deviations at which a feature saturates
    cfg: DiffusionConfig = struct.field(pytree_node=False)
    names: tuple[str, ...] = struct.field(pytree_node=False)  # of the F features
    trained_until: str = struct.field(pytree_node=False, default="")  # month


def condition(model: Recovery, features: jax.Array | np.ndarray) -> jax.Array:
    """What the head reads [N, F] of `features` [N, F]: standardised, saturating smoothly."""
    z = (jnp.asarray(features) - model.mean) / model.scale
    return model.limit * jnp.tanh(z / model.limit)


def sample(model: Recovery, key: jax.Array, features: jax.Array) -> jax.Array:
    """Severities [N] drawn for loans with `features` [N, F]; never below 0."""
    drawn = diffusion.sample(model.params, model.cfg, key, condition(model, features))
    return jnp.maximum(drawn[:, 0], 0.0)


def log_density(model: Recovery, severity: jax.Array, features: jax.Array) -> jax.Array:
    """Log-density [N] of the severities [N]; the log-probability for those on an atom."""
    return diffusion.log_density(model.params, model.cfg, severity[:, None],
                                 condition(model, features), steps=32)

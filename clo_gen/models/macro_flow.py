"""Normalising flow over the latents of the macro CVAE, conditional on the regime label.

Affine coupling layers on top of the Gaussian prior; with zero weights the flow is the identity.
Reference: Dinh, Sohl-Dickstein and Bengio (2017), Density estimation using Real NVP, ICLR.
"""

from typing import Any

import distrax
import flax.linen as nn
import jax
import jax.numpy as jnp

_WIDEST = 1.0  # bound of the log scale of one layer


class _Coupling(nn.Module):
    latent: int
    hidden: int

    @nn.compact
    def __call__(self, z, label):
        seen = jnp.concatenate([z, label])
        h = jnp.tanh(nn.Dense(self.hidden, dtype=z.dtype, name="hidden")(seen))
        out = nn.Dense(2 * self.latent, dtype=z.dtype, kernel_init=nn.initializers.zeros)(h)
        shift, log_scale = jnp.split(out, 2)
        return shift, _WIDEST * jnp.tanh(log_scale / _WIDEST)


class _Flow(nn.Module):
    """`layers` couplings, each moving the half of the latents that the one before left alone."""

    latent: int
    hidden: int
    layers: int

    def setup(self):
        self.couplings = [_Coupling(self.latent, self.hidden) for _ in range(self.layers)]

    def __call__(self, z, label):
        steps = []
        for i, coupling in enumerate(self.couplings):
            kept = jnp.arange(self.latent) % 2 == i % 2
            steps.append(distrax.MaskedCoupling(
                mask=kept, event_ndims=1, inner_event_ndims=0,
                conditioner=lambda z, coupling=coupling: coupling(z, label),
                bijector=lambda p: distrax.ScalarAffine(shift=p[0], log_scale=p[1])))
        chain = distrax.Chain(steps)
        return chain.forward(z) if self.is_initializing() else chain


def init(key: jax.Array, latent: int, hidden: int, layers: int) -> Any:
    """Parameters of a flow that is the identity."""
    dtype = jnp.float32
    return _Flow(latent, hidden, layers).init(key, jnp.zeros(latent, dtype), jnp.zeros(4, dtype))


def bijector(params: dict, label: jax.Array, *, latent: int,
             hidden: int, layers: int) -> Any:
    """distrax Bijector from Gaussian latents [Z] to latents [Z] given `label` [4]."""
    return _Flow(latent, hidden, layers).apply(params, jnp.zeros(latent, label.dtype), label)

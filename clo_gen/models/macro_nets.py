"""Networks of the macro CVAE: the decoder's month and the encoder of a window.

With zero weights both are the linear model of models.macro_start.
"""

import math
from typing import Any

import distrax
import flax.linen as nn
import jax
import jax.numpy as jnp

from clo_gen.models import macro_start
from clo_gen.models.macro_start import LAGS, MEMORY

_CALM, _WILD = -1.5, 1.5  # bounds of the log of a month's volatility
_STEP = 0.1  # of what is learned on top of the start's coefficients


class _Decoder(nn.Module):
    """Mean [M] and volatility [M] of next month's standardised change, and the lower factor
    [M, M] that every month shares."""

    hidden: int
    latent: int

    @nn.compact
    def __call__(self, start, recent, wave, z, label):
        m, k = recent.shape[1], wave.shape[0]
        zeros = nn.initializers.zeros
        x, y, all_y = macro_start.lagged(start, recent)
        constant = start.constant + _STEP * self.param("constant", zeros, (m,))
        level = start.level + _STEP * self.param("level", zeros, (m, m))
        lags = start.lags + _STEP * self.param("lags", zeros, (len(LAGS), m, m))
        regime = self.param("regime", zeros, (label.shape[0], m))
        mean = constant + _STEP * label @ regime + level @ x + jnp.einsum("kij,kj->i", lags, y)
        loadings = start.loadings + _STEP * self.param("loadings", zeros, (k * m, self.latent))
        drift = wave @ (loadings @ z).reshape(k, m)
        seen = jnp.concatenate([x, y[0], z, label])
        h = jnp.tanh(nn.Dense(self.hidden, dtype=x.dtype, name="hidden")(seen))
        mean = mean + nn.Dense(m, dtype=x.dtype, kernel_init=zeros, name="bend")(h)
        chol = start.chol + _STEP * jnp.tril(self.param("chol", zeros, (m, m)), -1)
        moved = 0.5 * jnp.log(jnp.mean(macro_start.saturated(all_y) ** 2, axis=0) + 0.05)
        loud = nn.Dense(m, dtype=x.dtype, kernel_init=zeros, name="volatility")(
            jnp.concatenate([moved, x, label]))
        middle = 0.5 * (_CALM + _WILD)
        # Zero weights give a log volatility of 0.
        log_scale = middle + 0.5 * (_WILD - _CALM) * jnp.tanh(
            loud + math.atanh(-2.0 * middle / (_WILD - _CALM)))
        return mean + chol @ drift, jnp.exp(log_scale), chol


class _Encoder(nn.Module):
    """Mean and log standard deviation [Z] of the latents of one window."""

    hidden: int
    latent: int

    @nn.compact
    def __call__(self, start, window, label):
        zeros = nn.initializers.zeros
        white = macro_start.white_residuals(start, window)
        weights = (start.basis.T @ white).reshape(-1)
        reading = start.reading + _STEP * self.param("reading", zeros, start.reading.shape)
        seen = jnp.concatenate([weights / 3.0, window[MEMORY - 1], label])
        h = jnp.tanh(nn.Dense(self.hidden, dtype=window.dtype, name="hidden")(seen))
        out = nn.Dense(2 * self.latent, dtype=window.dtype, kernel_init=zeros, name="out")(h)
        shift, log_scale = jnp.split(out, 2)
        excess = jnp.sum(start.loadings**2, axis=0)
        return weights @ reading + shift, jnp.tanh(log_scale) - 0.5 * jnp.log1p(excess)


def init_decoder(key: jax.Array, cfg: Any, start: macro_start.MacroStart, label: jax.Array) -> Any:
    """Parameters of a decoder that is the start's linear model."""
    recent = jnp.zeros((MEMORY, start.mean.shape[0]), start.mean.dtype)
    z = jnp.zeros(cfg.latent, start.mean.dtype)
    return _Decoder(cfg.hidden, cfg.latent).init(key, start, recent, start.basis[0], z, label)


def month(params: Any, cfg: Any, start: macro_start.MacroStart, recent: jax.Array, wave: jax.Array,
          z: jax.Array, label: jax.Array) -> Any:
    """(mean [M], volatility [M], lower factor [M, M]) of the standardised change after `recent`
    [MEMORY, M], with the window's cosines `wave` [K] of that month, latents and label."""
    return _Decoder(cfg.hidden, cfg.latent).apply(params, start, recent, wave, z, label)


def init_encoder(key: jax.Array, cfg: Any, start: macro_start.MacroStart, label: jax.Array) -> Any:
    """Parameters of an encoder that gives the posterior of the start's linear model."""
    shape = (MEMORY + start.basis.shape[0], start.mean.shape[0])
    return _Encoder(cfg.hidden, cfg.latent).init(key, start, jnp.zeros(shape, start.mean.dtype),
                                                 label)


def read_window(params: Any, cfg: Any, start: macro_start.MacroStart, window: jax.Array,
                label: jax.Array) -> Any:
    """Mean and log standard deviation [Z] of the latents of `window` [MEMORY + W, M]."""
    return _Encoder(cfg.hidden, cfg.latent).apply(params, start, window, label)


def log_likelihood(change: jax.Array, mean: jax.Array, volatility: jax.Array,
                   chol: jax.Array) -> jax.Array:
    """Gaussian log-density [W] of changes [W, M] with lower factors diag(volatility) chol."""
    white = ((change - mean) / volatility) @ macro_start.inverse(chol).T
    unit = distrax.MultivariateNormalDiag(jnp.zeros_like(white))
    return unit.log_prob(white) - jnp.log(volatility).sum(-1) - jnp.log(jnp.diag(chol)).sum()

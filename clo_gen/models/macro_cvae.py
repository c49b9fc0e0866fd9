"""Level 1: a conditional variational autoencoder of macro paths.

q(z|M,s) reads a window, p(z|s) is a learned prior (Gaussian by regime label, or a flow), and
p(M|z,s) = prod_t N(m_t | g(z, s, m_<t), Sigma(m_<t, s)) is autoregressive: the linear skip of
models.macro_start, corrected, plus a drift that the latents spread over the window, plus a small
network. A path longer than the window gets new latents for each further window.

Reference: methodology, Level 1; Kingma and Welling (2014), Auto-encoding variational Bayes, ICLR;
Sohn, Lee and Yan (2015), Learning structured output representation, NeurIPS.
"""

import dataclasses
from typing import Any

import chex
import distrax
import jax
import jax.numpy as jnp
from flax import struct

from clo_gen import rng
from clo_gen.models import macro_flow, macro_nets, macro_start, scenarios
from clo_gen.models.macro_start import MEMORY, MacroStart
from clo_gen.models.regimes import LABELS
from clo_gen.records import MacroPath

# Ridge weights, 1 for all others: freer hidden layers lower the training loss only.
_PENALTY = {"prior": 0.1, "volatility": 0.1, "flow": 0.1, "regime": 0.02}


@dataclasses.dataclass(frozen=True)
class MacroCvaeConfig:
    """Size and objective; the number of series and the window are those of the data."""

    latent: int = 10  # per window
    waves: int = 6  # cosines over which a latent spreads
    hidden: int = 16
    flow: bool = False
    flow_layers: int = 4
    beta: float = 1.0  # weight of the KL divergence
    beta_warmup: float = 0.3  # share of the training over which it rises to that
    ridge: float = 20.0  # precision of a normal prior on what is learned on top of the start
    shrink: float = 0.2  # see macro_start.fit


class Cvae(struct.PyTreeNode):
    """A trained macro CVAE."""

    params: dict
    start: MacroStart
    label_share: jax.Array  # [4] of the training windows
    config: MacroCvaeConfig = struct.field(pytree_node=False)
    series: tuple[str, ...] = struct.field(pytree_node=False)
    trained_until: str = struct.field(pytree_node=False, default="")  # last month learned from


def _cast(tree, dtype):
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)


def init(key: jax.Array, cfg: MacroCvaeConfig, start: MacroStart) -> Any:
    """Parameters (float32) such that the decoder is the start's linear model."""
    start, keys = _cast(start, jnp.float32), jax.random.split(key, 3)
    label = jnp.zeros(len(LABELS), jnp.float32)
    params = {
        "decoder": macro_nets.init_decoder(keys[0], cfg, start, label),
        "encoder": macro_nets.init_encoder(keys[1], cfg, start, label),
        "prior": {name: jnp.zeros((len(LABELS), cfg.latent), jnp.float32)
                  for name in ("mean", "log_scale")},
    }
    if cfg.flow:
        params["flow"] = macro_flow.init(keys[2], cfg.latent, cfg.hidden, cfg.flow_layers)
    return params


def posterior(params: dict, cfg: MacroCvaeConfig,
              start: MacroStart, window: jax.Array, label: jax.Array) -> Any:
    """q(z|M,s) of one `window` [MEMORY + W, M] in standard units: a distrax distribution."""
    mean, log_scale = macro_nets.read_window(params["encoder"], cfg, start, window, label)
    return distrax.MultivariateNormalDiag(mean, jnp.exp(log_scale))


def _gaussian(params, start, label):
    """Mean and standard deviation [Z] of the Gaussian part of p(z|s)."""
    table = params["prior"]
    log_scale = start.prior_log_scale + jnp.tanh(table["log_scale"])
    return label @ (start.prior_mean + table["mean"]), jnp.exp(label @ log_scale)


def _flow(params, cfg, label):
    return macro_flow.bijector(params["flow"], label, latent=cfg.latent, hidden=cfg.hidden,
                               layers=cfg.flow_layers)


def prior(params: dict, cfg: MacroCvaeConfig,
          start: MacroStart, label: jax.Array) -> Any:
    """p(z|s) given weights `label` [4] of the regimes: a distrax distribution."""
    gauss = distrax.MultivariateNormalDiag(*_gaussian(params, start, label))
    return distrax.Transformed(gauss, _flow(params, cfg, label)) if cfg.flow else gauss


def latents(params: dict, cfg: MacroCvaeConfig,
            start: MacroStart, label: jax.Array, noise: jax.Array) -> jax.Array:
    """z [Z] of p(z|s) from standard normal `noise` [Z]."""
    mean, scale = _gaussian(params, start, label)
    z = mean + scale * noise
    return _flow(params, cfg, label).forward(z) if cfg.flow else z


def one_step(params: dict, cfg: MacroCvaeConfig,
             start: MacroStart, window: jax.Array, z: jax.Array,
             label: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(means [W, M], volatilities [W, M], lower factor [M, M]) of each month's standardised change
    in one `window` [MEMORY + W, M] (standard units), given its true past; `label` [4] or [W, 4]."""
    months = window.shape[0] - MEMORY
    recent = window[jnp.arange(months)[:, None] + jnp.arange(MEMORY)]
    label = jnp.broadcast_to(label, (months, len(LABELS)))
    step = jax.vmap(lambda r, w, s: macro_nets.month(params["decoder"], cfg, start, r, w, z, s),
                    out_axes=(0, 0, None))
    return step(recent, start.basis, label)


def elbo(params: Any, cfg: MacroCvaeConfig, start: MacroStart, batch: dict[str, jax.Array],
         key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(negative log-likelihood [B], KL [B]) of windows `batch`, with one draw of the latents.

    `batch` is {"window": [B, MEMORY + W, M] standard units, "label": [B, 4], "weight": [B, W]}.
    """

    def one(window, label, weight, key):
        q, p = posterior(params, cfg, start, window, label), prior(params, cfg, start, label)
        z, log_q = q.sample_and_log_prob(seed=key)
        change = jnp.diff(window, axis=0)[MEMORY - 1:] / start.change
        log_p = macro_nets.log_likelihood(change, *one_step(params, cfg, start, window, z, label))
        kl = log_q - p.log_prob(z) if cfg.flow else q.kl_divergence(p)
        return -jnp.sum(weight * log_p), kl

    keys = jax.random.split(key, batch["label"].shape[0])
    return jax.vmap(one)(batch["window"], batch["label"], batch["weight"], keys)


def _penalty(params):
    """Weighted sum of squares of all that is learned."""

    return sum(min(_PENALTY.get(k.key, 1.0) for k in path) * jnp.sum(x**2)
               for path, x in jax.tree_util.tree_leaves_with_path(params))


def loss(params: Any, cfg: MacroCvaeConfig, start: MacroStart, batch: dict[str, jax.Array],
         key: jax.Array, progress: jax.Array | float) -> tuple[jax.Array, dict[str, jax.Array]]:
    """(loss [], {"nll", "kl"}) per month and series of a batch of windows; beta warms up."""
    start = _cast(start, batch["window"].dtype)
    nll, kl = elbo(params, cfg, start, batch, key)
    beta = cfg.beta * jnp.minimum(1.0, progress / max(cfg.beta_warmup, 1e-6))
    size = start.basis.shape[0] * start.mean.shape[0]
    total = nll.mean() + beta * kl.mean() + 0.5 * cfg.ridge * _penalty(params)
    return total / size, {"nll": nll.mean() / size, "kl": kl.mean()}


def score(params: Any, cfg: MacroCvaeConfig, start: MacroStart,
          batch: dict[str, jax.Array]) -> jax.Array:
    """Negative ELBO [] per month and series, over the same draws of the latents each time."""
    start = _cast(start, batch["window"].dtype)
    keys = jax.random.split(jax.random.key(0), 4)
    nll, kl = jax.lax.map(lambda k: elbo(params, cfg, start, batch, k), keys)
    return (nll + kl).mean() / (start.basis.shape[0] * start.mean.shape[0])


def encode(model: Cvae, values: jax.Array, label: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(mean [Z], standard deviation [Z]) of q(z|M,s) for `values` [MEMORY + W, M], fractions."""
    start = _cast(model.start, values.dtype)
    window = macro_start.to_standard(start, values)
    q = posterior(_cast(model.params, values.dtype), model.config, start, window, label)
    return q.mean(), q.stddev()


def reconstruct(model: Cvae, values: jax.Array, z: jax.Array, label: Any) -> jax.Array:
    """One-step forecasts [W, M] of `values` [MEMORY + W, M] given `z` and the true past."""
    start = _cast(model.start, values.dtype)
    window = macro_start.to_standard(start, values)
    mean, *_ = one_step(_cast(model.params, values.dtype), model.config, start, window, z, label)
    return macro_start.to_values(start, window[MEMORY - 1: -1] + mean * start.change)


def _blocks(model, months):
    return -(-months // model.start.basis.shape[0])


def noise_size(model: Cvae, months: Any) -> Any:
    """Number D of standard normal draws behind a path of `months` months."""
    return _blocks(model, months) * model.config.latent + months * model.start.mean.shape[0]


def log_density(model: Cvae, noise: jax.Array) -> jax.Array:
    """Log-density [] of `noise` [D] under N(0, I).

    That is the path's prior log-density without the volume change from noise to path.
    """
    return jax.scipy.stats.norm.logpdf(noise).sum()


def decode(model: Cvae, noise: jax.Array, history: jax.Array, scenario: scenarios.Scenario,
           months: int) -> Any:
    """Path [months, M] after `history` [H >= 13, M] (fractions) of `noise` [D] ~ N(0, I), first
    the latents, window by window, then the monthly shocks; overlay applied, differentiable."""
    chex.assert_shape(noise, (noise_size(model, months),))
    chex.assert_axis_dimension_gteq(history, 0, MEMORY)
    blocks, m = _blocks(model, months), model.start.mean.shape[0]
    label = jnp.broadcast_to(scenario.label, (months, len(LABELS))).astype(noise.dtype)
    window = model.start.basis.shape[0]
    params, start = _cast(model.params, noise.dtype), _cast(model.start, noise.dtype)
    per_block = jnp.stack([label[b * window: (b + 1) * window].mean(0) for b in range(blocks)])
    draws = noise[: blocks * model.config.latent].reshape(blocks, -1)
    z = jax.vmap(lambda s, e: latents(params, model.config, start, s, e))(per_block, draws)
    shocks = noise[blocks * model.config.latent:].reshape(months, m)
    baseline = _run(model, params, (z, label, shocks), history)
    return scenarios.apply(scenario, baseline)


def mean_path(model: Cvae, z: jax.Array, label: jax.Array, history: jax.Array) -> jax.Array:
    """Path [W, M] of one window from latents `z` [Z], label and history alone: no shocks."""
    months = model.start.basis.shape[0]
    label = jnp.broadcast_to(label, (months, len(LABELS)))
    shocks = jnp.zeros((months, model.start.mean.shape[0]), z.dtype)
    return _run(model, _cast(model.params, z.dtype), (z[None], label, shocks), history)


def _run(model, params, drivers, history):
    z, label, shocks = drivers
    start = _cast(model.start, shocks.dtype)
    window = start.basis.shape[0]
    recent = macro_start.to_standard(start, history.astype(shocks.dtype))[-MEMORY:]

    def step(recent, inputs):
        t, s, shock = inputs
        mean, volatility, chol = macro_nets.month(
            params["decoder"], model.config, start, recent, start.basis[t % window],
            z[t // window], s)
        new = recent[-1] + start.change * (mean + volatility * (chol @ shock))
        return jnp.concatenate([recent[1:], new[None]]), new

    x = jax.lax.scan(step, recent, (jnp.arange(shocks.shape[0]), label, shocks))[1]
    return macro_start.to_values(start, x)


def sample(model: Cvae, key: jax.Array, history: jax.Array, scenario: scenarios.Scenario,
           series: tuple[str, ...]) -> MacroPath:
    """MacroPath of one path, the scenario on top.

    `history` [H, M] ends at the cut-off date; `series` must be the model's own.
    """
    if tuple(series) != model.series:
        raise ValueError(f"macro: the model holds {', '.join(model.series)}; "
                         f"got {', '.join(series)}")
    months = scenario.shape.shape[0]
    noise = rng.normals(key, rng.MACRO, (noise_size(model, months),), history.dtype)
    return MacroPath(history, decode(model, noise, history, scenario, months), series)

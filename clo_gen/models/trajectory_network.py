"""The transformer of level 3: tokens of a loan-month, the full causal pass and the cached step.

A month's token holds what is known before its draw: last state and payment, age, balance, loan
facts, macro and calendar of the month. Attention reaches `window` months back by lag alone, so
any horizon works; generation keeps keys and values of that window in a ring.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from clo_gen.models import layers, loan_cash
from clo_gen.models.diffusion import DiffusionConfig

_LIMIT = 3.0  # standard deviations at which macro saturates
_FAR = 4.0  # standard deviations at which loan facts are cut
CALENDAR = 2


@dataclasses.dataclass(frozen=True)
class TrajectoryConfig:
    """Sizes of the trajectory model."""

    features: int  # F facts of a loan
    series: int  # M macro series
    share_bounds: tuple[tuple[float, float], ...]  # payment share a live state allows, each
    width: int = 32
    heads: int = 4
    layers: int = 1
    window: int = 12  # months
    age_knots: tuple[float, ...] = (0.0, 12.0, 24.0, 36.0, 48.0, 60.0, 72.0)  # of the hazard
    missed_knots: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 24.0)
    head: DiffusionConfig = DiffusionConfig()  # of payments
    recovery_head: DiffusionConfig = DiffusionConfig()
    payments: bool = True  # False: payments follow the contract, only states are learned
    dtype: str = "float32"


class Before(struct.PyTreeNode):
    """What is known of a loan before a month's draw, [...] each."""

    state: jax.Array  # int, live states only
    kind: jax.Array  # int, of the last payment: loan_cash.NONE, SCHEDULE, SAME or OTHER
    share: jax.Array  # the last payment as a share of schedule
    missed: jax.Array  # consecutive missed payments
    age: jax.Array  # months since origination
    left: jax.Array  # balance over level payment
    ahead: jax.Array  # log of it over that of a loan on schedule; 0 where unknown


def calendar(month: jax.Array | int) -> jax.Array:
    """[..., CALENDAR] of a month (int since 1970-01): ends on a weekend, days beyond 30.

    A payment due at the end of such a month is booked in the next one.
    Reference: Hinnant, chrono-compatible low-level date algorithms, days_from_civil.
    """
    def first_day(month):  # days since 1970-01-01, a Thursday
        year, march = 1970 + (month - 2) // 12, (month - 2) % 12
        era = year // 400
        years = year - 400 * era
        return (146097 * era + 365 * years + years // 4 - years // 100
                + (153 * march + 2) // 5 - 719468)

    first, following = first_day(month), first_day(month + 1)
    weekend = ((following - 1) % 7 + 4) % 7
    weekend = (weekend == 6) | (weekend == 0)
    return jnp.stack([weekend, following - first - 30], axis=-1)


def tokens(cfg: TrajectoryConfig, norm: tuple[jax.Array, ...], facts: jax.Array, before: Before,
           macro: jax.Array, month: jax.Array | int) -> jax.Array:
    """Tokens [..., K] of loan-months; `facts` [..., F] and `macro` [..., M] raw, nan unknown.

    `norm` = (fact mean, fact scale, macro mean, macro scale). Macro saturates, so that stress far
    outside the fitted years is not extrapolated without bound.
    """
    dtype = jnp.dtype(cfg.dtype)
    shape = before.state.shape
    fact_mean, fact_scale, macro_mean, macro_scale = norm
    known = jnp.isfinite(facts)
    facts = jnp.clip((jnp.where(known, facts, fact_mean) - fact_mean) / fact_scale, -_FAR, _FAR)
    macro = _LIMIT * jnp.tanh((macro - macro_mean) / macro_scale / _LIMIT)
    numbers = jnp.stack([
        loan_cash.to_scale(jnp.clip(before.share, 0.0, 60.0)) / 3.0, jnp.log1p(before.missed),
        before.age / 36.0 - 1.0, jnp.log(jnp.maximum(before.left, 0.1) / 24.0),
        jnp.clip(before.ahead, -2.0, 2.0)], axis=-1)
    parts = [jax.nn.one_hot(before.state, len(cfg.share_bounds), dtype=dtype),
             jax.nn.one_hot(before.kind, 4, dtype=dtype), numbers, facts, macro, calendar(month)]
    return jnp.concatenate([jnp.broadcast_to(p, (*shape, p.shape[-1])).astype(dtype)
                            for p in parts], axis=-1)


def token_size(cfg: TrajectoryConfig) -> int:
    return len(cfg.share_bounds) + 4 + 5 + cfg.features + cfg.series + CALENDAR


class _Network(nn.Module):
    cfg: TrajectoryConfig
    states: int

    def setup(self):
        cfg, dtype = self.cfg, jnp.dtype(self.cfg.dtype)
        self.enter = layers.dense(cfg.width, dtype)
        self.blocks = [layers.Block(cfg.heads, cfg.window, dtype) for _ in range(cfg.layers)]
        self.leave = layers.norm(dtype)
        self.state = layers.dense(self.states, dtype, zero=True, bias=False)
        self.repeat = layers.dense(1, dtype)

    def __call__(self, tokens):
        x = self.enter(tokens)
        for block in self.blocks:
            x = block(x)
        h = self.leave(x)
        return h, self.state(h), self.repeat(h)[..., 0]


def init(key: jax.Array, cfg: TrajectoryConfig, states: int) -> dict:
    """Params of the transformer for `states` states; W_s starts at zero."""
    row = jnp.zeros((1, token_size(cfg)), cfg.dtype)
    return _Network(cfg, states).init(key, row)["params"]


def full(params: Any, cfg: TrajectoryConfig, states: int,
         tokens: jax.Array) -> Any:
    """h [..., T, D], h W_s [..., T, S] and repeat logits [..., T] of `tokens` [..., T, K]."""
    return _Network(cfg, states).apply({"params": params}, tokens)


def empty_cache(cfg: TrajectoryConfig, loans: int) -> Any:
    """(keys, values) of each layer, [window, loans, D] each: nothing seen yet."""
    ring = jnp.zeros((cfg.window, loans, cfg.width), cfg.dtype)
    return tuple((ring, ring) for _ in range(cfg.layers))


def _cached_attention(params, cfg, x, ring, count):
    """Attention of one month `x` [L, D] on the ring; (out [L, D], ring with this month)."""
    slot = count % cfg.window
    keys, values = (jax.lax.dynamic_update_index_in_dim(r, x @ params[name]["kernel"], slot, 0)
                    for name, r in zip(("key", "value"), ring, strict=True))
    lag = (count - jnp.arange(cfg.window)) % cfg.window
    bias = jnp.where(lag <= count, params["lag_bias"][:, lag], -jnp.inf).T[:, None]
    query = x @ params["query"]["kernel"] * (cfg.width // cfg.heads) ** -0.5
    # Heads are summed by a product with 0s and 1s: loans stay on a long axis, which CPUs like.
    heads = jnp.asarray(np.kron(np.eye(cfg.heads), np.ones((cfg.width // cfg.heads, 1))), x.dtype)
    weights = jax.nn.softmax((query * keys) @ heads + bias, axis=0)
    out = ((weights @ heads.T) * values).sum(0)
    return out @ params["out"]["kernel"] + params["out"]["bias"], (keys, values)


def step(params: Any, cfg: TrajectoryConfig, token: jax.Array, cache: Any,
         count: jax.Array | int) -> tuple[jax.Array, jax.Array, jax.Array, Any]:
    """As `full`, of the one month `count` (from 0) with `token` [L, K] after those in `cache`.

    Returns (h [L, D], h W_s [L, S], repeat logit [L], cache).
    """
    dtype = jnp.dtype(cfg.dtype)

    def normed(part, x):
        return layers.norm(dtype).apply({"params": part}, x)

    def linear(part, x):
        return x @ part["kernel"] + (part["bias"] if "bias" in part else 0.0)

    x, rings = linear(params["enter"], token), []
    for i, ring in enumerate(cache):
        block = params[f"blocks_{i}"]
        out, ring = _cached_attention(block["attention"], cfg, normed(block["norm_attention"], x),
                                      ring, count)
        x = x + out
        mlp = layers.Mlp(2 * cfg.width, dtype)
        x = x + mlp.apply({"params": block["mlp"]}, normed(block["norm_mlp"], x))
        rings.append(ring)
    h = normed(params["leave"], x)
    return h, linear(params["state"], h), linear(params["repeat"], h)[:, 0], tuple(rings)


def hats(x: jax.Array, knots: Any) -> jax.Array:
    """Linear B-splines [..., len(knots)] at `x` [...], constant beyond the ends."""
    knots = np.asarray(knots)
    x = jnp.clip(x, knots[0], knots[-1])[..., None].astype(jnp.result_type(x, jnp.float32))
    rise = np.diff(knots, prepend=knots[0] - 1.0)
    fall = np.diff(knots, append=knots[-1] + 1.0)
    rise, fall = rise.astype(x.dtype), fall.astype(x.dtype)
    knots = knots.astype(x.dtype)
    return jnp.clip(jnp.minimum((x - knots) / rise + 1.0, (knots - x) / fall + 1.0), 0.0, 1.0)

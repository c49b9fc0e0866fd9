"""Payments of a live month and recoveries at default: what level 3 draws once it has the state.

A payment is nothing, the schedule, last month's odd amount again, or a draw of the diffusion head,
on the scale of loan_cash.to_scale. Recoveries are few, so they have a small head of their own.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from clo_gen.models import diffusion, loan_cash
from clo_gen.models.loan_cash import NONE, OTHER, SAME, SCHEDULE
from clo_gen.states import StateSpace

ATOMS = (math.asinh(-10.0), 0.0)  # nothing and the schedule, on loan_cash.to_scale
RECOVERY_CONDITION = 1


def _bounds(model, state):
    """Least and greatest payment share [...] of loans in `state` [...] (live ones)."""
    low, high = (jnp.asarray(b, model.cfg.dtype) for b in zip(*model.cfg.share_bounds, strict=True))
    live = jnp.minimum(state, len(low) - 1)
    return low[live], high[live]


def may_repeat(model: Any, before: Any, state: jax.Array) -> jax.Array:
    """Where last month's payment was an odd amount that `state` [...] allows again."""
    low, high = _bounds(model, state)
    odd = (before.kind == SAME) | (before.kind == OTHER)
    return odd & (before.share >= low) & (before.share <= high)


def condition(model: Any, h: jax.Array, before: Any, state: jax.Array) -> jax.Array:
    """What the diffusion head reads [..., D]: h, the state after the draw, the last payment."""
    dtype = h.dtype
    last = loan_cash.to_scale(jnp.clip(before.share, 0.0, 60.0)).astype(dtype)
    return jnp.concatenate([h, jax.nn.one_hot(state, model.space.size, dtype=dtype),
                            jax.nn.one_hot(before.kind, 4, dtype=dtype), last[..., None]], axis=-1)


def condition_size(cfg: Any, space: StateSpace) -> int:
    return cfg.width + space.size + 5


def recovery_condition(before: Any) -> jax.Array:
    """What the recovery head reads [..., 1]: how much of the loan is left."""
    return jnp.log(jnp.maximum(before.left, 0.1) / 24.0)[..., None]


def loss(model: Any, key: jax.Array, hidden: jax.Array, repeat: jax.Array,
         history: Any) -> dict[str, jax.Array]:
    """{part: []} a counted loan-month: repeated payments, the payment head, the recovery head."""
    counted, before, dtype = history.counted, history.before, hidden.dtype
    live = counted & (history.state < len(model.space.live))
    asked = live & may_repeat(model, before, history.state)
    same = history.kind == SAME
    count = jnp.maximum(counted.sum(), 1).astype(dtype)
    signed = jnp.where(same, repeat, -repeat)
    repeats = -jnp.where(asked, jax.nn.log_sigmoid(signed), 0.0).sum() / count
    y = loan_cash.to_scale(jnp.clip(history.share, 0.0, 200.0)).astype(dtype)
    y = jnp.where(history.kind == NONE, ATOMS[0], jnp.where(history.kind == SCHEDULE, ATOMS[1], y))
    y = jnp.where(live & ~(asked & same), y, jnp.nan)
    recovery = jnp.where(counted & (history.state == model.space.default), history.recovery,
                         jnp.nan)
    inputs = condition(model, hidden, before, history.state)
    first, second = jax.random.split(key)
    payments, _ = diffusion.loss(model.params["payments"], model.cfg.head, first,
                                 y.reshape(-1, 1), inputs.reshape(-1, inputs.shape[-1]))
    recoveries, _ = diffusion.loss(
        model.params["recovery"], model.cfg.recovery_head, second, recovery.reshape(-1, 1),
        recovery_condition(before).reshape(-1, RECOVERY_CONDITION))
    return {"repeats": repeats, "payments": payments, "recovery": recoveries}


def draw(model: Any, key: jax.Array, hidden: jax.Array, before: Any, repeat: jax.Array,
         state: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(share [L], kind [L], recovery [L]) of one month given the `state` [L] after the draw.

    The share keeps to what the state means (share_bounds); it is 0 for loans not live. Without
    payments of its own the model pays the schedule, and recovers nothing.
    """
    if not model.cfg.payments:
        share = (state < len(model.space.live)).astype(hidden.dtype)
        return share, jnp.full_like(state, SCHEDULE), jnp.zeros_like(share)
    repeat_key, payment_key, recovery_key = jax.random.split(key, 3)
    live = state < len(model.space.live)
    y = diffusion.sample(model.params["payments"], model.cfg.head, payment_key,
                         condition(model, hidden, before, state))[:, 0]
    low, high = _bounds(model, state)
    share = jnp.clip(loan_cash.from_scale(y), low, high)
    kind = jnp.where(share <= 0.0, NONE, OTHER)
    kind = jnp.where(jnp.abs(y) < 1e-4, SCHEDULE, kind)
    share = jnp.where(kind == SCHEDULE, 1.0, share)
    uniform = jax.random.uniform(repeat_key, y.shape, y.dtype)
    again = may_repeat(model, before, state) & (uniform < jax.nn.sigmoid(repeat))
    share = jnp.where(again, before.share.astype(y.dtype), share)
    recovery = diffusion.sample(model.params["recovery"], model.cfg.recovery_head, recovery_key,
                                recovery_condition(before))[:, 0]
    return jnp.where(live, share, 0.0), jnp.where(again, SAME, kind), recovery

"""Statistics of path losses, of the pool and of its notes, with Monte Carlo standard errors."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.numerics import safe_ratio

UNPAID = 1e-9  # principal or interest unpaid at maturity above this share of balance is a loss


class Tail(struct.PyTreeNode):
    """Statistics of a loss sample [N]; `levels` [A] are 0.90, 0.95, ..."""

    mean: jax.Array
    mean_error: jax.Array
    var: jax.Array  # [A] value at risk: the ceil(level N)-th smallest loss
    var_error: jax.Array  # [A]
    cvar: jax.Array  # [A] mean of the worst 1 - level share of paths
    cvar_error: jax.Array  # [A]


def tail(losses: jax.Array, levels: Sequence[float] | jax.Array) -> Tail:
    """Tail of `losses` [N] at `levels` [A].

    VaR is an order statistic; its error is half the distance between the order statistics one
    binomial standard deviation either side. CVaR is the Rockafellar-Uryasev estimate
    VaR + E[(loss - VaR)+] / (1 - level); its error is that of the mean, at the VaR found.

    >>> from clo_gen.risk import losses
    >>> t = losses.tail(jnp.array([0.0, 0.0, 0.1, 0.4]), (0.5, 0.75))
    >>> float(t.mean), t.var.tolist(), t.cvar.tolist()
    (0.125, [0.0, 0.1], [0.25, 0.4])
    """
    n = losses.shape[0]
    ordered = jnp.sort(losses)
    levels = jnp.asarray(levels, losses.dtype)
    rank = jnp.clip(jnp.ceil(levels * n - 1e-9).astype(int) - 1, 0, n - 1)
    var = ordered[rank]
    spread = jnp.ceil(jnp.sqrt(n * levels * (1.0 - levels))).astype(int)
    high = ordered[jnp.clip(rank + spread, 0, n - 1)]
    low = ordered[jnp.clip(rank - spread, 0, n - 1)]
    excess = jnp.maximum(losses[:, None] - var, 0.0) / (1.0 - levels)
    root_n = jnp.sqrt(jnp.asarray(n, losses.dtype))
    return Tail(
        mean=losses.mean(),
        mean_error=losses.std() / root_n,
        var=var,
        var_error=0.5 * (high - low),
        cvar=var + excess.mean(0),
        cvar_error=excess.std(0) / root_n,
    )


def yearly_rate(monthly_events: jax.Array, monthly_stock: jax.Array) -> jax.Array:
    """Events over the mean opening stock, per year: [T] flows and opening stock -> [T / 12].

    Months after the last full year are left out; years without stock give nan.
    """
    years = monthly_events.shape[-1] // 12
    shape = (*monthly_events.shape[:-1], years, 12)
    events = monthly_events[..., : years * 12].reshape(shape).sum(-1)
    stock = monthly_stock[..., : years * 12].reshape(shape).mean(-1)
    positive = stock > 1e-12
    return jnp.where(positive, events / jnp.where(positive, stock, 1.0), jnp.nan)


class NoteLosses(struct.PyTreeNode):
    """Losses of classes [K] over paths; each `_error` is a Monte Carlo standard error."""

    expected_loss: jax.Array  # principal unpaid at maturity over original balance
    expected_loss_error: jax.Array
    expected_unpaid_interest: jax.Array  # deferred or missed interest at maturity, same base
    probability: jax.Array  # of a first loss: some principal or interest unpaid at maturity
    probability_error: jax.Array
    imputed_loss: jax.Array  # principal and interest unpaid, same base; see note_losses
    severity: jax.Array  # imputed loss of the paths that have one; nan when none has


def note_losses(principal: jax.Array, interest: jax.Array) -> NoteLosses:
    """NoteLosses of the shares of original balance unpaid at maturity, [N, K] each.

    A cash CLO writes no note down, so its loss is imputed: what is still owed at maturity,
    principal and deferred interest (compounded at the note rate until then). It is undiscounted
    and can exceed 1.
    """
    lost = ((principal > UNPAID) | (interest > UNPAID)).astype(principal.dtype)
    root_n = jnp.sqrt(jnp.asarray(principal.shape[0], principal.dtype))
    probability = lost.mean(0)
    imputed = (lost * (principal + interest)).sum(0)
    return NoteLosses(
        expected_loss=principal.mean(0),
        expected_loss_error=principal.std(0) / root_n,
        expected_unpaid_interest=interest.mean(0),
        probability=probability,
        probability_error=jnp.sqrt(probability * (1.0 - probability)) / root_n,
        imputed_loss=(principal + interest).mean(0),
        severity=safe_ratio(imputed, lost.sum(0), jnp.nan),
    )

"""What plain and tilted paths say of a tail: numbers with 95 % intervals, and the loss curve."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm, t

from clo_gen.analysis.tilt import REPLICATIONS, Outcome
from clo_gen.risk import importance
from clo_gen.risk.losses import UNPAID

GRID = 80  # losses at which a curve is worked out


def lost(outcome: Outcome, k):
    """Where class `k` has principal or interest unpaid at maturity [N]."""
    return (outcome.principal[:, k] > UNPAID) | (outcome.interest[:, k] > UNPAID)


@dataclasses.dataclass(frozen=True)
class Number:
    """One estimate with the half width of its 95 % interval."""

    value: float
    half: float
    effective: float = float("nan")  # paths in the tail, equally weighted


def numbers(outcome, k, level, replications=None):
    """{name: Number} of an Outcome [N]: the class's loss probability and mean imputed loss, the
    pool's VaR, CVaR and mean loss.

    Plain paths are independent; tilted ones are so between `replications`, and their mean loss
    alone is corrected by the weights and by the weighted control, whose means are known.
    """
    weights, loss = jnp.exp(jnp.asarray(outcome.log_weight)), jnp.asarray(outcome.loss)
    width = float(norm.ppf(0.975) if replications is None else t.ppf(0.975, replications - 1))
    hit = weights * lost(outcome, k)
    imputed = outcome.principal[:, k] + outcome.interest[:, k]
    var = importance.value_at_risk(loss, weights, level, width, replications)
    beyond = float(importance.effective_size(weights * (loss > var.value)))

    def number(estimate, effective=float("nan")):
        return Number(float(estimate.value), width * float(estimate.error), effective)

    mean = importance.mean(loss) if replications is None else importance.controlled_mean(
        weights * loss, jnp.stack([weights - 1.0, weights * outcome.control], 1), replications)
    return {
        "loss probability": number(importance.mean(hit, replications),
                                   float(importance.effective_size(hit))),
        "imputed loss": number(importance.mean(hit * imputed, replications),
                               float(importance.effective_size(hit * imputed))),
        "VaR": Number(float(var.value), 0.5 * float(var.high - var.low), beyond),
        "CVaR": number(importance.conditional_value_at_risk(loss, weights, level, replications),
                       beyond),
        "mean loss": number(mean),
    }


def control_alone(plain, half):
    """Mean loss of plain paths less what the control explains, beside their own half width."""
    whole = len(plain.loss) // REPLICATIONS * REPLICATIONS
    found = importance.controlled_mean(jnp.asarray(plain.loss[:whole]),
                                       jnp.asarray(plain.control[:whole, None]), REPLICATIONS)
    own = float(t.ppf(0.975, REPLICATIONS - 1) * found.error)
    return {"value": float(found.value), "half_width": own, "ratio": half / own}


def curves(plain, tilted):
    """Weighted share of paths above GRID losses, with half widths."""
    at = jnp.linspace(np.quantile(plain.loss, 0.5), max(plain.loss.max(), tilted.loss.max()), GRID)

    def above(outcome, replications):
        weights = jnp.exp(jnp.asarray(outcome.log_weight))
        found = jax.vmap(lambda x: importance.mean(weights * (outcome.loss > x), replications))(at)
        return np.asarray(found.value), 1.96 * np.asarray(found.error)

    (p, p_half), (q, q_half) = above(plain, None), above(tilted, REPLICATIONS)
    return {"loss": np.asarray(at), "plain": p, "plain_half": p_half, "tilted": q,
            "tilted_half": q_half}

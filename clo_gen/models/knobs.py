"""The named parameters of stage 3, and the one pure function that applies them to a run.

All of them are 0 for the model as it comes out of stages 1 and 2. Letters: R live ratings, M macro
series, L loans. Reference: methodology, Stage 3: Calibration.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from clo_gen.models.macro_baseline import Var
from clo_gen.models.transition_baseline import Logit
from clo_gen.states import StateSpace

LIENS = ("first", "second", "unsecured")
_GOLDEN = 0.6180339887498949  # its multiples fill [0, 1) evenly


class Knobs(struct.PyTreeNode):
    """Changes to a model; those that the data do not say anything of stay at 0."""

    default: jax.Array  # [R] log-odds of default by rating
    better: jax.Array  # [R] of upgrades
    worse: jax.Array  # [R] of downgrades
    macro_slope: jax.Array  # [] log scale of the transition logit's slopes
    loadings: jax.Array  # [] log scale of all factor loadings
    prepayment: jax.Array  # [] log scale of the prepayment rate
    macro_volatility: jax.Array  # [M] log scale of the VAR's shocks
    macro_correlation: jax.Array  # [M (M - 1) / 2] added below the diagonal of their Cholesky rows
    recovery: jax.Array  # [LIENS] log-odds of the recovery rate
    recovery_spread: jax.Array  # [LIENS] its standard deviation between loans, in log-odds
    ratings: tuple[str, ...] = struct.field(pytree_node=False)
    series: tuple[str, ...] = struct.field(pytree_node=False)
    transitions: str = struct.field(pytree_node=False)  # kind of transition model they belong to
    macro: str = struct.field(pytree_node=False)  # kind of macro generator


def neutral(ratings: tuple[str, ...], series: tuple[str, ...], params: Any) -> Knobs:
    """Knobs that change nothing, for a model with these `params` (pipeline.Params)."""
    r, m, lien, zero = (jnp.zeros(n) for n in (len(ratings), len(series), len(LIENS), ()))
    pairs = jnp.zeros(len(series) * (len(series) - 1) // 2)
    return Knobs(r, r, r, zero, zero, zero, m, pairs, lien, lien, tuple(ratings), tuple(series),
                 kind_of(params.transition), kind_of(params.macro))


def kind_of(model: Any) -> str:
    """Name of a model's record, which knobs remember."""
    return type(model).__name__


def names(knobs: Knobs) -> list[str]:
    """Names of the numbers in `knobs`, in the order of its leaves: default.BB and so on."""
    pairs = [f"{a} / {b}" for a, b in pairs_of(knobs.series)]
    labels = {"default": knobs.ratings, "better": knobs.ratings, "worse": knobs.ratings,
              "macro_volatility": knobs.series, "macro_correlation": pairs,
              "recovery": LIENS, "recovery_spread": LIENS}
    fields = ("default", "better", "worse", "macro_slope", "loadings", "prepayment",
              "macro_volatility", "macro_correlation", "recovery", "recovery_spread")
    return [f"{field}.{label}" if label else field
            for field in fields for label in labels.get(field, ("",))]


def pairs_of(series: tuple[str, ...]) -> list[tuple[str, str]]:
    """Pairs of series in the order of Knobs.macro_correlation."""
    rows, columns = np.tril_indices(len(series), -1)
    return [(series[i], series[j]) for i, j in zip(rows, columns, strict=True)]


def calibrated(params: Any, inputs: Any, knobs: Knobs, lien: jax.Array) -> Any:
    """(params, inputs) of a run with `knobs` applied; differentiable in all but `lien`.

    `lien` [L] int into LIENS. What reinvestment buys counts as first lien.
    """
    loadings, scale = params.loadings, jnp.exp(knobs.loadings)
    params = params.replace(
        transition=transitions(params.transition, knobs), macro=macro(params.macro, knobs),
        prepayment=params.prepayment.replace(
            cpr=params.prepayment.cpr * jnp.exp(knobs.prepayment)),
        loadings=loadings.replace(
            cohort=loadings.cohort * scale, industry=loadings.industry * scale,
            region=loadings.region * scale))
    tape = inputs.tape
    scores = jax.scipy.special.ndtri((jnp.arange(lien.shape[0]) + 0.5) * _GOLDEN % 1.0)
    inputs = inputs.replace(tape=tape.replace(recovery_rate=recovery_rate(
        tape.recovery_rate, knobs.recovery[lien], knobs.recovery_spread[lien] * scores)))
    if inputs.purchases is not None:
        bought = inputs.purchases
        inputs = inputs.replace(purchases=bought.replace(recovery_rate=recovery_mean(
            bought.recovery_rate, knobs.recovery[0], knobs.recovery_spread[0])))
    return params, inputs


def transitions(model: Logit, knobs: Knobs) -> Logit:
    """A transition model with shifted base matrices; a Logit's slopes are scaled too.

    A shift of the base's log-odds shifts those of every month. Absorbing rows stay.
    """
    if isinstance(model, Logit):
        base = shifted(model.base, knobs, model.space)
        return model.replace(base=base, slope=model.slope * jnp.exp(knobs.macro_slope))
    base = shifted(model.cohorts.base, knobs, model.space)
    return model.replace(cohorts=model.cohorts.replace(base=base))


def shifted(matrix: jax.Array | np.ndarray, knobs: Knobs, space: StateSpace) -> jax.Array:
    """Matrices [..., S, S] with odds of default, better and worse moves shifted by rating.

    Rows keep their sum (1, or 0 for a generator's); zeros stay exactly 0.
    """
    live = len(space.live)
    worse = np.array(space.worse)
    worse[:, space.default] = False
    better = np.tril(space.mask, -1)
    better[live:] = False
    pad = jnp.zeros(space.size - live)

    def rows(x):
        return jnp.concatenate([x, pad])[:, None]

    effect = jnp.where(worse, rows(knobs.worse), 0.0) + jnp.where(better, rows(knobs.better), 0.0)
    defaults = (np.arange(space.size) == space.default) & (np.arange(space.size) < live)[:, None]
    effect = effect + jnp.where(defaults, rows(knobs.default), 0.0)
    total = matrix.sum(-1, keepdims=True)
    moved = matrix * jnp.exp(effect)
    moved_total = moved.sum(-1, keepdims=True)
    stochastic = total > 0.5
    probabilities = moved / jnp.where(stochastic, moved_total, 1.0)
    eye = jnp.eye(space.size)
    rates = moved - eye * moved_total
    return jnp.where(stochastic, probabilities, rates)


def macro(model: Var, knobs: Knobs) -> Var:
    """A VAR with shocks of other volatility and correlation; other generators stay as they are."""
    if not isinstance(model, Var):
        return model
    size = model.chol.shape[0]
    scale = jnp.sqrt(jnp.sum(model.chol**2, axis=1, keepdims=True))
    below = jnp.zeros((size, size)).at[np.tril_indices(size, -1)].set(knobs.macro_correlation)
    rows = model.chol / scale + below
    rows = rows / jnp.sqrt(jnp.sum(rows**2, axis=1, keepdims=True))
    return model.replace(chol=rows * scale * jnp.exp(knobs.macro_volatility)[:, None])


def recovery_rate(rate: jax.Array, shift: jax.Array | float,
                  deviation: jax.Array | float) -> jax.Array:
    """Recovery rates whose log-odds are moved by `shift` + `deviation`; 0 and 1 stay."""
    inside = (rate > 0.0) & (rate < 1.0)
    safe = jnp.where(inside, rate, 0.5)
    moved = jax.nn.sigmoid(jnp.log(safe) - jnp.log1p(-safe) + shift + deviation)
    return jnp.where(inside, moved, rate)


def recovery_mean(rate: jax.Array | float, shift: jax.Array | float,
                  spread: jax.Array | float) -> jax.Array:
    """Mean of the logit-normal law of recoveries, by quadrature; see recovery_moments."""
    return recovery_moments(rate, shift, spread)[0]


def recovery_moments(rate: jax.Array | float, shift: jax.Array | float,
                     spread: jax.Array | float) -> tuple[jax.Array, jax.Array]:
    """(mean, standard deviation) of recoveries with log-odds N(logit(rate) + shift, spread^2).

    Gauss-Hermite quadrature with 40 points, differentiable.
    """
    points, raw = np.polynomial.hermite_e.hermegauss(40)
    weights = jnp.asarray(raw / raw.sum())
    draws = recovery_rate(jnp.full(40, 1.0) * rate, shift, spread * jnp.asarray(points))
    mean = weights @ draws
    variance = weights @ (draws - mean) ** 2
    positive = variance > 0
    return mean, jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)

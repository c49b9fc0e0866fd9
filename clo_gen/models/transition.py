"""Level 2: a transformer that turns cohort features and the macro path into monthly matrices.

    log P_ij(t) = log base_ij(c) + effect_k(i,j)(c, t) + correction_ij(c, t) - log Z_i

Queries are cohorts (features and age), keys and values the macro months up to t, within a window
that ends at t. `effect` acts on kinds of move (better, worse, default, prepaid); its linear part is
the logit of models.transition_baseline, where training starts. With all weights zero, P is the
base. Macro and cohort inputs saturate (limit * tanh(z / limit)), so that stress far outside the
fitted years is bounded. In continuous time the same effects scale the rates of a generator.
Reference: methodology, Level 2: Cohort Transitions.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from clo_gen.models import generator_matrix
from clo_gen.models.transition_baseline import Logit, covariate_paths
from clo_gen.models.transition_network import KINDS, TransitionConfig, apply, head_size, start
from clo_gen.records import MacroPath, Transitions
from clo_gen.states import StateSpace

HISTORY = 13  # months before a path that predict looks at
_AGES = (6.0, 18.0, 48.0)  # months in which three functions of age fade: seasoning levels off


class Cohorts(struct.PyTreeNode):
    """Who moves: the base of each cohort and what tells it from others."""

    base: jax.Array  # [C, S, S] monthly matrices; in continuous time monthly generators
    features: jax.Array  # [C, F]
    age: jax.Array  # [C] months of age in the month before the path; inf where age means nothing


class Scaling(struct.PyTreeNode):
    """Mean and scale of every input over the training months; scale inf silences an input."""

    level_mean: jax.Array  # [M] of the macro series
    level_scale: jax.Array  # [M]
    change_scale: jax.Array  # [M] of their monthly changes
    mean: jax.Array  # [Z + F + 3] of covariates, cohort features and functions of age
    scale: jax.Array  # [Z + F + 3]


class Transformer(struct.PyTreeNode):
    """A trained transition model with the cohorts that it serves."""

    params: dict  # "linear": intercept [4], slope [4, Z + F + 3]; "network": linen's, by member
    cohorts: Cohorts
    scaling: Scaling
    config: TransitionConfig = struct.field(pytree_node=False)
    space: StateSpace = struct.field(pytree_node=False)
    series: tuple[str, ...] = struct.field(pytree_node=False)  # M macro series that are read
    covariates: tuple[str, ...] = struct.field(pytree_node=False)  # Z, of the linear part
    names: tuple[str, ...] = struct.field(pytree_node=False)  # C cohorts
    trained_until: str = struct.field(pytree_node=False, default="")  # month


def kinds_of_move(space: StateSpace) -> np.ndarray:
    """[S, S] int: 0 for staying and impossible moves, else the number of the kind in KINDS + 1."""
    live = len(space.live)
    kinds = np.zeros((space.size, space.size), int)
    kinds[:live, :live] = np.where(space.worse[:live, :live], 2, 1)
    kinds[:live, space.default] = 3
    kinds[:live, space.prepaid] = 4
    np.fill_diagonal(kinds, 0)
    return np.where(space.mask, kinds, 0)


def age_functions(age: jax.Array) -> jax.Array:
    """[..., 3] of ages in months [...]: exp(-age / 6), / 18 and / 48; 0 where age is inf."""
    return jnp.exp(-age[..., None] / jnp.asarray(_AGES))


def cohort_inputs(cohorts: Cohorts, months: int) -> jax.Array:
    """Features and functions of age [C, T, F + 3] over `months` months."""
    age = cohorts.age[:, None] + jnp.arange(1, months + 1)
    static = cohorts.features[:, None, :]
    static = jnp.broadcast_to(static, (static.shape[0], months, static.shape[2]))
    return jnp.concatenate([static, age_functions(age).astype(static.dtype)], axis=-1)


def _saturated(z, mean, scale, limit):
    return limit * jnp.tanh((z - mean) / scale / limit)


def _macro_tokens(model, history, values):
    """Tokens [H - 1 + T, 2 M]: standardised levels and monthly changes."""
    full, s = jnp.concatenate([history, values]), model.scaling
    limit = model.config.limit
    return jnp.concatenate([
        _saturated(full[1:], s.level_mean, s.level_scale, limit),
        _saturated(full[1:] - full[:-1], 0.0, s.change_scale, limit)], axis=-1)


def raw_inputs(model: Transformer, history: jax.Array, values: jax.Array) -> jax.Array:
    """Covariates, cohort features and functions of age [C, T, Z + F + 3], in their own units."""
    z = covariate_paths(model.covariates, model.series, values, history)
    x = cohort_inputs(model.cohorts, values.shape[0])
    z = jnp.broadcast_to(z[None], (x.shape[0], *z.shape))
    return jnp.concatenate([z, x.astype(z.dtype)], axis=-1)


def _effects(model: Transformer, history, values):
    """Log-odds effects [C, T, S, S] of the moves; the identity of a row is not yet taken out."""
    inputs = _saturated(raw_inputs(model, history, values), model.scaling.mean, model.scaling.scale,
                        model.config.limit)
    kinds, entries = apply(model.params["network"], model.config, model.space.size,
                           inputs[..., len(model.covariates):],
                           _macro_tokens(model, history, values))
    linear = model.params["linear"]
    kinds = kinds.astype(inputs.dtype) + linear["intercept"] + inputs @ linear["slope"].T
    kinds = jnp.concatenate([jnp.zeros_like(kinds[..., :1]), kinds], axis=-1)
    return kinds[..., kinds_of_move(model.space)] + entries.astype(inputs.dtype)


def matrices(model: Transformer, history: jax.Array, values: jax.Array) -> jax.Array:
    """Monthly matrices [C, T, S, S] on `values` [T, M] after `history` [H, M] of model.series."""
    effect = _effects(model, history, values)
    base = model.cohorts.base[:, None]
    if model.config.time == "continuous":
        return generator_matrix.month(generator_matrix.scaled(base, effect), model.space)
    positive = base > 0
    logits = jnp.where(positive, jnp.log(jnp.where(positive, base, 1.0)) + effect, -jnp.inf)
    return jax.nn.softmax(logits, axis=-1)


def init(key: jax.Array, model: Transformer, logit: Logit | None = None) -> dict:
    """Parameters whose matrices are the base, or those of `logit`.

    `model` gives the shapes; its params are not read.
    """
    width, macro = model.scaling.mean.shape[0], len(model.covariates)
    network = start(key, model.config, model.space.size, width - macro, 2 * len(model.series))
    return {"linear": linear_part(logit, width, jnp.dtype(model.config.dtype)), "network": network}


def linear_part(logit: Logit | None, width: int, dtype: Any) -> dict | None:
    """{"intercept" [4], "slope" [4, width]} that act as `logit` does, or not at all for None.

    Slopes of a logit with fewer covariates stand first.
    """
    slope = jnp.zeros((len(KINDS), width), dtype)
    if logit is None:
        return {"intercept": jnp.zeros(len(KINDS), dtype), "slope": slope}
    rows = jnp.array([0, 1, 2, 0])  # the logit counts prepayment among the better moves
    return {"intercept": jnp.asarray(logit.intercept, dtype)[rows],
            "slope": slope.at[:, :logit.slope.shape[1]].set(jnp.asarray(logit.slope, dtype)[rows])}


def recentre(model: Transformer, history: jax.Array, values: jax.Array,
             exposure: Any) -> Transformer:
    """`model` with intercepts such that the odds of each kind of move average to the base's.

    The average is over the months of `values` [T, M] and loans that stand as `exposure` [S].
    """
    effect = _effects(model, history, values)
    kinds = kinds_of_move(model.space)
    weight = model.cohorts.base[:, None] * exposure[:, None]
    odds = jnp.stack([jnp.where(kinds == k, weight * jnp.exp(effect), 0.0).sum((2, 3)).mean()
                      / jnp.maximum(jnp.where(kinds == k, weight, 0.0).sum((2, 3)).mean(), 1e-30)
                      for k in range(1, len(KINDS) + 1)])
    linear = model.params["linear"]
    shift = jnp.log(jnp.where(odds > 0, odds, 1.0)).astype(linear["intercept"].dtype)
    return model.replace(params=model.params | {
        "linear": linear | {"intercept": linear["intercept"] - shift}})


def log_likelihood(model: Transformer, months: Any) -> jax.Array:
    """Log-likelihoods [N, C] of counts given the macro months up to their own.

    `months` holds windows [N, H + 1, M] that end with each month, ages [N, C] and counts
    [N, C, S, S].
    """
    matrix = matrices_at(model, months)
    positive = matrix > 0
    return jnp.sum(months["counts"] * jnp.log(jnp.where(positive, matrix, 1.0)), axis=(2, 3))


def matrices_at(model: Transformer, months: Any) -> jax.Array:
    """Matrices [N, C, S, S] of single months; see log_likelihood for `months`."""

    def one(window, age):
        here = model.replace(cohorts=model.cohorts.replace(age=age - 1.0))
        return matrices(here, window[:-1], window[-1:])[:, 0]

    return jax.vmap(one)(months["window"], months["age"])


def loss(params: Any, model: Transformer, months: Any,
         total: jax.Array | float) -> tuple[jax.Array, dict[str, jax.Array]]:
    """(loss [], metrics): minus the log-likelihood an observation, plus the prior of the weights.

    `total` is the number of observations of the whole training set, which the prior counts once.
    Reference: methodology, Level 2, L_trans.
    """
    observed = jnp.maximum(months["counts"].sum(), 1.0)
    cross_entropy = -log_likelihood(model.replace(params=params), months).sum() / observed
    prior = 0.5 * model.config.ridge * jnp.sum(params["linear"]["slope"] ** 2)
    prior += 0.5 * model.config.head_ridge * head_size(params["network"])
    return cross_entropy + prior / total, {"cross_entropy": cross_entropy}


def predict(model: Transformer, path: MacroPath) -> Transitions:
    """Transitions [C, T, S, S] of the model's cohorts on one MacroPath.

    A space whose base has no prepayment gets it from models.prepayment afterwards.
    """
    columns = np.array([path.series.index(name) for name in model.series])
    return Transitions(matrices(model, path.history[-HISTORY:, columns], path.values[:, columns]))

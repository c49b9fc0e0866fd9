"""Stage 1, level 2: baselines, training problem and trained record of the transformer."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from clo_gen.assembly import prior_matrix
from clo_gen.io.config import TransitionConfig as BaselineConfig
from clo_gen.io.problems import InputError
from clo_gen.models import (
    generator_matrix,
    transition,
    transition_baseline,
    transition_network,
)
from clo_gen.models.transition import Cohorts, Scaling, Transformer, TransitionConfig
from clo_gen.scores import block_bootstrap
from clo_gen.states import RATING
from clo_gen.train.loop import Task, TrainConfig
from clo_gen.train.transition_data import TransitionData, TransitionTraining, load

__all__ = ["FIT", "TransitionTraining", "load", "task", "assemble", "monitor"]

FIT = TrainConfig(epochs=200, batch=16, learning_rate=3e-3, weight_decay=1e-2, patience=25,
                  evaluate_every=2)
_BLOCK = 3  # months of the bootstrap that judges the network
_SCALED_MONTHS = 300  # of macro up to the last training month, by which its inputs are scaled


def dirichlet(counts, prior, strength, space):
    """Posterior mean matrices [..., S, S] of `counts` under `prior` worth `strength` months."""
    live = len(space.live)
    matrix = np.where(space.mask, counts + strength * prior, 0.0)
    matrix[..., :live, :] /= matrix[..., :live, :].sum(-1, keepdims=True)
    matrix[..., live:, :] = np.eye(space.size)[live:]
    return matrix


def bases(counts, groups, space, strength):
    """Matrices [C, S, S] of summed `counts` [C, S, S], shrunk to their group's, that to the whole.

    A group without counts takes those of the nearest group that has some.
    """
    seen = counts.sum((0, 1)) > 0
    whole = dirichlet(counts.sum(0), (space.mask & seen) / space.size, 1.0, space)
    groups = np.asarray(groups)
    pooled = {g: counts[groups == g].sum(0) for g in sorted(set(groups.tolist()))}
    filled = [g for g, n in pooled.items() if n.sum() > 0]
    near = {g: min(filled, key=lambda f: abs(f - g)) for g in pooled}
    prior = np.stack([dirichlet(pooled[near[g]], whole, strength, space) for g in groups])
    return dirichlet(counts, prior, strength, space)


def cohort_bases(data: TransitionData, part):
    """Base matrices [C, S, S] from the counts of `part`: the constant-matrix baseline."""
    counts, space = data.months(part)["counts"].sum(0), data.counts.space
    if data.config.source == "rating_events":
        strength = BaselineConfig().prior_months
        pooled = transition_baseline.posterior_mean(counts.sum(0), prior_matrix(), strength,
                                                    RATING)
        return pooled[None] if len(counts) == 1 else dirichlet(
            counts, pooled, data.config.prior_months, space)
    return bases(counts, data.groups, space, data.config.prior_months)


def _deviation(values):
    spread = values.std(0)
    return np.where(spread > 1e-9, spread, np.inf)


def scaling_of(data: TransitionData, part):
    """Scaling over the months of `part`; an input that does not vary there is silenced."""
    rows = data.part(part)
    windows, counts = data.windows[rows], data.months(part)["counts"]
    paths = jax.jit(jax.vmap(lambda w: transition_baseline.covariate_paths(
        data.config.covariates, data.config.series, w[-1:], w[:-1])[0]))
    covariates = np.asarray(paths(windows))
    t, c = np.nonzero(counts.sum((2, 3)))
    cohorts = np.concatenate([data.features[c], np.asarray(
        transition.age_functions(jnp.asarray(data.ages[rows][t, c])))], axis=1)
    until = data.counts.months[rows[-1]]
    levels = data.macro.loc[:until].to_numpy()[-_SCALED_MONTHS:]
    return Scaling(levels.mean(0), _deviation(levels), _deviation(np.diff(levels, axis=0)),
                   np.concatenate([covariates.mean(0), cohorts.mean(0)]),
                   np.concatenate([_deviation(covariates), _deviation(cohorts)]))


def linear_model(data: TransitionData, config: TransitionConfig, part, *, slopes=True,
                 scaling=None):
    """Transformer whose network says nothing: the logit fitted to `part`, or the constant matrix.

    `slopes` False gives the constant matrix; `scaling` replaces that of `part`.
    """
    base = cohort_bases(data, part)
    if config.time == "continuous":
        base = generator_matrix.generators_of(base, data.counts.space)
    rows = data.part(part)
    cohorts = Cohorts(jnp.asarray(base), jnp.asarray(data.features),
                      jnp.asarray(data.ages[data.part("known")[-1]]))
    model = Transformer({}, cohorts, scaling or scaling_of(data, part), config, data.counts.space,
                        data.config.series, data.config.covariates, data.counts.cohorts,
                        str(data.counts.months[rows[-1]]))
    start = fit_logit(data, model, part) if slopes else None
    model = model.replace(params=transition.init(jax.random.key(0), model, start))
    return recentred(data, model, part) if slopes else model


def fit_logit(data: TransitionData, model: Transformer, part, base=None):
    """Logit with the information that the transformer has, fitted to `part`.

    Covariates, cohort features and functions of age, on top of each cohort's own matrix, or of
    `base` [N, C, S, S] by month and cohort. Raises InputError when it does not converge.
    """
    months, s = data.months(part), model.scaling
    inputs = jax.jit(jax.vmap(lambda w, a: transition.raw_inputs(
        model.replace(cohorts=model.cohorts.replace(age=a - 1.0)), w[:-1], w[-1:])[:, 0]))
    z = np.asarray(inputs(months["window"], months["age"]))
    if base is None:
        base = np.broadcast_to(cohort_bases(data, part), months["counts"].shape)
    rows = [x.reshape(-1, *x.shape[2:]) for x in (base, months["counts"], z)]
    start = transition_baseline.constant(rows[0], data.config.covariates, data.counts.space, s.mean,
                                         s.scale, model.config.limit)
    start = start.replace(slope=jnp.zeros((3, z.shape[-1])))
    logit, converged = transition_baseline.fit_logit(start, rows[1], rows[2], model.config.ridge)
    if not converged:
        raise InputError("transition: the logit did not converge; want fewer covariates or a "
                         "larger ridge")
    return logit


def recentred(data: TransitionData, model: Transformer, part):
    """Rating models average to their base over the years of its prior that are known at `part`."""
    if data.config.source != "rating_events":
        return model
    first, last = (pd.Period(m, "M") for m in BaselineConfig().reference)
    last = min(last, data.counts.months[data.part(part)[-1]])
    frame = data.macro.loc[first - transition.HISTORY: last].to_numpy()
    exposure = data.months(part)["counts"].sum((0, 1, 3))
    return jax.jit(transition.recentre)(model, frame[:transition.HISTORY],
                                        frame[transition.HISTORY:], exposure)


def _start(data, config):
    """The model that training starts from: the logit of the training months, or a warm start's."""
    warm = data.before
    if warm and warm.config != config:
        raise InputError(f"transition: the earlier model has {warm.config}, now {config}; want the "
                         "same for a warm start")
    start = linear_model(data, config, "train", scaling=warm.scaling if warm else None)
    return start.replace(params=warm.params) if warm else start


def task(data: TransitionData, config: TransitionConfig):
    """Task of level 2; one example is one month of all cohorts."""
    start = _start(data, config)
    train, held_out = data.months("train"), data.months("held_out")
    total = float(train["counts"].sum())

    def init(key):
        return start.params | {"network": transition.init(key, start)["network"]}

    def loss(params, batch, key, progress):
        del key, progress
        return transition.loss(params, start, batch, total)

    def score(params, held_out):
        total = held_out["counts"].sum()
        return -transition.log_likelihood(start.replace(params=params), held_out).sum() / total

    return Task(init=init, loss=loss, score=score, train=train, held_out=held_out)


def supported(params, data: TransitionData, config: TransitionConfig):
    """Whether the held-out months speak for the network.

    They do when the 90 % interval of its gain over the logit of the training months lies above 0.
    """
    logit, months = linear_model(data, config, "train"), data.months("held_out")
    ours = _start(data, config).replace(params=params)
    score = jax.jit(transition.log_likelihood)
    gain = np.asarray(score(ours, months) - score(logit, months)).sum(1)
    return block_bootstrap(gain, _BLOCK)[0] > 0.0


def assemble(params, data: TransitionData, config: TransitionConfig):
    """Transformer of trained `params` that knows every month before the test.

    The network stays only if the held-out months support it. The bases count all months, and the
    linear part is refitted to them on top of the network.
    """
    scaling = data.before.scaling if data.before else scaling_of(data, "train")
    known, macro = scaling_of(data, "known"), len(data.config.covariates)
    scaling = scaling.replace(mean=np.append(known.mean[:macro], scaling.mean[macro:]),
                              scale=np.append(known.scale[:macro], scaling.scale[macro:]))
    if not supported(params, data, config):
        silent = transition_network.silenced(params["network"])
        params, scaling = params | {"network": silent}, known
    model = linear_model(data, config, "known", slopes=False, scaling=scaling)
    model = model.replace(params=model.params | {"network": params["network"]})
    offset = np.asarray(jax.jit(transition.matrices_at)(model, data.months("known")))
    logit = fit_logit(data, model, "known", offset)
    linear = transition.linear_part(logit, len(scaling.mean), jnp.dtype(config.dtype))
    return recentred(data, model.replace(params=model.params | {"linear": linear}), "known")


def monitor(before: Transformer, data: TransitionData):
    """(training months, new months): monthly shares of each kind of move and the macro series."""
    space = data.counts.space
    kinds, moves = transition.kinds_of_move(space), data.counts.counts.sum(1)
    live = moves[:, : len(space.live)]
    total = live.sum((1, 2))
    table = {name: (live * (kinds[: len(space.live)] == k + 1)).sum((1, 2)) / np.maximum(total, 1.0)
             for k, name in enumerate(transition.KINDS)}
    table |= {name: data.windows[:, -1, i] for i, name in enumerate(data.config.series)}
    frame = pd.DataFrame(table, index=data.counts.months)[total > 0]
    frame = frame.loc[:, frame.nunique() > 1]
    until = pd.Period(before.trained_until, "M")
    return frame.loc[:until], frame.loc[until + 1:]

"""Paths of the macro CVAE and of its baselines from the same histories, for scoring.

VAR(2) and matched-block bootstrap are fitted to the CVAE's own training months and start from the
same last observed month. No label of a scored window is ever used: labels are drawn from their
shares in training.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from clo_gen.models import macro_baseline, macro_cvae, regimes, scenarios
from clo_gen.models.macro_start import MEMORY

LAGS = 2


def no_overlay(months, m, label=None):
    """Scenario without shifts, bounds or, when `label` is None, a regime other than baseline."""
    label = jnp.eye(len(regimes.LABELS))[0] if label is None else label
    return scenarios.Scenario(jnp.zeros(m), jnp.ones(m), jnp.zeros((months, m)),
                              jnp.full(m, -jnp.inf), label)


def cvae(model, histories, draws, months, seed):
    """[N, draws, months, M] from `histories` [N, MEMORY, M], regimes drawn for each path."""
    share = np.asarray(model.label_share, float)
    rows = np.random.default_rng(seed).choice(len(share), (len(histories), draws),
                                              p=share / share.sum())
    return labelled(model, histories, regimes.one_hot(rows), seed)(months)


def labelled(model, histories, labels, seed):
    """months -> [N, draws, months, M], given `labels` [N, draws, 4]."""
    m = histories.shape[2]

    def of_months(months):
        size = macro_cvae.noise_size(model, months)

        def one(model, key, history, label):
            noise = jax.random.normal(key, (size,), history.dtype)
            return macro_cvae.decode(model, noise, history, no_overlay(months, m, label), months)

        many = jax.jit(jax.vmap(jax.vmap(one, (None, 0, None, 0)), (None, 0, 0, 0)))
        keys = jax.random.split(jax.random.key(seed), labels.shape[:2])
        return np.asarray(many(model, keys, jnp.asarray(histories), jnp.asarray(labels)))

    return of_months


def fit_var(training):
    """VAR of the training months [H, M]."""
    return macro_baseline.fit_var(training, LAGS)


@functools.partial(jax.jit, static_argnums=3)
def _baseline(params, keys, histories, months):
    scenario = no_overlay(months, histories.shape[-1])

    def one(params, key, history):
        return macro_baseline.sample(params, key, history, scenario, ()).values

    # A VAR is shared; the bootstrap's first blocks belong to each history.
    shared = jax.tree.map(lambda _: None, params)
    axes = shared if isinstance(params, macro_baseline.Var) else params.replace(
        history=None, neighbours=None, first=0)
    return jax.vmap(jax.vmap(one, (None, 0, None)), (axes, 0, 0))(params, keys, histories)


def var(training, histories, draws, months, seed):
    """[N, draws, months, M] of the VAR."""
    keys = jax.random.split(jax.random.key(seed), (len(histories), draws))
    return np.asarray(_baseline(fit_var(training), keys, jnp.asarray(histories), months))


def bootstrap(training, histories, draws, months, seed):
    """[N, draws, months, M] of the matched-block bootstrap."""
    fits = [macro_baseline.fit_block_bootstrap(training, h[-1]) for h in histories]
    params = fits[0].replace(first=jnp.stack([f.first for f in fits]))
    keys = jax.random.split(jax.random.key(seed), (len(histories), draws))
    return np.asarray(_baseline(params, keys, jnp.asarray(histories), months))


def var_steps(training, windows):
    """One-step forecasts [N, W, M] of the VAR over `windows` [N, MEMORY + W, M]."""
    params = fit_var(training)
    steps = sum(windows[:, MEMORY - 1 - k: windows.shape[1] - 1 - k] @ np.asarray(lag).T
                for k, lag in enumerate(params.lags))
    return np.asarray(params.intercept) + steps


def var_means(training, histories, months):
    """Mean paths [N, months, M] of the VAR from `histories` [N, MEMORY, M]."""
    params = fit_var(training)
    recent, out = [histories[:, -1 - k] for k in range(LAGS)], []
    for _ in range(months):
        new = np.asarray(params.intercept) + sum(
            r @ np.asarray(lag).T for r, lag in zip(recent, params.lags, strict=True))
        recent = [new, *recent[:-1]]
        out.append(new)
    return np.stack(out, axis=1)

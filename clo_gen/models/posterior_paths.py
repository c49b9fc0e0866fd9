"""Compiled programs of a macro model's object, and the rounds that draw its conditional paths.

Host code. One compiled program serves every set of conditions of up to as many rows.
"""

import dataclasses
import functools
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from clo_gen import rng
from clo_gen.models import conditioning, reach

PARTS, ROUNDS = 4, 12  # candidates come in parts of the number of paths, ROUNDS times it at most
PILOT = 2**30  # path number of the first candidate of the pilot part, beyond any batch
EVEN = 0.999  # effective share of the pilot's candidates from which its linear model stays
HONOURED = 0.97  # share of the weights that drawing without replacement must be able to honour


class Start(NamedTuple):
    """A model, the months it starts from and a scenario over the T months of its paths."""

    model: Any
    history: jax.Array | np.ndarray  # [H, M]
    scenario: Any  # models.scenarios.Scenario


@dataclasses.dataclass(frozen=True)
class Posterior:
    """Draws of noise given conditions, N of the number that was wanted or fewer."""

    noise: jax.Array  # [N, D]
    effective: float  # number of equally weighted draws that the candidates are worth
    candidates: int
    met: int  # candidates that meet the conditions


def _path(start, verbs):
    months = start.scenario.shape.shape[0]
    return lambda noise: verbs.decode(start.model, noise, start.history, start.scenario, months)


def _free_path(start, verbs):
    # A bound below hides how far the model is from a condition.
    free = jnp.full_like(start.scenario.lower, -jnp.inf)
    return _path(start._replace(scenario=start.scenario.replace(lower=free)), verbs)


def noise_size(start: Start, verbs: ModuleType) -> Any:
    """Number D of standard normal draws behind a path."""
    return verbs.noise_size(start.model, start.scenario.shape.shape[0])


@functools.partial(jax.jit, static_argnames="verbs")
def prospect(start: Any, rows: Any, limits: Any, *, verbs: Any) -> reach.Prospect:
    """reach.Prospect of `rows`, in terms of the model without bounds below."""
    return reach.prospect(_free_path(start, verbs), noise_size(start, verbs), rows, limits)


@functools.partial(jax.jit, static_argnames=("verbs", "count", "chunk"))
def _candidates(start, rows, linear, key, first, *, verbs, count, chunk):
    keys = jax.vmap(lambda i: rng.path_key(key, i))(first + jnp.arange(count))
    return conditioning.draws(_free_path(start, verbs), noise_size(start, verbs), rows, linear,
                              keys, chunk=chunk)


@functools.partial(jax.jit, static_argnames=("verbs", "chunk"))
def _average(start, rows, found, *, verbs, chunk):
    return conditioning.average(_free_path(start, verbs), rows, found, chunk=chunk)


@functools.partial(jax.jit, static_argnames="verbs")
def decode(start: Start, noise: jax.Array, *, verbs: ModuleType | type) -> Any:
    """Paths [N, T, M] of `noise` [N, D]."""
    return jax.vmap(_path(start, verbs))(noise)


@functools.partial(jax.jit, static_argnames=("verbs", "count"))
def prior(start: Start, key: jax.Array, *, verbs: ModuleType, count: int) -> jax.Array:
    """Noise [count, D] of paths 0 to count - 1, as `sample` draws it."""
    def one(i):
        size = (noise_size(start, verbs),)
        return jax.random.normal(rng.stream(rng.path_key(key, i), rng.MACRO), size,
                                 start.history.dtype)

    return jax.vmap(one)(jnp.arange(count))


def _weights(log_weight):
    """(weights [N] up to a factor, number of equally weighted draws they are worth)."""
    met = np.isfinite(log_weight)
    if not met.any():
        return np.zeros(len(met)), 0.0
    weight = np.exp(log_weight - log_weight[met].max())
    return weight, float(weight.sum() ** 2 / (weight**2).sum())


def posterior(start: Start, rows: reach.Rows, likeliest: reach.Point, key: jax.Array, n: int, *,
              verbs: ModuleType | type) -> Posterior:
    """Posterior of `n` draws given `rows`, all different.

    A pilot part finds directions in which the candidates' weights are even, then parts are drawn
    until `n` of them can be taken by weight without replacement (Pareto sampling).
    Reference: Rosen (1997), On sampling with probability proportional to size, J. Statistical
    Planning and Inference 62.
    """
    count = -(-n // PARTS)
    chunk = min(max(8, 256 // len(rows.used)), count)
    draws = functools.partial(_candidates, verbs=verbs, count=count, chunk=chunk)
    linear = conditioning.Linear(likeliest.value - likeliest.jacobian @ likeliest.noise,
                                 likeliest.jacobian)
    pilot = draws(start, rows, linear, key, PILOT)
    if 0.0 < _weights(np.asarray(pilot.log_weight))[1] < EVEN * count:
        linear = _average(start, rows, pilot, verbs=verbs, chunk=chunk)
    parts = []
    for part in range(ROUNDS * PARTS):
        parts.append(jax.device_get(draws(start, rows, linear, key, part * count)))
        log_weight = np.concatenate([one.log_weight for one in parts])
        weight, effective = _weights(log_weight)
        met, share = int((weight > 0.0).sum()), n * weight / max(weight.sum(), 1e-300)
        if met >= n and np.minimum(share, 1.0).sum() >= HONOURED * n:
            break
    share = np.clip(share, 1e-300, 1.0 - 1e-12)
    score = np.concatenate([one.tie for one in parts]) - np.log(share / (1.0 - share))
    chosen = np.sort(np.argsort(np.where(weight > 0.0, score, np.inf), kind="stable")[:min(n, met)])
    noise = np.concatenate([one.noise for one in parts])[chosen]
    return Posterior(jnp.asarray(noise), effective, len(weight), met)

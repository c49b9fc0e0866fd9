"""Values that sit on an atom or are continuous: which is which, and in which units.

An atom is a point with positive probability, such as 0. Value v has kinds 0 .. K_v: kind k < K_v is
its atom k, kind K_v is continuous; a pattern is a kind for each value. `cfg` holds `atoms`,
`atom_width`, `transform`, `shift`, `scale` (one entry a value) and `dtype`, as DiffusionConfig.
"""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def patterns(cfg: Any) -> np.ndarray:
    """Kinds [J, V] of all patterns (host)."""
    return np.array(list(itertools.product(*(range(len(a) + 1) for a in cfg.atoms))))


def tables(cfg: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each pattern: kinds one-hot [J, sum(K_v + 1)], atom values [J, V], continuous [J, V]."""
    kinds = patterns(cfg)
    one_hot = [np.eye(len(a) + 1)[kinds[:, v]] for v, a in enumerate(cfg.atoms)]
    atoms = np.stack([np.array([*a, 0.0])[kinds[:, v]] for v, a in enumerate(cfg.atoms)], axis=1)
    continuous = kinds == np.array([len(a) for a in cfg.atoms])
    return np.concatenate(one_hot, 1).astype(cfg.dtype), atoms.astype(cfg.dtype), continuous


def observed(cfg: Any, values: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Kinds one-hot [B, sum(K_v + 1)], continuous [B, V] bool and the patterns that fit [B, J].

    A value that does not exist (NaN in `values` [B, V]) has no kind and fits every pattern.
    """
    one_hot, fits = [], jnp.ones((len(values), len(patterns(cfg))), bool)
    for v, atoms in enumerate(cfg.atoms):
        x = values[:, v]
        exists = jnp.isfinite(x)
        near = jnp.abs(x[:, None] - np.array(atoms, values.dtype)) <= cfg.atom_width
        first = near & (jnp.cumsum(near, axis=1) == 1)
        kind = jnp.concatenate([first, (exists & ~near.any(1))[:, None]], axis=1)
        one_hot.append(kind)
        fits &= kind[:, patterns(cfg)[:, v]] | ~exists[:, None]
    continuous = jnp.stack([kind[:, -1] for kind in one_hot], axis=1)
    return jnp.concatenate(one_hot, axis=1).astype(values.dtype), continuous, fits


def log_probability(logits: jax.Array, fits: jax.Array) -> jax.Array:
    """Log-probability [B] of the patterns that fit [B, J], given the logits [B, J] of all."""
    return (jax.nn.logsumexp(jnp.where(fits, logits, -jnp.inf), axis=1)
            - jax.nn.logsumexp(logits, axis=1))


def fit_normalisation(values: jax.Array | np.ndarray, cfg: Any) -> Any:
    """`cfg` with shift and scale fitted to the continuous part of `values` [N, V] (host).

    They live in the config because nothing that trains may move them, weight decay included.
    Raises ValueError where a value has under two different continuous observations, or one that
    is not positive under a log transform.
    """
    values = np.asarray(values, float).reshape(-1, cfg.values)
    shift, scale = [], []
    for v, atoms in enumerate(cfg.atoms):
        x = values[np.isfinite(values[:, v]), v]
        x = x[(np.abs(x[:, None] - np.array(atoms)) > cfg.atom_width).all(1)]
        if cfg.transform[v] == "log":
            if (x <= 0).any():
                raise ValueError(f"diffusion: value {v} has {(x <= 0).sum()} observations of 0 or "
                                 "less off its atoms; want positive ones for a log transform")
            x = np.log(x)
        if len(x) < 2 or x.std() == 0:
            raise ValueError(f"diffusion: value {v} has {len(x)} continuous observations without "
                             "spread; want at least two different ones")
        shift.append(float(x.mean()))
        scale.append(float(x.std()))
    return dataclasses.replace(cfg, shift=tuple(shift), scale=tuple(scale))


def _constants(cfg):
    """Shift, scale and whether logged, each [1, V]."""
    return (np.array([cfg.shift], cfg.dtype), np.array([cfg.scale], cfg.dtype),
            np.array([[name == "log" for name in cfg.transform]]))


def standardised(cfg: Any, values: jax.Array, continuous: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Standard units [B, V], 0 off `continuous`; and the log [B, V] of d(units)/d(value)."""
    shift, scale, logged = _constants(cfg)
    safe = jnp.where(continuous, values, jnp.where(logged, 1.0, shift).astype(values.dtype))
    positive = jnp.where(logged, jnp.maximum(safe, jnp.finfo(safe.dtype).tiny), 1.0)
    logs = jnp.log(positive)
    units = (jnp.where(logged, logs, safe) - shift) / scale
    slope = -logs - np.log(scale)
    return jnp.where(continuous, units, 0.0), jnp.where(continuous, slope, 0.0)


def restored(cfg: Any, units: jax.Array) -> jax.Array:
    """Values [B, V] of standard units [B, V]."""
    shift, scale, logged = _constants(cfg)
    raw = units * scale + shift
    return jnp.where(logged, jnp.exp(jnp.where(logged, raw, 0.0)), raw)

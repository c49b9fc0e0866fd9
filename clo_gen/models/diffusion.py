"""Level 3 values: a diffusion head for a few continuous values a row, with explicit atoms.

Three parts: one categorical draw says which values sit on an atom (a point with positive
probability, such as 0); a location and scale, functions of the condition, place the others; a
diffusion in those units gives them their joint shape. Untrained, the continuous values are normal,
since the velocity network ends in zeros.

The network learns the velocity of the probability flow on the circle (models.probability_flow). For
data of unit variance that is the preconditioned denoiser of Karras et al. (2022), Elucidating the
design space of diffusion-based generative models, at sigma = tan(t), and the v-prediction of
Salimans and Ho (2022), Progressive distillation. Reference: Lu and Song (2024), Simplifying,
stabilizing and scaling continuous-time consistency models, section 3 (the circle); Kingma et al.
(2021), Variational diffusion models, appendix I.1 (stratified levels); Han, Zheng and Zhou (2022),
CARD (diffusion around a conditional mean).
"""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from clo_gen.models import mixed_values, probability_flow

TRANSFORMS = ("linear", "log")
_MOST_PATTERNS = 64
_SCALE_RANGE = 4.0  # of the conditional log scale, on either side of the whole sample's
_FREQUENCIES = np.arange(1, 5)

fit_normalisation = mixed_values.fit_normalisation


@dataclasses.dataclass(frozen=True)
class DiffusionConfig:
    """Size of a head, its atoms, and the units its continuous values are learnt in.

    Values that never exist together belong in one head only if `sample` is told which exist.
    """

    values: int = 1
    condition: int = 0
    atoms: tuple[tuple[float, ...], ...] = ()  # of each value; empty: none
    atom_width: float = 1e-6  # a value this near an atom is the atom
    transform: tuple[str, ...] = ()  # of each value: "linear" (default) or "log" (positive tails)
    shift: tuple[float, ...] = ()  # see fit_normalisation; empty: 0
    scale: tuple[float, ...] = ()  # empty: 1
    hidden: int = 32
    layers: int = 2  # after the first
    steps: int = 8  # network evaluations a draw
    dtype: str = "float32"

    def __post_init__(self):
        filled = {"atoms": (), "transform": "linear", "shift": 0.0, "scale": 1.0}
        for name, default in filled.items():
            if not getattr(self, name):
                object.__setattr__(self, name, (default,) * self.values)
            if len(getattr(self, name)) != self.values:
                raise ValueError(f"diffusion: {name} has {len(getattr(self, name))} entries; want "
                                 f"one for each of the {self.values} values")
        for name in sorted(set(self.transform) - set(TRANSFORMS)):
            raise ValueError(f"diffusion: transform {name!r}; want one of {TRANSFORMS}")
        if math.prod(len(a) + 1 for a in self.atoms) > _MOST_PATTERNS:
            raise ValueError(f"diffusion: more than {_MOST_PATTERNS} combinations of atoms; want "
                             "fewer atoms, or several heads")
        if self.steps < 2:
            raise ValueError(f"diffusion: steps {self.steps}; want at least 2")


class _Network(nn.Module):
    cfg: DiffusionConfig

    def setup(self):
        cfg = self.cfg

        def dense(width, zero=False, bias=True):
            start = nn.initializers.zeros_init() if zero else nn.linear.default_kernel_init
            return nn.Dense(width, bias, cfg.dtype, cfg.dtype, kernel_init=start)

        self.pattern_in = dense(cfg.hidden)
        self.pattern_out = dense(len(mixed_values.patterns(cfg)), zero=True)
        self.place_in, self.place_mid = dense(cfg.hidden), dense(cfg.hidden)
        self.place_out = dense(2 * cfg.values, zero=True)
        self.level_in = dense(cfg.hidden)
        self.level_out = dense(2 * cfg.hidden * (1 + cfg.layers), zero=True)
        self.enter, self.project = dense(cfg.hidden, bias=False), dense(cfg.hidden)
        self.middle = [dense(cfg.hidden) for _ in range(cfg.layers)]
        self.leave = dense(cfg.values, zero=True)

    def pattern_logits(self, condition):
        """[B, J] from `condition` [B, D]."""
        one = jnp.ones_like(condition, shape=(len(condition), 1))  # D may be 0
        hidden = nn.silu(self.pattern_in(jnp.concatenate([condition, one], axis=-1)))
        return self.pattern_out(hidden)

    def place(self, condition, kinds):
        """Location [B, V], log scale [B, V] and the velocity's context [B, H]."""
        inputs = jnp.concatenate([condition, kinds], axis=-1)
        hidden = nn.silu(self.place_mid(nn.silu(self.place_in(inputs))))
        hidden = jnp.concatenate([hidden, inputs], axis=-1)  # a linear model is one of the cases
        location, scale = jnp.split(self.place_out(hidden), 2, axis=-1)
        context = self.project(hidden)
        return location, _SCALE_RANGE * jnp.tanh(scale / _SCALE_RANGE), context

    def levels(self, t):
        """Gains and offsets [..., 1 + layers, 2, H] of the layers at the angles `t` [...]."""
        phases = t[..., None] * _FREQUENCIES.astype(self.cfg.dtype)
        waves = jnp.concatenate([jnp.cos(phases), jnp.sin(phases)], axis=-1)
        out = self.level_out(nn.silu(self.level_in(waves)))
        return out.reshape(*t.shape, 1 + self.cfg.layers, 2, self.cfg.hidden)

    def velocity(self, x, context, levels):
        """dx/dt [B, V] at `x` [B, V], given one level for all rows or one a row.

        Rectifiers: as accurate here as silu, and a draw on a CPU takes half the time.
        """
        hidden = self.enter(x)
        for layer in range(1 + self.cfg.layers):
            if layer:
                hidden = self.middle[layer - 1](hidden)
            gain, offset = levels[..., layer, 0, :], levels[..., layer, 1, :]
            hidden = hidden * (1.0 + gain) + offset
            hidden = nn.relu(hidden + context if layer == 0 else hidden)
        return self.leave(hidden)

    def __call__(self, condition, kinds, x, t):
        context = self.place(condition, kinds)[2]
        return self.pattern_logits(condition), self.velocity(x, context, self.levels(t))


def _call(params, cfg, method, *args):
    return _Network(cfg).apply(params, *args, method=method)


def _velocity(params, cfg, continuous, x, context, levels):
    return jnp.where(continuous, _call(params, cfg, "velocity", x, context, levels), 0.0)


def init(key: jax.Array, cfg: DiffusionConfig) -> Any:
    """Params of an untrained head: even odds of all patterns, then normal at `shift`, `scale`."""
    row = jnp.zeros((1, cfg.values), cfg.dtype)
    return _Network(cfg).init(key, jnp.zeros((1, cfg.condition), cfg.dtype),
                              jnp.asarray(mixed_values.tables(cfg)[0][:1]), row, row[:, 0])


def loss(params: dict, cfg: DiffusionConfig, key: jax.Array,
         values: jax.Array, condition: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    """(loss [], its parts) of `values` [B, V] given `condition` [B, D]; NaN: no such value.

    The parts: cross-entropy of the atoms a row that has values, negative log-likelihood of the
    normal location and scale a continuous value, squared error of the velocity a continuous value.
    """
    values, condition = jnp.asarray(values, cfg.dtype), jnp.asarray(condition, cfg.dtype)
    kinds, continuous, fits = mixed_values.observed(cfg, values)
    logits = _call(params, cfg, "pattern_logits", condition)
    units, _ = mixed_values.standardised(cfg, values, continuous)
    location, log_scale, context = _call(params, cfg, "place", condition, kinds)
    data = (units - location) * jnp.exp(-log_scale)
    normal = 0.5 * data**2 + log_scale
    # The velocity is learnt in whatever units the location and scale give; it must not move them.
    data = jnp.where(continuous, jax.lax.stop_gradient(data), 0.0)
    level_key, noise_key = jax.random.split(key)
    jitter = jax.random.uniform(level_key, (len(values),), values.dtype)
    rank = jnp.arange(len(values), dtype=values.dtype)
    t = probability_flow.NOISE * (rank + jitter) / len(values)
    noise = jnp.where(continuous, jax.random.normal(noise_key, values.shape, values.dtype), 0.0)
    cos, sin = jnp.cos(t)[:, None], jnp.sin(t)[:, None]
    guess = _velocity(params, cfg, continuous, cos * data + sin * noise, context,
                      _call(params, cfg, "levels", t))
    error = (guess - (cos * noise - sin * data)) ** 2
    count = jnp.maximum(continuous.sum(), 1).astype(values.dtype)
    normal, velocity = (jnp.where(continuous, x, 0.0).sum() / count for x in (normal, error))
    rows = jnp.maximum((kinds > 0).any(1).sum(), 1).astype(values.dtype)
    atoms = -mixed_values.log_probability(logits, fits).sum() / rows
    return atoms + normal + velocity, {"atoms": atoms, "normal": normal, "velocity": velocity}


def _drawn_kinds(params, cfg, key, condition, exists):
    """Kinds one-hot, atom values and continuous of one drawn pattern a row."""
    one_hot, atoms, continuous = (jnp.asarray(table) for table in mixed_values.tables(cfg))
    chance = jax.nn.softmax(_call(params, cfg, "pattern_logits", condition), axis=-1)
    uniform = jax.random.uniform(key, (len(condition), 1), condition.dtype)
    pattern = (uniform >= jnp.cumsum(chance, axis=1)[:, :-1]).sum(1)
    one_hot, atoms, continuous = one_hot[pattern], atoms[pattern], continuous[pattern]
    if exists is None:
        return one_hot, atoms, continuous
    widths = np.array([len(a) + 1 for a in cfg.atoms])
    each = exists[:, np.repeat(np.arange(cfg.values), widths)]
    return jnp.where(each, one_hot, 0.0), jnp.where(exists, atoms, 0.0), continuous & exists


def sample(params: Any, cfg: DiffusionConfig, key: jax.Array, condition: jax.Array | np.ndarray, *,
           exists: jax.Array | None = None) -> jax.Array:
    """Draws [B, V] given `condition` [B, D], in the values' own units.

    Row i draws the same numbers whatever the number of rows. `exists` [B, V] says which values
    there are (default: all): the others come back as 0 and inform nothing, as NaN in `loss`. Which
    values sit on atoms is drawn hard: gradients pass through the continuous part only.
    """
    condition = jnp.asarray(condition, cfg.dtype)
    pattern_key, noise_key = jax.random.split(key)
    kinds, atoms, continuous = _drawn_kinds(params, cfg, pattern_key, condition, exists)
    location, log_scale, context = _call(params, cfg, "place", condition, kinds)
    noise = jax.random.normal(noise_key, continuous.shape, condition.dtype)
    angles = jnp.asarray(probability_flow.angles(cfg.steps)[:-1], cfg.dtype)
    levels = _call(params, cfg, "levels", angles)
    data = probability_flow.denoised(
        lambda x, n: _velocity(params, cfg, continuous, x, context, levels[n]),
        jnp.where(continuous, noise, 0.0), cfg.steps)
    units = jnp.where(continuous, location + jnp.exp(log_scale) * data, 0.0)
    return jnp.where(continuous, mixed_values.restored(cfg, units), atoms)


def mean(params: dict, cfg: DiffusionConfig, key: jax.Array,
         condition: jax.Array | np.ndarray, draws: int) -> Any:
    """Mean [B, V] of `draws` samples given `condition` [B, D]."""
    def add(total, k):
        return total + sample(params, cfg, k, condition), None

    start = jnp.zeros((len(condition), cfg.values), cfg.dtype)
    return jax.lax.scan(add, start, jax.random.split(key, draws))[0] / draws


def log_density(params: dict, cfg: DiffusionConfig,
                values: jax.Array, condition: jax.Array, *, steps: int = 64) -> jax.Array:
    """Log-density [B] of `values` [B, V] given `condition` [B, D]; NaN: no such value.

    With respect to length in the values' units off the atoms and counting on them; see
    probability_flow.log_density.
    """
    values, condition = jnp.asarray(values, cfg.dtype), jnp.asarray(condition, cfg.dtype)
    kinds, continuous, fits = mixed_values.observed(cfg, values)
    logits = _call(params, cfg, "pattern_logits", condition)
    units, slope = mixed_values.standardised(cfg, values, continuous)
    location, log_scale, context = _call(params, cfg, "place", condition, kinds)
    start = jnp.where(continuous, (units - location) * jnp.exp(-log_scale), 0.0)
    shape = probability_flow.log_density(
        lambda x, t: _velocity(params, cfg, continuous, x, context,
                               _call(params, cfg, "levels", t)), start, continuous, steps)
    placed = jnp.where(continuous, slope - log_scale, 0.0).sum(1)
    return mixed_values.log_probability(logits, fits) + placed + shape

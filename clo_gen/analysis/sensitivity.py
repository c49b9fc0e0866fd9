"""Sensitivities of every outcome to every bump by one pullback, beside bump-and-revalue.

The forward pass runs once; the pullback (jax.vjp) is then vmapped over a basis of the outputs.
There are tens of outcomes and hundreds of inputs, so reverse mode wins; batching the outputs lets
them share the forward pass and all that checkpointing works out again, which one backward pass an
output would repeat, and it is one program to compile.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from clo_gen import mesh
from clo_gen.analysis.bumps import Bumps, Case, outcomes
from clo_gen.deal.analytics import internal_rate
from clo_gen.pipeline import Setup


class Sums(struct.PyTreeNode):
    """Sums over the paths of a block; see bumps.Paths."""

    values: jax.Array  # [O]
    returns: jax.Array  # [P, K]
    slope: Any = None  # as the point, leaves [O, ...]


def sums(f, point):
    """Sums of f(point) -> Paths."""
    paths = f(point)
    return Sums(paths.values.sum(0), paths.returns.sum(0))


def slopes(f, point):
    """Sums of f(point) -> Paths with the Jacobian of the values in `point` (any pytree)."""
    def total(x):
        found = sums(f, x)
        return found.values, found.returns

    values, pull, returns = jax.vjp(total, point, has_aux=True)
    basis = jnp.eye(values.shape[0], dtype=values.dtype)
    return Sums(values, returns, jax.vmap(pull)(basis)[0])


def compile_on_mesh(f: Callable, reduce: Callable) -> Callable:
    """Compiled (point, case, numbers [N]) -> Sums by `reduce` (sums or slopes) of
    f(point, case, numbers) -> Paths; the paths are spread over all devices.

    The temperature is in the case, so hard and soft tests are one program.
    """
    devices = mesh.path_mesh()
    spread, whole = mesh.by_path(devices), mesh.replicated(devices)
    return jax.jit(lambda point, case, numbers: reduce(lambda x: f(x, case, numbers), point),
                   in_shardings=(whole, whole, spread), out_shardings=whole)


@dataclasses.dataclass(frozen=True)
class Model:
    """Compiled outcomes of a point (Bumps, or what mixes two scenarios), over many paths."""

    values: Callable  # compile_on_mesh(f, sums)
    slopes: Callable  # compile_on_mesh(f, slopes)
    paths: int  # a multiple of block
    block: int


def model_of(f: Callable, paths: int, block: int) -> Model:
    """Model of f(point, case, numbers) -> Paths; `paths` are rounded up to whole blocks."""
    return Model(compile_on_mesh(f, sums), compile_on_mesh(f, slopes), -(-paths // block) * block,
                 block)


def model_of_bumps(setup: Setup, paths, block):
    """Model whose points are Bumps; `setup` is that of bumps.bumped."""
    return model_of(functools.partial(outcomes, setup=setup), paths, block)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Means over all paths on the host."""

    mean: np.ndarray  # [O]; the IRR of a class is that of its mean cash, nan when not found
    slope: Any = None  # pytree, leaves [O, ...]; None when not asked for
    blocks: tuple = ()  # the same of each block of paths, for standard errors


def _streamed(function, model: Model, point, case, on_block):
    for first in range(0, model.paths, model.block):
        numbers = first + jnp.arange(model.block)
        yield jax.tree.map(np.asarray, function(point, case, numbers))
        on_block(first + model.block)


def _mean_cash(model, point, case, on_block):
    """(mean values [O], mean returns [P, K], yields [K], nan where none is found)."""
    parts = list(_streamed(model.values, model, point, case, on_block))
    values, returns = (sum(x) / model.paths for x in zip(
        *((p.values, p.returns) for p in parts), strict=True))
    found, converged = _yields(returns, case.inputs.calendar.years)
    return values, returns, np.where(converged, found, np.nan)


@jax.jit
def _yields(returns, years):
    return jax.vmap(internal_rate, in_axes=(1, None, None))(returns, years, 1.0)


def value(model: Model, point, case: Case, *, on_block=lambda done: None):
    """[O] mean outcomes at `point`."""
    values, _, found = _mean_cash(model, point, case, on_block)
    return np.concatenate([values[: -len(found)], found])


def value_and_slope(model: Model, point, case: Case, *, on_block=lambda done: None):
    """Estimate at `point`: a pass for the yields, then one for the slopes."""
    values, returns, found = _mean_cash(model, point, case, lambda done: None)
    # No yield, or nothing back (-1): flat, and kept out of the powers.
    usable = np.nan_to_num(found, nan=-1.0) > -1.0 + 1e-5
    yields = np.where(usable, found, 0.0)
    years = np.asarray(case.inputs.calendar.years)
    fall = (years[:, None] * returns * (1.0 + yields) ** (-years[:, None] - 1.0)).sum(0)
    scale = np.ones(len(values))
    scale[-len(found):] = np.where(usable, 1.0 / np.where(usable, fall, 1.0), 0.0)

    def scaled(slope, count):
        return jax.tree.map(lambda x: x * (scale / count).reshape(-1, *(1,) * (x.ndim - 1)), slope)

    at_yields = case.replace(yields=jnp.asarray(yields))
    parts = [p.slope for p in _streamed(model.slopes, model, point, at_yields, on_block)]
    slope = scaled(jax.tree.map(lambda *x: sum(x), *parts), model.paths)
    return Estimate(np.concatenate([values[: -len(found)], found]), slope,
                    tuple(scaled(part, model.block) for part in parts))


@dataclasses.dataclass(frozen=True)
class Factor:
    """One bar: a direction in one field of Bumps and how far the stated bump goes along it."""

    field: str
    name: str
    direction: np.ndarray  # of the field's shape
    size: float  # in the field's unit
    bump: str  # the same in words
    whole: bool = True  # False: a part of another bar, left out of the tornado

    def at(self, base: Bumps, scale=1.0):
        """`base` moved by `scale` stated bumps."""
        moved = getattr(base, self.field) + scale * self.size * self.direction
        return base.replace(**{self.field: moved})

    def effect(self, slope: Bumps):
        """[O] effect of the stated bump to first order, from slopes [O, ...]."""
        leaf = getattr(slope, self.field)
        return self.size * np.tensordot(leaf, self.direction, self.direction.ndim)


def effects(factors, estimate: Estimate):
    """[F, O] first-order effects of the stated bumps."""
    return np.stack([f.effect(estimate.slope) for f in factors])


def effect_errors(factors, estimate: Estimate):
    """[F, O] Monte Carlo standard errors of the effects from block means; nan with one block.

    They are of the sensitivity itself: a bump-and-revalue on the same paths shares them.
    """
    if len(estimate.blocks) < 2:
        return np.full((len(factors), len(estimate.mean)), np.nan)
    found = [[f.effect(slope) for slope in estimate.blocks] for f in factors]
    return np.std(found, axis=1, ddof=1) / np.sqrt(len(estimate.blocks))


def largest(effect, factors, count):
    """Numbers of the `count` largest whole bars by |effect| [F], largest first."""
    whole = [n for n, f in enumerate(factors) if f.whole and effect[n] != 0.0]
    return sorted(whole, key=lambda n: -abs(effect[n]))[:count]


SMALL = 0.1  # of a stated bump, where curvature has all but gone


@dataclasses.dataclass(frozen=True)
class Revalued:
    """A stated bump worked out in full: changes [O]."""

    up: np.ndarray  # with soft tests
    down: np.ndarray
    small: np.ndarray  # half the difference between SMALL bumps up and down, over SMALL
    hard: np.ndarray  # up, with hard tests

    @property
    def central(self):
        """[O] half the difference between up and down: free of second-order effects."""
        return 0.5 * (self.up - self.down)


def revalue(model: Model, base: Bumps, case: Case, factors, *, on_done=lambda done: None):
    """{factor name: Revalued} of the stated bumps of `factors`."""
    hard = case.replace(temperature=jnp.zeros_like(case.temperature))
    soft_base, hard_base = value(model, base, case), value(model, base, hard)
    found = {}
    for factor in factors:
        up, down, small_up, small_down = (value(model, factor.at(base, scale), case) - soft_base
                                          for scale in (1.0, -1.0, SMALL, -SMALL))
        found[factor.name] = Revalued(up, down, 0.5 * (small_up - small_down) / SMALL,
                                      value(model, factor.at(base), hard) - hard_base)
        on_done(len(found))
    return found

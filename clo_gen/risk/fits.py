"""Fits of default, loss and recovery distributions: maximum likelihood, AIC, BIC, bootstrap.

Every family is a log-density in free (unbounded) parameters, so that one damped Newton serves all
and a bootstrap is one vmap over resampling weights. Values at exactly 0 or 1 (no loss, all lost)
become point masses beside the density, which is then fitted to what lies between.

Reference: Burnham and Anderson (2002), Model Selection and Multimodel Inference; Ospina and Ferrari
(2010), Inflated beta distributions, Statistical Papers 51; Kumaraswamy (1980), A generalized
probability density function for double-bounded random processes, Journal of Hydrology 46.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from clo_gen.risk.families import FAMILIES, Family
from clo_gen.solve.newton import newton


@dataclasses.dataclass(frozen=True)
class Fit:
    """One family fitted to one sample."""

    family: str
    names: tuple[str, ...]  # of the parameters, point masses first
    values: np.ndarray  # [P]
    low: np.ndarray  # [P] bootstrap interval
    high: np.ndarray
    log_likelihood: float
    observations: int
    converged: bool  # False, and a likelihood of 0, where the search could not start
    note: str = ""

    @property
    def aic(self) -> float:
        return 2.0 * len(self.names) - 2.0 * self.log_likelihood

    @property
    def bic(self) -> float:
        return len(self.names) * np.log(self.observations) - 2.0 * self.log_likelihood


@functools.cache
def _compiled(name):
    """jit of (x, weights [B, n]) -> free parameters, natural ones, log-likelihood, converged."""
    family = FAMILIES[name]

    def one(x, weights):
        def objective(free, data):
            x, weights = data
            return -(weights * family.log_density(free, x)).sum() / weights.sum()

        found = newton(objective, family.start(x, weights), (x, weights))
        return family.natural(found.x), -found.value * weights.sum(), found.converged

    return jax.jit(jax.vmap(one, (None, 0)))


def _weights(count, draws, block, seed):
    """Resampling weights [draws + 1, count]; the first row is the sample itself.

    Blocks of `block` neighbours (circular) for a series that depends on its past.
    """
    generator = np.random.default_rng(seed)
    blocks = -(-count // block)
    starts = generator.integers(0, count, (draws, blocks))
    rows = (starts[:, :, None] + np.arange(block)).reshape(draws, blocks * block) % count
    drawn = [np.bincount(r[:count], minlength=count) for r in rows]
    return np.stack([np.ones(count), *drawn])


def _point_masses(x, family):
    """[n] int: 1 at a point mass at 0, 2 at 1, else 0; both are 0 for a family of counts."""
    if family.support == "count":
        return np.zeros(len(x), int)
    top = 2 * (x >= 1.0) if family.support == "unit" else np.zeros(len(x), int)
    return np.where(x <= 0.0, 1, top)


def _mass_part(kind, weights):
    """(names, shares [B, M], log-likelihood [B]) of the point masses that the sample has."""
    kinds = [k for k in (1, 2) if (kind == k).any()]
    if not kinds:
        return (), np.zeros((len(weights), 0)), np.zeros(len(weights))
    total = weights.sum(1)
    counts = np.stack([weights @ (kind == k) for k in (*kinds, 0)], axis=1)
    shares = counts / total[:, None]
    logs = np.where(counts > 0, np.log(np.where(counts > 0, shares, 1.0)), 0.0)
    names = tuple({1: "mass at 0", 2: "mass at 1"}[k] for k in kinds)
    return names, shares[:, :-1], (counts * logs).sum(1)


def fit(name: str, x: Any, *, draws: int = 0, block: int = 1, seed: int = 0,
        level: float = 0.95) -> Fit:
    """Fit of the family `name` (a key of FAMILIES) to a sample.

    x is [n] in [0, 1] (unit families), [n] of at least 0 (positive ones), or [n, 2] of events and
    exposure (counts). The interval is the percentile bootstrap of `draws` resamples (nan without).
    Raises ValueError for values outside the support or fewer than three different ones inside it.
    """
    family = FAMILIES[name]
    x = np.asarray(x, float)
    _judge(family, x)
    weights = _weights(len(x), draws, block, seed)
    kind = _point_masses(x, family)
    masses, shares, mass_log = _mass_part(kind, weights)
    inside = kind == 0
    natural, log, converged = (np.asarray(y) for y in _compiled(name)(
        jnp.asarray(x[inside]), jnp.asarray(weights[:, inside])))
    values = np.concatenate([shares, natural], axis=1)
    usable = values[1:][converged[1:] & np.isfinite(values[1:]).all(1)]
    low = high = np.full(values.shape[1], np.nan)
    if len(usable) >= 20:
        tail = 0.5 * (1.0 - level)
        low, high = np.quantile(usable, (tail, 1.0 - tail), axis=0)
    lost = draws - len(usable)
    return Fit(name, masses + family.names, values[0], low, high, float(log[0] + mass_log[0]),
               len(x), bool(converged[0]),
               f"{lost} of {draws} bootstrap fits did not converge" if lost else "")


def _judge(family: Family, x):
    shape = 2 if family.support == "count" else 1
    if x.ndim != shape or not np.isfinite(x).all() or (x < 0.0).any():
        raise ValueError(f"{family.name}: want {'events and exposure' if shape == 2 else 'values'}"
                         " that are numbers of at least 0")
    if family.support == "unit" and (x > 1.0).any():
        raise ValueError(f"{family.name}: largest value {x.max():g}; want shares in [0, 1]")
    if shape == 2 and ((x[:, 1] <= 0.0) | (x[:, 0] > x[:, 1])).any():
        k, n = x[(x[:, 1] <= 0.0) | (x[:, 0] > x[:, 1])][0]
        raise ValueError(f"{family.name}: {k:g} events of exposure {n:g}; want an exposure above 0 "
                         "and no more events than it")
    inside = x[:, 0] / x[:, 1] if shape == 2 else x[_point_masses(x, family) == 0]
    if len(np.unique(inside)) < 3:
        raise ValueError(f"{family.name}: {len(np.unique(inside))} different values; want at "
                         "least 3")


def fit_all(names: Any, x: Any, **options: Any) -> Any:
    """[Fit] of several families to one sample, best AIC first, those that did not converge last."""
    return sorted((fit(name, x, **options) for name in names),
                  key=lambda f: (not f.converged, f.aic))

"""Latent systematic factors: cohort, industry and region, AR(1) in time.

A move towards a worse state has its log-odds raised by the loan's cohort, industry and region
factors. Each source has its own random stream, so one can be redrawn with the others unchanged.
A path is a map (shifts_of) of standard normal numbers (draw_noise).
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen import rng
from clo_gen.records import Tape


class Loadings(struct.PyTreeNode):
    """Standard deviation of the log-odds shift by source, and the factors' monthly persistence."""

    cohort: jax.Array  # []
    industry: jax.Array  # []
    region: jax.Array  # []
    persistence: jax.Array  # [] in [0, 1)


class Shifts(struct.PyTreeNode):
    """Log-odds shifts of worse moves per month and group, centred so that E[exp(shift)] = 1."""

    cohort: jax.Array  # [T, C]
    industry: jax.Array  # [T, G]
    region: jax.Array  # [T, R]


class Noise(struct.PyTreeNode):
    """Independent standard normal numbers behind the factors of one path."""

    cohort: jax.Array  # [T, C]
    industry: jax.Array  # [T, G]
    region: jax.Array  # [T, R]


def draw_noise(sources: rng.Sources, months: int, groups: tuple[int, int, int],
               dtype: Any) -> Noise:
    """Noise of one path for `groups` = (cohorts, industries, regions)."""
    cohorts, industries, regions = groups
    return Noise(
        cohort=rng.normals(sources.cohort, rng.COHORT, (months, cohorts), dtype),
        industry=rng.normals(sources.factor, rng.INDUSTRY, (months, industries), dtype),
        region=rng.normals(sources.factor, rng.REGION, (months, regions), dtype))


def _ar1(noise, persistence):
    """Stationary AR(1) with unit variance of `noise` [months, groups]."""

    def step(u, e):
        u = persistence * u + jnp.sqrt(1.0 - persistence**2) * e
        return u, u

    _, rest = jax.lax.scan(step, noise[0], noise[1:])
    return jnp.concatenate([noise[:1], rest])


def shifts_of(loadings: Loadings, noise: Noise) -> Shifts:
    """Shifts of one path from its Noise; differentiable in both."""

    def shift(e, loading):
        return loading * _ar1(e, loadings.persistence) - 0.5 * loading**2

    return Shifts(cohort=shift(noise.cohort, loadings.cohort),
                  industry=shift(noise.industry, loadings.industry),
                  region=shift(noise.region, loadings.region))


def sample(loadings: Any, sources: rng.Sources, months: int,
           groups: tuple[int, int, int]) -> Shifts:
    """Shifts of one path for `groups` = (cohorts, industries, regions)."""
    return shifts_of(loadings, draw_noise(sources, months, groups, loadings.persistence.dtype))


def odds_of_loans(tape: Tape, shifts: Shifts) -> jax.Array:
    """Factor [L] on each loan's odds of a worse move in one month.

    `shifts` holds that month's [C], [G], [R]. The exponentials are taken by group, not by loan.
    """
    dtype = shifts.cohort.dtype
    return (jnp.exp(shifts.cohort)[tape.cohort] * jnp.exp(shifts.industry)[tape.industry]
            * jnp.exp(shifts.region)[tape.region] * jnp.exp(tape.loan_effect.astype(dtype)))

"""Latent systematic factors: cohort, industry and region, AR(1) in time.

A move towards a worse state has its log-odds raised by the loan's cohort, industry and region
factors. Each source has its own random stream, so one can be redrawn with the others unchanged.
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen import rng


@struct.dataclass
class Loadings:
    """Standard deviation of the log-odds shift by source, and the factors' monthly persistence."""

    cohort: jax.Array  # []
    industry: jax.Array  # []
    region: jax.Array  # []
    persistence: jax.Array  # [] in [0, 1)


@struct.dataclass
class Shifts:
    """Log-odds shifts of worse moves per month and group, centred so that E[exp(shift)] = 1."""

    cohort: jax.Array  # [T, C]
    industry: jax.Array  # [T, G]
    region: jax.Array  # [T, R]


def _ar1(key, months, groups, persistence):
    """Stationary AR(1) with unit variance, [months, groups]."""
    noise = jax.random.normal(key, (months, groups), persistence.dtype)

    def step(u, e):
        u = persistence * u + jnp.sqrt(1.0 - persistence**2) * e
        return u, u

    _, rest = jax.lax.scan(step, noise[0], noise[1:])
    return jnp.concatenate([noise[:1], rest])


def sample(loadings, sources: rng.Sources, months, groups):
    """Shifts of one path for `groups` = (cohorts, industries, regions)."""

    def shift(key, size, loading):
        u = _ar1(key, months, size, loadings.persistence)
        return loading * u - 0.5 * loading**2

    cohorts, industries, regions = groups
    return Shifts(
        cohort=shift(rng.stream(sources.cohort, rng.COHORT), cohorts, loadings.cohort),
        industry=shift(rng.stream(sources.factor, rng.INDUSTRY), industries, loadings.industry),
        region=shift(rng.stream(sources.factor, rng.REGION), regions, loadings.region))


def odds_of_loans(tape, shifts):
    """Factor [L] on each loan's odds of a worse move in one month.

    `shifts` holds that month's [C], [G], [R]. The exponentials are taken by group, not by loan.
    """
    dtype = shifts.cohort.dtype
    return (jnp.exp(shifts.cohort)[tape.cohort] * jnp.exp(shifts.industry)[tape.industry]
            * jnp.exp(shifts.region)[tape.region] * jnp.exp(tape.loan_effect.astype(dtype)))

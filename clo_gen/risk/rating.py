"""Ratings implied by simulated default probability or expected loss; tables from io.tables."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

EXPECTED_LOSS_SEVERITY = 0.55  # Moody's convention for idealised expected losses


class RatingTable(struct.PyTreeNode):
    """Cumulative default rates, best rating first; never falling in rating or horizon."""

    rate: jax.Array  # [R, Y]
    years: jax.Array  # [Y] horizons, rising, positive
    names: tuple[str, ...] = struct.field(pytree_node=False)  # R
    source: str = struct.field(pytree_node=False)


def idealised_rate(table: RatingTable, years: Any) -> Any:
    """Rate [R] at a horizon [] in years: linear between the horizons, 0 at 0.

    Beyond the last horizon, or nan (a class never repaid), the last one's: the rates are then too
    low and the rating they imply is cautious.
    """
    last = table.years[-1]
    years = jnp.where(jnp.isnan(years), last, jnp.clip(years, 0.0, last))
    knots = jnp.concatenate([jnp.zeros_like(last)[None], table.years])
    rates = jnp.pad(table.rate, ((0, 0), (1, 0)))
    return jax.vmap(lambda row: jnp.interp(years, knots, row))(rates)


def implied_rating(rate: jax.Array | float, years: float, table: RatingTable, *,
                   severity: float = 1.0) -> jax.Array:
    """Index [] into table.names of the best rating whose idealised rate is at least `rate`.

    A default probability is compared at severity 1, an expected loss with severity x default rate
    (EXPECTED_LOSS_SEVERITY). len(table.names): worse than the last rating. The horizon is the
    class's WAL. A rate of 0, also one that no path of a small run happened to show, gives the best
    rating: use the upper end of its confidence range.
    """
    return jnp.sum(severity * idealised_rate(table, years) < rate)


def rating_name(table: RatingTable, index: jax.Array) -> str:
    """Name of an implied rating on the host; "below X" when worse than the last rating X."""
    names = table.names
    return names[int(index)] if int(index) < len(names) else f"below {names[-1]}"

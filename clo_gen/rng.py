"""Random streams. A new stream gets a new number at the end, so it moves no other draw.

Path i always uses fold_in(key, i), whatever the batch size or device count; scenarios share keys,
so their differences carry little sampling error (common random numbers).
"""

from typing import Any

import jax
from flax import struct

MACRO = 0
COHORT = 1
INDUSTRY = 2
REGION = 3
LOAN = 4
CONDITION = 5
TILT = 6


class Sources(struct.PyTreeNode):
    """The path key that each random source of a path draws from.

    All are the path's own; give one source the key of another path and it alone is redrawn, while
    every other draw stays bit-identical.
    """

    macro: jax.Array
    cohort: jax.Array
    factor: jax.Array  # industry and region factors
    loan: jax.Array  # what is left: draws of single loans


def sources(key: jax.Array) -> Sources:
    """Sources of a path: all drawn from its own `key`."""
    return Sources(key, key, key, key)


def path_key(key: jax.Array, i: jax.Array | int) -> jax.Array:
    """Key of path `i` (int or traced integer): the same whatever else is drawn.

    >>> key = jax.random.key(0)
    >>> bool(cg.rng.path_key(key, 3) == jax.random.fold_in(key, 3))
    True
    """
    return jax.random.fold_in(key, i)


def stream(key: jax.Array, number: int) -> jax.Array:
    """Key of one random source of a path: one of the constants above."""
    return jax.random.fold_in(key, number)


def normals(key: jax.Array, number: int, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Standard normal numbers of one random source of a path."""
    return jax.random.normal(stream(key, number), shape, dtype)

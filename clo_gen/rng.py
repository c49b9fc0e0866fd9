"""Random streams. A new stream gets a new number at the end, so it moves no other draw.

Path i always uses fold_in(key, i), whatever the batch size or device count; scenarios share keys,
so their differences carry little sampling error (common random numbers).
"""

import jax

MACRO = 0
COHORT = 1
INDUSTRY = 2
REGION = 3
LOAN = 4
CONDITION = 5


def path_key(key, i):
    """Key of path `i` (int or traced integer)."""
    return jax.random.fold_in(key, i)


def stream(key, number):
    """Key of one random source of a path: one of the constants above."""
    return jax.random.fold_in(key, number)

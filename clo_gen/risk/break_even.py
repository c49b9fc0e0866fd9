"""First-loss CDR: how many defaults a class survives."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.solve.root import bisect


class BreakEven(struct.PyTreeNode):
    """Per class [K]. Where a flag stands, `cdr` is that end of the range and converged."""

    cdr: jax.Array  # largest default rate, per year, at which the class is paid in full
    converged: jax.Array  # bool
    never_lost: jax.Array  # bool: paid in full even at `high`
    always_lost: jax.Array  # bool: not paid in full even at no defaults


def first_loss_cdr(unpaid: Callable, args: Any, *, high: float = 1.0, tolerance: float = 1e-5,
                   max_steps: int = 26) -> BreakEven:
    """BreakEven of all classes in one batch, by bisection on [0, high].

    unpaid(cdr, args) -> [K] is a pure function: the share of each class unpaid at the end, rising
    with cdr; each step runs it once per class. Up to `tolerance` a class counts as paid. The
    gradient, in args and in whatever numbers `unpaid` closes over, is that of the default rate at
    which `tolerance` is unpaid; it is 0 where a flag stands.
    """
    # The solver differentiates its arguments only, so what `unpaid` closes over becomes one.
    hoisted, enclosed = jax.closure_convert(unpaid, jnp.zeros((), float), args)
    args = (args, enclosed)

    def unpaid(cdr, args):  # type: ignore[no-redef]
        return hoisted(cdr, args[0], *args[1])

    at_zero, at_high = jax.vmap(lambda cdr: unpaid(cdr, args))(jnp.asarray([0.0, high], float))
    always, never = at_zero > tolerance, at_high <= tolerance

    def excess(cdr, args):
        one_class, flagged, args = args
        # A class with a flag is flat, and its gradient would be 0 / 0: it gets a root of its own.
        return jnp.where(flagged > 0, cdr - 0.5 * high, unpaid(cdr, args) @ one_class - tolerance)

    def solve(one_class, flagged):
        # tol below `tolerance`: the flat part left of the break-even must not pass for a root.
        return bisect(excess, (one_class, flagged, args), 0.0, high, tol=0.1 * tolerance,
                      max_steps=max_steps)

    flagged = always | never
    root = jax.vmap(solve)(jnp.eye(at_zero.shape[0], dtype=at_zero.dtype),
                           flagged.astype(at_zero.dtype))
    cdr = jnp.where(always, 0.0, jnp.where(never, high, root.x))
    return BreakEven(cdr, root.converged | flagged, never, always)

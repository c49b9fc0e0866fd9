"""Coverage tests: OC and IC ratios, haircuts of the numerator, and what cures a failed test.

Reference: indenture terms Adjusted Collateral Principal Amount, Overcollateralization Ratio,
Interest Coverage Ratio, CCC Excess, Discount Obligation, Interest Diversion Test.

Arrays may carry further axes for paths behind those named here.
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.numerics import greater, lesser, safe_ratio

PAID_OFF = 1e3  # ratio of a class that has nothing outstanding or due: passes any trigger


class Collateral(struct.PyTreeNode):
    """Collateral at the end of one collection period, share of initial par."""

    performing: jax.Array  # []
    defaulted: jax.Array  # [] par
    defaulted_value: jax.Array  # [] lesser of market value and recovery; 0 after three years
    carrying_haircut: jax.Array  # [] par less carrying value of discount and long-dated loans
    ccc_par: jax.Array  # [G, B] by agency and price bucket, lowest prices first
    ccc_value: jax.Array  # [G, B] par less what being in excess costs beyond other haircuts


def ccc_haircut(collateral: Collateral, limit: jax.Array) -> jax.Array:
    """Par over value of what exceeds `limit` of performing par in CCC, lowest prices first.

    The agency with the larger haircut counts.
    """
    par, value = collateral.ccc_par, collateral.ccc_value
    excess = greater(par.sum(1, keepdims=True) - limit * collateral.performing, 0.0)
    in_excess = jnp.clip(excess - (jnp.cumsum(par, axis=1) - par), 0.0, par)
    return (in_excess * (1.0 - safe_ratio(value, par, 1.0))).sum(1).max()


def adjusted_par(collateral: Collateral, principal_cash: jax.Array,
                 ccc_limit: jax.Array) -> jax.Array:
    """OC numerator: performing par + principal cash + defaulted value - haircuts."""
    c = collateral
    return (c.performing + principal_cash + c.defaulted_value - c.carrying_haircut
            - ccc_haircut(c, ccc_limit))


def unhaircut_par(collateral: Collateral, principal_cash: jax.Array) -> jax.Array:
    """Numerator of the event of default: the same without the CCC haircut."""
    c = collateral
    return c.performing + principal_cash + c.defaulted_value - c.carrying_haircut


def oc_ratio(adjusted: jax.Array, debt: jax.Array) -> jax.Array:
    """Adjusted par over the debt outstanding of the tested class and everything senior to it."""
    return lesser(safe_ratio(adjusted, debt, PAID_OFF), PAID_OFF)


def oc_cure(adjusted: jax.Array, debt: jax.Array, trigger: jax.Array) -> jax.Array:
    """Debt to repay from interest so that adjusted / (debt - cure) reaches the trigger."""
    return greater(debt - adjusted / trigger, 0.0)


def oc_cure_from_principal(adjusted: jax.Array, debt: jax.Array, trigger: jax.Array) -> jax.Array:
    """The same from principal proceeds, which leave the numerator too; triggers are above 1."""
    return greater(trigger * debt - adjusted, 0.0) / (trigger - 1.0)


def diversion_need(adjusted: jax.Array, debt: jax.Array, trigger: jax.Array) -> jax.Array:
    """Par to buy so that (adjusted + need) / debt reaches the trigger."""
    return greater(trigger * debt - adjusted, 0.0)


def ic_ratio(interest: jax.Array, due: jax.Array) -> jax.Array:
    """Interest collections net of senior fees over interest due, tested class and senior."""
    return lesser(safe_ratio(interest, due, PAID_OFF), PAID_OFF)


def ic_cure(ratio: jax.Array, debt: jax.Array, trigger: jax.Array) -> jax.Array:
    """Debt to repay: the share by which the ratio misses the trigger, of the tested debt.

    The simple form: it restores the ratio when the notes repaid bear the tested debt's mean rate;
    repaid senior first, at lower coupons, it falls a little short.
    """
    return greater(1.0 - ratio / trigger, 0.0) * debt

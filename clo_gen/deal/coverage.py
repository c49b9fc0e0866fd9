"""Coverage tests: OC and IC ratios, haircuts of the numerator, and what cures a failed test.

Reference: indenture terms Adjusted Collateral Principal Amount, Overcollateralization Ratio,
Interest Coverage Ratio, CCC Excess.
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.numerics import safe_ratio

PAID_OFF = 1e3  # ratio of a class that has nothing outstanding or due: passes any trigger


@struct.dataclass
class Collateral:
    """Collateral at the end of one collection period, share of initial par."""

    performing: jax.Array
    defaulted_value: jax.Array
    ccc_par: jax.Array
    ccc_value: jax.Array


def ccc_haircut(collateral: Collateral, limit):
    """Par over value of what exceeds `limit` of performing par in CCC, at the CCC par's value."""
    excess = jnp.maximum(collateral.ccc_par - limit * collateral.performing, 0.0)
    return excess * (1.0 - safe_ratio(collateral.ccc_value, collateral.ccc_par, 1.0))


def adjusted_par(collateral: Collateral, principal_cash, ccc_limit):
    """OC numerator: performing par + principal cash + defaulted value - CCC haircut."""
    return (collateral.performing + principal_cash + collateral.defaulted_value
            - ccc_haircut(collateral, ccc_limit))


def oc_ratio(adjusted, debt):
    """Adjusted par over the debt outstanding of the tested class and everything senior to it."""
    return jnp.minimum(safe_ratio(adjusted, debt, PAID_OFF), PAID_OFF)


def oc_cure(adjusted, debt, trigger):
    """Debt to repay from interest so that adjusted / (debt - cure) reaches the trigger."""
    return jnp.maximum(debt - adjusted / trigger, 0.0)


def oc_cure_from_principal(adjusted, debt, trigger):
    """The same from principal proceeds, which leave the numerator too; triggers are above 1."""
    return jnp.maximum(trigger * debt - adjusted, 0.0) / (trigger - 1.0)


def ic_ratio(interest, due):
    """Interest collections net of senior fees over interest due, tested class and senior."""
    return jnp.minimum(safe_ratio(interest, due, PAID_OFF), PAID_OFF)


def ic_cure(ratio, debt, trigger):
    """Debt to repay: the share by which the ratio misses the trigger, of the tested debt."""
    return jnp.maximum(1.0 - ratio / trigger, 0.0) * debt

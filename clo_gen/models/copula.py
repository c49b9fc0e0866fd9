"""One-factor Gaussian copula of defaults: loan i defaults when sqrt(1 - rho) e_i - sqrt(rho) z
falls below the normal quantile of its default probability.

Reference: Vasicek (2002), The distribution of loan portfolio value, Risk 15; Li (2000), On default
correlation: a copula function approach, Journal of Fixed Income 9; bivariate normal integral: Genz
(2004), Numerical computation of rectangular bivariate and trivariate normal and t probabilities,
Statistics and Computing 14; Basel Committee (2005), An explanatory note on the Basel II IRB risk
weight functions, section 5.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr, ndtri

from clo_gen.numerics import safe_ratio
from clo_gen.solve.root import Root, bisect

NODES = 48  # of the Gauss-Legendre rule; 1e-10 up to a correlation of 0.99


def bivariate_normal_cdf(a: jax.Array | float, b: jax.Array | float,
                         rho: jax.Array | float) -> jax.Array:
    """P(X <= a, Y <= b) [] of standard normals with correlation `rho` in (-1, 1); differentiable.

    Phi(a) Phi(b) plus the integral of the density over correlations 0 to rho, taken in the arc
    sine of the correlation.
    """
    x, w = np.polynomial.legendre.leggauss(NODES)
    arc = jnp.arcsin(rho)
    angle = 0.5 * arc * (x + 1.0)
    density = jnp.exp(-0.5 * (a**2 + b**2 - 2.0 * a * b * jnp.sin(angle)) / jnp.cos(angle) ** 2)
    return ndtr(a) * ndtr(b) + 0.25 * arc / np.pi * (w * density).sum()


def joint_default(first: jax.Array | float, second: jax.Array | float,
                  rho: jax.Array | float) -> jax.Array:
    """Probability [] that two loans with default probabilities in (0, 1) both default."""
    return bivariate_normal_cdf(ndtri(first), ndtri(second), rho)


def default_correlation(first: jax.Array | float, second: jax.Array | float,
                        rho: jax.Array | float) -> jax.Array:
    """Correlation [] of the default indicators of two loans under asset correlation `rho`."""
    spread = jnp.sqrt(first * (1.0 - first) * second * (1.0 - second))
    return safe_ratio(joint_default(first, second, rho) - first * second, spread, 0.0)


def implied_asset_correlation(first: float, second: float, correlation: jax.Array) -> Root:
    """solve.root.Root: the asset correlation in (-0.98, 0.98) under which the default indicators
    have `correlation`; not converged where none has. vmap for a batch."""
    def gap(rho, args):
        return default_correlation(args[0], args[1], rho) - args[2]

    args = tuple(jnp.asarray(x, float) for x in (first, second, correlation))
    return bisect(gap, args, -0.98, 0.98)


def conditional_default(probability: float, rho: float, z: jax.Array) -> jax.Array:
    """Default probability [] given the factor `z` ~ N(0, 1), which is bad where it is high."""
    return ndtr((ndtri(probability) + jnp.sqrt(rho) * z) / jnp.sqrt(1.0 - rho))


def basel_asset_correlation(probability: jax.Array) -> jax.Array:
    """Asset correlation [] of corporates by one-year default probability, 12 to 24 %."""
    low = (1.0 - jnp.exp(-50.0 * probability)) / (1.0 - np.exp(-50.0))
    return 0.12 * low + 0.24 * (1.0 - low)

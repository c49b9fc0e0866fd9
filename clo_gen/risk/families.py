"""The distribution families of risk.fits: log-densities in free parameters.

Unit families have their density on (0, 1), positive ones on (0, inf); counts are events with an
exposure. Each starts at its moments.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy.special import betaln, gammaln, ndtr, ndtri
from jax.scipy.stats import norm

from clo_gen.risk import asset_correlation


@dataclasses.dataclass(frozen=True)
class Family:
    """One family; x is [n], for counts [n, 2] of events and exposure."""

    name: str
    support: str  # unit, positive or count
    names: tuple[str, ...]  # of the natural parameters
    log_density: Callable  # (free [P], x) -> [n]
    natural: Callable  # free [P] -> natural parameters [P]
    start: Callable  # (x, weights [n]) -> free [P]


def _moments(x, weights):
    mean = (weights * x).sum() / weights.sum()
    return mean, (weights * (x - mean) ** 2).sum() / weights.sum()


def _beta(free, x):
    a, b = jnp.exp(free)
    return (a - 1.0) * jnp.log(x) + (b - 1.0) * jnp.log1p(-x) - betaln(a, b)


def _beta_start(x, weights):
    mean, variance = _moments(x, weights)
    size = jnp.maximum(mean * (1.0 - mean) / variance - 1.0, 0.1)
    return jnp.log(jnp.stack([mean, 1.0 - mean]) * size)


def _kumaraswamy(free, x):
    a, b = jnp.exp(free)
    power = a * jnp.log(x)
    return (free[0] + free[1] + power - jnp.log(x)
            + (b - 1.0) * jnp.log(-jnp.expm1(jnp.minimum(power, -1e-300))))


def _logit_normal(free, x):
    y = jnp.log(x) - jnp.log1p(-x)
    return norm.logpdf(y, free[0], jnp.exp(free[1])) - jnp.log(x) - jnp.log1p(-x)


def _normal_start(transform):
    def start(x, weights):
        mean, variance = _moments(transform(x), weights)
        return jnp.stack([mean, 0.5 * jnp.log(variance)])

    return start


def _vasicek(free, x):
    """Large-pool default rate of the one-factor model: free = (threshold, log-odds of rho)."""
    rho, y = jax.nn.sigmoid(free[1]), ndtri(x)
    distance = (jnp.sqrt(1.0 - rho) * y - free[0]) ** 2 / rho
    return 0.5 * (y**2 - distance - free[1])


def _vasicek_start(x, weights):
    mean, variance = _moments(ndtri(x), weights)
    return jnp.stack([mean / jnp.sqrt(1.0 + variance), jnp.log(variance)])


def _gamma(free, x):
    shape, scale = jnp.exp(free)
    return (shape - 1.0) * jnp.log(x) - x / scale - gammaln(shape) - shape * free[1]


def _gamma_start(x, weights):
    mean, variance = _moments(x, weights)
    return jnp.log(jnp.stack([mean**2 / variance, variance / mean]))


def _log_normal(free, x):
    return norm.logpdf(jnp.log(x), free[0], jnp.exp(free[1])) - jnp.log(x)


def _weibull(free, x):
    shape = jnp.exp(free[0])
    y = jnp.log(x) - free[1]
    return free[0] - free[1] + (shape - 1.0) * y - jnp.exp(shape * y)


def _weibull_start(x, weights):
    mean, variance = _moments(jnp.log(x), weights)
    return jnp.stack([jnp.log(1.28) - 0.5 * jnp.log(variance), mean + 0.45 * jnp.sqrt(variance)])


def _choose(events, exposure):
    return gammaln(exposure + 1.0) - gammaln(events + 1.0) - gammaln(exposure - events + 1.0)


def _rate(x, weights):
    return ((weights * x[:, 0]).sum() + 0.5) / ((weights * x[:, 1]).sum() + 1.0)


def _binomial(free, x):
    k, n = x.T
    return (_choose(k, n) + k * jax.nn.log_sigmoid(free[0])
            + (n - k) * jax.nn.log_sigmoid(-free[0]))


def _poisson(free, x):
    k, n = x.T
    return k * (free[0] + jnp.log(n)) - n * jnp.exp(free[0]) - gammaln(k + 1.0)


def _negative_binomial(free, x):
    """Mean exp(free[0]) a unit of exposure, variance mean + exp(free[1]) mean^2 (NB2)."""
    k, n = x.T
    size, mean = jnp.exp(-free[1]), n * jnp.exp(free[0])
    return (gammaln(k + size) - gammaln(size) - gammaln(k + 1.0)
            - size * jnp.log1p(mean / size) + k * (jnp.log(mean) - jnp.log(size + mean)))


def _beta_binomial(free, x):
    """Mean rate sigmoid(free[0]); correlation of two events sigmoid(free[1]) = 1 / (a + b + 1)."""
    k, n = x.T
    size = jnp.exp(-free[1])
    a, b = size * jax.nn.sigmoid(free[0]), size * jax.nn.sigmoid(-free[0])
    return _choose(k, n) + betaln(k + a, n - k + b) - betaln(a, b)


def _vasicek_binomial(free, x):
    """Binomials mixed over the one-factor model: free = (threshold, log-odds of rho)."""
    rho = jax.nn.sigmoid(free[1])
    years = jax.vmap(asset_correlation.log_year, (None, None, 0, 0))
    return years(free[:1], rho, x[:, :1], x[:, 1:]) + _choose(*x.T)


def _logit(p):
    return jnp.log(p) - jnp.log1p(-p)


def _second(value, first):
    """Start of a count family: `first` of the rate, then `value`."""
    return lambda x, weights: jnp.stack([first(_rate(x, weights)), jnp.asarray(value, x.dtype)])


def _both_exp(free):
    return jnp.exp(free)


def _scale_exp(free):
    return jnp.stack([free[0], jnp.exp(free[1])])


def _threshold_and_rho(free):
    return jnp.stack([ndtr(free[0]), jax.nn.sigmoid(free[1])])


FAMILIES = {family.name: family for family in (
    Family("beta", "unit", ("a", "b"), _beta, _both_exp, _beta_start),
    Family("kumaraswamy", "unit", ("a", "b"), _kumaraswamy, _both_exp,
           lambda x, weights: jnp.zeros(2, x.dtype)),
    Family("logit-normal", "unit", ("mu", "sigma"), _logit_normal, _scale_exp,
           _normal_start(_logit)),
    Family("vasicek", "unit", ("p", "rho"), _vasicek, _threshold_and_rho, _vasicek_start),
    Family("gamma", "positive", ("shape", "scale"), _gamma, _both_exp, _gamma_start),
    Family("lognormal", "positive", ("mu", "sigma"), _log_normal, _scale_exp,
           _normal_start(jnp.log)),
    Family("weibull", "positive", ("shape", "scale"), _weibull, _both_exp, _weibull_start),
    Family("binomial", "count", ("p",), _binomial, jax.nn.sigmoid,
           lambda x, weights: _logit(_rate(x, weights))[None]),
    Family("poisson", "count", ("rate",), _poisson, _both_exp,
           lambda x, weights: jnp.log(_rate(x, weights))[None]),
    Family("negative binomial", "count", ("rate", "dispersion"), _negative_binomial, _both_exp,
           _second(-1.0, jnp.log)),
    Family("beta-binomial", "count", ("p", "rho"), _beta_binomial,
           jax.nn.sigmoid, _second(-4.0, _logit)),
    Family("vasicek-binomial", "count", ("p", "rho"), _vasicek_binomial, _threshold_and_rho,
           _second(-2.5, ndtri)),
)}
UNIT = tuple(f.name for f in FAMILIES.values() if f.support == "unit")
POSITIVE = tuple(f.name for f in FAMILIES.values() if f.support == "positive")
COUNT = tuple(f.name for f in FAMILIES.values() if f.support == "count")

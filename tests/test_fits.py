"""Fitted distributions and asset correlation against scipy, statsmodels and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import betaln

from clo_gen.risk import asset_correlation as ac
from clo_gen.risk import counts, families, fits
from clo_gen.solve.newton import newton


def shares(n=400, seed=0):
    return np.random.default_rng(seed).beta(2.0, 5.0, n)


def test_newton_finds_the_minimum_of_a_curved_valley():
    def rosenbrock(x, data):
        return (1.0 - x[0]) ** 2 + data * (x[1] - x[0] ** 2) ** 2

    found = jax.jit(jax.vmap(lambda start: newton(rosenbrock, start, 100.0, steps=200)))(
        jnp.array([[-1.2, 1.0], [3.0, -2.0]]))
    assert found.converged.all()
    np.testing.assert_allclose(found.x, 1.0, atol=1e-4)
    np.testing.assert_allclose(found.hessian[0], [[802.0, -400.0], [-400.0, 200.0]], rtol=1e-3)


def test_newton_says_when_it_has_not_converged():
    found = newton(lambda x, data: jnp.sum(jnp.exp(-x)), jnp.zeros(1), 0.0, steps=3)
    assert not found.converged


def test_newton_has_not_converged_where_it_could_not_start():
    found = newton(lambda x, data: jnp.sum(jnp.log(x)), -jnp.ones(1), 0.0, steps=3)
    assert not found.converged and found.value == np.inf


def test_fits_that_did_not_converge_come_last(monkeypatch):
    def fake(name, x):
        return fits.Fit(name, ("p",), np.ones(1), np.ones(1), np.ones(1), *x[name])

    monkeypatch.setattr(fits, "fit", fake)
    x = {"a": (-9.0, 3, True), "b": (0.0, 3, False), "c": (-np.inf, 3, False), "d": (-5.0, 3, True)}
    assert [f.family for f in fits.fit_all("abcd", x)] == ["d", "a", "b", "c"]


SCIPY = {
    "beta": lambda x: (stats.beta, (*stats.beta.fit(x, floc=0, fscale=1)[:2], 0, 1)),
    "gamma": lambda x: (stats.gamma, stats.gamma.fit(x, floc=0)),
    "lognormal": lambda x: (stats.lognorm, stats.lognorm.fit(x, floc=0)),
    "weibull": lambda x: (stats.weibull_min, stats.weibull_min.fit(x, floc=0)),
}


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in SCIPY if name != "beta"]


@pytest.mark.parametrize("name", ["beta", *SLOW])
def test_density_families_agree_with_scipy(name):
    x = shares()
    found = fits.fit(name, x)
    law, params = SCIPY[name](x)
    assert found.converged
    want = law.logpdf(x, *params).sum()
    assert found.log_likelihood >= want - 1e-6
    assert found.log_likelihood == pytest.approx(want, abs=1e-3)
    assert found.aic == pytest.approx(4.0 - 2.0 * found.log_likelihood)
    assert found.bic == pytest.approx(2.0 * np.log(len(x)) - 2.0 * found.log_likelihood)


def test_normal_transforms_have_their_closed_form():
    x = shares()
    y = np.log(x / (1.0 - x))
    np.testing.assert_allclose(fits.fit("logit-normal", x).values, [y.mean(), y.std()], rtol=1e-6)
    y = stats.norm.ppf(x)
    rho = y.var() / (1.0 + y.var())
    found = fits.fit("vasicek", x)
    np.testing.assert_allclose(found.values, [stats.norm.cdf(y.mean() * np.sqrt(1.0 - rho)), rho],
                               rtol=1e-6)
    p, rho = found.values
    edge = stats.norm.cdf((np.sqrt(1 - rho) * y - stats.norm.ppf(p)) / np.sqrt(rho))
    slope = (np.sqrt((1 - rho) / rho) * stats.norm.pdf((np.sqrt(1 - rho) * y - stats.norm.ppf(p))
                                                       / np.sqrt(rho)) / stats.norm.pdf(y))
    assert ((0 < edge) & (edge < 1)).all()
    assert found.log_likelihood == pytest.approx(np.log(slope).sum(), rel=1e-9)


@pytest.mark.parametrize("name", families.UNIT)
def test_unit_densities_integrate_to_one(name):
    x = shares()
    free = families.FAMILIES[name].start(jnp.asarray(x), jnp.ones(len(x)))
    points, weights = np.polynomial.legendre.leggauss(400)
    grid = 0.5 * (points + 1.0)
    density = np.exp(families.FAMILIES[name].log_density(free, jnp.asarray(grid)))
    assert 0.5 * weights @ density == pytest.approx(1.0, abs=1e-4)


def default_counts(n=30, seed=3):
    generator = np.random.default_rng(seed)
    size = generator.integers(200, 600, n)
    return np.stack([generator.binomial(size, generator.beta(2.0, 60.0, n)), size], 1).astype(float)


@pytest.mark.slow
def test_count_families_agree_with_scipy_and_statsmodels():
    import statsmodels.api as sm

    x = default_counts()
    k, n = x.T
    pooled = k.sum() / n.sum()
    binomial, poisson = fits.fit("binomial", x), fits.fit("poisson", x)
    assert binomial.values[0] == pytest.approx(pooled, rel=1e-6)
    assert binomial.log_likelihood == pytest.approx(stats.binom.logpmf(k, n, pooled).sum())
    assert poisson.log_likelihood == pytest.approx(stats.poisson.logpmf(k, n * pooled).sum())
    found = fits.fit("negative binomial", x)
    theirs = sm.NegativeBinomial(k, np.ones(len(k)), exposure=n).fit(disp=0)
    np.testing.assert_allclose(found.values, [np.exp(theirs.params[0]), theirs.params[1]],
                               rtol=1e-3)
    assert found.log_likelihood == pytest.approx(theirs.llf, abs=1e-5)
    found = fits.fit("beta-binomial", x)
    p, rho = found.values
    size = 1.0 / rho - 1.0
    assert found.log_likelihood == pytest.approx(
        stats.betabinom.logpmf(k, n, p * size, (1 - p) * size).sum())
    assert found.aic < binomial.aic


@pytest.mark.slow
def test_point_masses_are_shares_and_the_rest_is_the_density():
    inside = shares(200)
    x = np.concatenate([inside, np.zeros(30), np.ones(20)])
    found = fits.fit("beta", x, draws=60)
    assert found.names == ("mass at 0", "mass at 1", "a", "b")
    np.testing.assert_allclose(found.values[:2], [30 / 250, 20 / 250])
    alone = fits.fit("beta", inside)
    np.testing.assert_allclose(found.values[2:], alone.values, rtol=1e-8)
    shares_of = 30 * np.log(30 / 250) + 20 * np.log(20 / 250) + 200 * np.log(200 / 250)
    assert found.log_likelihood == pytest.approx(alone.log_likelihood + shares_of)
    assert (found.low < found.values).all() and (found.values < found.high).all()


def test_bootstrap_interval_is_that_of_refitting():
    x = shares(120)
    found = fits.fit("lognormal", x, draws=400, seed=5)
    error = np.log(x).std() / np.sqrt(len(x))
    np.testing.assert_allclose([found.low[0], found.high[0]],
                               np.log(x).mean() + np.array([-1.96, 1.96]) * error, atol=0.3 * error)


def test_fits_refuse_what_they_cannot_describe():
    with pytest.raises(ValueError, match="largest value 1.2"):
        fits.fit("beta", [0.1, 0.2, 1.2])
    with pytest.raises(ValueError, match="at least 3"):
        fits.fit("gamma", [0.1, 0.1, 0.0])
    with pytest.raises(ValueError, match="events and exposure"):
        fits.fit("poisson", [1.0, 2.0])
    with pytest.raises(ValueError, match="60 events of exposure 50; want"):
        fits.fit("binomial", [[1, 100], [2, 100], [60, 50]])
    with pytest.raises(ValueError, match="0 events of exposure 0; want an exposure above 0"):
        fits.fit("poisson", [[1, 100], [2, 100], [0, 50], [0, 0]])


def test_likelihood_of_one_and_two_obligors_is_closed_form():
    """One default has probability p; two have the bivariate normal one."""
    k, rho = stats.norm.ppf(0.1), 0.3
    value = jax.jit(ac.log_likelihood)

    def chance(d, n):
        return float(np.exp(value(jnp.array([k]), rho, ac.Counts(jnp.array([[d]]),
                                                                 jnp.array([[n]])))))

    assert chance(1.0, 1.0) == pytest.approx(0.1, abs=1e-9)
    both = stats.multivariate_normal.cdf([k, k], cov=[[1.0, rho], [rho, 1.0]])
    assert chance(2.0, 2.0) == pytest.approx(both, abs=1e-6)
    assert chance(0.0, 2.0) + chance(1.0, 2.0) + chance(2.0, 2.0) == pytest.approx(1.0, abs=1e-9)


def test_likelihood_of_a_large_pool_agrees_with_fine_integration():
    """Adaptive nodes stay right where the integrand is a spike."""
    rates, rho = np.array([0.002, 0.03, 0.2]), 0.12
    obligors, defaults = np.array([3000.0, 2000.0, 300.0]), np.array([9.0, 95.0, 88.0])
    k = stats.norm.ppf(rates)
    z = np.linspace(-8.0, 8.0, 20_001)
    p = counts.conditional_rates(k, rho, z)
    mass = stats.binom.logpmf(defaults, obligors, p).sum(1) + stats.norm.logpdf(z)
    want = np.log(np.exp(mass - mass.max()).sum() * (z[1] - z[0])) + mass.max()
    got = jax.jit(ac.log_likelihood)(jnp.asarray(k), rho, ac.Counts(jnp.asarray(defaults)[None],
                                                                    jnp.asarray(obligors)[None]))
    assert float(got) == pytest.approx(want, abs=1e-6)


@pytest.mark.slow
def test_asset_correlation_recovers_a_simulated_fifteen_percent():
    """0.15 within 0.02 from 300 years; 20 years cannot, and the errors say so."""
    obligors = np.full((300, 3), 800.0)
    generator = np.random.default_rng(0)
    defaults = ac.simulate(generator, [0.005, 0.02, 0.06], 0.15, obligors)
    found = ac.asset_correlation(defaults, obligors, draws=60)
    assert found.converged
    assert abs(found.correlation - 0.15) < 0.02
    assert found.error < 0.02 and found.low < 0.15 < found.high
    np.testing.assert_allclose(found.rates, [0.005, 0.02, 0.06], rtol=0.2)
    short = ac.simulate(generator, [0.005, 0.02, 0.06], np.full(130, 0.15), obligors[:20])
    batch = ac.estimate_batch(short, np.broadcast_to(obligors[:20], short.shape))
    assert batch.converged.all()
    spread = batch.correlation.std()
    assert 0.02 < spread < 0.06
    bias = batch.correlation.mean() - 0.15
    assert abs(bias) < 0.02  # of the average; a single history is off by 0.04
    errors = batch.correlation * (1 - batch.correlation) * np.sqrt(batch.covariance[:, -1, -1])
    assert errors.mean() == pytest.approx(spread, rel=0.35)


@pytest.mark.slow
def test_independent_defaults_have_no_correlation():
    obligors = np.full((12, 2), 500.0)
    defaults = np.random.default_rng(1).binomial(500, [0.02, 0.05], (12, 2))
    found = ac.estimate_batch(defaults[None], obligors[None])
    assert found.correlation[0] < 0.01
    with pytest.raises(ValueError, match="at least three periods"):
        ac.asset_correlation(np.zeros((5, 2)), obligors[:5])


def test_count_mixture_is_exact():
    """Sums of binomials by convolution, and a beta-binomial as a mixture."""
    mass = counts.mixture_pmf([30, 12], np.array([[0.1, 0.5]]))
    want = np.convolve(stats.binom.pmf(np.arange(31), 30, 0.1),
                       stats.binom.pmf(np.arange(13), 12, 0.5))
    np.testing.assert_allclose(mass[:43], want, atol=1e-14)
    assert mass[43:].max(initial=0.0) < 1e-14
    points, weights = np.polynomial.legendre.leggauss(200)
    p = 0.5 * (points + 1.0)
    weights = 0.5 * weights * np.exp(2.0 * np.log(p) + 8.0 * np.log1p(-p) - betaln(3.0, 9.0))
    mass = counts.mixture_pmf([40], p[:, None], weights)
    np.testing.assert_allclose(mass[:41], stats.betabinom.pmf(np.arange(41), 40, 3, 9), atol=1e-12)
    np.testing.assert_allclose(counts.poisson_binomial([0.2] * 7),
                               stats.binom.pmf(np.arange(8), 7, 0.2), atol=1e-15)
    assert counts.quantile(np.array([0.5, 0.4, 0.1]), 0.9) == 1

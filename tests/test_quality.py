"""Quality and concentration tests: hand-computed numbers, ladders, ties, laws, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from clo_gen.hypo import quality as under_test
from clo_gen.hypo.diversity import diversity_score
from clo_gen.hypo.quality import ladder, largest, names_of_tests, with_recovery_modifier
from clo_gen.hypo.records import DiversityTable, Positions
from clo_gen.io import hypo_tables
from clo_gen.io.quality_limits import GroupTerms, LimitTerms, read_limits
from clo_gen.io.tables import config_path
from clo_gen.jobs.quality import limits_of

US_2016 = config_path("limits/us_2016.toml")
TERMS = dict(diversity_min=1.75, warf_max=2500, was_min_bps=360, warr_min=0.5, wal_max_years=5,
             obligor_max=0.3, obligor_exceptions=(0.6,), industry_max=0.5,
             industry_exceptions=(0.8, 0.7),
             groups=(dict(name="CCC", max=0.1, rating_below="B3"),))
quality, diversity_of = jax.jit(under_test.quality), jax.jit(under_test.diversity_of)
TABLE = DiversityTable(*map(jnp.asarray, hypo_tables.diversity_table()))


def limits(**changes):
    given = TERMS | changes
    given["groups"] = tuple(GroupTerms(**group) for group in given["groups"])
    return limits_of(LimitTerms.model_construct(**given))


def portfolio(**changes):
    """Four positions of three obligors, two industries: B2, B2, Caa1, Ba2."""
    return Positions(**dict(
        share=jnp.array([0.4, 0.3, 0.2, 0.1]), obligor=jnp.array([0, 0, 1, 2]),
        industry=jnp.array([0, 0, 1, 0]), rating=jnp.array([15, 15, 17, 12]),
        spread=jnp.array([0.035, 0.04, 0.05, 0.03]), recovery=jnp.array([0.5, 0.6, 0.4, 0.7]),
        life=jnp.array([4.0, 5.0, 6.0, 3.0]), member=jnp.array([[0.0, 0.0, 1.0, 0.0]])) | changes)


def drawn(seed, size=12):
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.2, 1.0, size)
    return Positions(*map(jnp.asarray, (
        share / share.sum(), rng.integers(0, size, size), rng.integers(0, 4, size),
        rng.integers(10, 19, size), rng.uniform(0.02, 0.06, size), rng.uniform(0.3, 0.7, size),
        rng.uniform(2.0, 7.0, size), rng.integers(0, 2, (1, size)).astype(float))))


def test_hand_computed_numbers():
    """Average par 1/3: units 1, 0.6, 0.3; industries hold 1.3 (score 1.15) and 0.6 (0.6)."""
    got = quality(portfolio(), limits())
    warf = 0.7 * 2720 + 0.2 * 4770 + 0.1 * 1350
    result = [1.75, warf, 0.039, 0.53, 4.6, 0.7, 0.2, 0.8, 0.2, 0.0, 0.2]
    np.testing.assert_allclose(got.result, result, atol=1e-12)
    np.testing.assert_allclose(got.cushion, [0.0, 2500 - warf, 0.003, 0.03, 0.4, -0.1, 0.1, 0.0,
                                             0.5, 0.5, -0.1], atol=1e-12)
    passes = [True, False, True, True, True, False, True, True, True, True, False]
    assert got.passes.tolist() == got.maintained.tolist() == passes
    assert names_of_tests(1, 2, ["CCC"]) == (
        "diversity score", "risk score", "spread", "recovery", "life", "obligor 1", "obligor 2",
        "industry 1", "industry 2", "industry 3", "CCC")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_diversity_is_that_of_the_obligors_however_they_are_split(seed):
    rng = np.random.default_rng(seed)
    share, industry = rng.dirichlet(np.full(10, 2.0)), rng.integers(0, 5, 10)
    want = diversity_score(jnp.asarray(share), jnp.asarray(industry), 10, TABLE, industries=10)
    part = rng.uniform(0.2, 0.8, 10)
    twice = jnp.arange(20) % 10
    split = portfolio(share=jnp.concatenate([share * part, share * (1 - part)]), obligor=twice,
                      industry=jnp.asarray(industry)[twice])
    assert abs(diversity_of(split, TABLE) - want) < 1e-12


def test_ten_equal_obligors_have_diversity_ten_and_two_industries_share_units():
    ten = portfolio(share=jnp.full(10, 0.1), obligor=jnp.arange(10), industry=jnp.arange(10))
    assert abs(diversity_of(ten, TABLE) - 10.0) < 1e-12
    both = portfolio(share=jnp.array([0.5, 0.5]), obligor=jnp.array([0, 0]),
                     industry=jnp.array([0, 1]))  # one unit, half to each industry: 0.5 + 0.5
    assert abs(diversity_of(both, TABLE) - 1.0) < 1e-12


def test_ladder_holds_the_nth_largest_to_the_nth_rung():
    five = limits_of(read_limits(US_2016))
    np.testing.assert_allclose(ladder(five.ob_max, five.ob_exceptions), [0.025] * 5 + [0.02])
    np.testing.assert_allclose(ladder(five.ind_max, five.ind_exceptions), [0.15, 0.12, 0.12, 0.1])
    np.testing.assert_allclose(ladder(0.02, jnp.array([0.03, 0.0])), [0.03, 0.02, 0.02])  # 0: none
    share = jnp.array([0.022, 0.025, 0.0245, 0.023, 0.021, 0.025, *[0.0199] * 43])
    np.testing.assert_allclose(largest(share[:2], jnp.array([1, 1]), 4), [0.047, 0, 0, 0])
    book = drawn(0, 49).replace(share=share, obligor=jnp.arange(49))
    no_group = book.replace(member=jnp.zeros((0, 49)))
    got = quality(no_group, five)
    np.testing.assert_allclose(got.result[5:11], [0.025, 0.025, 0.0245, 0.023, 0.022, 0.021])
    assert got.passes[5:11].tolist() == [True] * 5 + [False]  # the sixth is too large


def test_ties_pass_and_what_is_beyond_rounding_fails():
    share = jnp.array([0.1 + 0.2, 0.3, 0.2, 0.2])  # 0.1 + 0.2 is above 0.3 in binary
    tie = portfolio(share=share, obligor=jnp.arange(4))
    terms = limits(obligor_exceptions=(), industry_exceptions=())
    assert quality(tie, terms).passes[5]
    beyond = tie.replace(share=share + jnp.array([1e-8, -1e-8, 0, 0]))
    assert not quality(beyond, terms).passes[5]


def test_maintain_or_improve():
    terms = limits()
    first = quality(portfolio(), terms)
    same = quality(portfolio(), terms, first)
    assert same.maintained.all() and not same.passes.all()
    worse = quality(portfolio(rating=jnp.array([16, 15, 17, 12])), terms, first)
    assert not worse.passes[1] and not worse.maintained[1] and worse.maintained[5]
    better = quality(portfolio(rating=jnp.array([15, 15, 16, 12])), terms, first)
    assert not better.passes[1] and better.maintained[1]
    low = portfolio(spread=jnp.full(4, 0.03))
    assert not quality(low, terms, first).maintained[2]  # passed before, fails now
    assert quality(low, terms, quality(low.replace(spread=jnp.full(4, 0.029)), terms)).maintained[2]


def test_cash_in_the_basis_lowers_shares_and_leaves_averages():
    whole, cash = quality(portfolio(), limits()), quality(
        portfolio(share=portfolio().share * 0.8), limits())
    np.testing.assert_allclose(cash.result[:5], whole.result[:5], atol=1e-12)
    np.testing.assert_allclose(cash.result[5:], whole.result[5:] * 0.8, atol=1e-12)


def test_padding_and_order_change_nothing():
    book, terms = drawn(3), limits()
    want = quality(book, terms)
    book, order = jax.device_get(book), np.random.default_rng(0).permutation(24)
    padded = jax.tree.map(lambda x: np.concatenate([x, np.zeros_like(x)], axis=-1), book)
    padded = padded.replace(rating=np.maximum(padded.rating, 1))
    for other in (padded, jax.tree.map(lambda x: x[..., order], padded)):
        for a, b in zip(jax.tree.leaves(quality(other, terms)), jax.tree.leaves(want), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)


def test_vmap_is_the_loop():
    books, terms = [drawn(seed) for seed in range(4)], limits()
    before = quality(books[0], terms)
    batch = jax.tree.map(lambda *x: jnp.stack(x), *books)
    got = jax.jit(jax.vmap(quality, in_axes=(0, None, None)))(batch, terms, before)
    for i, book in enumerate(books):
        one = quality(book, terms, before)
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(a[i], b, atol=1e-12)


def test_gradients_of_the_averages():
    book, terms = drawn(4), limits()

    def tests(share, spread, recovery, life):
        given = book.replace(share=share, spread=spread, recovery=recovery, life=life)
        got = quality(given, terms)
        return got.result[1:5] / jnp.array([1e3, 1.0, 1.0, 1.0]), got.cushion[5:]

    args = (book.share, book.spread, book.recovery, book.life)
    check_grads(jax.jit(tests), args, order=1, modes=["rev"])

    def results(share, spread):
        return under_test.quality(book.replace(share=share, spread=spread), terms).result

    slopes = jax.jit(jax.jacrev(results, argnums=(0, 1)))
    by_share, by_spread = slopes(book.share, book.spread)
    np.testing.assert_allclose(by_spread[2], book.share, atol=1e-12)
    score = terms.risk_score[book.rating - 1]
    np.testing.assert_allclose(by_share[1], score - (book.share * score).sum(), atol=1e-8)
    assert all(np.isfinite(x).all() for x in slopes(0 * book.share, book.spread))  # empty


def test_recovery_moves_the_limit_of_the_risk_score():
    moved = with_recovery_modifier(limits(), portfolio(), 67.0, 0.43)
    assert abs(moved.riskscore_max - (2500 + 67 * 10)) < 1e-9  # recovery 53 %

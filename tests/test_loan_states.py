"""Laws of a month: masked moves never happen, shifts raise the odds, draws match probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clo_gen.models import loan_states
from clo_gen.states import DELINQUENCY, RATING, SPACES


def random_matrix(space, seed):
    rng = np.random.default_rng(seed)
    matrix = np.where(space.mask, rng.random((space.size, space.size)), 0.0)
    matrix[:, space.matured] = 0.0
    matrix[space.matured, space.matured] = 1.0
    return matrix / matrix.sum(1, keepdims=True)


def tilted(matrix, space, shift):
    """The slow oracle: each row's worse entries times exp(shift), then normalised."""
    odds = np.where(space.worse, np.exp(shift), 1.0)
    return matrix * odds / (matrix * odds).sum(1, keepdims=True)


@pytest.mark.parametrize("space", SPACES.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("shift", [-1.5, 0.0, 2.0])
def test_push_is_the_tilted_matrix(space, shift):
    matrix = random_matrix(space, 1)
    everywhere = jnp.eye(space.size)
    cohort, odds = jnp.zeros(space.size, int), jnp.full(space.size, np.exp(shift))
    got = loan_states.push(jnp.asarray(matrix)[None], space, everywhere, cohort, odds)
    np.testing.assert_allclose(got, tilted(matrix, space, shift), atol=1e-14)
    many = jnp.stack([jnp.asarray(random_matrix(space, 2)), jnp.asarray(matrix)])
    got = loan_states.push(many, space, everywhere, cohort + 1, odds)
    np.testing.assert_allclose(got, tilted(matrix, space, shift), atol=1e-14)


@pytest.mark.parametrize("space", SPACES.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("shift", [-1.5, 0.0, 2.0])
def test_draw_has_the_tilted_frequencies(space, shift):
    matrix = random_matrix(space, 3)
    n = 200_000
    points = jnp.asarray((np.arange(n) + 0.5) / n, jnp.float32)
    steps = loan_states.ladder(jnp.asarray(matrix, jnp.float32)[None], space)
    for state in range(space.size):
        new = loan_states.draw(steps, space, points, jnp.full(n, state), jnp.zeros(n, int),
                               jnp.full(n, np.exp(shift)))
        share = np.bincount(np.asarray(new), minlength=space.size) / n
        np.testing.assert_allclose(share, tilted(matrix, space, shift)[state], atol=2e-5)


@pytest.mark.parametrize("space", SPACES.values(), ids=lambda s: s.name)
def test_masked_moves_never_happen_at_the_ends_of_the_unit_interval(space):
    matrix = jnp.asarray(random_matrix(space, 4), jnp.float32)
    ends = jnp.asarray([0.0, 1e-7, 0.5, 1 - 6e-8, 1.0], jnp.float32)
    steps = loan_states.ladder(matrix[None], space)
    for state in range(space.size):
        for shift in (-8.0, 0.0, 8.0):
            new = loan_states.draw(steps, space, ends, jnp.full(5, state), jnp.zeros(5, int),
                                   jnp.full(5, np.exp(shift)))
            assert space.mask[state, np.asarray(new)].all()


def test_small_default_probabilities_survive_float32():
    """AAA at reduced odds defaults with 3e-7 a month: near 0 float32 resolves it."""
    matrix = np.eye(10)
    matrix[0, 0], matrix[0, 7] = 1 - 1e-6, 1e-6
    steps = loan_states.ladder(jnp.asarray(matrix, jnp.float32)[None], RATING)
    edge = np.array([2.9e-7, 3.1e-7], np.float32)
    new = loan_states.draw(steps, RATING, jnp.asarray(edge), jnp.zeros(2, int), jnp.zeros(2, int),
                           jnp.full(2, 0.3))
    assert new.tolist() == [RATING.default, 0]


def test_a_million_loan_months_without_a_forbidden_move(key):
    space, loans, months = DELINQUENCY, 2000, 500
    steps = loan_states.ladder(jnp.asarray(random_matrix(space, 5), jnp.float32)[None], space)
    uniform = jax.random.uniform(key, (months, loans), jnp.float32)

    def month(state, u):
        new = loan_states.draw(steps, space, u, state, state * 0, jnp.ones(loans))
        return jnp.where(new < space.default, new, u.astype(int)), (state, new)

    _, (before, after) = jax.lax.scan(month, jnp.zeros(loans, int), uniform)
    assert space.mask[np.asarray(before), np.asarray(after)].all()


def test_ratings_need_no_mask_but_the_absorbing_rows():
    assert RATING.mask[:7, :8].all()

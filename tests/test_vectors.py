"""Assumption vectors: laws, the simulation's cash rules, order of the period, gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_cash import INDEX, L, T, calendar, deal, tape

from clo_gen import pipeline
from clo_gen.cash import pool, vectors
from clo_gen.cash.schedule import schedule
from clo_gen.models.systematic import Shifts
from clo_gen.records import Transitions, Vectors
from clo_gen.states import RATING


def assume(cdr=0.05, cpr=0.2, severity=0.4, default_at_maturity=0.0):
    """Vectors of T months; numbers stay the same in every month. All of one dtype: one compile."""
    given = (np.full(T, float(x)) if np.ndim(x) == 0 else np.asarray(x)
             for x in (1 / 12, cdr, cpr, severity))
    return Vectors(*map(jnp.asarray, given), jnp.asarray(np.asarray(default_at_maturity, float)))


@functools.partial(jax.jit, static_argnames=("lag", "prepay_first"))
def collect(v, t, *, lag=5, prepay_first=False, shares=None):
    plan = schedule(t, calendar(), jnp.asarray([0.03]))
    return vectors.collections(t, plan, v, deal(), jnp.asarray(INDEX)[:, None], space=RATING,
                               lag=lag if shares is None else shares, prepay_first=prepay_first)


def assert_close(a, b, atol=1e-14):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, atol=atol)


@pytest.mark.parametrize("prepay_first", [False, True])
def test_every_dollar_is_accounted_for_and_nothing_is_negative(prepay_first):
    t = tape(1).replace(state=tape(1).state.at[0].set(RATING.default))
    got = collect(assume(default_at_maturity=0.1), t, prepay_first=prepay_first)
    assert pool.conservation_error(t, got) < 1e-14
    assert all((x > -1e-15).all() for x in jax.tree.leaves(got))
    np.testing.assert_allclose(got.par_by_state.sum(1), got.performing, atol=1e-14)
    np.testing.assert_allclose(got.par_by_state[:, 6], got.ccc_par.sum((1, 2)), atol=1e-14)


def test_same_cash_as_the_expected_simulation_of_the_same_rates(key):
    """Default first, prepayment of the rest: a matrix without migration says the same."""
    t = tape(2).replace(state=tape(2).state.at[3].set(RATING.default))
    d, p = (float(vectors.period_rate(x, 1 / 12)) for x in (0.07, 0.25))
    matrix = np.tile(np.eye(10), (1, T, 1, 1))
    live = np.arange(7)
    matrix[:, :, live, live] = (1 - d) * (1 - p)
    matrix[:, :, live, 7], matrix[:, :, live, 8] = d, (1 - d) * p
    shifts = Shifts(jnp.zeros((T, 2)), jnp.zeros((T, 3)), jnp.zeros((T, 2)))
    t = t.replace(loan_effect=jnp.zeros(L))

    @jax.jit
    def simulated(t, transitions):
        plan = schedule(t, calendar(), jnp.asarray([0.03]))
        return pipeline.collect(t, plan, deal(), transitions, shifts, jnp.asarray(INDEX)[:, None],
                                key, space=RATING, mode="expected", lag=5,
                                by_state=jnp.ones(T, bool))

    want = simulated(t, Transitions(jnp.asarray(matrix)))
    v = assume(0.07, 0.25, jnp.tile(1.0 - t.recovery_rate, (T, 1)), t.default_at_maturity)
    assert_close(collect(v, t), want)


@pytest.mark.parametrize("prepay_first", [False, True])
def test_more_defaults_never_bring_more_cash(prepay_first):
    t = tape(3)
    t = t.replace(maturity=jnp.minimum(t.maturity, T - 6), amortization_months=jnp.zeros(L, int))
    runs = [collect(assume(cdr), t, prepay_first=prepay_first)
            for cdr in (0.0, 0.01, 0.1, 0.5, 0.99, 1.0)]
    for low, high in zip(runs, runs[1:], strict=False):
        for name in ("interest", "scheduled_principal", "prepayment", "performing"):
            assert (getattr(high, name) <= getattr(low, name) + 1e-15).all()

        def cash(c):
            return (c.interest + c.scheduled_principal + c.prepayment + c.recovery).sum()

        assert cash(high) < cash(low)
    assert runs[-1].default[0] > 1 - 1e-9 and runs[-1].interest.sum() < 1e-9


def test_order_within_the_period():
    """One bullet, one period: which balance pays interest, and whether principal comes first."""
    t = jax.tree.map(lambda x: x[:1], tape(4)).replace(
        balance=jnp.ones(1), coupon=jnp.full(1, 0.12), floating=jnp.zeros(1),
        maturity=jnp.full(1, 30), amortization_months=jnp.full(1, 30), straight_line=jnp.ones(1),
        payment_months=jnp.ones(1, int), payment_offset=jnp.zeros(1, int),
        day_count=jnp.ones(1, int), default_at_maturity=jnp.zeros(1))
    d, p = vectors.period_rate(0.3, 1 / 12), vectors.period_rate(0.4, 1 / 12)
    ours, other = (collect(assume(0.3, 0.4), t, prepay_first=x) for x in (False, True))
    np.testing.assert_allclose(ours.interest[0], (1 - d) * 0.01)
    np.testing.assert_allclose(other.interest[0], (1 - d) * (1 - p) * 0.01)
    np.testing.assert_allclose(ours.scheduled_principal[0], (1 - d) / 30)
    np.testing.assert_allclose(other.scheduled_principal[0], (1 - d) * (1 - p) / 30)
    np.testing.assert_allclose(ours.prepayment[0], (1 - d) * 29 / 30 * p)
    np.testing.assert_allclose(other.prepayment[0], (1 - d) * p)
    np.testing.assert_allclose(ours.performing, other.performing, atol=1e-15)


def test_a_prepaid_loan_pays_interest_until_it_prepays():
    """Quarterly interest, prepaid in the second month: one month's interest, or two."""
    t = tape(5)
    t = t.replace(maturity=jnp.full(L, 30), payment_months=jnp.full(L, 3),
                  payment_offset=jnp.zeros(L, int), amortization_months=jnp.zeros(L, int))
    cpr = jnp.zeros(T).at[1].set(1.0)
    still = collect(assume(0.0, 0.0), t.replace(payment_months=jnp.ones(L, int)))
    ours, other = (collect(assume(0.0, cpr), t, prepay_first=x) for x in (False, True))
    np.testing.assert_allclose(ours.interest.sum(), still.interest[:2].sum())
    np.testing.assert_allclose(other.interest.sum(), still.interest[0])
    np.testing.assert_allclose([ours.prepayment[1], other.prepayment[1]], 1.0)


def test_severity_is_that_of_the_period_of_default():
    severity = jnp.linspace(0.2, 0.8, T)
    got = collect(assume(severity=severity), tape(6), lag=5)
    np.testing.assert_allclose(got.recovery[5:], ((1 - severity) * got.default)[:-5])
    np.testing.assert_allclose(got.loss[5:], (severity * got.default)[:-5])


def test_gradients_are_exact_in_every_vector():
    t = tape(7)
    weights = jnp.asarray(np.random.default_rng(0).uniform(size=(8, T)))

    def score(args):
        c = collect(args[0], t, shares=args[1])
        fields = (c.interest, c.scheduled_principal, c.prepayment, c.default, c.recovery, c.loss,
                  c.defaulted_value, c.carrying_haircut)
        return sum((w * x).sum() for w, x in zip(weights, fields, strict=True))

    args = (assume(default_at_maturity=0.2), jnp.asarray(np.array([0.0, 0.5, 0.3, 0.2])))
    value_and_grad = jax.jit(jax.value_and_grad(score))
    grads = value_and_grad(args)[1]
    rng = np.random.default_rng(1)
    bump = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), args)
    for part in range(5):
        step = [jnp.zeros_like(x) for x in jax.tree.leaves(args)]
        step[part + 1] = 1e-6 * jax.tree.leaves(bump)[part + 1]
        step = jax.tree.unflatten(jax.tree.structure(args), step)
        up, down = (value_and_grad(jax.tree.map(lambda x, s, sign=sign: x + sign * s, args,
                                                step))[0] for sign in (1, -1))
        got = sum((g * s).sum() for g, s in zip(jax.tree.leaves(grads), jax.tree.leaves(step),
                                                strict=True))
        np.testing.assert_allclose(got, (up - down) / 2, rtol=1e-6)


def test_gradients_are_finite_at_the_ends():
    for rate in (0.0, 1.0):
        grads = jax.grad(lambda v: collect(v, tape(8)).loss.sum())(assume(rate, rate))
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(grads))


def test_vmap_over_default_rates_is_a_loop():
    t, rates = tape(9), jnp.linspace(0.0, 0.9, 8)
    batch = jax.vmap(lambda cdr: collect(assume().replace(cdr=jnp.full(T, cdr)), t))(rates)
    for i in (0, 3, 7):
        assert_close(jax.tree.map(lambda x, i=i: x[i], batch), collect(assume(rates[i]), t))

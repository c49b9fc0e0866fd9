"""Loan cash against a slow oracle, and conservation of the pool."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from clo_gen import pipeline, rng
from clo_gen.cash import pool
from clo_gen.cash.schedule import amortised_balance, outstanding, schedule
from clo_gen.models.systematic import Shifts
from clo_gen.records import Calendar, Deal, Tape, Transitions
from clo_gen.states import RATING

T, L = 36, 12
INDEX = 0.03 + 0.01 * np.sin(np.arange(T) / 4)


def calendar():
    fraction = np.full((4, T), 1 / 12)
    fraction[0] = np.array([31, 28, 31, 30] * 9) / 360
    return record(Calendar, month_fraction=jnp.asarray(fraction))


def record(kind, **given):
    """A record of which the test needs only some fields."""
    return kind(**{f.name: None for f in dataclasses.fields(kind)} | given)


def deal(*, ccc_price=0.75, defaulted_price=0.5, discount_threshold=0.8, long_dated_value=0.7):
    """What the collateral side reads of a deal."""
    return record(Deal, ccc_price=jnp.asarray(ccc_price),
                  defaulted_price=jnp.asarray(defaulted_price),
                  discount_threshold=jnp.asarray(discount_threshold),
                  long_dated_value=jnp.asarray(long_dated_value))


def tape(seed=0):
    """L loans: fixed and floating, bullet, level, straight and balloon, monthly to yearly pay."""
    r = np.random.default_rng(seed)
    maturity = r.integers(4, T + 12, L)
    months = np.array([1, 3, 6, 12])[np.arange(L) % 4]
    floating = (np.arange(L) % 3 > 0).astype(float)
    kind = np.arange(L) % 3
    balance = r.uniform(0.5, 1.5, L)
    return Tape(
        balance=jnp.asarray(balance / balance.sum()), state=jnp.asarray(r.integers(3, 7, L)),
        cohort=jnp.asarray(np.arange(L) % 2), industry=jnp.asarray(np.arange(L) % 3),
        region=jnp.asarray(np.arange(L) % 2), loan_effect=jnp.asarray(r.normal(0, 0.2, L)),
        maturity=jnp.asarray(maturity),
        amortization_months=jnp.asarray(np.select([kind == 1, kind == 2],
                                                  [maturity, maturity + 24], 0)),
        straight_line=jnp.asarray((np.arange(L) % 6 == 4).astype(float)),
        coupon=jnp.asarray(np.where(floating > 0, 0.0, r.uniform(0, 0.09, L))),
        spread=jnp.asarray(np.where(floating > 0, r.uniform(0.02, 0.05, L), 0.0)),
        floor=jnp.asarray(r.uniform(0, 0.04, L)), floating=jnp.asarray(floating),
        index=jnp.zeros(L, int), payment_months=jnp.asarray(months),
        payment_offset=jnp.asarray((-maturity) % months), day_count=jnp.asarray(np.arange(L) % 2),
        recovery_rate=jnp.asarray(r.uniform(0.2, 0.8, L)),
        default_at_maturity=jnp.asarray(np.arange(L) % 4 * 0.1),
        market_price=jnp.asarray(r.uniform(0.4, 1.0, L)),
        purchase_price=jnp.asarray(r.uniform(0.6, 1.0, L)), default_age=jnp.zeros(L, int))


def matrices(cpr=0.02):
    matrix = np.tile(np.eye(10), (1, T, 1, 1))
    base = np.array([.9, .03, .01])
    matrix[:, :, :7] = 0
    for i in range(7):
        matrix[:, :, i, i] += base[0]
        matrix[:, :, i, min(i + 1, 6)] += base[1]
        matrix[:, :, i, max(i - 1, 0)] += 1 - base.sum() - cpr
        matrix[:, :, i, 7] += base[2]
        matrix[:, :, i, 8] += cpr
    return Transitions(jnp.asarray(matrix))


@functools.partial(jax.jit, static_argnames=("mode", "keep", "lag"))
def collect(t, d, key, *, mode="markov", keep=False, shift=0.0, lag=5):
    """Collections of one path; par by state is kept every third month."""
    shifts = Shifts(jnp.full((T, 2), shift), jnp.zeros((T, 3)), jnp.zeros((T, 2)))
    today = jnp.asarray([0.03])
    plan = schedule(t, calendar(), today)
    return pipeline.collect(t, plan, d, matrices(), shifts,
                            jnp.asarray(INDEX)[:, None], key, space=RATING, mode=mode, lag=lag,
                            keep_loans=keep, by_state=jnp.arange(T) % 3 == 2)


def test_level_pay_leaves_the_annuity_balance():
    paid, balance = 0, 1.0
    payment = 0.06 / 12 / (1 - (1 + 0.06 / 12) ** -24)
    for paid in range(1, 25):
        balance = balance * (1 + 0.06 / 12) - payment
        np.testing.assert_allclose(amortised_balance(jnp.asarray(0.06), 24, paid), balance,
                                   atol=1e-12)
    assert amortised_balance(jnp.asarray(0.0), 24, 6) == 0.75
    assert np.isfinite(jax.grad(lambda r: amortised_balance(r, 24, 6))(0.0))


def test_pool_cash_is_the_sum_of_the_slow_oracle_over_loans(key):
    t, d = tape(), deal()
    got, path = collect(t, d, key, keep=True)
    states = np.asarray(path.weights).argmax(-1)
    total = {name: np.zeros(T) for name in ("interest", "scheduled", "prepayment", "default",
                                            "balance")}
    fraction = np.asarray(calendar().month_fraction)
    for i in range(L):
        rate = float(t.coupon[i] + t.floating[i] * (max(0.03, t.floor[i]) + t.spread[i]))
        loan = {name: float(getattr(t, name)[i]) for name in (
            "balance", "coupon", "spread", "floor", "floating", "straight_line",
            "default_at_maturity")}
        loan |= {name: int(getattr(t, name)[i]) for name in (
            "maturity", "amortization_months", "payment_months", "payment_offset")}
        rows = reference.loan_cash(loan | {"amortisation_rate": rate}, states[:, i], INDEX,
                                   fraction[int(t.day_count[i])], default=7, prepaid=8)
        for name in total:
            total[name] += [row[name] for row in rows]
    np.testing.assert_allclose(got.interest, total["interest"], atol=1e-13)
    np.testing.assert_allclose(got.scheduled_principal, total["scheduled"], atol=1e-13)
    np.testing.assert_allclose(got.prepayment, total["prepayment"], atol=1e-13)
    np.testing.assert_allclose(got.default, total["default"], atol=1e-13)
    np.testing.assert_allclose(got.performing, total["balance"], atol=1e-13)


@pytest.mark.parametrize("mode", ["markov", "expected"])
def test_every_dollar_is_accounted_for(key, mode):
    t = tape(1)
    got = collect(t, deal(), key, mode=mode)
    assert pool.conservation_error(t, got) < 1e-14
    recovered = got.recovery.sum() + got.loss.sum() + got.defaulted[-1]
    np.testing.assert_allclose(recovered, got.default.sum(), atol=1e-14)


def test_recovery_comes_late_and_loss_is_booked_with_it(key):
    t = tape(2)
    got = collect(t, deal(), key, lag=5)
    assert (got.recovery[:5] == 0).all() and (got.loss[:5] == 0).all()
    np.testing.assert_allclose((got.recovery + got.loss)[5:], got.default[:-5], atol=1e-14)


def test_loans_in_default_at_the_cutoff_recover_and_pay_nothing_else(key):
    t = tape(3)
    t = t.replace(state=jnp.full(L, RATING.default), default_age=jnp.asarray([0, 3] * 6))
    got = collect(t, deal(), key, lag=5)
    assert pool.conservation_error(t, got) < 1e-14
    assert got.interest.sum() == 0 and got.default.sum() == 0
    np.testing.assert_allclose(got.recovery[4], (t.balance * t.recovery_rate)[::2].sum())
    np.testing.assert_allclose(got.recovery[1], (t.balance * t.recovery_rate)[1::2].sum())


def test_absorbed_loans_stay_and_pay_nothing(key):
    t = tape(4)
    _, path = collect(t, deal(), key, keep=True)
    states = np.asarray(path.weights).argmax(-1)
    gone = states >= 7
    assert (states[1:][gone[:-1]] == states[:-1][gone[:-1]]).all()
    assert (np.asarray(path.cash)[1:][gone[:-1]] == 0).all()
    np.testing.assert_allclose(np.asarray(path.weights).sum(-1), 1.0)


def test_padding_loans_change_nothing(key):
    t = tape(5)
    padded = jax.tree.map(lambda x: jnp.concatenate([x, x[:4]]), t)
    padded = padded.replace(balance=padded.balance.at[L:].set(0.0))
    a, b = (collect(x, deal(), key, mode="expected") for x in (t, padded))
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-15)


def test_nobody_leaves_when_nothing_happens_and_all_par_comes_back(key):
    t = tape(6).replace(default_at_maturity=jnp.zeros(L))
    still = Transitions(jnp.asarray(np.tile(np.eye(10), (1, T, 1, 1))))
    shifts = Shifts(jnp.zeros((T, 2)), jnp.zeros((T, 3)), jnp.zeros((T, 2)))
    got = pipeline.collect(t, schedule(t, calendar(), jnp.asarray([0.03])), deal(), still,
                           shifts, jnp.asarray(INDEX)[:, None], key, space=RATING, mode="markov",
                           lag=5)
    late = t.maturity > T
    assert late.any() and got.default.sum() == 0 and got.prepayment.sum() == 0
    left = outstanding(t, T, jnp.asarray([0.03]))[-1]
    np.testing.assert_allclose(got.performing[-1], jnp.where(late, t.balance * left, 0.0).sum())
    np.testing.assert_allclose(got.scheduled_principal.sum() + got.performing[-1], 1.0)


def test_expected_is_the_mean_of_markov_given_the_systematic_path(key):
    """Each of the collections, every month, within 4 standard errors (5 for the worst of many)."""
    t, d = tape(7), deal()
    n = 4000
    draws = jax.jit(jax.vmap(lambda i: collect(t, d, rng.path_key(key, i), shift=0.4)))(
        jnp.arange(n))
    exact = collect(t, d, key, mode="expected", shift=0.4)
    for name in ("interest", "scheduled_principal", "prepayment", "default", "recovery", "loss",
                 "performing", "defaulted", "carrying_haircut", "ccc_par", "ccc_value"):
        sample, want = getattr(draws, name).reshape(n, -1), getattr(exact, name).ravel()
        error = sample.std(0) / np.sqrt(n)
        total = (sample.sum(1).mean() - want.sum()) / (sample.sum(1).std() / np.sqrt(n))
        assert abs(total) < 4, (name, total)
        busy = error > 1e-12
        worst = jnp.where(busy, jnp.abs(sample.mean(0) - want) / jnp.where(busy, error, 1), 0)
        assert worst.max() < 5, (name, worst.max())


def test_expected_mode_has_exact_gradients(key):
    t, d = tape(8), deal()

    @jax.jit
    def loss(recovery, effect):
        return collect(t.replace(recovery_rate=recovery, loan_effect=effect), d, key,
                       mode="expected").loss.sum()

    grads = jax.grad(loss, (0, 1))(t.recovery_rate, t.loan_effect)
    for which in (0, 1):
        args = [t.recovery_rate, t.loan_effect]
        for i in range(3):
            bump = jnp.zeros(L).at[i].set(1e-6)
            up, down = (loss(*[a + s * bump if j == which else a for j, a in enumerate(args)])
                        for s in (1, -1))
            np.testing.assert_allclose(grads[which][i], (up - down) / 2e-6, rtol=1e-6, atol=1e-12)


def test_straight_line_and_a_plan_of_ones_own():
    t = tape(13).replace(straight_line=jnp.ones(L))
    today = jnp.asarray([0.03])
    plan = schedule(t, calendar(), today)
    paid = np.asarray(plan.principal)
    for i in np.flatnonzero(np.asarray(t.amortization_months) > 0):
        months, step = int(t.maturity[i]), int(t.payment_months[i])
        term = int(t.amortization_months[i])
        dates = [m for m in range(1, min(months, T + 1)) if (m + t.payment_offset[i]) % step == 0]
        want = [t.balance[i] * (b - a) / term for a, b in zip([0, *dates], dates, strict=False)]
        np.testing.assert_allclose(paid[np.array(dates, int) - 1, i], want, atol=1e-15)
    cumulative = jnp.linspace(0.0, 1.2, T).clip(0, 0.6)
    left = outstanding(t, T, today).at[:, 0].set(1.0 - cumulative)
    own = schedule(t.replace(maturity=t.maturity.at[0].set(T)), calendar(), today, left=left)
    np.testing.assert_allclose(own.principal[:, 0].cumsum()[:-1] / t.balance[0], cumulative[:-1])
    np.testing.assert_allclose(own.principal[:, 0].sum(), t.balance[0])
    np.testing.assert_allclose(own.principal[:, 1:], plan.principal[:, 1:])
    assert own.balloon[:, 0].sum() == own.balloon[-1, 0] == int(t.amortization_months[0] == 0)


@pytest.mark.parametrize("mode", ["markov", "expected"])
def test_a_bullet_that_is_not_refinanced_defaults_at_maturity(key, mode):
    """Against the same path with refinancing: what was due and its interest are lost, not more."""
    t = tape(14)
    full = collect(t.replace(default_at_maturity=jnp.zeros(L)), deal(), key, mode=mode)
    part = collect(t.replace(default_at_maturity=jnp.full(L, 0.3)), deal(), key, mode=mode)
    missed = full.scheduled_principal - part.scheduled_principal
    np.testing.assert_allclose(part.default - full.default, missed, atol=1e-14)
    assert missed.sum() > 0.01 and (part.interest <= full.interest).all()
    np.testing.assert_array_equal(part.performing, full.performing)
    np.testing.assert_array_equal(part.prepayment, full.prepayment)
    assert pool.conservation_error(t, part) < 1e-14

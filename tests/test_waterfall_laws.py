"""Laws of the waterfall on random structures, 100 draws of terms and collections each."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_deals import FEATURES, case, case_of, features, run_draw, structure
from random_draws import N, drawn, draws, paid

TEMPERATURES = (0.0, 1e-8, 1e-3, 0.03, 1.0)
SEEDS = (*range(14), 19)
DEFAULT = (0, 3, 11, 19)  # the others are slow: a structure compiles for seconds
seeds = pytest.mark.parametrize("seed", [
    pytest.param(s, marks=() if s in DEFAULT else pytest.mark.slow) for s in SEEDS])


def per_date(x, period):
    """Monthly x [N, T] by payment date [N, P]."""
    x, period = np.asarray(x), np.asarray(period)
    return np.stack([x[:, period == p].sum(1) for p in range(period.max() + 1)], axis=1)


def test_every_feature_is_in_some_structures():
    for which, least in ((SEEDS, 2), (DEFAULT, 1)):
        counts = {f: sum(f in features(s) for s in which) for f in FEATURES}
        assert min(counts.values()) >= least, counts


@seeds
def test_cash_in_is_cash_out_on_every_date_at_every_temperature(seed):
    loaded, given = case(seed).loaded, drawn(seed)
    c, reserves = given["collections"], given["deal"].reserves
    own = per_date(c.interest + c.scheduled_principal + c.prepayment + c.recovery,
                   loaded.calendar.period)
    for temperature in TEMPERATURES:
        k = paid(seed, temperature)
        alive = 1.0 - np.cumsum(np.pad(k.called, ((0, 0), (1, 0))), axis=1)
        came = alive[:, :-1] * own + k.sold + k.hedged + k.from_bought
        went = (k.interest.sum(2) + k.principal.sum(2) + k.fees.sum(2) + k.incentive
                + k.reinvested)
        held = k.left + k.reserve.sum(2)
        start = 0.0 if reserves is None else np.asarray(reserves.initial).sum(1, keepdims=True)
        before = np.concatenate([np.broadcast_to(start, (N, 1)), held[:, :-1]], axis=1)
        assert np.abs(before + came - went - held).max() < 1e-9, temperature
        assert held[:, -1].max() < 1e-9, "cash left at maturity"


@seeds
def test_nothing_is_negative_overpaid_or_grows(seed):
    deal, fraction = drawn(seed)["deal"], drawn(seed)["calendar"].note_fraction
    for temperature in TEMPERATURES:
        k = paid(seed, temperature)
        for name in ("interest", "principal", "balance", "unpaid", "fees", "fee_unpaid",
                     "incentive", "sold", "hedged", "from_bought", "reinvested", "bought",
                     "reserve", "left", "cure"):
            assert getattr(k, name).min(initial=0.0) > -1e-12, (name, temperature)
        start = np.asarray(deal.balance)[:, None]
        balance = np.concatenate([start, k.balance], axis=1)
        np.testing.assert_allclose(balance[:, :-1] - k.principal, k.balance, atol=1e-12)
        unpaid = np.concatenate([0 * start, k.unpaid], axis=1)[:, :-1]
        called = np.cumsum(k.called, axis=1) - k.called  # before the date; nothing accrues after it
        accrues = (called < 1.0 - 1e-14)[:, :, None]
        due = unpaid + (balance[:, :-1] + unpaid) * k.rate * fraction * accrues
        np.testing.assert_allclose((due - k.interest)[:, :, :-1], k.unpaid[:, :, :-1], atol=1e-12)
        for weight in (k.called, k.accelerated):
            assert weight.min() >= 0.0 and weight.max() <= 1.0


@seeds
def test_soft_tends_to_hard(seed):
    """At this temperature no draw is near a gate: a difference means that a tie is built in."""
    hard, soft = paid(seed, 0.0), paid(seed, 1e-8)
    for name in ("interest", "principal", "balance", "unpaid", "fees", "reinvested", "reserve",
                 "accelerated"):
        a, b = getattr(hard, name), getattr(soft, name)
        gap = np.abs(a - b).reshape(N, -1).max(1, initial=0.0)
        assert (gap < 1e-7).all(), (name, np.flatnonzero(gap >= 1e-7), gap.max())


@pytest.mark.slow
@pytest.mark.parametrize("seed", [19, 4])
def test_a_padding_class_changes_nothing(seed):
    k = len(case(seed).loaded.classes) - 1
    padded = case_of(structure(seed, junior=True))
    given = pad_draws(drawn(seed), padded, k, balance=0.0)
    for temperature in (0.0, 0.03):
        got = jax.tree.map(np.asarray, padded.run(given, temperature))
        for name in ("interest", "principal", "balance", "unpaid"):
            np.testing.assert_allclose(np.delete(getattr(got, name), k, axis=2),
                                       getattr(paid(seed, temperature), name), atol=1e-12)
            assert not getattr(got, name)[:, :, k].any()
        for name in ("fees", "incentive", "reserve", "called", "reinvested"):
            np.testing.assert_allclose(getattr(got, name), getattr(paid(seed, temperature), name),
                                       atol=1e-12, err_msg=name)


def pad_draws(given, padded, k, balance):
    """Draws of a structure as draws of the same one with a class more at place k."""
    own = draws(0, padded.loaded, N)["deal"]
    classes = own.balance.shape[1]

    def put(mine, theirs):
        """Fields by class take the other draws' numbers, and their own for the new class."""
        axis = [i for i, n in enumerate(mine.shape) if n == classes and theirs.shape[i] == n - 1]
        return jnp.insert(theirs, k, jnp.take(mine, k, axis[0]), axis[0]) if axis else theirs

    calendar = jax.tree.map(put, draws(0, padded.loaded, N)["calendar"], given["calendar"])
    deal = jax.tree.map(put, own, given["deal"])
    return given | {"calendar": calendar,
                    "deal": deal.replace(balance=deal.balance.at[:, k].set(balance))}


def plain(seed, junior=False):
    """A structure in which cash only cascades: no test, call, purchase or event, and no capped fee:
    what a year leaves of it ranks senior in the next."""
    return structure(seed, junior=junior, on=features(seed) & {
        "fee_interest", "fee_not_carried", "refinance", "no_deferral", "incentive",
        "swap", "cap", "european", "rolled"})


plain_seeds = pytest.mark.parametrize("seed", [
    pytest.param(s, marks=() if s == 2 else pytest.mark.slow) for s in range(2, 8)])


@functools.cache
def plain_case(seed):
    return case_of(plain(seed))


@plain_seeds
def test_more_loss_never_lowers_what_a_class_lacks(seed):
    """Less cash from the same par: interest, principal or recoveries, on random dates."""
    one, r = plain_case(seed), np.random.default_rng(seed)
    given = draws(seed, one.loaded, N)

    def lacking(c):
        k = one.run(given | {"collections": c}, 0.0)
        return np.asarray(k.balance[:, -1] + k.unpaid[:, -1])[:, :-1]

    good = given["collections"]
    lost = {name: getattr(good, name) * r.uniform(0, 1, getattr(good, name).shape) ** 3
            for name in ("interest", "prepayment", "recovery")}
    before, after = lacking(good), lacking(good.replace(**lost))
    assert (after - before).min() > -1e-12
    assert (after > before + 1e-6).any()


@plain_seeds
def test_a_junior_class_leaves_every_senior_payment_unchanged(seed):
    one = plain_case(seed)
    k, more = len(one.loaded.classes) - 1, case_of(plain(seed, junior=True))
    given = draws(seed, one.loaded, N)
    got, want = more.run(pad_draws(given, more, k, balance=0.05), 0.0), one.run(given, 0.0)
    for name in ("interest", "principal", "balance", "unpaid"):
        np.testing.assert_allclose(getattr(got, name)[:, :, :k], getattr(want, name)[:, :, :k],
                                   atol=1e-12, err_msg=name)
    assert got.interest[:, :, k].sum() > 0


@pytest.mark.slow
def test_vmap_over_deals_and_calendars_is_the_loop():
    loaded, given = case(3).loaded, drawn(3)
    alone = jax.jit(lambda d: run_draw(loaded, d, 0.0))
    for n in range(N):
        one = alone(jax.tree.map(lambda x: x[n], given))  # noqa: B023
        for name, got in vars(one).items():
            np.testing.assert_allclose(got, getattr(paid(3, 0.0), name)[n], atol=1e-12,
                                       err_msg=name)

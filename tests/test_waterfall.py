"""The waterfall against a slow oracle, an independent engine, and its laws."""

import datetime
import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from clo_gen.deal import steps
from clo_gen.deal.program import compile_program
from clo_gen.deal.waterfall import conservation_error, note_rates, run_waterfall
from clo_gen.io.dates import year_fraction
from clo_gen.io.deal import read_deal
from clo_gen.io.tables import config_path
from clo_gen.records import Calendar, Collections, Deal

GOLDEN = pathlib.Path(__file__).parent / "golden"
N = 16


@functools.cache
def us_bsl():
    return read_deal(config_path("deals/us_bsl.toml"))


def random_collections(seed, months, *, stress=1.0):
    """Collections [months] of a made-up pool that dies over time, with CCC and defaults."""
    rng = np.random.default_rng(seed)
    par, rows = 1.0, []
    for _ in range(months):
        default = par * rng.uniform(0, 0.006) * stress
        prepayment = (par - default) * rng.uniform(0, 0.04)
        scheduled = (par - default - prepayment) * rng.uniform(0, 0.01)
        interest = par * rng.uniform(0.002, 0.008)
        par = par - default - prepayment - scheduled
        rows.append((interest, scheduled, prepayment, default, 0.4 * default, 0.6 * default, par,
                     default, 0.4 * default, par * rng.uniform(0, 0.2), 0.0))
    table = np.array(rows).T
    table[10] = table[9] * rng.uniform(0.5, 0.9)
    return Collections(*map(jnp.asarray, table))


@jax.jit
def _run(deal, program, collections, index, temperature, calendar):
    return run_waterfall(deal, program, collections, index, temperature, calendar=calendar)


def run(deal, loaded, collections, index, temperature=0.0, program=None):
    program = loaded.program if program is None else program
    return _run(deal, program, collections, index, temperature, loaded.calendar)


def batch(seeds, stress=1.0):
    months = us_bsl().months
    parts = [random_collections(s, months, stress=stress) for s in seeds]
    return jax.tree.map(lambda *x: jnp.stack(x), *parts)


def index_path(seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(0.03 + 0.02 * rng.random(len(us_bsl().payment_dates)))


@functools.cache
def many(stress=1.0, temperature=0.0):
    """N paths at once: (collections, cash)."""
    loaded, collections = us_bsl(), batch(range(N), stress)
    cash = jax.jit(jax.vmap(lambda c: run(loaded.deal, loaded, c, index_path(), temperature)))
    return collections, cash(collections)


def reference_dates(loaded, c, index):
    """What reference.waterfall reads, from monthly collections."""
    cal, rates = loaded.calendar, np.asarray(note_rates(loaded.deal, index))
    c = jax.tree.map(np.asarray, c)
    opening = c.performing + c.scheduled_principal + c.prepayment + c.default
    dates, first, before = [], 0, 0.0
    for p, last in enumerate(np.asarray(cal.last_month)):
        months = slice(first, last + 1)
        dates.append(dict(
            interest=c.interest[months].sum(),
            principal=(c.scheduled_principal + c.prepayment + c.recovery)[months].sum(),
            opening=opening[first], performing=c.performing[last],
            defaulted_value=c.defaulted_value[last], ccc_par=c.ccc_par[last],
            ccc_value=c.ccc_value[last], rate=rates[p],
            note_fraction=np.asarray(cal.note_fraction[p]),
            fee_fraction=np.asarray(cal.fee_fraction[p]), new_year=float(cal.new_year[p]) > 0,
            step_years=float(cal.years[p]) - before))
        first, before = last + 1, float(cal.years[p])
    return dates


def reference_deal(deal):
    numbers = ("ccc_limit", "hurdle", "incentive", "equity_price")
    lists = ("balance", "fee_rate", "fee_amount", "fee_cap", "trigger")
    return ({n: float(getattr(deal, n)) for n in numbers}
            | {n: np.asarray(getattr(deal, n)).tolist() for n in lists})


@pytest.mark.parametrize("stress", [0.3, 1.0, 4.0])
def test_agrees_with_the_slow_oracle(stress):
    loaded = us_bsl()
    collections, cash = many(stress)
    for n in range(4):
        one = jax.tree.map(lambda x: x[n], collections)  # noqa: B023
        expected = reference.waterfall(
            reference_deal(loaded.deal), loaded.waterfall.steps, loaded.waterfall.tests,
            reference_dates(loaded, one, index_path()), deferrable=loaded.waterfall.deferrable)
        for name in ("interest", "principal", "fees", "unpaid"):
            want = np.array([row[name] for row in expected])
            np.testing.assert_allclose(getattr(cash, name)[n], want, atol=1e-12, err_msg=name)
        want = np.array([row["incentive"] for row in expected])
        np.testing.assert_allclose(cash.incentive[n], want, atol=1e-12)
        ratio = np.array([[row["ratio"][q] for q in range(7)] for row in expected])
        solid = ratio < 100  # a class almost paid off has a ratio of rounding errors
        np.testing.assert_allclose(np.asarray(cash.ratio[n])[solid], ratio[solid], rtol=1e-7)


@pytest.mark.parametrize("temperature", [0.0, 0.02])
@pytest.mark.parametrize("stress", [0.3, 4.0])
def test_cash_in_is_cash_out_and_nothing_is_negative(stress, temperature):
    collections, cash = many(stress, temperature)
    errors = jax.vmap(conservation_error, in_axes=(None, 0, 0))(us_bsl().deal, cash, collections)
    assert errors.max() < 1e-12
    for name in ("interest", "principal", "balance", "unpaid", "cure", "fees", "incentive"):
        assert getattr(cash, name).min() > -1e-12, name
    assert jnp.abs(cash.left).max() < 1e-12


def test_balances_only_fall_and_cures_never_exceed_what_is_owed():
    _, cash = many(4.0)
    start = jnp.broadcast_to(us_bsl().deal.balance, (N, 1, 9))
    path = jnp.concatenate([start, cash.balance], axis=1)[:, :, :-1]
    assert jnp.diff(path, axis=1).max() < 1e-12


def test_no_principal_to_a_junior_class_from_principal_while_a_senior_is_outstanding():
    _, cash = many(1.0)
    for k in range(1, 8):
        senior_left = cash.balance[:, :, :k].sum(-1)
        paid = cash.principal[:, :, k]
        assert jnp.where(senior_left > 1e-9, paid, 0.0).max() < 1e-9


def test_more_loss_leaves_no_class_better_off_without_tests():
    loaded = us_bsl()
    plain = tuple(s for s in loaded.waterfall.steps if not isinstance(s, steps.CureTests))
    program = compile_program(steps.Waterfall(plain, (), loaded.waterfall.deferrable), 3)
    deal = loaded.deal.replace(trigger=jnp.zeros(0))

    def unpaid(collections):
        cash = run_waterfall(deal, program, collections, index_path(), 0.0,
                             calendar=loaded.calendar)
        return (cash.balance[-1] + cash.unpaid[-1])[:-1]

    good = batch(range(N), 3.0)
    share = jnp.linspace(0.0, 0.5, N)[:, None]
    bad = good.replace(interest=good.interest * (1 - share), recovery=good.recovery * (1 - share))
    run_many = jax.jit(jax.vmap(unpaid))
    assert (run_many(bad) - run_many(good)).min() > -1e-12


def test_soft_tends_to_hard_away_from_the_triggers():
    loaded = us_bsl()
    collections, hard = many(1.0)
    soft = jax.jit(jax.vmap(lambda c: run(loaded.deal, loaded, c, index_path(), 1e-6)))(collections)
    near = jnp.abs(hard.ratio - loaded.deal.trigger) < 1e-4
    clear = ~near.any(axis=(1, 2))
    assert clear.sum() >= N // 2
    for name in ("interest", "principal", "balance", "unpaid", "fees"):
        gap = jnp.abs(getattr(soft, name) - getattr(hard, name)).max(axis=(1, 2))
        assert jnp.where(clear, gap, 0.0).max() < 1e-6, name


def test_a_tested_class_has_its_ratio_restored_by_the_cure():
    """With ample interest, an OC cure brings the ratio exactly to its trigger."""
    loaded = us_bsl()
    c = random_collections(3, loaded.months, stress=2.0)
    c = c.replace(interest=c.interest * 20)
    cash = run(loaded.deal, loaded, c, index_path())
    # After E's cure the next date's tests start from cured notes: junior tests cannot fail by more
    # than one quarter's loss; here the cure paid must equal debt - par / trigger.
    q, notes = 6, slice(0, 8)
    failing = np.flatnonzero((np.asarray(cash.ratio[:, q]) < 1.0370) & (np.asarray(
        cash.cure[:, :q]).sum(1) == 0))
    assert len(failing)
    p = failing[0]
    opening = (loaded.deal.balance if p == 0 else cash.balance[p - 1])[notes].sum()
    par = float(cash.ratio[p, q]) * float(opening)
    np.testing.assert_allclose(cash.cure[p, q], opening - par / 1.0370, atol=1e-9)


def test_ic_counts_interest_due_now_and_the_fees_senior_to_the_class():
    """Interest deferred before and fees junior to the class do not lower its ratio."""
    loaded, c = us_bsl(), random_collections(4, us_bsl().months, stress=3.0)
    cash = run(loaded.deal, loaded, c, index_path())
    fractions = np.asarray(loaded.calendar.note_fraction)
    last = np.asarray(loaded.calendar.last_month)
    for p in (3, 12):
        before = np.asarray(cash.balance[p - 1]), np.asarray(cash.unpaid[p - 1])
        due = (before[0] + before[1]) * np.asarray(cash.rate[p]) * fractions[p]
        proceeds = float(c.interest[last[p - 1] + 1: last[p] + 1].sum())
        senior = np.asarray(cash.fees[p])[:2].sum()
        np.testing.assert_allclose(cash.ratio[p, 1], (proceeds - senior) / due[:3].sum(), rtol=1e-9)
    assert (np.asarray(cash.unpaid[11]) > 0).any()


def test_an_ic_trigger_of_one_has_finite_gradients():
    loaded = us_bsl()
    deal = loaded.deal.replace(trigger=loaded.deal.trigger.at[1].set(1.0))
    grads = jax.grad(lambda d: run(d, loaded, random_collections(1, loaded.months), index_path(),
                                   0.01).interest.sum())(deal)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(grads))


def test_fee_cap_holds_each_deal_year():
    loaded = us_bsl()
    deal = loaded.deal.replace(fee_rate=loaded.deal.fee_rate.at[0].set(0.01),
                               fee_cap=loaded.deal.fee_cap.at[0].set(0.001))
    steps_senior = tuple(s for s in loaded.waterfall.steps
                         if not (isinstance(s, steps.PayFee) and s.fee == 0 and not s.capped))
    program = compile_program(
        steps.Waterfall(steps_senior, loaded.waterfall.tests, loaded.waterfall.deferrable), 3)
    cash = run(deal, loaded, random_collections(1, loaded.months), index_path(), program=program)
    by_year = np.asarray(cash.fees[:, 0]).reshape(13, 4).sum(1)
    assert by_year.max() <= 0.001 + 1e-12
    np.testing.assert_allclose(by_year[0], 0.001, atol=1e-12)


def test_a_claim_listed_twice_in_a_row_is_paid_once():
    loaded = us_bsl()
    twice = (steps.PayFee("interest", 0, True), *loaded.waterfall.steps[:1],
             steps.PayFee("interest", 0), *loaded.waterfall.steps[1:])
    program = compile_program(
        steps.Waterfall(twice, loaded.waterfall.tests, loaded.waterfall.deferrable), 3)
    plain = (steps.PayFee("interest", 0), *loaded.waterfall.steps[1:])
    want = compile_program(
        steps.Waterfall(plain, loaded.waterfall.tests, loaded.waterfall.deferrable), 3)
    c = random_collections(1, loaded.months)
    got, expected = (run(loaded.deal, loaded, c, index_path(), program=p) for p in (program, want))
    np.testing.assert_allclose(got.fees, expected.fees, atol=1e-14)
    np.testing.assert_allclose(got.interest, expected.interest, atol=1e-14)


def test_incentive_only_after_the_hurdle():
    loaded = us_bsl()
    c = random_collections(2, loaded.months, stress=0.0)
    cash = run(loaded.deal, loaded, c.replace(interest=c.interest * 3), index_path())
    flows = np.asarray(cash.interest[:, -1] + cash.principal[:, -1])
    years = np.asarray(loaded.calendar.years)
    first = np.flatnonzero(np.asarray(cash.incentive) > 0)[0]
    before = reference.internal_rate(flows[:first], years[:first], float(loaded.deal.balance[-1]))
    after = reference.internal_rate(flows[: first + 1], years[: first + 1],
                                    float(loaded.deal.balance[-1]))
    assert before < 0.12 <= after + 1e-9
    left = flows[first + 1:] + np.asarray(cash.incentive)[first + 1:]
    np.testing.assert_allclose(np.asarray(cash.incentive)[first + 1:], 0.2 * left, atol=1e-12)


def test_pari_passu_notes_share_by_balance():
    loaded = us_bsl()
    merged = []
    for s in loaded.waterfall.steps:
        if isinstance(s, steps.PayNotePrincipal) and s.notes == (0,):
            s = steps.PayNotePrincipal(s.account, (0, 1))
        elif isinstance(s, steps.PayNotePrincipal) and s.notes == (1,):
            continue
        merged.append(s)
    plain = tuple(s for s in merged if not isinstance(s, steps.CureTests))
    program = compile_program(steps.Waterfall(plain, (), loaded.waterfall.deferrable), 3)
    cash = run(loaded.deal.replace(trigger=jnp.zeros(0)), loaded,
               random_collections(1, loaded.months), index_path(), program=program)
    shares = np.asarray(cash.balance[:, :2]) / np.asarray(loaded.deal.balance[:2])
    np.testing.assert_allclose(shares[:, 0], shares[:, 1], atol=1e-12)


def test_vmap_is_the_loop():
    loaded = us_bsl()
    collections, cash = many(1.0)
    for n in range(3):
        one = jax.tree.map(lambda x: x[n], collections)  # noqa: B023
        alone = run(loaded.deal, loaded, one, index_path())
        np.testing.assert_allclose(alone.interest, cash.interest[n], atol=1e-14)
        np.testing.assert_allclose(alone.principal, cash.principal[n], atol=1e-14)


def test_soft_gradients_match_finite_differences_and_hard_ones_are_finite():
    loaded, collections = us_bsl(), random_collections(5, us_bsl().months, stress=2.0)
    index = index_path()

    @jax.jit
    def value(deal, temperature):
        cash = run_waterfall(deal, loaded.program, collections, index, temperature,
                             calendar=loaded.calendar)
        return jnp.sum(cash.interest * jnp.arange(1.0, 10.0)) + cash.principal[:, -1].sum()

    hard = jax.grad(value)(loaded.deal, 0.0)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(hard))
    soft = jax.grad(value)(loaded.deal, 0.02)
    for name in ("trigger", "spread", "fee_rate", "ccc_limit"):
        terms = getattr(loaded.deal, name)
        for i in np.ndindex(terms.shape):
            bump = jnp.zeros_like(terms).at[i].set(1e-7)
            up, down = (float(value(loaded.deal.replace(**{name: terms + s * bump}), 0.02))
                        for s in (1, -1))
            want = (up - down) / 2e-7
            got = float(getattr(soft, name)[i])
            assert abs(got - want) <= 2e-5 * max(abs(want), 1e-2), (name, i, got, want)


def _engine_case(name):
    return json.loads((GOLDEN / name).read_text())


@pytest.mark.parametrize("name", ["H1_plain_no_stress.json", "H3_oc_cure.json"])
def test_agrees_with_an_independent_engine(name):
    """Every note amount within 1.00 of 500m, as run through Hastructure (source in the file)."""
    case = _engine_case(name)
    terms, par = case["deal"], case["deal"]["initial_performing_balance"]
    notes, fees = terms["notes"], terms["fees"]
    tests = terms.get("oc_tests", [])
    names, fee_names = [n["name"] for n in notes], [f["name"] for f in fees]
    resolved = []
    for s in terms["waterfall"]:
        account, pick = s["from"], [names.index(x) for x in s.get("notes", [])]
        resolved += {
            "pay_fee": lambda a=account, s=s: [steps.PayFee(a, fee_names.index(s["fee"]))],
            "pay_note_interest": lambda a=account, p=pick: [
                steps.PayDeferredInterest(a, tuple(p)), steps.PayNoteInterest(a, tuple(p))],
            "pay_note_principal": lambda a=account, p=pick: [steps.PayNotePrincipal(a, tuple(p))],
            "oc_cure_pay_principal": lambda a=account, s=s: [steps.CureTests(
                a, ([t["name"] for t in tests].index(s["test"]),),
                tuple(names.index(x) for x in s["order"]))],
            "pay_equity_principal": lambda: [],
            "pay_residual_to_equity": lambda a=account: [steps.PayEquity(a)],
        }[s["op"]]()
    order = tuple(steps.Test("oc", tuple(names.index(x) for x in t["denominator"])) for t in tests)
    waterfall = steps.Waterfall(tuple(resolved), order, (True,) * len(notes))
    periods = case["period_inputs"]
    ends = [datetime.date.fromisoformat(terms["closing"])]
    ends += [datetime.date.fromisoformat(p["pay_date"]) for p in periods]
    fraction = np.array([[year_fraction(a, b, n.get("day_count", "ACT/360")) for n in notes]
                         for a, b in zip(ends[:-1], ends[1:], strict=True)])
    count = len(periods)
    money = lambda key: jnp.asarray([float(p[key]) / par for p in periods])  # noqa: E731
    zero = jnp.zeros(count)
    collections = Collections(
        interest=money("interest"), scheduled_principal=money("scheduled_principal"),
        prepayment=money("prepayment"), default=money("default"), recovery=money("recovery"),
        loss=zero, performing=money("end_performing"), defaulted=zero, defaulted_value=zero,
        ccc_par=zero, ccc_value=zero)
    k = len(notes)
    deal = Deal(
        balance=jnp.asarray([n["balance"] / par for n in notes]),
        coupon=jnp.asarray([n.get("rate", 0.0) for n in notes]), spread=jnp.zeros(k),
        floor=jnp.zeros(k), floating=jnp.zeros(k),
        fee_rate=jnp.asarray([f.get("rate", 0.0) for f in fees]),
        fee_amount=jnp.asarray([f.get("amount", 0.0) / par for f in fees]),
        fee_cap=jnp.full(len(fees), jnp.inf),
        trigger=jnp.asarray([t["trigger"] for t in tests]),
        ccc_limit=jnp.asarray(1.0), ccc_price=jnp.asarray(1.0), defaulted_price=jnp.asarray(0.0),
        hurdle=jnp.asarray(0.0), incentive=jnp.asarray(0.0), equity_price=jnp.asarray(1.0))
    calendar = Calendar(
        month_fraction=jnp.zeros((4, count)), period=jnp.arange(count),
        last_month=jnp.arange(count), reset_month=jnp.arange(count) - 1,
        note_fraction=jnp.asarray(fraction), fee_fraction=jnp.ones((count, len(fees))),
        years=jnp.asarray([(d - ends[0]).days / 365 for d in ends[1:]]), new_year=zero)
    cash = run_waterfall(deal, compile_program(waterfall, len(fees)), collections, zero, 0.0,
                         calendar=calendar)
    for i, note in enumerate(names):
        for kind in ("interest", "principal"):
            want = np.array([row[kind] for row in case["expected"]["notes"][note]], float)
            got = np.asarray(getattr(cash, kind)[:, i]) * par
            if note == names[-1]:  # the engine splits equity by its own balance: compare the total
                continue
            np.testing.assert_allclose(got[: len(want)], want, atol=1.0, err_msg=f"{note} {kind}")
    equity = np.array([row["interest"] + row["principal"] for row in
                       case["expected"]["notes"][names[-1]]], float)
    got = np.asarray(cash.interest[:, -1] + cash.principal[:, -1]) * par
    np.testing.assert_allclose(got[: len(equity)], equity, atol=1.0)
    for f, fee in enumerate(fee_names):
        want = np.array([row["paid"] for row in case["expected"]["fees"][fee]], float)
        np.testing.assert_allclose(np.asarray(cash.fees[: len(want), f]) * par, want, atol=1.0)

"""Level 3: cohort matrix at zero weights, masks, cached = full, cash laws, learning."""

import dataclasses
import datetime
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from clo_gen.evaluate.trajectory import evaluate
from clo_gen.io.auto_panel import MISSED_PAYMENTS, read_auto_panel
from clo_gen.io.problems import InputError
from clo_gen.models import loan_cash, trajectory
from clo_gen.models import trajectory_network as network
from clo_gen.train import loop, trajectory_data
from clo_gen.train import trajectory as training

SPACE = MISSED_PAYMENTS
LIVE = len(SPACE.live)
SMALL = trajectory_data.TrajectoryTraining(
    loans="synthetic", width=8, heads=2, window=4, head_hidden=8, steps=2, train_until="2018-06",
    stop_until="2018-12", test_until="2019-12", macro_reference=("1990-01", "2016-12"))
VALIDATION = pathlib.Path(__file__).parents[2] / "shared" / "data" / "validation"
AUTO = VALIDATION / "auto_abs_loans.parquet", VALIDATION / "auto_abs_panel.parquet"


@pytest.fixture(scope="module")
def data():
    data = training.load(SMALL, pathlib.Path("."))
    assert data.panel.source == "synthetic"
    return data


forecast = jax.jit(trajectory.forecast)


def untrained_params(data):
    init = jax.jit(trajectory.init, static_argnums=(1, 2))
    return init(jax.random.key(0), data.model.cfg, SPACE)


@pytest.fixture(scope="module")
def model(data):
    """Random weights everywhere, W_s, hazard and heads included."""
    params = untrained_params(data)
    leaves, tree = jax.tree.flatten(params)
    rng = np.random.default_rng(1)
    noisy = [np.asarray(x) + rng.normal(0.0, 0.3, x.shape).astype(x.dtype) for x in leaves]
    noisy = jax.tree.map(jnp.asarray, noisy)
    return data.model.replace(params=jax.tree.unflatten(tree, noisy))


def first_rows(history, rows):
    return jax.tree.map(lambda x: jnp.asarray(x[:rows]), history)


def loans_at_start(data, count, dtype=np.float32):
    chosen = np.flatnonzero(data.panel.state[:, 0] < LIVE)
    chosen = np.resize(chosen, count)
    loans = trajectory_data.loans_of(data.panel.take(chosen), data.history.cohort[chosen], dtype)
    return jax.tree.map(jnp.asarray, loans)


def flat_macro(model, months):
    return jnp.broadcast_to(jnp.asarray(model.macro_mean), (months, len(model.series)))


@pytest.mark.slow
def test_untrained_model_is_the_cohort_matrix(data):
    history = first_rows(data.history, 40)
    untrained = data.model.replace(params=untrained_params(data))
    logs = forecast(untrained, history)[0]
    rows = untrained.cohort_matrix[history.cohort[:, None], history.before.state]
    np.testing.assert_allclose(jnp.exp(logs), rows, atol=2e-6)


def test_what_the_cohort_matrix_excludes_has_probability_zero(data, model):
    history = first_rows(data.history, 40)
    chance = np.exp(forecast(model, history)[0])
    rows = np.asarray(model.cohort_matrix)[np.asarray(history.cohort)[:, None],
                                           np.asarray(history.before.state)]
    assert (chance[rows == 0] == 0).all() and (rows == 0).any()
    np.testing.assert_allclose(chance.sum(-1), 1.0, atol=1e-5)
    assert np.abs(chance - rows).max() > 0.1  # the random weights do move it


def test_cached_steps_equal_the_full_pass(data, model):
    """Also beyond the window, where the ring has come round several times."""
    history = first_rows(data.history, 16)
    months = history.state.shape[1]
    tokens = network.tokens(model.cfg, model.norm, history.facts[:, None], history.before,
                            history.macro, history.month)
    params = model.params["network"]
    whole = jax.jit(lambda t: network.full(params, model.cfg, SPACE.size, t))(tokens)

    def month(cache, x):
        *out, cache = network.step(params, model.cfg, x[0], cache, x[1])
        return cache, out

    steps = jax.jit(lambda t: jax.lax.scan(month, network.empty_cache(model.cfg, 16),
                                           (t, jnp.arange(months)))[1])(tokens.swapaxes(0, 1))
    assert months > 3 * model.cfg.window
    for ours, theirs in zip(whole, steps, strict=True):
        np.testing.assert_allclose(ours, theirs.swapaxes(0, 1), atol=1e-5)


def test_replayed_history_is_seen_as_the_full_pass_sees_it(data, model):
    """Tokens built from the carried loans equal those of the panel: state, kind, share, balance."""
    rows = np.flatnonzero(data.history.counted[:, 5])[:40]
    panel = data.panel.take(rows)
    history = jax.tree.map(lambda x: jnp.asarray(x[rows]), data.history)
    lives = trajectory.start(model, jax.tree.map(
        jnp.asarray, trajectory_data.loans_of(panel, data.history.cohort[rows])))
    observed = (panel.state[:, 1:6].T, trajectory_data.payment_kinds(panel)[:, 1:6].T,
                (panel.payment / panel.due[:, None])[:, 1:6].T, panel.balance[:, 2:7].T)
    months = np.asarray(history.month[0, :5])

    def seen(lives, x):
        return trajectory.replay(model, lives, *x), None

    lives, _ = jax.jit(lambda lives, xs: jax.lax.scan(seen, lives, xs))(
        lives, (history.macro[0, :5], months, jax.tree.map(jnp.asarray, observed)))
    before, hidden, *_ = jax.jit(trajectory.look)(model, lives, history.macro[0, 5],
                                                  history.month[0, 5])
    for ours, theirs in zip(jax.tree.leaves(before), jax.tree.leaves(history.before), strict=True):
        np.testing.assert_allclose(ours, theirs[:, 5], rtol=2e-5, atol=2e-5)
    full = forecast(model, history)[1]
    np.testing.assert_allclose(hidden, full[:, 5], atol=1e-4)


def test_the_future_does_not_reach_back(data, model):
    history = first_rows(data.history, 40)
    changed = history.replace(macro=history.macro.at[:, 9:].add(0.01))
    for ours, theirs in zip(forecast(model, history), forecast(model, changed), strict=True):
        np.testing.assert_array_equal(ours[:, :9], theirs[:, :9])
        assert not np.array_equal(ours[:, 9:], theirs[:, 9:])


def check_lives(model, loans, states, cash):
    """The laws of sampled lives [T, L]: moves, absorption, debt; returns loan-months checked."""
    states = np.concatenate([np.asarray(loans.state)[None], np.asarray(states)])
    before, after = states[:-1], states[1:]
    possible = (np.asarray(model.cohort_matrix) > 0).any(0)
    possible[:LIVE, SPACE.matured] = True  # by paying the last of the balance
    assert possible[before, after].all()
    gone = before >= LIVE
    assert (after[gone] == before[gone]).all()
    cash = {name: np.asarray(x, float) for name, x in vars(cash).items()}
    assert all((x >= 0).all() for x in cash.values())
    for name in ("payment", "interest", "principal", "prepayment", "default", "recovery"):
        assert (cash[name][gone] == 0).all(), name
    assert (cash["payment"][after == SPACE.default] == 0).all()
    opening = np.concatenate([np.asarray(loans.debt.balance)[None], cash["balance"][:-1]])
    live = after < LIVE
    scale = np.asarray(loans.debt.balance)
    lost = opening - cash["principal"] - cash["default"] - cash["balance"]
    assert (np.abs(lost) <= 1e-6 * scale).all()
    assert (cash["balance"][~live] == 0).all() and (cash["balance"][live] > 0).all()
    # No overpayment: interest is no more than what the opening balance earned and arrears.
    earned = np.cumsum(opening * np.asarray(loans.terms.rate) / 12.0, axis=0)
    assert (np.cumsum(cash["interest"], axis=0) <= earned + 1e-5 * scale).all()
    assert (cash["principal"] <= opening + 1e-6 * scale).all()
    assert (cash["recovery"] <= cash["default"]).all()
    np.testing.assert_allclose(cash["payment"], cash["interest"] + cash["principal"],
                               atol=2e-6 * scale.max())
    return before.size


@pytest.fixture(scope="module")
def sampled(data, model):
    """(loans, end, states, cash): 80 months, money in float64; month 25's matrix prepays all."""
    loans = loans_at_start(data, 400, np.float64)
    matrices = np.repeat(np.asarray(model.cohort_matrix)[:, None], 80, axis=1)
    matrices[:, 25, :LIVE] = np.eye(SPACE.size)[SPACE.prepaid]
    sample = jax.jit(functools.partial(trajectory.sample, model))
    return loans, *sample(jax.random.key(3), trajectory.start(model, loans),
                          flat_macro(model, 80), 600, matrices=jnp.asarray(matrices))


def test_sampled_lives_keep_the_laws(model, sampled):
    loans, end, states, cash = sampled
    check_lives(model, loans, states, cash)
    assert cash.payment.dtype == np.float64 and end.cache[0][0].dtype == np.float32
    counts = np.bincount(np.asarray(states).ravel(), minlength=SPACE.size)
    assert (counts > 0).all()  # every state was visited, so every law was asked


def test_matrices_by_month_are_obeyed(sampled):
    """A month whose matrix prepays everyone ends every life, whatever the network thinks."""
    states = np.asarray(sampled[2])
    assert (states[25] >= LIVE).all() and (states[24] < LIVE).any()


def test_calendar_is_the_civil_one():
    months = np.arange(0, 1200)
    got = np.asarray(jax.jit(network.calendar)(months))
    for month in months[::7]:
        first = datetime.date(1970 + month // 12, month % 12 + 1, 1)
        following = datetime.date(1970 + (month + 1) // 12, (month + 1) % 12 + 1, 1)
        last = following - datetime.timedelta(days=1)
        assert got[month, 0] == (last.weekday() >= 5)
        assert got[month, 1] == (following - first).days - 30


def test_payment_scale_is_its_own_inverse():
    share = jnp.asarray([0.0, 0.5, 1.0, 1.01, 3.0, 60.0])
    np.testing.assert_allclose(loan_cash.from_scale(loan_cash.to_scale(share)), share, atol=1e-12)


def test_annuity_is_the_level_payment():
    """A loan that pays its schedule has, at each age, that balance: a loop over months."""
    terms = loan_cash.Terms(*(jnp.asarray([x]) for x in (1.0, 0.06, 24.0)))
    annuity = jax.jit(loan_cash.annuity)
    balance = float(annuity(terms, 0.0)[0])
    for age in range(24):
        np.testing.assert_allclose(annuity(terms, float(age))[0], balance, rtol=1e-12)
        balance = balance * 1.005 - 1.0
    assert abs(balance) < 1e-12


def test_hats_are_a_partition():
    knots = (1.0, 2.0, 4.0, 8.0)
    hats = jax.jit(lambda x: network.hats(x, knots))(np.append(np.linspace(-3.0, 12.0, 61), knots))
    np.testing.assert_allclose(hats.sum(-1), 1.0, atol=1e-12)
    np.testing.assert_allclose(hats[-4:], np.eye(4), atol=1e-12)


def test_hazard_moves_default_alone(data):
    untrained = untrained_params(data)
    hazard = {name: x + 1.0 for name, x in untrained["hazard"].items()}
    history = first_rows(data.history, 40)
    base = np.exp(forecast(data.model.replace(params=untrained), history)[0])
    more = np.exp(forecast(data.model.replace(params=untrained | {"hazard": hazard}), history)[0])
    d = SPACE.default
    odds = np.exp(2.0)  # both splines are 1 everywhere
    np.testing.assert_allclose(more[..., d] * (1 - base[..., d]),
                               odds * base[..., d] * (1 - more[..., d]), rtol=2e-4, atol=1e-9)


@pytest.mark.slow
def test_loss_is_finite_and_so_is_its_gradient(data, model):
    def loss(params, history):
        return trajectory.loss(model.replace(params=params), jax.random.key(0), history)[0]

    value, gradient = jax.jit(jax.value_and_grad(loss))(model.params, first_rows(data.train, 64))
    assert np.isfinite(value)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))
    assert all((np.asarray(gradient["network"][name]["kernel"]) != 0).any()
               for name in ("enter", "state", "repeat"))


def test_splits_share_no_loan_month(data):
    train, stop = data.train, data.stop
    end = pd.Period("2018-06", "M").ordinal
    assert train.month[train.counted].max() <= end < stop.month[stop.counted].min()
    for loans, first, last in data.tests.values():
        test = data.split(loans, first, last)
        assert test.month[test.counted].min() > stop.month[stop.counted].max()
    held_out = next(iter(data.tests.values()))[0]
    assert not (held_out & data.seen).any() and held_out.any()


def test_kinds_of_payment(data):
    panel = data.panel.take(slice(0, 1))
    paid = np.array([[0.0, 1.0, 1.004, 1.3, 1.3, 0.7, 0.7, 0.7]]) * panel.due[:, None]
    kinds = trajectory_data.payment_kinds(dataclasses.replace(panel, payment=paid))
    none, schedule, same, other = range(4)
    assert kinds[0].tolist() == [none, schedule, schedule, other, same, other, same, same]


def write(folder, **changes):
    """Two small files of one loan; `changes` are columns of either."""
    loans = {"loan_id": ["a"], "trust": ["T"], "orig_month": ["2016-01"], "orig_balance": [1000.0],
             "orig_term": [60], "orig_rate": [0.05], "model_year": [2015], "vehicle_value": [900],
             "fico": [700], "pti": [0.1], "risk_cat": ["prime"], "new_used": ["used"],
             "sched_payment": [20.0], "lgd_at_chargeoff": [None]}
    months = {"loan_id": ["a"] * 3, "month": ["2017-01", "2017-02", "2017-03"], "age": [1, 2, 3],
              "bal_beg": [900.0, 880.0, 860.0], "payment": [20.0, 20.0, 20.0],
              "missed_run": [0, 0, 0], "state": ["C", "C", "C"]}
    frames = []
    for name, table in (("loans", loans), ("months", months)):
        table |= {k: v for k, v in changes.items() if k in table}
        frames.append(folder / f"{name}.csv")
        pd.DataFrame(table).to_csv(frames[-1], index=False)
    return frames


@pytest.mark.parametrize("changes,message", [
    ({"state": ["C", "D2", "C"]}, "current -> missed2"),
    ({"month": ["2017-01", "2017-02", "2017-05"]}, "loan a: a month is missing"),
    ({"state": ["C", "X", "C"]}, "one of C, D1"),
    ({"sched_payment": [0.0]}, "sched_payment: 0.0; want a positive number"),
    ({"payment": [20.0, None, 20.0]}, "payment: 1 rows without a value"),
])
def test_reader_says_what_is_wrong(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_auto_panel(*write(tmp_path, **changes))


def test_reader_takes_any_trust(tmp_path):
    panel = read_auto_panel(*write(tmp_path, risk_cat=["unheard of"], fico=[None]))
    assert panel.band.tolist() == [-1] and np.isnan(panel.features[0, 0])
    assert panel.trust.tolist() == ["T"] and panel.state.tolist() == [[0, 0, 0]]
    with pytest.raises(InputError, match="trust: 'U'; want one of T"):
        read_auto_panel(*write(tmp_path), trust="U")


@pytest.mark.slow
def test_million_loan_months(data, model):
    """No forbidden move, no cash after absorption, no overpayment in a million loan-months."""
    loans = loans_at_start(data, 10_500)
    _, states, cash = jax.jit(trajectory.sample)(
        model, jax.random.key(5), trajectory.start(model, loans), flat_macro(model, 100), 600)
    assert check_lives(model, loans, states, cash) >= 1_000_000


@pytest.mark.slow
def test_training_finds_what_the_synthetic_loans_do(data):
    """The feature that drives misses, which the cohort matrix cannot see, and the odd payers."""
    task = training.task(data)
    config = loop.TrainConfig(epochs=8, batch=64, learning_rate=1e-2, evaluate_every=8)
    params, _ = loop.fit(task, config)
    metrics = {(m.name, m.baseline_name): m for m in
               evaluate(training.assemble(params, data), data, draws=12, paths=4)}
    states = metrics["state log-likelihood", "cohort matrix"]
    assert states.low > 0 and "synthetic" in states.split
    crps = metrics["payment, given state: CRPS", "contract (absolute error)"]
    assert crps.value < 0.5 * crps.baseline


@pytest.mark.slow
@pytest.mark.skipif(not AUTO[0].exists(), reason="the auto loans are not there")
def test_contract_figures_of_the_auto_loans():
    """The two RMSEs of the contract that evaluate/loan_payments.py states."""
    panel = read_auto_panel(*AUTO, trust="AART2017-3")
    contract = np.minimum(panel.due[:, None], panel.balance * (1 + panel.rate[:, None] / 12.0))
    error = (panel.payment - contract) ** 2
    living = (panel.state >= 0) & (panel.state < LIVE)
    small = living & (panel.payment > 0) & (panel.payment <= 1.5 * panel.due[:, None])
    assert np.sqrt(error[living].mean()) == pytest.approx(543.7, abs=0.05)
    assert np.sqrt(error[small].mean()) == pytest.approx(43.0, abs=0.05)

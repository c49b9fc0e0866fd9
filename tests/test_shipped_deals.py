"""Every shipped deal loads, conserves cash, and does on some date what it says it shows."""

import functools
import pathlib
import re
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import small_assembly

from clo_gen.cash import new_collateral
from clo_gen.deal import steps
from clo_gen.deal.waterfall import conservation_error, run_waterfall
from clo_gen.io.deal import read_deal
from clo_gen.io.deal_arrays import purchases
from clo_gen.io.deal_terms import DealTerms
from clo_gen.io.tables import config_path
from clo_gen.pipeline import simulate_batch
from clo_gen.records import Collections

DEALS = sorted(p.stem for p in config_path("deals").glob("*.toml"))
# Yearly default and prepayment, recovered share, loan spread, index at the start and at the end.
SCENARIOS = {
    "calm": (0.005, 0.20, 0.60, 0.045, 0.035, 0.045),
    "low index": (0.01, 0.20, 0.60, 0.045, 0.010, 0.020),
    "mild": (0.03, 0.15, 0.50, 0.042, 0.030, 0.030),
    "stress": (0.05, 0.12, 0.50, 0.038, 0.060, 0.020),
    "low interest": (0.18, 0.05, 0.50, 0.010, 0.040, 0.070),
    "wipe-out": (0.80, 0.02, 0.10, 0.035, 0.040, 0.070),
}


def pool(months, calendar, index, cdr, cpr, recovered, spread, amortising):
    """Collections [T] of one loan per unit of par at yearly rates, recoveries after a year.

    Bullets fall due in the sixth and seventh year. A fifth of what lives is CCC from stress on.
    """
    default, prepay = 1 - (1 - cdr) ** (1 / 12), 1 - (1 - cpr) ** (1 / 12)
    rows, par, waiting = [], 1.0, np.zeros(months + 12)
    for t in range(months):
        lost = par * default
        early = (par - lost) * prepay
        left = months - t if amortising else max(84 - t, 1)
        plan = (par - lost - early) / left if amortising or t >= 60 else 0.0
        interest = (par - lost) * (index[calendar.period[t]] + spread) / 12
        par -= lost + early + plan
        waiting[t + 12] += lost
        rows.append((interest, plan, early, lost, recovered * waiting[t],
                     (1 - recovered) * waiting[t], par))
    interest, plan, early, lost, recovery, loss, par = map(np.array, zip(*rows, strict=True))
    defaulted = np.maximum(np.cumsum(lost - recovery - loss), 0.0)
    ccc = 0.2 * par[:, None, None] * (cdr > 0.04)
    return Collections(
        interest=interest, scheduled_principal=plan, prepayment=early, default=lost,
        recovery=recovery, loss=loss, performing=par, defaulted=defaulted,
        defaulted_value=0.4 * defaulted, ccc_par=ccc, ccc_value=0.7 * ccc,
        carrying_haircut=np.zeros(months), par_by_state=np.zeros((months, 0)))


@functools.cache
def paid(name):
    """(LoadedDeal, {scenario: TrancheCash}, largest conservation error)."""
    loaded = read_deal(config_path("deals") / f"{name}.toml")
    buys, dates = purchases(loaded.terms), len(loaded.payment_dates)
    calendar = jax.tree.map(np.asarray, loaded.calendar)

    def run(collections, index, cdr, cpr):
        new = buys and new_collateral.from_rates(buys, cdr, cpr, index, loaded.calendar)
        cash = run_waterfall(loaded.deal, loaded.waterfall, collections, index, 0.0,
                             calendar=loaded.calendar, new=new)
        return cash, conservation_error(loaded.deal, cash, collections, loaded.calendar)

    # A graph that runs a few times is not worth optimising.
    run = jax.jit(run, compiler_options={"xla_backend_optimization_level": "0"})
    out, errors = {}, []
    for scenario, (cdr, cpr, recovered, spread, first, last) in SCENARIOS.items():
        index = np.linspace(first, last, dates)
        own = pool(loaded.months, calendar, index, cdr, cpr, recovered, spread, buys is None)
        cash, error = jax.device_get(run(jax.tree.map(jnp.asarray, own), index, cdr, cpr))
        out[scenario] = cash
        errors.append(float(error))
    return loaded, out, max(errors)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name in ("us_bsl", "static_amortising") else pytest.mark.slow)
    for name in DEALS])
def test_cash_in_is_cash_out(name):
    _, cash, error = paid(name)
    assert error < 1e-12
    for leaf in jax.tree.leaves(cash):
        assert np.isfinite(leaf).all()


def _in_period(loaded):
    return np.array([d <= loaded.terms.reinvestment.end for d in loaded.payment_dates])


def _pays_pari_passu(cash, loaded):
    """Whether classes of one group had the same share of their interest and principal paid."""
    groups = [n.group for n in loaded.terms.notes]
    first, second = (i for i, g in enumerate(groups) if g == max(groups))
    balance = np.asarray(loaded.deal.balance)
    left = cash.balance[:, [first, second]] / balance[[first, second]]
    return ((left < 1) & (left > 0)).any() and np.abs(left[:, 0] - left[:, 1]).max() < 1e-9


def _refinances(cash, loaded):
    k = next(i for i, n in enumerate(loaded.terms.notes) if n.refinance)
    date = loaded.payment_dates.index(loaded.terms.notes[k].refinance.date)
    # The index rises by the same step on every date: what is left of the change is the spread's.
    steps = np.diff(cash.rate[:, k])
    saved = (loaded.terms.notes[k].spread_bps - loaded.terms.notes[k].refinance.spread_bps) / 1e4
    return abs(steps[date - 1] - steps[date] - saved) < 1e-9


def _reserve(cash, loaded):
    """[P - 1]: what the first reserve holds above its target, and its change on the date."""
    r, start = loaded.deal.reserves, np.asarray(loaded.deal.balance)[None]
    opening = np.concatenate([start, cash.balance[:-1]])
    target = np.asarray(r.amount)[0] + opening @ np.asarray(r.of_notes)[0]
    held = cash.reserve[:, 0]
    return (held - target)[:-1], np.diff(held, prepend=np.asarray(r.initial)[0])[:-1]


# What a deal can do, read off the TrancheCash of one scenario and the LoadedDeal.
FEATURES = {
    "cures OC": lambda c, d: any(
        c.cure[:, q].max() > 1e-9 for q, t in enumerate(d.terms.tests) if t.kind == "oc"),
    "diverts interest": lambda c, d: c.cure[:, len(d.terms.tests):].max() > 1e-9,
    "defers interest": lambda c, d: c.unpaid[:, np.array(d.waterfall.deferrable)].max() > 1e-9,
    "caps a fee": lambda c, d: any(
        c.fee_unpaid[:, f].max() > 1e-9 for f, t in enumerate(d.terms.fees) if t.cap is not None),
    "pays an incentive fee": lambda c, d: c.incentive.max() > 1e-9,
    "reinvests": lambda c, d: (c.reinvested * _in_period(d)).max() > 1e-9,
    "reinvests afterwards": lambda c, d: (c.reinvested * ~_in_period(d)).max() > 1e-9,
    "is called": lambda c, d: c.called[:-1].max() == 1,
    "accelerates": lambda c, d: c.accelerated.max() == 1,
    "receives on a hedge": lambda c, d: c.hedged.max() > 1e-9,
    "pays on a hedge": lambda c, d: c.fees[:, len(d.terms.fees):].max() > 1e-9,
    "pays pari passu": _pays_pari_passu,
    "refinances": _refinances,
    "fills a reserve": lambda c, d: _reserve(c, d)[1].max() > 1e-9,
    "draws on a reserve": lambda c, d: (
        (_reserve(c, d)[0] < -1e-9) & (_reserve(c, d)[1] < -1e-9)).any(),
}
MANAGED = ("cures OC", "defers interest", "reinvests", "is called", "accelerates")
SHOWS = {
    "us_bsl": (*MANAGED, "pays an incentive fee"),
    "us_2016": (*MANAGED, "pays an incentive fee", "diverts interest", "caps a fee",
                "pays pari passu", "refinances"),
    "european": (*MANAGED, "pays an incentive fee", "diverts interest", "caps a fee",
                 "pays pari passu", "receives on a hedge", "pays on a hedge"),
    "middle_market": (*MANAGED, "caps a fee", "reinvests afterwards",
                      "fills a reserve", "draws on a reserve"),
    "static_amortising": ("cures OC", "defers interest", "is called", "receives on a hedge",
                          "pays on a hedge", "fills a reserve", "draws on a reserve"),
}


def test_every_shipped_deal_says_what_it_shows():
    assert set(SHOWS) == set(DEALS)


@pytest.mark.parametrize("name,feature", [
    pytest.param(n, f, marks=() if n in ("us_bsl", "static_amortising") else pytest.mark.slow)
    for n in SHOWS for f in SHOWS[n]])
def test_deal_does_what_it_shows(name, feature):
    loaded, cash, _ = paid(name)
    assert any(FEATURES[feature](c, loaded) for c in cash.values())


@pytest.mark.parametrize("name", [
    pytest.param("middle_market", marks=pytest.mark.slow), "static_amortising"])
def test_deal_without_incentive_fee_pays_none(name):
    assert not any(c.incentive.any() for c in paid(name)[1].values())


def test_a_test_through_one_class_of_a_group_covers_the_group(tmp_path):
    text = (config_path("deals") / "us_2016.toml").read_text()
    path = tmp_path / "deal.toml"
    path.write_text(text.replace('through = "B-2"', 'through = "B-1"').replace(
        'through = "A-1b"', 'through = "A-1a"'))
    whole, part = read_deal(config_path("deals") / "us_2016.toml"), read_deal(path)
    assert part.waterfall.tests == whole.waterfall.tests
    assert part.deal.event_of_default.covers.tolist() == [1, 1, 0, 0, 0, 0, 0, 0]


def test_deferrable_class_above_one_that_is_not_keeps_its_principal_step(tmp_path):
    """The standard principal list is strict classes first, then the rest in order of rank."""
    text = (config_path("deals") / "middle_market.toml").read_text()
    path = tmp_path / "deal.toml"
    path.write_text(text.replace('rating = "AA" }', 'rating = "AA", deferrable = true }').replace(
        'rating = "A", deferrable = true', 'rating = "A"'))
    repaid = [s["notes"] for s in read_deal(path).lists["principal"]
              if s["op"] == "pay_note_principal"]
    assert repaid == [["A"], ["B"], ["C"], ["D"]]


@pytest.mark.slow
@pytest.mark.parametrize("name,more", [("us_2016", ("indices.LIBOR=policy_rate",)),
                                       ("middle_market", ())])
def test_the_main_graph_simulates_it(name, more, key):
    a = small_assembly(f"deal=deals/{name}.toml", "mode=expected", "tape.synthetic.obligors=12",
                       'scenarios=["adverse"]', *more)
    out = jax.jit(simulate_batch, static_argnames="setup",
                  compiler_options={"xla_backend_optimization_level": "0"})(
        a.params, a.inputs, a.scenarios["adverse"], key, jnp.arange(2), 0.0, setup=a.setup)
    assert float(out.conservation_error.max()) < 1e-12
    out = out.replace(tranches=out.tranches.replace(wal_years=None))  # nan where nothing is repaid
    for leaf in jax.tree.leaves(out):
        assert not np.isnan(leaf).any()


def _fields(annotation):
    """Names of all keys of a record and of the records in it."""
    out = set()
    for name, field in getattr(annotation, "model_fields", {}).items():
        out |= {name} | _fields(field.annotation)
    return out.union(*map(_fields, typing.get_args(annotation)))


def test_the_reference_names_every_key_and_operation():
    text = (pathlib.Path(__file__).parent.parent / "docs" / "deals.md").read_text()
    quoted = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    named = set(re.findall(r"\w+", " ".join(quoted)))
    assert not (_fields(DealTerms) | set(steps.OPS)) - named


def test_constructed_deals_are_not_labelled_real():
    a = small_assembly("deal=deals/middle_market.toml", "mode=expected",
                       "tape.synthetic.obligors=12", 'scenarios=["adverse"]')
    assert a.provenance["deal"]["kind"] == "synthetic"

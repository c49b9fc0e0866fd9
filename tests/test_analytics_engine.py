"""Analytics of a note against an independent engine; its quirks are mapped here, not copied."""

import datetime
import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clo_gen.deal import analytics

GOLDEN = pathlib.Path(__file__).parent / "golden"
ORACLES = pathlib.Path(__file__).parent.parent.parent / "shared" / "oracles"
internal_rate = jax.jit(analytics.internal_rate)
z_spread = jax.jit(analytics.z_spread)


def close(got, want, tolerance=1e-8):
    np.testing.assert_allclose(got, want, atol=tolerance, rtol=tolerance)


def day(text):
    return datetime.date.fromisoformat(text)


def years_from(start, dates):
    return jnp.array([(day(d) - day(start)).days / 365.0 for d in dates])


def cents(x):
    """Money as the engine keeps it."""
    return np.floor(np.asarray(x) * 100 + 1e-9) / 100


def oracle(name):
    path = ORACLES / "cashflow" / name
    if not path.exists():
        pytest.skip("oracle files are not beside the repository")
    return json.loads(path.read_text())["cases"]


def cases_of(kind, name="bond_analytics_cases.json"):
    return [c for c in oracle(name) if c["kind"] == kind]


def step_rates(curve, dates):
    """The curve point in force at each date."""
    return jnp.array([[r for d, r in curve if day(d) <= day(at)][-1] for at in dates])


def test_engine_wal():
    for case in cases_of("wal"):
        dates, principal = zip(*case["principal"], strict=True)
        years = float(analytics.wal_years(jnp.asarray(principal, float),
                                          years_from(case["start"], dates)))
        # The engine's month has 30 days; both are cut to two digits.
        got = years if case["unit"].startswith("years") else years * 365 / 30
        assert math.floor(got * 100) / 100 == case["expected"]


def test_engine_duration_and_convexity():
    for case in cases_of("macaulay_duration") + cases_of("convexity"):
        dates, flows = zip(*case["flows"], strict=True)
        years, flows = years_from(case["start"], dates), jnp.asarray(flows, float)
        rate = case["flat_rate"]
        discount = analytics.discount_factors(rate, years)
        if case["kind"] == "convexity":
            (value,) = flows * discount
            got = analytics.convexity(flows, years, rate)
            close(got, case["expected"], 2e-5)
            close(got * value / cents(value), case["expected"], 1e-12)
            continue
        close(analytics.macaulay_duration(flows, years, discount), case["expected"], 2e-5)
        kept = jnp.asarray(cents(flows * discount))
        close(analytics.macaulay_duration(kept, years, 1.0), case["expected"], 1e-12)


def test_engine_values():
    for case in cases_of("future_value"):
        factor = analytics.discount_factors(case["rate"], years_from(case["start"], [case["end"]]))
        close(case["amount"] / factor[0], case["expected"], 0.01)
    for case in cases_of("present_value") + cases_of("present_value_step_curve"):
        rate = case.get("flat_rate", step_rates(case.get("curve", [["1900-01-01", 0]]),
                                                [case["date"]]))
        discount = analytics.discount_factors(rate, years_from(case["valuation"], [case["date"]]))
        got = analytics.present_value(jnp.array([float(case["amount"])]), discount)
        np.testing.assert_allclose(got, case["expected"], atol=0.01)
    (case,) = cases_of("survivor_factors")
    years = years_from(case["start"], case["dates"])
    close(1.0 / analytics.discount_factors(-case["annual_rate"], years), case["expected"], 1e-12)


def test_engine_yields():
    for case in cases_of("irr"):
        (start, paid), *rest = case["flows"]
        dates, flows = zip(*rest, strict=True)
        irr, converged = internal_rate(jnp.asarray(flows, float),
                                                 years_from(start, dates), float(-paid))
        assert converged
        close(irr, case["expected"], 1e-6)
    (case,) = cases_of("amount_required_for_target_irr")
    (start, paid), = case["flows"]
    irr, _ = internal_rate(jnp.array([case["expected"]]),
                                     years_from(start, [case["at"]]), float(-paid))
    close(irr, case["target"], 1e-10)
    for case in oracle("xirr_cases.json"):
        (start, paid), *rest = case["flows"]
        dates, flows = zip(*rest, strict=True)
        irr, _ = internal_rate(jnp.asarray(flows, float), years_from(start, dates),
                                         float(-paid))
        close(irr, case["correct_xirr_365"], 1e-9)


def test_engine_bond_price():
    """Its pricing curve is linear between points, whatever the case's `rule` says.

    Its WAL is over the opening balance of 3,300, its convexity that of the first flow alone.
    """
    (case,) = cases_of("bond_price")
    rows, want, start = (case["flows_date_balance_interest_principal_rate_cash"],
                         case["expected"], case["valuation"])
    dates = [row[0] for row in rows]
    years, flows = years_from(start, dates), jnp.array([float(row[5]) for row in rows])
    principal = jnp.array([float(row[3]) for row in rows])
    knots = years_from(start, [d for d, _ in case["curve"]])
    zero = jnp.interp(years, knots, jnp.array([r for _, r in case["curve"]]))
    discount = analytics.discount_factors(zero, years)
    value = analytics.present_value(flows, discount)
    np.testing.assert_allclose(value, want["pv"], atol=0.03)
    close(cents(flows * discount).sum(), want["pv"])  # each flow cut to cents
    np.testing.assert_allclose(analytics.clean_price(value, case["balance"], 0.0) * 100,
                               want["price_pct"], atol=0.01)
    close(analytics.macaulay_duration(flows, years, discount), want["duration"], 2e-6)
    opening = rows[0][1] + rows[0][3]
    weighted = analytics.wal_years(principal, years) * principal.sum() / opening
    assert math.floor(float(weighted) * 100) / 100 == want["wal"]
    first = analytics.convexity(flows[:1], years[:1], zero[:1]) * flows[0] * discount[0] / value
    np.testing.assert_allclose(first, want["convexity"], atol=1e-5)
    accrued = opening * rows[0][4] * (day(start) - day("2021-01-01")).days / 365
    np.testing.assert_allclose(accrued, want["accrued"], atol=0.01)


def test_engine_z_spread():
    """The engine stops once the value, cut to cents, is right: a band 2.4e-5 wide."""
    (case,) = cases_of("z_spread")
    dates = [row[0] for row in case["flows_date_interest_principal"]]
    flows = jnp.array([float(sum(row[1:])) for row in case["flows_date_interest_principal"]])
    years, zero = years_from(case["valuation"], dates), step_rates(case["curve"], dates)
    value = case["price_pct"] / 100 * case["balance"]
    root = z_spread(flows, value, zero, years)
    assert root.converged
    close(root.x, case["expected"], 3e-5)
    theirs = analytics.present_value(
        flows, analytics.discount_factors(zero + case["expected"], years))
    np.testing.assert_allclose(theirs, value, atol=0.01)


def test_engine_loan_price():
    """Nine interest payments left, the last with principal; accrued is a share of the next."""
    (case,) = cases_of("loan_price")
    dates = ["2024-11-01", "2024-12-01"] + [f"2025-{m:02d}-01" for m in range(1, 8)]
    years = years_from("2024-10-02", dates)
    flows = jnp.full(9, float(cents(1000 * 0.08 / 12))).at[-1].add(1000.0)
    accrued = float(cents(flows[0] / 31))
    discount = analytics.discount_factors(case["discount"], years)
    for name, less in (("including_accrued", 0.0), ("excluding", accrued)):
        want = case["expected"][name]
        value = analytics.present_value(flows, discount)
        np.testing.assert_allclose(value - less, want["price"], atol=0.09)
        value = cents(flows * discount).sum()  # each flow cut to cents
        close(analytics.clean_price(value, 1000.0, less) * 1000, want["price"])
        # Without accrued, the engine takes it from the first payment.
        paid = flows.at[0].add(-less)
        close(analytics.macaulay_duration(paid, years, discount), want["duration"], 2e-5)
        first = analytics.convexity(paid[:1], years[:1], 0.03) * paid[0] * discount[0] / value
        np.testing.assert_allclose(first, want["convexity"], atol=1e-6)
        np.testing.assert_allclose(accrued, want["accrued"], atol=0.01)
        assert round(272 / 360, 2) == want["wal"]  # 272 days over a 360-day year


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.mark.parametrize("name", ["H1_plain_no_stress", "H3_oc_cure", "H5_floating_notes",
                                  "H7_call"])
def test_engine_notes_of_a_deal(name):
    """Source: each file's `source`. Flat 7 % from 2024-01-15, yields of notes bought at par.

    The engine's convexity counts the first flow alone.
    """
    case = golden(name)
    start, expected = "2024-01-15", case["expected"]
    for note in case["deal"]["notes"]:
        rows, balance = expected["notes"][note["name"]], note["balance"]
        want = expected["analytics"]["flat_7pct"][note["name"]]
        years = years_from(start, [row["date"] for row in rows])
        principal = jnp.array([row["principal"] for row in rows])
        flows = principal + jnp.array([row["interest"] for row in rows])
        discount = analytics.discount_factors(0.07, years)
        value = analytics.present_value(flows, discount)
        np.testing.assert_allclose(value, want["pv"], atol=1.0)
        price = analytics.clean_price(value, balance, want["accrued"])
        np.testing.assert_allclose(price, want["price_pct_of_balance"] / 100, atol=2e-6)
        np.testing.assert_allclose(analytics.macaulay_duration(flows, years, discount),
                                   want["duration"], atol=1e-6)
        j = int(jnp.argmax(flows > 0))
        first = analytics.convexity(flows[j:j + 1], years[j:j + 1], 0.07) * flows[j] * discount[j]
        np.testing.assert_allclose(first / value, want["convexity_engine"], atol=1e-6)
        paid_off = rows[-1]["balance"] == 0
        wal = analytics.wal_years(principal, years)
        np.testing.assert_allclose(wal if paid_off else 0.0, want["wal_years"], atol=0.01)
        irr = expected["analytics"]["irr_bought_at_par_2024_01_15"].get(note["name"])
        if irr is not None:
            got, converged = internal_rate(flows / balance, years, 1.0)
            assert converged
            np.testing.assert_allclose(got, irr, atol=2e-6)

"""A deal in words: the sentences that matter, and every observation."""

import pytest

from clo_gen.deal import steps
from clo_gen.explain import explain_deal
from clo_gen.explain.payments import sentence
from clo_gen.explain.words import listed, money, percent
from clo_gen.io.deal import read_deal
from clo_gen.io.tables import config_path

DEALS = config_path("deals")


def explained(name):
    return explain_deal(read_deal(DEALS / f"{name}.toml"))


def flat(text):
    """The text with its line breaks and columns closed up."""
    return " ".join(text.split())


@pytest.mark.parametrize("name", sorted(p.stem for p in DEALS.glob("*.toml")))
def test_fits_a_terminal(name):
    text = explained(name)
    assert max(map(len, text.splitlines())) <= 100
    assert not {"None", "nan"} & set(text.split())


@pytest.mark.parametrize("sentence", [
    "us_bsl: published terms of a 2025 US broadly syndicated CLO",
    "USD 550.0m par. Closing 2025-10-15, 52 payments from 2026-01-15, every 3 months, maturity "
    "2038-10-15.",
    # Attachment and OC are the presale's: tests/test_deal.py.
    "B AA 60.5m 11.0 % SOFR + 1.75 % missed 24.0 % 35.0 % 131.6 %",
    "E BB- 19.2m 3.5 % SOFR + 5.85 % deferred 8.0 % 11.5 % 108.7 %",
    "subordinated 49.0m 8.9 % residual 0.0 % 8.0 %",
    "trustee: 0.02 % of opening par a year, senior, capped at 200,000 a deal year.",
    "A/B OC OC B 121.58 % 131.58 % 10 %",
    "Reinvestment: until 2029-10-15, while A/B OC, C OC, D OC and E OC pass; assumed are B loans",
    "Call: once par is below 10 % from 2027-10-15, collateral sold at 97 % (defaulted 35 %)",
    "Event of default: par below 102.5 % of A-2 and senior to it",
    "6. If A/B OC or A/B IC fails: repay the tested class and those senior to it, senior first, "
    "until both pass. 7. Pay interest on C. 8. If C OC or C IC fails: repay the tested class and "
    "those senior to it, senior first, until both pass. 9. Pay "
    "deferred interest of C.",
    "1. Pay the trustee fee, up to its yearly cap.",
    "24. Pay the rest to subordinated.",
    "All proceeds, on a call and at maturity as after an event of default",
])
def test_us_deal(sentence):
    assert sentence in flat(explained("us_bsl"))


@pytest.mark.parametrize("sentence", [
    "EUR 400.0m par. Closing 2024-04-18, 51 payments from 2024-10-18, every 3 months (modified "
    "following business day)",
    "B-2 AA 10.0m 2.5 % 5.1 % fixed missed B 27.2 % 38.0 % 137.5 %",
    "Pay interest on B-1 and B-2, pro rata by amount due.",
    # Deferred interest before the tests: the European order.
    "Pay interest on C. 9. Pay deferred interest of C. 10. If C par value or C interest coverage",
    "If reinvestment OC fails, until 2028-10-18: 50 % of what is left, at most what restores the "
    "ratio, buys collateral.",
    "Hedge asset swap: a swap on 20.0m going to 0; the deal pays 2.8 % and receives EURIBOR.",
    "Pay what is owed on the asset swap.",
    "Equity of 33.0m at 100 % pays 33.0m for the 26.5m of par above the debt.",
])
def test_european_deal(sentence):
    assert sentence in flat(explained("european"))


def test_refinancing_reserve_and_share_after_the_period():
    assert "A-1a is refinanced on 2018-07-15, to LIBOR + 1.08 %." in flat(explained("us_2016"))
    text = flat(explained("middle_market"))
    assert "From the interest reserve: pay interest on A." in text
    assert "buy collateral with all that is left; afterwards with up to 50 % of prepayments" in text
    assert "Move what the interest reserve holds above its target to interest proceeds." in text


OBSERVATIONS = [
    ("us_bsl", (), "The cap of 200,000 on trustee does not bind: 110,000 is invoiced"),
    ("us_bsl", [("trigger = 1.0370", "trigger = 1.1")],
     "E OC: the trigger of 110 % is above the closing ratio of 108.7 %, so it fails on day one."),
    ("us_bsl", [("trigger = 1.025", "trigger = 1.6")],
     "The event of default: the trigger of 160 % is above the closing ratio of 153.85 %"),
    ("us_2016", [("trigger = 1.0560", "trigger = 1.0400")],
     "Interest diversion: its trigger of 104 % is not above the 104.6 % of E OC, which acts first"),
    ("us_bsl", [('  { name = "E OC",   kind = "oc", through = "E",   trigger = 1.0370 },\n', "")],
     "No coverage test covers E: no interest is turned to principal"),
    ("middle_market", [("spread_bps = 560", "spread_bps = 100")],
     "At an index of 4 %, interest on the notes and senior fees cost 5.45 % of par a year; loans "
     "bought pay 5 %."),
    ("us_2016", [("price = 0.95 }", "price = 0.50 }")],
     "Notes and equity raise 385.8m, less than the par of 400.0m"),
    ("middle_market", [("initial = 2_500_000, of_notes = { A = 0.015 }", "amount = 0")],
     "The interest reserve is never funded: nothing is paid in at closing, and its target is "
     "zero."),
    ("static_amortising", [("initial = 2_500_000, ", ""),
                           ('  { op = "fund_reserve", reserve = "cash reserve" },\n', "")],
     "The cash reserve is never funded: nothing is paid in at closing, and no step fills it."),
    ("middle_market", [(", of_notes = { A = 0.015 }", "")],
     "The interest reserve has no target: all of it is released on the first date."),
    ("middle_market", [("non_call_end = 2026-04-20", "non_call_end = 2029-04-20")],
     "The non-call period ends on 2029-04-20, after the reinvestment period (2028-04-20)."),
    ("middle_market", [("end = 2028-04-20", "end = 2033-04-20")],
     "Purchases stop on 2031-04-20, 24 months before the reinvestment period ends: loans of 60 "
     "months must mature with the notes at the latest."),
]


@pytest.mark.parametrize("name,changes,said", OBSERVATIONS)
def test_observations(tmp_path, name, changes, said):
    text = (DEALS / f"{name}.toml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "deal.toml"
    path.write_text(text)
    seen = flat(explain_deal(read_deal(path)).split("Worth a look")[1])
    assert said in seen
    if changes:
        assert said not in flat(explained(name))


def test_reserve_that_no_step_draws_on(tmp_path):
    text = (DEALS / "static_amortising.toml").read_text()
    path = tmp_path / "deal.toml"
    path.write_text("\n".join(line for line in text.splitlines()
                              if 'from = "cash reserve" }' not in line))
    assert "The cash reserve pays nothing: no step draws on it." in explain_deal(read_deal(path))


def test_nothing_stands_out():
    assert explained("european").endswith("Worth a look\n  nothing stands out")


def test_every_operation_has_a_sentence():
    terms = read_deal(DEALS / "us_2016.toml").terms
    given = {"fee": "trustee", "hedge": "swap", "notes": ["A-1a"], "tests": ["E OC"],
             "diversion": "interest diversion", "reserve": "cash", "to": "principal",
             "from": "interest"}
    for op in steps.OPS:
        text = sentence(terms, "interest", {"op": op, **given})
        assert text[0].isupper() and text.endswith(".") and "  " not in text


def test_numbers_and_lists():
    assert [money(x) for x in (550e6, 1e6, 200_000, 12.4)] == ["550.0m", "1.0m", "200,000", "12"]
    assert [percent(x) for x in (0.075, 1.2158, 0.1, 0)] == ["7.5 %", "121.58 %", "10 %", "0 %"]
    assert [listed(x) for x in ([], ["A"], ["A", "B"], "ABC")] == ["", "A", "A and B", "A, B and C"]

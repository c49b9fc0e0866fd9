"""Deals and configs: published numbers, dates, and every complaint."""

import datetime
import re

import numpy as np
import pytest

from clo_gen.deal.tranche import closing_oc_ratios, credit_enhancement
from clo_gen.explain import explain_deal
from clo_gen.io.backtest_config import read_backtest
from clo_gen.io.config import read_config, read_scenarios
from clo_gen.io.dates import add_months, months_between, year_fraction
from clo_gen.io.deal import read_deal
from clo_gen.io.problems import InputError
from clo_gen.io.standard import as_toml
from clo_gen.io.tables import config_path

US_BSL = config_path("deals/us_bsl.toml")


def edited(tmp_path, *changes):
    text = US_BSL.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "deal.toml"
    path.write_text(text)
    return path


def test_published_oc_ratios_come_out():
    """Source: presale of the 2025 deal (configs/deals/us_bsl.toml), percent."""
    loaded = read_deal(US_BSL)
    want = [166.67, 153.85, 131.58, 121.95, 117.65, 114.94, 112.99, 108.70]
    np.testing.assert_allclose(closing_oc_ratios(loaded.deal) * 100, want, atol=0.01)
    np.testing.assert_allclose(credit_enhancement(loaded.deal)[:8], 1 - 100 / np.array(want),
                               atol=1e-4)


def test_payment_dates_and_fractions():
    loaded = read_deal(US_BSL)
    dates, calendar = loaded.payment_dates, loaded.calendar
    assert len(dates) == 52 and loaded.months == 156
    assert dates[0] == datetime.date(2026, 1, 15) and dates[-1] == datetime.date(2038, 10, 15)
    assert calendar.last_month.tolist()[:3] == [2, 5, 8]
    assert calendar.reset_month.tolist()[:3] == [-1, 2, 5]
    np.testing.assert_allclose(calendar.note_fraction[0, 0], 92 / 360)
    np.testing.assert_allclose(calendar.note_fraction[:, :-1].sum(0), 4748 / 360)
    assert calendar.new_year.tolist()[:9] == [1, 0, 0, 0, 1, 0, 0, 0, 1]


def test_a_date_distributes_only_what_was_collected_by_then(tmp_path):
    path = edited(tmp_path, ("first_payment = 2026-01-15", "first_payment = 2026-01-20"),
                  ("maturity = 2038-10-15", "maturity = 2038-10-20"))
    calendar = read_deal(path).calendar
    assert calendar.last_month.tolist()[:2] == [2, 5] and int(calendar.period.max()) == 51
    np.testing.assert_allclose(calendar.note_fraction[0, 0], 97 / 360)


@pytest.mark.parametrize("changes,message", [
    ([("330_000_000", "530_000_000")], "debt of 706,000,000 USD is larger than the pool's par"),
    ([('through = "B"', 'through = "Z"')], r"tests\[1\] \(A/B OC\), through: 'Z'; want a debt"),
    ([("trigger = 1.2158", "trigger = 0.9")], "an OC trigger above 1"),
    ([("trigger = 1.2158", 'trigger = "high"')], r"tests\[1\]\.trigger: 'high'; want a valid num"),
    ([("target_par", "targt_par")], "targt_par: unknown key, perhaps target_par; known keys here"),
    ([("spread_bps = 135,", "spread = 135,")],
      r"notes\[1\]\.spread: unknown key, perhaps spread_bps"),
    ([("spread_bps = 135,", "")], r"notes\[1\] \(A-1\): want either spread_bps or rate"),
    ([("first_payment = 2026-01-15", "first_payment = 2025-01-15")], "want closing < first_pay"),
    ([('name = "A-2"', 'name = "A-1"')], "notes: 'A-1'; want each name once"),
    ([("maturity = 2038-10-15", "maturity = 2038-11-20")],
     "maturity: '2038-11-20'; want a payment date, such as 2038-10-15 or 2039-01-15"),
    ([("first_payment = 2026-01-15", "first_payment = 2025-10-20")], "a date a month after clos"),
    ([("end = 2029-10-15", "end = 2059-10-15")], "reinvestment.end: '2059-10-15'; want a date bet"),
    ([("term_months = 72", "term_months = 160")], "term_months: 160; want loans that mature bef"),
    ([("non_call_end = 2027-10-15", "non_call_end = 2021-10-15")], "call.non_call_end: '2021-10"),
    ([("collateral_below = 0.10", "date = 2027-01-15")],
     "call: date 2027-01-15 lies in the non-call period, which ends 2027-10-15"),
    ([("collateral_below = 0.10", "date = 2031-01-16")],
     "call.date: '2031-01-16'; want a payment date, such as 2031-01-15"),
    ([('through = "A-2", trigger', 'through = "Q", trigger')], "event_of_default, through: 'Q'"),
    ([('standard = "US"', 'standard = "UK"')], "waterfall.standard: 'UK'; want 'US' or 'European'"),
    ([('standard = "US"', "")], 'waterfall.interest: missing; want a list of steps, or standard'),
    ([('standard = "US"', 'standard = "US"\naccelerated = []')],
     "waterfall.accelerated: missing; want the list that rules after an event of default"),
    ([('standard = "US"', 'standard = "US"\ncall = []')], "waterfall.call: missing; want the list"),
    ([("event_of_default = {", "# {"), ('standard = "US"', '''standard = "US"
accelerated = [{ op = "pay_residual_to_equity" }]''')], "no event_of_default ever leads to it"),
    ([('spread_bps = 135, ', 'spread_bps = 135, group = "x", '),
      ('spread_bps = 175, ', 'spread_bps = 175, group = "x", ')], "pari passu classes next to"),
    ([('spread_bps = 135, ', 'spread_bps = 135, refinance = { date = 2027-01-15, rate = 0.05 }, ')],
     r"notes\[1\] \(A-1\).refinance: want a new spread_bps, as the class has"),
    ([('bps = 135,', 'bps = 135, refinance = { date = 2027-01-16, spread_bps = 9 },')],
     r"refinance.date: '2027-01-16'; want a payment date before maturity"),
    ([("balance = 330_000_000", "balance = -1")], r"notes\[1\]\.balance: -1; want more than 0"),
])
def test_bad_deals_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_deal(edited(tmp_path, *changes))


def test_all_problems_of_a_deal_come_at_once(tmp_path):
    path = edited(tmp_path, ('through = "B"', 'through = "Z"'), ("1.2158", "0.5"),
                  ("330_000_000", "530_000_000"))
    with pytest.raises(InputError, match="3 problems"):
        read_deal(path)


def test_a_deal_given_as_another_file_is_recognised(tmp_path):
    for read in (read_config, read_backtest):
        with pytest.raises(InputError, match=r"^\S*us_bsl.toml: a deal; .* --deal FILE") as error:
            read(US_BSL)
        assert "unknown key" not in str(error.value)
    with pytest.raises(InputError, match="notes: unknown key"):  # half a deal is none
        read_config(overrides=["notes='x'"])
    with pytest.raises(InputError, match="oddity: unknown key"):  # and a deal is read as one
        read_deal(edited(tmp_path, ('name = ', 'oddity = 1\nname = ')))


@pytest.mark.parametrize("file, kind", [
    ("quickstart.toml", "a run config; .* clo-gen run FILE"), ("stage1.toml", "a training config"),
    ("hypo/us_2016.toml", "limits of a hypo pool"), ("scenarios.toml", "a scenario file"),
    ("limits/us_2016.toml", "limits of a portfolio")])
def test_another_file_given_as_a_deal_is_recognised(file, kind):
    with pytest.raises(InputError, match=f"{file}: {kind}"):
        read_deal(config_path(file))


def test_what_is_known_is_said_once_and_what_was_meant_is_guessed(tmp_path):
    with pytest.raises(InputError) as error:
        read_deal(edited(tmp_path, ("name = ", "curency = 'X'\noddity = 1\nname = "), (
            "spread_bps = 135,", "sprd_bps = 135,")))
    lines = str(error.value).splitlines()
    assert sum("known keys here" in line for line in lines) == 2  # of the deal, and of a note
    assert any(line.startswith("  curency: unknown key, perhaps currency; known") for line in lines)
    assert "  oddity: unknown key" in lines
    assert any(line.startswith("  notes[1].sprd_bps: unknown key, perhaps spread_bps")
               for line in lines)


def test_a_spread_in_percent_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\(A-2\), spread_bps: 1.65; want basis points"):
        read_deal(edited(tmp_path, ("spread_bps = 165", "spread_bps = 1.65")))


def test_interest_coverage_is_tested_from_the_second_payment_date(tmp_path):
    deal = read_deal(US_BSL)
    late = [name.endswith(" IC") for name in deal.tests]
    tested = np.asarray(deal.calendar.tested)
    assert sum(late) == 3 and tested[1:].all() and (tested[0] == np.logical_not(late)).all()
    assert "A/B IC applies from 2026-04-15." in explain_deal(deal)
    with pytest.raises(InputError, match="applies_from: '2039-01-15'; want a date from 2025-10-15"):
        read_deal(edited(tmp_path, ("1.20, applies_from = 2026-04-15",
                                    "1.20, applies_from = 2039-01-15")))


def test_standard_lists_written_out_are_the_same_deal(tmp_path):
    """What `as_toml` prints can be put in place of `standard`."""
    loaded = read_deal(US_BSL)
    again = read_deal(edited(tmp_path, ('[waterfall]\nstandard = "US"', as_toml(loaded.lists))))
    assert again.waterfall == loaded.waterfall


def test_payment_dates_roll_off_weekends(tmp_path):
    """15 January and 15 October 2028 are a Saturday and a Sunday; accrual follows."""
    path = edited(tmp_path, ("payment_months", 'business_days = "following"\npayment_months'))
    dates, plain = read_deal(path).payment_dates, read_deal(US_BSL).payment_dates
    moved = {str(a): str(b) for a, b in zip(plain, dates, strict=True) if a != b}
    assert moved["2028-01-15"] == "2028-01-17" and moved["2028-10-15"] == "2028-10-16"
    assert all(b.weekday() < 5 for b in dates)
    np.testing.assert_allclose(read_deal(path).calendar.note_fraction[:, 0].sum(),
                               (dates[-1] - datetime.date(2025, 10, 15)).days / 360)


@pytest.mark.parametrize("content,message", [
    (b"", "missing"), (b"name = ", "not valid TOML"), (b"\xff\xfe", "not UTF-8"),
])
def test_broken_toml_is_refused(tmp_path, content, message):
    path = tmp_path / "deal.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_deal(path)


@pytest.mark.parametrize("setting,message", [
    ("pathes=5", "pathes: unknown key, perhaps paths; known keys here: name, seed, paths"),
    ("paths=many", "paths: 'many'; want a valid integer"),
    ("paths=0", "paths: 0; want at least 2"),
    ("macro.generator=gan", "macro.generator: 'gan'; want 'var', 'block_bootstrap', 'cvae' or "
                            "'paths'"),
    ('macro.series=["vix","policy_rate"]', "macro.series: 'vix'; want one of gdp_growth_yoy"),
    ('indices.SOFR="vix"', "indices: 'vix'; want one of macro.series"),
    ('tape.file="x.csv"', "tape: want either file or synthetic"),
    ("tape.synthetic.rating_weights={B=0.5}", "want weights that add to 1"),
    ('name="../up"', "name: '../up'"),
    ("mode", "want key=value"),
    ("paths.x=1", "paths is a value, not a table"),
])
def test_bad_configs_are_refused(setting, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read_config(overrides=[setting])


def test_set_takes_its_type_from_toml():
    config, _ = read_config(overrides=["macro.lags=3", "name=mine", "prepayment.cpr=0.1"])
    assert config.macro.lags == 3 and config.name == "mine" and config.prepayment.cpr == 0.1


def test_unknown_scenarios_are_refused():
    with pytest.raises(InputError, match="scenario: 'boom'; want one of baseline, adverse"):
        read_scenarios(config_path("scenarios.toml"), ("boom",), ("policy_rate",), 12)


def test_day_counts():
    """Source: ISDA 2006 definitions 4.16, worked by hand."""
    a, b = datetime.date(2024, 1, 31), datetime.date(2024, 7, 31)
    assert year_fraction(a, b, "ACT/360") == 182 / 360
    assert year_fraction(a, b, "ACT/365F") == 182 / 365
    assert year_fraction(a, b, "30/360") == 0.5
    np.testing.assert_allclose(year_fraction(datetime.date(2023, 12, 31),
                                             datetime.date(2024, 1, 2), "ACT/ACT"),
                               1 / 365 + 1 / 366)
    with pytest.raises(ValueError, match="want one of"):
        year_fraction(a, b, "BUS/252")


def test_month_arithmetic():
    assert add_months(datetime.date(2024, 1, 31), 1) == datetime.date(2024, 2, 29)
    assert months_between(datetime.date(2024, 1, 15), datetime.date(2024, 4, 15)) == 3
    assert months_between(datetime.date(2024, 1, 15), datetime.date(2024, 4, 16)) == 4

"""Macro files in the official layouts (constructed numbers) and the variants of their headers."""

import numpy as np
import official_layouts as layouts
import pytest

from clo_gen.io.macro import read_macro
from clo_gen.io.problems import InputError


def frame(path, text, **options):
    path.write_text(text)
    return read_macro(path, **options).frame


@pytest.mark.parametrize("header,day", [("observation_date", "-01"), ("DATE", "-01"),
                                        ("date", "-01"), ("period", "")])
def test_fred_files_of_every_header(tmp_path, header, day):
    want = frame(tmp_path / "a.csv", layouts.fred())
    got = frame(tmp_path / "b.csv", layouts.fred(header, day=day))
    np.testing.assert_array_equal(got, want)
    assert got.loc["2016-01", "unemployment_rate"] == pytest.approx(0.0424)
    assert got.loc["2016-01", "inflation_yoy"] == pytest.approx(246 / 240 - 1)
    assert got.loc["2016-01", "credit_spread_ig"] == pytest.approx(0.02)


def test_fred_md_with_its_row_of_transforms(tmp_path):
    want = frame(tmp_path / "a.csv", layouts.fred())
    np.testing.assert_array_equal(frame(tmp_path / "b.csv", layouts.fred_md()), want)


def test_missing_observations_are_points(tmp_path):
    text = layouts.fred().replace("2016-03-01,4.28,", "2016-03-01,.,")
    got = read_macro(tmp_path / "a.csv") if (tmp_path / "a.csv").write_text(text) else None
    assert got.frame.loc["2016-03", "unemployment_rate"] == pytest.approx(0.0428)
    assert any("UNRATE: 2016-03 interpolated" in note for note in got.notes)


def test_the_supervisory_scenario_file(tmp_path):
    got = frame(tmp_path / "a.csv", layouts.fed_domestic(), layout="fed",
                scenario="Supervisory Severely Adverse")
    assert got.loc["2025-09", "unemployment_rate"] == pytest.approx(0.04)
    assert got.loc["2026-09", "unemployment_rate"] == pytest.approx(0.056)
    assert got.loc["2026-09", "credit_spread_ig"] == pytest.approx((6.8 - 4.2) / 100)
    history = frame(tmp_path / "a.csv", layouts.fed_domestic(), layout="fed")
    assert str(history.index[-1]) == "2025-09"


@pytest.mark.parametrize("old,new", [(" Q", "Q"), ("Q1", "q1"),
                                     ("Dow Jones Total Stock Market Index (Level)",
                                      "Dow Jones Total Stock Market Index")])
def test_variants_of_the_scenario_file(tmp_path, old, new):
    """Quarters without the blank or in lower case; a series under another name is not there."""
    want = frame(tmp_path / "a.csv", layouts.fed_domestic(), layout="fed")
    got = frame(tmp_path / "b.csv", layouts.fed_domestic().replace(old, new), layout="fed")
    np.testing.assert_array_equal(got, want[list(got)])
    assert set(want) - set(got) == ({"equity_return"} if "Dow" in old else set())


def test_an_unknown_scenario_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(InputError, match="'Severe'; want one of Supervisory Severely Adverse"):
        frame(tmp_path / "a.csv", layouts.fed_domestic(), layout="fed", scenario="Severe")

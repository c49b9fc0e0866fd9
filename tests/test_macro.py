import pathlib

import numpy as np
import pandas as pd
import pytest

from clo_gen.io import tables
from clo_gen.io.macro import moodys_baa, read_macro
from clo_gen.io.problems import InputError

VALIDATION = pathlib.Path(__file__).parents[2] / "shared" / "data" / "validation"
SERIES = ("gdp_growth_yoy", "unemployment_rate", "inflation_yoy", "policy_rate", "treasury_10y",
          "credit_spread_cp")


@pytest.fixture(scope="module")
def embedded():
    return read_macro(tables.data_path("macro_monthly_1959_2026.csv"))


def test_embedded_history_has_the_known_turning_points(embedded):
    """Source: FRED UNRATE 14.8 % in 2020-04 and 10.0 % in 2009-10; FEDFUNDS 19.1 % in 1981-06."""
    f = embedded.frame
    at = lambda month, name: f.loc[pd.Period(month, "M"), name]  # noqa: E731
    np.testing.assert_allclose(at("2020-04", "unemployment_rate"), 0.148, atol=2e-3)
    np.testing.assert_allclose(at("2009-10", "unemployment_rate"), 0.100, atol=1e-3)
    np.testing.assert_allclose(at("1981-06", "policy_rate"), 0.191, atol=1e-3)
    assert at("2009-06", "gdp_growth_yoy") < -0.03 and at("1980-03", "inflation_yoy") > 0.14


def test_gaps_are_filled_and_reported(embedded):
    notes = " ".join(embedded.notes)
    assert "UNRATE: 2025-10 interpolated" in notes and "GDPC1: quarterly" in notes
    march, june = (embedded.frame.loc[pd.Period(m, "M"), "gdp_growth_yoy"] for m in
                   ("2024-03", "2024-06"))
    april = embedded.frame.loc[pd.Period("2024-04", "M"), "gdp_growth_yoy"]
    assert min(march, june) - 1e-4 <= april <= max(march, june) + 1e-4


def test_history_stops_where_it_is_told(embedded):
    part = embedded.until(pd.Period("2025-09", "M"), SERIES)
    assert str(part.index[-1]) == "2025-09" and not part.isna().any().any()


def test_unknown_series_is_refused(embedded):
    with pytest.raises(InputError, match="series: 'vix'; want one of gdp_growth_yoy"):
        embedded.until(pd.Period("2025-09", "M"), ("vix", "policy_rate"))


def wide(tmp_path, **columns):
    months = pd.period_range("2015-01", periods=60, freq="M").astype(str)
    path = tmp_path / "wide.csv"
    frame = pd.DataFrame({"month": months, "policy_rate": 0.02, "unemployment_rate": 0.05})
    for name, values in columns.items():
        frame[name] = values
    frame.to_csv(path, index=False)
    return path


def test_wide_file_in_percent(tmp_path):
    path = wide(tmp_path, policy_rate=2.0, unemployment_rate=5.0)
    got = read_macro(path, layout="wide", units="percent")
    np.testing.assert_allclose(got.frame.mean(), [0.02, 0.05])
    with pytest.raises(InputError, match="a fraction"):
        read_macro(path, layout="wide")


def test_nan_macro_is_refused_where_a_gap_is_longer_than_a_month(tmp_path):
    holes = np.full(60, 0.05)
    holes[10] = np.nan
    got = read_macro(wide(tmp_path, unemployment_rate=holes), layout="wide")
    assert "2015-11 interpolated" in " ".join(got.notes)
    holes[11] = np.nan
    with pytest.raises(InputError, match="2015-11 unemployment_rate: no value"):
        read_macro(wide(tmp_path, unemployment_rate=holes), layout="wide").until(
            pd.Period("2019-12", "M"), ("unemployment_rate", "policy_rate"))


@pytest.mark.parametrize("change,message", [
    (lambda f: f.replace("2015-02,0.02", "2015-02,high"), "row 3, policy_rate: 'high'"),
    (lambda f: f.replace("2015-02,", "2015-01,"), "each date once"),
    (lambda f: f.replace("2015-02,0.02,0.05\n", ""), "dates are missing"),
    (lambda f: f.replace("2015-02,", "febr,"), "a date such as"),
    (lambda f: "", "the file is empty"),
    (lambda f: "month,policy_rate\n", "no rows"),
])
def test_bad_macro_files_are_refused(tmp_path, change, message):
    path = wide(tmp_path)
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=message):
        read_macro(path, layout="wide")


def test_fed_layout_with_official_headers(tmp_path):
    quarters = [f"{y} Q{q}" for y in range(2000, 2012) for q in range(1, 5)]
    frame = pd.DataFrame({
        "Scenario Name": ["Actual"] * 40 + ["Supervisory severely adverse"] * 8, "Date": quarters,
        "Real GDP growth": 4.0, "Unemployment rate": 5.0, "CPI inflation rate": 2.0,
        "3-month Treasury rate": 3.0, "10-year Treasury yield": 4.0, "BBB corporate yield": 6.0,
        "House Price Index (Level)": 100 * 1.01 ** np.arange(48)})
    path = tmp_path / "fed.csv"
    frame.to_csv(path, index=False)
    got = read_macro(path, layout="fed", scenario="Supervisory severely adverse").frame.dropna()
    np.testing.assert_allclose(got.iloc[-1][["gdp_growth_yoy", "unemployment_rate",
                                             "credit_spread_ig", "property_index"]],
                               [0.04, 0.05, 0.02, 1.01**4 - 1], atol=1e-9)
    assert str(got.index[-1]) == "2011-12"
    with pytest.raises(InputError, match="scenario: 'mild'"):
        read_macro(path, layout="fed", scenario="mild")


@pytest.mark.skipif(not VALIDATION.exists(), reason="validation data is not here")
def test_fed_history_agrees_with_the_embedded_one(embedded, tmp_path):
    """Two sources of the same public series: quarterly means against quarter-end months."""
    path = VALIDATION / "fed_stress_scenarios.csv"
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame = frame[(frame["vintage"] == "2026p") & (frame["kind"] == "historic")]
    frame.to_csv(tmp_path / "fed.csv", index=False)
    fed = read_macro(tmp_path / "fed.csv", layout="fed").frame
    both = fed.add_suffix("_fed").join(embedded.frame).loc["1985-01":"2019-12"]
    for name, tolerance in (("unemployment_rate", 0.005), ("treasury_10y", 0.006),
                            ("gdp_growth_yoy", 0.01)):
        gap = (both[f"{name}_fed"] - both[name]).abs()
        assert gap.mean() < tolerance, (name, gap.mean())


def test_baa_comes_through_arch_or_says_what_to_install():
    pytest.importorskip("arch")
    baa = moodys_baa()
    # Source: Moody's BAA as FRED gives it, 8.43 % in 2008-12.
    np.testing.assert_allclose(baa.loc[pd.Period("2008-12", "M"), "BAA"], 8.43, atol=0.02)


def edit_embedded(tmp_path, change):
    frame = pd.read_csv(tables.data_path("macro_monthly_1959_2026.csv"))
    path = tmp_path / "fred.csv"
    change(frame).to_csv(path, index=False)
    return path


def test_nothing_after_the_cutoff_is_seen(tmp_path):
    """GDP between quarter ends is not interpolated towards a quarter that is not known yet."""
    until = pd.Period("2025-11", "M")

    def later_boom(frame):
        frame.loc[frame["period"] > "2025-11", "GDPC1"] *= 1.3
        return frame

    truth = read_macro(edit_embedded(tmp_path, lambda f: f), until=until)
    boom = read_macro(edit_embedded(tmp_path, later_boom), until=until)
    pd.testing.assert_frame_equal(truth.frame, boom.frame)
    growth = truth.frame["gdp_growth_yoy"]
    assert growth["2025-11"] == growth["2025-09"] and str(truth.frame.index[-1]) == "2025-11"
    assert any("last known value carried to 2025-10, 2025-11" in n for n in truth.notes)


def test_quarters_dated_by_their_first_month_are_moved(tmp_path, embedded):
    def fred_download(frame):
        frame["GDPC1"] = frame["GDPC1"].shift(-2)
        return frame.rename(columns={"period": "observation_date"})

    moved = read_macro(edit_embedded(tmp_path, fred_download))
    both = pd.concat([moved.frame["gdp_growth_yoy"], embedded.frame["gdp_growth_yoy"]], axis=1)
    both = both.loc["1961":"2024"]
    np.testing.assert_allclose(both.iloc[:, 0], both.iloc[:, 1], atol=1e-12)

"""Macro history: FRED-format, Fed supervisory-scenario and wide CSV files -> monthly fractions.

Standard series (yearly fractions): gdp_growth_yoy, unemployment_rate, inflation_yoy, policy_rate,
treasury_10y, credit_spread_ig, credit_spread_hy, credit_spread_cp (commercial paper - Treasury
bill), property_index (yearly growth), equity_return (yearly), and for larger models
industrial_production_yoy, employment_growth_yoy, business_loans_yoy, housing_starts_yoy,
real_income_yoy, treasury_3m, treasury_1y and treasury_5y. A model takes any subset.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from clo_gen.io import limits
from clo_gen.io.problems import InputError, Problems
from clo_gen.io.table import read_table

SERIES = (
    "gdp_growth_yoy", "unemployment_rate", "inflation_yoy", "policy_rate", "treasury_10y",
    "credit_spread_ig", "credit_spread_hy", "credit_spread_cp", "property_index", "equity_return",
    "industrial_production_yoy", "employment_growth_yoy", "business_loans_yoy",
    "housing_starts_yoy", "real_income_yoy", "treasury_3m", "treasury_1y", "treasury_5y",
)

# Standard series <- FRED mnemonics: (transform, codes).
_FRED = {
    "gdp_growth_yoy": ("growth", ("GDPC1",)),
    "unemployment_rate": ("level", ("UNRATE",)),
    "inflation_yoy": ("growth", ("CPIAUCSL",)),
    "policy_rate": ("level", ("FEDFUNDS",)),
    "treasury_10y": ("level", ("GS10",)),
    "credit_spread_ig": ("difference", ("BAA", "GS10")),
    "credit_spread_hy": ("level", ("BAMLH0A0HYM2",)),
    "credit_spread_cp": ("difference", ("CP3Mx", "TB3MS")),
    "property_index": ("growth", ("CSUSHPISA",)),
    "equity_return": ("growth", ("SP500",)),
    "industrial_production_yoy": ("growth", ("INDPRO",)),
    "employment_growth_yoy": ("growth", ("PAYEMS",)),
    "business_loans_yoy": ("growth", ("BUSLOANS",)),
    "housing_starts_yoy": ("growth", ("HOUST",)),
    "real_income_yoy": ("growth", ("RPI",)),
    "treasury_3m": ("level", ("TB3MS",)),
    "treasury_1y": ("level", ("GS1",)),
    "treasury_5y": ("level", ("GS5",)),
}

# Fed supervisory-scenario file: official column names and their short forms.
_FED = {
    "gdp_growth_yoy": ("compound", (("Real GDP growth", "gdp_real"),)),
    "unemployment_rate": ("level", (("Unemployment rate", "unemp"),)),
    "inflation_yoy": ("compound", (("CPI inflation rate", "cpi"),)),
    "policy_rate": ("level", (("3-month Treasury rate", "t3m"),)),
    "treasury_10y": ("level", (("10-year Treasury yield", "t10y"),)),
    "credit_spread_ig": ("difference", (("BBB corporate yield", "bbb_yield"),
                                        ("10-year Treasury yield", "t10y"))),
    "property_index": ("growth", (("House Price Index (Level)", "hpi"),)),
    "equity_return": ("growth", (("Dow Jones Total Stock Market Index (Level)", "equity"),)),
}


@dataclasses.dataclass(frozen=True)
class MacroHistory:
    """Monthly history: `frame` has a monthly PeriodIndex and one column a series, fractions."""

    frame: pd.DataFrame
    notes: tuple[str, ...]  # what was filled, interpolated or cut
    source: str

    def until(self, month: pd.Period | None, series: Sequence[str]) -> pd.DataFrame:
        """Months up to and including `month` (Period) of `series`, complete rows only.

        Raises InputError when a series is missing or the window has a hole or is under 36 months.
        """
        problems = Problems(self.source)
        for name in series:
            if name not in self.frame:
                problems.add("series", name, f"one of {', '.join(self.frame.columns)}")
        problems.raise_if_any()
        part = self.frame.loc[:month, list(series)]
        whole = part.dropna()
        if len(whole) < 36:
            raise InputError(f"{self.source}: {len(whole)} complete months up to {month} of "
                             f"{', '.join(series)}; want at least 36")
        inner = part.loc[whole.index[0]: whole.index[-1]]
        for name in series:
            for period in inner.index[inner[name].isna()]:
                problems.say(f"{period} {name}: no value; want a number (gaps of one month are "
                             "filled, longer ones are not)")
        problems.raise_if_any()
        return whole


def _numbers(frame, columns, problems):
    """`columns` as floats; blanks become nan, anything else that is no number is a problem."""
    out = {}
    for column in columns:
        text = frame[column].str.strip()
        blank = text.str.lower().isin(("", ".", "na", "nd", "nan"))
        values = pd.to_numeric(text.where(~blank), errors="coerce")
        for row in np.flatnonzero(~blank & ~(values.abs() <= limits.LARGEST)):
            problems.add(f"row {row + 2}, {column}", text.iloc[row], "a number or blank")
        out[column] = values.to_numpy(float)
    return pd.DataFrame(out, index=frame.index)


def _periods(frame, column, frequency, problems):
    """A PeriodIndex from a date column; unreadable, repeated or missing dates are problems."""
    text = frame[column].str.strip().str.replace(" ", "", regex=False)
    periods = []
    for row, value in enumerate(text):
        try:
            period = pd.Period(value, freq=frequency)
            known = limits.FIRST_YEAR <= period.year <= limits.LAST_YEAR  # False for no date
        except (ValueError, TypeError, OverflowError):
            known = False
        if known:
            periods.append(period)
        else:
            problems.add(f"row {row + 2}, {column}", value, "a date such as 2025-03 or 2025Q1")
    problems.raise_if_any()
    index = pd.PeriodIndex(periods, freq=frequency)
    for period in index[index.duplicated()].unique():
        problems.add(column, str(period), "each date once")
    missing = pd.period_range(index.min(), index.max(), freq=frequency).difference(index)
    if len(missing):
        problems.say(f"{column}: {len(missing)} dates are missing, the first {missing[0]}")
    problems.raise_if_any()
    return index


def _fill_single_gaps(frame, notes):
    """Interpolates holes of one month between two values; says which."""
    for name in frame:
        hole = frame[name].isna()
        single = hole & frame[name].shift(1).notna() & frame[name].shift(-1).notna()
        if single.any():
            frame[name] = frame[name].where(~single, frame[name].interpolate())
            notes.append(f"{name}: {', '.join(map(str, frame.index[single]))} interpolated")
    return frame


def _quarterly_to_monthly(series, name, notes):
    """Linear between quarter ends; a quarter dated by its first month (as FRED does) is moved."""
    by_start = series.dropna().index.month.isin((1, 4, 7, 10)).all()
    moved = ", moved from the first to the last month of the quarter" if by_start else ""
    notes.append(f"{name}: quarterly, interpolated between quarter ends{moved}")
    series = series.shift(2) if by_start else series
    return series.interpolate(limit_area="inside", limit=2)


def _carry_growth(frame, notes):
    """Carries a series over the months (two at most) since its last quarter end."""
    for name in frame:
        tail = frame[name].isna() & frame[name].ffill(limit=2).notna()
        if tail.any():
            tail &= frame.index > frame[name].last_valid_index()
        if tail.any():
            frame[name] = frame[name].where(~tail, frame[name].ffill())
            notes.append(f"{name}: last known value carried to "
                         f"{', '.join(map(str, frame.index[tail]))}")
    return frame


def _combine(transform, columns):
    first = columns[0]
    if transform == "growth":
        return first / first.shift(12) - 1.0
    if transform == "difference":
        return (first - columns[1]) / 100.0
    return first / 100.0


def _from_fred(frame, problems, extra, until):
    dates = next((c for c in ("period", "observation_date", "DATE", "sasdate", "date")
                  if c in frame), None)
    if dates is None:
        problems.say("no date column; want one named period, observation_date, DATE or sasdate")
        problems.raise_if_any()
    frame = frame[~frame[dates].str.lower().str.startswith("transform")].reset_index(drop=True)
    needed = [c for c in frame if any(c in codes for _, codes in _FRED.values())]
    numbers = _numbers(frame, needed, problems)
    numbers.index = _periods(frame, dates, "M", problems)
    if extra is not None:
        numbers = numbers.join(extra)
    numbers = numbers.sort_index().loc[:until]
    notes: list = []
    for code in numbers:
        known = numbers[code].dropna()
        if len(known) > 2 and np.median(np.diff(known.index.asi8)) == 3:
            numbers[code] = _quarterly_to_monthly(numbers[code], code, notes)
    numbers = _fill_single_gaps(numbers, notes)
    out = {}
    for name, (transform, codes) in _FRED.items():
        if all(code in numbers for code in codes):
            out[name] = _combine(transform, [numbers[code] for code in codes])
            notes.append(f"{name}: {transform} of {' - '.join(codes)}")
    return _carry_growth(pd.DataFrame(out, index=numbers.index), notes), notes


def _from_fed(frame, problems, scenario, until):
    """Quarterly Fed file; `scenario` picks the rows after history (None: history only)."""
    names = {long: short for _, codes in _FED.values() for long, short in codes}
    names |= {"Date": "quarter", "Scenario Name": "scenario"}
    frame = frame.rename(columns=names)
    if "quarter" not in frame or "scenario" not in frame:
        problems.say("want the columns Date and Scenario Name of a Fed scenario file")
        problems.raise_if_any()
    keep = frame["scenario"].isin(["Actual"] + ([scenario] if scenario else []))
    known = sorted(set(frame["scenario"]) - {"Actual"})
    if scenario and scenario not in known:
        problems.add("scenario", scenario, f"one of {', '.join(known)}")
        problems.raise_if_any()
    frame = frame[keep].reset_index(drop=True)
    shorts = [c for c in dict.fromkeys(names.values()) if c in frame and c not in
              ("quarter", "scenario")]
    numbers = _numbers(frame, shorts, problems)
    numbers.index = _periods(frame, "quarter", "Q", problems)
    out, notes = {}, ["quarterly, interpolated between quarter ends"]
    for name, (transform, codes) in _FED.items():
        columns = [numbers[short] for _, short in codes if short in numbers]
        if len(columns) < len(codes):
            continue
        if transform == "compound":
            factor = (1.0 + columns[0] / 100.0) ** 0.25
            out[name] = factor.rolling(4).apply(np.prod) - 1.0
        elif transform == "growth":
            out[name] = columns[0] / columns[0].shift(4) - 1.0
        else:
            out[name] = _combine(transform, columns)
    quarterly = pd.DataFrame(out, index=numbers.index).sort_index()
    quarterly.index = pd.PeriodIndex(quarterly.index).asfreq("M", how="END")
    quarterly = quarterly.loc[:until]
    months = pd.period_range(quarterly.index[0], quarterly.index[-1], freq="M")
    return quarterly.reindex(months).interpolate(limit_area="inside"), notes


def _from_wide(frame, problems, units, until):
    columns = [c for c in frame if c in SERIES]
    dates = next((c for c in frame if c not in SERIES), None)
    if not columns or dates is None:
        problems.say("want a date column and at least one of: " + ", ".join(SERIES))
        problems.raise_if_any()
    numbers = _numbers(frame, columns, problems)
    numbers.index = _periods(frame, dates, "M", problems)
    if units == "percent":
        numbers = numbers / 100.0
    for name in columns:
        far = numbers[name].abs() > 2.0
        for period in numbers.index[far][:5]:
            problems.add(f"{period} {name}", numbers[name][period],
                         'a fraction (0.045 is 4.5 %), or macro.units = "percent"')
    notes: list = []
    return _fill_single_gaps(numbers.sort_index().loc[:until], notes), notes


def read_macro(path: str | pathlib.Path, *, layout: str = "fred", units: str = "fraction",
               scenario: str | None = None, extra: pd.DataFrame | None = None,
               until: pd.Period | None = None) -> MacroHistory:
    """MacroHistory from a CSV file: monthly series as yearly fractions.

    `layout`: "fred" (FRED mnemonics, levels), "fed" (supervisory scenarios, quarterly) or "wide"
    (standard names; `units` "fraction" or "percent"). `scenario` picks a Fed scenario to follow
    the actual quarters. `extra` holds further FRED columns by month (Period), e.g. BAA. Months
    after `until` (Period) are dropped before anything is filled: nothing later is seen.
    Raises InputError with every problem.

    >>> history = cg.read_macro("clo_gen/data/macro_monthly_1959_2026.csv",
    ...                         until=pd.Period("2009-12", "M"))
    >>> history.frame.loc["2009-10":, ["unemployment_rate", "treasury_10y"]].round(4)
             unemployment_rate  treasury_10y
    2009-10              0.100        0.0339
    2009-11              0.099        0.0340
    2009-12              0.099        0.0359
    """
    problems = Problems(path)
    frame = read_table(path)
    if extra is not None and layout != "fred":
        raise InputError(f"{path}: further FRED columns go with layout fred, not {layout}")
    if layout == "fred":
        frame, notes = _from_fred(frame, problems, extra, until)
    elif layout == "fed":
        frame, notes = _from_fed(frame, problems, scenario, until)
    elif layout == "wide":
        frame, notes = _from_wide(frame, problems, units, until)
    else:
        raise InputError(f"macro.layout: {layout!r}; want fred, fed or wide")
    problems.raise_if_any()
    return MacroHistory(frame, tuple(notes), str(path))


def moodys_baa() -> pd.DataFrame:
    """Moody's BAA yield by month (percent, 1919-01 to 2018-12), from the `arch` package.

    The series may not be redistributed, so it is read at run time.
    Raises InputError when the extra is not installed.
    """
    try:
        from arch.data import default
    except ImportError:
        raise InputError("macro.credit_spread = \"baa\" needs the package arch; "
                         "install it with: pip install 'clo_gen[vendor-data]'") from None
    baa = default.load()["BAA"]
    months = pd.DatetimeIndex(baa.index).to_period("M")
    return pd.DataFrame({"BAA": baa.to_numpy()}, index=months)

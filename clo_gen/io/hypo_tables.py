"""Published tables of quality tests and stressed pools, with the confidence of each (data/NOTICE).

Confidence: A, two independent sources or an exact reproduction of a published number; B, one public
source; C, partial or recalled. Arrays are read once and read-only.
"""

import functools
from typing import Any

import numpy as np
import pandas as pd

from clo_gen.io.problems import InputError
from clo_gen.io.tables import data_path, idealised_default_table_standin

NOTCHES = 19  # Aaa .. Caa3: the ratings of stressed pools
_SDR = {  # as published: constant, level, DRD, ODM, IDM, RDM, WAL
    "SP_WARF": (0.247621, 9162.65, 16757.2, 7677.8, 2177.56, 34.0948, 27.3896),
    "EPDR": (0.329915, 1.210322, 0.586627, 2.538684, 0.216729, 0.0575539, 0.0136662),
}


def _frozen(values):
    array = np.asarray(values, float)
    array.flags.writeable = False
    return array


@functools.cache
def diversity_table() -> tuple[np.ndarray, np.ndarray]:
    """(lower bounds [201] of aggregate equivalent units, industry diversity scores [201]).

    The score belongs to the highest bound not above. Source: a CLO administration workbook and an
    independent tool agree in all rows; reproduces a reported score of a real pool. Confidence A.
    """
    table = pd.read_csv(data_path("diversity_score_table.csv"))
    return (_frozen(table["aggregate_equivalent_unit_lower_bound"]),
            _frozen(table["industry_diversity_score"]))


@functools.cache
def moodys_rating_factors() -> np.ndarray:
    """Moody's rating factors [21] of Aaa .. C: 1 .. 10000, Ca and C alike.

    Source: a CLO administration workbook and an independent tool agree; reproduces a reported WARF.
    Confidence A.
    """
    table = pd.read_csv(data_path("moodys_rating_factors.csv")).sort_values("rating_int")
    return _frozen(table["rating_factor"])


def moodys_risk_scores() -> Any:
    """The factors [19] of Aaa .. Caa3, strictly rising: the default risk scores of stressed pools.

    Source and confidence (A): `moodys_rating_factors`.
    """
    return moodys_rating_factors()[:NOTCHES]


@functools.cache
def sp_rating_factors() -> np.ndarray:
    """S&P rating factors [19] of AAA 13.51 .. CCC- 5751.10.

    Source: 8-K exhibit of Blue Owl Technology Finance, 2025-11-03, p. 61. Confidence A-.
    """
    table = pd.read_csv(data_path("sp_rating_factors.csv")).sort_values("rating_int")
    return _frozen(table["rating_factor"][:NOTCHES])


def dbrs_risk_scores() -> dict[int, float]:
    """{rating 1..4: risk score in percent}, AAA 0.0987 .. AA (low) 0.2994: what is published.

    Source: one indenture (lawinsider.com dictionary, dbrs-risk-score). Confidence C.
    """
    table = pd.read_csv(data_path("dbrs_risk_score_published_part.csv")).dropna(
        subset="risk_score_pct")
    return dict(zip(table["rating_int"].tolist(), table["risk_score_pct"].tolist(), strict=True))


@functools.cache
def idealised_default_rates() -> tuple[np.ndarray, str]:
    """(cumulative default rates [19, 10] as fractions by notch and year, label to show with them).

    A stand-in for the agencies' idealised default tables, which are not public: recalled, only the
    ten-year column is confirmed (rating factor / 10,000). Confidence C: say the label wherever a
    number rests on it, and take a user's own table instead where there is one.
    """
    table = idealised_default_table_standin()
    return _frozen(table.rate), table.source


@functools.cache
def _bdr_table():
    return pd.read_csv(data_path("cdo_monitor_bdr_coefficients.csv")).set_index("deal")


def bdr_coefficients(deal: str) -> np.ndarray:
    """(C0, C1, C2) [3] of a deal's break-even default rate: BDR = C0 + C1 WAS + C2 WARR, decimals.

    Source: a public implementation used on 18 OCP deals, and seven unnamed indentures in
    lawinsider.com's dictionary. Confidence B. Raises InputError for a deal not in the table.
    """
    table = _bdr_table()
    if deal not in table.index:
        raise InputError(f"cdo_monitor_bdr_coefficients.csv: deal: {deal!r}; want one of "
                         f"{', '.join(table.index)}")
    return _frozen(table.loc[deal, ["C0", "C1", "C2"]].astype(float))


def sdr_coefficients(run_mode: str) -> Any:
    """The seven constants [7] of the scenario default rate, as published and in its order:
    constant, level, DRD, ODM, IDM, RDM, WAL.

    Source: S&P non-model CDO Monitor, 2019 ("SP_WARF": divisors) and 2014 ("EPDR": multipliers);
    indenture definitions and an independent implementation agree. Confidence A. Raises InputError
    for another run mode.
    """
    if run_mode not in _SDR:
        raise InputError(f"run_mode: {run_mode!r}; want one of {', '.join(_SDR)}")
    return _frozen(_SDR[run_mode])


@functools.cache
def industry_codes() -> tuple[str, ...]:
    """Names of Moody's 32 industries; code c of the table is at c - 1.

    Recalled from memory. Confidence C.
    """
    return tuple(pd.read_csv(data_path("moodys_industries_recalled.csv"))["name"])

"""Published tables and real data shipped with the package (origins: data/NOTICE)."""

import functools
import importlib.resources
import json
import pathlib
from typing import Any

import numpy as np
import pandas as pd

from clo_gen.risk.rating import RatingTable


def data_path(name: str) -> pathlib.Path:
    """Path of a shipped data file."""
    return pathlib.Path(str(importlib.resources.files("clo_gen"))) / "data" / name


def config_path(name: str) -> pathlib.Path:
    """Path of a shipped config: inside the installed package, or the checkout's configs folder."""
    package = pathlib.Path(str(importlib.resources.files("clo_gen")))
    installed = package / "configs" / name
    return installed if installed.exists() else package.parent / "configs" / name


def is_shipped(path: str | pathlib.Path) -> bool:
    """Whether `path` is, byte for byte, the deal of the same name that comes with the package."""
    path = pathlib.Path(path)
    ours = config_path("deals") / path.name
    return ours.exists() and ours.read_bytes() == path.read_bytes()


@functools.cache
def rating_notches() -> dict[str, tuple[str, float]]:
    """Notch names of every agency -> (letter state, log-odds effect of the notch).

    A notch's effect is log(rating factor / factor of the letter's middle notch), Moody's table, so
    that B+ and B- differ as the published factors do. CC and C belong to the state CCC.
    """
    scale = pd.read_csv(data_path("rating_scale.csv"))
    factors = pd.read_csv(data_path("moodys_rating_factors.csv"))
    factor = dict(zip(factors["rating_int"], factors["rating_factor"], strict=True))
    middle = {"AAA": 1, "AA": 3, "A": 6, "BBB": 9, "BB": 12, "B": 15, "CCC": 18}
    notches = {}
    for rating, *names in zip(*(scale[c] for c in ("rating_int", "sp", "moodys", "dbrs")),
                              strict=True):
        letter = names[0].rstrip("+-")
        letter = "CCC" if letter in ("CC", "C") else letter
        effect = float(np.log(factor[rating] / factor[middle[letter]]))
        for name in names:
            notches[name] = (letter, effect)
    return notches


def sp_annual_matrix() -> np.ndarray:
    """One-year matrix [8, 8] over AAA..CCC, D, 1981-2016, given that the rating is not withdrawn.

    Source: data/sp_cumulative_1981_2016.json. Withdrawn (NR) is censored: rows are renormalised.
    """
    table = json.loads(data_path("sp_cumulative_1981_2016.json").read_text())
    matrix = np.array(table["P"][0])[:8, :8]
    return matrix / matrix.sum(1, keepdims=True)


def _rating_table(rate, years, names, source):
    """RatingTable made monotone: sampling noise must not rank a rating above a better one."""
    rate = np.maximum.accumulate(np.maximum.accumulate(rate, axis=1), axis=0)
    return RatingTable(rate=rate, years=np.asarray(years, float), names=tuple(names),
                       source=source)


@functools.cache
def sp_default_table() -> RatingTable:
    """RatingTable of S&P's global corporate default rates 1981-2016, AAA..CCC, 1 to 20 years.

    Shares of all issuers, withdrawn ones included (not adjusted for NR). Small samples make some
    published rates fall with the horizon or a better rating; such a rate is raised to its
    neighbour's. Source: data/sp_cumulative_1981_2016.json.
    """
    table = json.loads(data_path("sp_cumulative_1981_2016.json").read_text())
    labels = table["labels"]
    default = np.array(table["P"])[:, :, labels.index("D")].T
    ratings = labels.index("D")
    return _rating_table(default[:ratings], table["horizons_years"], labels[:ratings],
                         "S&P global corporates 1981-2016")


def idealised_default_table_standin() -> Any:
    """RatingTable of 19 notches, 1 to 10 years: a stand-in for Moody's idealised default rates.

    Recalled, not published: only its ten-year column is confirmed (it is the rating factor table
    over 10,000). For demonstrations and tests; replace it by your licensed table.
    """
    table = pd.read_csv(data_path("idealised_default_standin_recalled.csv"))
    horizons = [name for name in table.columns if name.startswith("y")]
    return _rating_table(table[horizons].to_numpy() / 100.0, [int(h[1:]) for h in horizons],
                         table["moodys"], "stand-in, recalled; not a published table")

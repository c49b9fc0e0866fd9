"""Simulated loss probability of each class beside the default rate of its rating, by scenario."""

import functools

import numpy as np
import pandas as pd

from clo_gen.io.tables import (
    data_path,
    idealised_default_table_standin,
    rating_notches,
    sp_default_table,
)
from clo_gen.risk.rating import idealised_rate


def _rate(table, name, years):
    return float(np.asarray(idealised_rate(table, float(years)))[table.names.index(name)])


@functools.cache
def _moodys_names():
    """{any agency's notch name: Moody's}."""
    scale = pd.read_csv(data_path("rating_scale.csv"))
    return {name: row.moodys for row in scale.itertuples()
            for name in (row.sp, row.moodys, row.dbrs)}


def rating_rates(rating, wal_years):
    """(S&P historical rate of the letter, stand-in idealised rate of the notch) over the WAL;
    None each for a class without rating, or with one that the tables do not know."""
    if not _known(rating):
        return None, None
    years = np.nan if wal_years is None else wal_years
    return (_rate(sp_default_table(), rating_notches()[rating][0], years),
            _rate(idealised_default_table_standin(), _moodys_names()[rating], years))


def _known(rating):
    return _moodys_names().get(rating) in idealised_default_table_standin().names


def _note(rating):
    if not rating or _known(rating):
        return ""
    return f"rating {rating}: no agency's, AAA to CCC-; compared with no rate"


def _within(low, high, rate):
    if rate is None:
        return ""
    return "yes" if high <= rate else "NO" if low > rate else "open"


def class_table(summary, ratings):
    """Rows (dict), a class and scenario each, senior first.

    `summary` is a run's summary.json, `ratings` {class: rating, "" for none}. p_high is the upper
    95 % limit of the loss probability (3 / paths where no path lost); `within` is yes when it is at
    most the idealised rate, NO when the lower limit is above it, else open: too few paths to tell.
    `ordered`: no debt class of the scenario loses more often than one junior to it.
    """
    rows, paths = [], summary["paths"]
    for scenario, content in summary["scenarios"].items():
        debt = list(summary["deal"]["closing_oc_ratio"])
        chances = [content["tranches"][c]["loss_probability"] for c in debt]
        ordered = bool((np.diff(chances) >= -1e-12).all())
        for name in summary["deal"]["credit_enhancement"]:
            found = content["tranches"][name]
            p = found["loss_probability"]
            low = p - 1.96 * np.sqrt(p * (1.0 - p) / paths)
            high = p + max(1.96 * np.sqrt(p * (1.0 - p) / paths), (3.0 - 3.0 * p) / paths)
            historical, idealised = rating_rates(ratings.get(name, ""), found["wal_years"])
            rows.append({
                "scenario": scenario, "class": name, "rating": ratings.get(name, ""),
                "wal_years": found["wal_years"], "loss_probability": p, "p_high": min(high, 1.0),
                "historical_rate": historical, "idealised_rate": idealised,
                "within": _within(low, high, idealised),
                "implied_rating": found.get("implied_rating"), "ordered": ordered,
                "note": _note(ratings.get(name, ""))})
    return rows

"""Collections by payment period from a table: a CSV file, or the rows of an engine's JSON."""

import dataclasses
import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd

from clo_gen.io import limits
from clo_gen.io.problems import Problems
from clo_gen.io.table import as_text, read_table
from clo_gen.records import Collections, Deal

FLOWS = ("interest", "scheduled_principal", "prepayment", "default", "recovery", "loss")
REQUIRED = ("pay_date", *FLOWS[:3], "default", "recovery", "loss", "end_performing")
OPTIONAL = ("collection_end", "begin_performing", "index", "defaulted_value", "carrying_haircut",
            "ccc_par", "ccc_value", "ccc_par_2", "ccc_value_2")


@dataclasses.dataclass(frozen=True)
class LoadedCollections:
    """Collections of P payment periods, share of `par`, and the index they come with."""

    pay_dates: tuple
    collections: Collections
    index: np.ndarray | None  # [P]
    notes: tuple[str, ...]  # what was filled in


def read_collections(collections: str | pathlib.Path | pd.DataFrame, *, par: float,
                     deal: Deal) -> LoadedCollections:
    """LoadedCollections from a CSV file or a DataFrame of the same columns, money in currency.

    Raises InputError with every bad row, field and value.
    """
    if isinstance(collections, pd.DataFrame):
        frame, problems = as_text(collections), Problems("given collections")
    else:
        frame, problems = read_table(collections), Problems(collections)
    loaded = judge_collections(frame, problems, par=par, deal=deal)
    problems.raise_if_any()
    return loaded


def judge_collections(frame: pd.DataFrame, problems: Problems, *, par: float,
                      deal: Any) -> Any:
    """LoadedCollections of `frame`, one row a payment period; complaints go to `problems`.

    Without defaulted_value, defaulted par counts at the deal's `defaulted_price`; `ccc_par_2` and
    `ccc_value_2` are a second rating agency's.
    """
    missing = [name for name in REQUIRED if name not in frame]
    for name in missing:
        problems.say(f"column {name}: missing; want {', '.join(REQUIRED)}")
    known = (*REQUIRED, *OPTIONAL)
    problems.unknown([name for name in frame.columns.astype(str) if name not in known], known,
                     what="column")
    if missing:
        return None
    if not len(frame):
        problems.say("no rows; want one a payment period")
        return None
    dates = _dates(frame["pay_date"], "pay_date", problems)
    if "collection_end" in frame:
        _check_collection_ends(frame, dates, problems)
    numbers = {name: _numbers(frame[name], name, problems)
               for name in (*REQUIRED[1:], *OPTIONAL[1:]) if name in frame}
    if problems.found:
        return None
    money = {name: x if name == "index" else x / par for name, x in numbers.items()}
    _check_balances(money, problems)
    return LoadedCollections(tuple(dates), _collections(money, deal), money.get("index"),
                             _filled_in(money, deal))


def _filled_in(money, deal):
    if "defaulted_value" in money or not money["default"].any() or not float(deal.defaulted_price):
        return ()
    return (f"defaulted par is carried at {float(deal.defaulted_price):.0%}, the deal's "
            "defaulted_price",)


def _date(text):
    """A date of these two centuries, else None."""
    try:
        stamp = pd.Timestamp(text)
    except ValueError:
        return None
    return stamp.date() if stamp is not pd.NaT and (
        limits.FIRST_YEAR <= stamp.year <= limits.LAST_YEAR) else None


def _dates(column, name, problems):
    out = []
    for i, text in enumerate(column.astype(str)):
        date = _date(text)
        if date is None:
            problems.add(f"row {i + 2}, {name}", text, "a date such as 2026-01-15")
            return []
        out.append(date)
        if i and len(out) > 1 and out[-1] <= out[-2]:
            problems.add(f"row {i + 2}, {name}", text, f"a date after {out[-2]}, the row before")
    return out


def _check_collection_ends(frame, pay_dates, problems):
    ends = _dates(frame["collection_end"], "collection_end", problems)
    for i, (end, pay) in enumerate(zip(ends, pay_dates, strict=False)):
        if end > pay:
            problems.add(f"row {i + 2}, collection_end", str(end), f"a date up to pay_date {pay}")
        if i and end < pay_dates[i - 1] and end <= ends[i - 1]:
            problems.add(f"row {i + 2}, collection_end", str(end),
                         "a collection period after that of the row before")


def _numbers(column, name, problems):
    out = pd.to_numeric(column, errors="coerce").to_numpy(float)
    low, high = (-0.05, 1.0) if name == "index" else (0.0, np.inf)
    want = "a fraction in [-0.05, 1]" if name == "index" else "a number of at least 0"
    for i in np.flatnonzero(~(np.abs(out) <= limits.LARGEST) | (out < low) | (out > high)):
        problems.add(f"row {i + 2}, {name}", str(column.iloc[i]), want)
    return out


def _check_balances(m, problems):
    """Par that vanishes or appears between rows would be cash nobody sees."""
    opening = m["end_performing"] + m["scheduled_principal"] + m["prepayment"] + m["default"]
    before = np.concatenate([opening[:1], m["end_performing"][:-1]])
    for i in np.flatnonzero(np.abs(opening - before) > 1e-6):
        problems.say(f"row {i + 2}: end_performing + scheduled_principal + prepayment + default is "
                     f"{opening[i]:.6f} of par; want {before[i]:.6f}, end_performing of the row "
                     "before")
    owed = np.cumsum(m["default"] - m["recovery"] - m["loss"])
    for i in np.flatnonzero(owed < -1e-6)[:1]:
        problems.say(f"row {i + 2}: recovery + loss so far exceed the defaults so far by "
                     f"{-owed[i]:.6f} of par")
    _check_values(m, owed, problems)
    if "begin_performing" in m:
        for i in np.flatnonzero(np.abs(m["begin_performing"] - opening) > 1e-6):
            problems.say(f"row {i + 2}, begin_performing: {m['begin_performing'][i]:.6f} of par; "
                         f"want {opening[i]:.6f}, what the row's flows add up to")


def _check_values(m, defaulted, problems):
    """A carrying value above the par it stands for would raise a coverage ratio."""
    for suffix in ("", "_2"):
        value, par = f"ccc_value{suffix}", f"ccc_par{suffix}"
        if value in m and par not in m:
            problems.say(f"column {par}: missing; want it beside {value}")
        elif suffix and par in m and "ccc_value" in m and value not in m:
            problems.say(f"column {value}: missing; want it beside {par}, as for the first agency")
    limits = (("ccc_par", m["end_performing"], "end_performing"),
              ("ccc_par_2", m["end_performing"], "end_performing"),
              ("ccc_value", m.get("ccc_par"), "ccc_par"),
              ("ccc_value_2", m.get("ccc_par_2"), "ccc_par_2"),
              ("carrying_haircut", m["end_performing"], "end_performing"),
              ("defaulted_value", defaulted, "defaulted par not yet recovered"))
    for name, most, what in limits:
        if name in m and most is not None:
            for i in np.flatnonzero(m[name] > most + 1e-6):
                problems.say(f"row {i + 2}, {name}: {m[name][i]:.6f} of par; want at most {what}, "
                             f"{most[i]:.6f}")


def _collections(m, deal):
    none = np.zeros_like(m["interest"])
    defaulted = np.maximum(np.cumsum(m["default"] - m["recovery"] - m["loss"]), 0.0)
    agencies = ["", "_2"] if "ccc_par_2" in m else [""]

    def by_agency(name):
        return jnp.asarray(np.stack([m.get(name + a, none) for a in agencies], axis=1)[:, :, None])

    par = by_agency("ccc_par")
    return Collections(
        **{name: jnp.asarray(m[name]) for name in FLOWS},
        performing=jnp.asarray(m["end_performing"]), defaulted=jnp.asarray(defaulted),
        defaulted_value=jnp.asarray(m["defaulted_value"]) if "defaulted_value" in m
        else deal.defaulted_price * defaulted,
        ccc_par=par,
        ccc_value=by_agency("ccc_value") if "ccc_value" in m else par * deal.ccc_price,
        carrying_haircut=jnp.asarray(m.get("carrying_haircut", none)),
        par_by_state=jnp.zeros((len(none), 0)))

"""`clo-gen waterfall`: one deal, given collections, every payment; no simulation."""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from clo_gen.cash.new_collateral import from_rates
from clo_gen.deal import analytics
from clo_gen.deal.waterfall import conservation_error, run_waterfall
from clo_gen.io.collections import LoadedCollections, read_collections
from clo_gen.io.deal import LoadedDeal, first_periods, read_deal
from clo_gen.io.deal_arrays import purchases
from clo_gen.io.oracle import read_oracle
from clo_gen.io.problems import InputError, Problems
from clo_gen.records import TrancheCash

PAID_OFF = 1e-9  # balance left, share of par, below which a class counts as repaid


@dataclasses.dataclass(frozen=True)
class Distribution:
    """What a deal paid. Arrays on the host, money as a share of `deal.par`."""

    deal: LoadedDeal
    collections: LoadedCollections
    cash: TrancheCash  # [P, ...]
    numbers: dict  # class name -> its analytics
    conservation_error: float
    rate: float  # at which the classes are priced
    notes: tuple[str, ...]

    @property
    def classes(self) -> pd.DataFrame:
        """One row a class: present value [currency] and price at the flat `rate`, WAL and durations
        in years, IRR bought at par, shares of original balance unpaid at the end."""
        frame = pd.DataFrame.from_dict(self.numbers, orient="index").rename_axis("class")
        return frame.assign(pv=frame["pv"] * self.deal.par)

    @property
    def payments(self) -> pd.DataFrame:
        """One row a date and payee (classes, fees, accounts, tests), money in currency."""
        return as_table(self)


def distribute(deal: str | pathlib.Path,
               collections: str | pathlib.Path | pd.DataFrame | None = None,
               *, rate: float = 0.07) -> Distribution:
    """Distribution of given collections through a deal; no simulation.

    `deal` is a deal file (TOML) with `collections` (a CSV file, or a DataFrame of its columns; one
    row a payment date, money in currency), or a JSON file that has both. `rate` is the flat yearly
    rate at which classes are priced. Raises InputError for any bad file or combination.

    >>> dates = cg.read_deal("configs/deals/static_amortising.toml").payment_dates[:2]
    >>> cash = pd.DataFrame({
    ...     "pay_date": dates, "interest": 1.6e6, "scheduled_principal": 0.0,
    ...     "prepayment": [10e6, 8e6], "default": 0.0, "recovery": 0.0, "loss": 0.0,
    ...     "end_performing": [240e6, 232e6], "index": 0.04})
    >>> paid = cg.distribute("configs/deals/static_amortising.toml", cash)
    >>> notes = paid.payments.query("kind == 'class'").set_index(["date", "payee"])
    >>> notes[["interest", "principal", "balance"]].round(0).head(4)
                         interest   principal      balance
    date       payee
    2025-04-20 A         804493.0  10000000.0  175000000.0
    2025-05-20 A         736458.0   8000000.0  167000000.0
    2025-04-20 B         127014.0         0.0   25000000.0
    2025-05-20 B         122917.0         0.0   25000000.0
    """
    path = pathlib.Path(deal)
    if path.suffix not in (".json", ".toml"):
        raise InputError(f"{path}: want a deal (.toml) or a deal with its collections (.json)")
    if path.suffix == ".json":
        if collections is not None:
            raise InputError(f"--collections {collections}: {path.name} has its own collections")
        case = read_oracle(path)
        return _distribute(case.deal, case.collections, rate)
    if collections is None:
        raise InputError(f"{path}: want --collections c.csv with the cash of every payment period, "
                         "or a .json file that has it (clo-gen run simulates a deal)")
    whole = read_deal(path)
    loaded = read_collections(collections, par=whole.par, deal=whole.deal)
    problems = Problems("given collections" if isinstance(collections, pd.DataFrame)
                        else collections)
    matched = _matched(whole, loaded, problems)
    problems.raise_if_any()
    return _distribute(matched, loaded, rate)


def _matched(deal, loaded, problems):
    """The deal on the payment dates of the collections, which must be its own first ones."""
    for i, (got, want) in enumerate(zip(loaded.pay_dates, deal.payment_dates, strict=False)):
        if got != want:
            problems.add(f"row {i + 2}, pay_date", str(got), f"the deal's payment date {want}")
    if len(loaded.pay_dates) > len(deal.payment_dates):
        problems.say(f"{len(loaded.pay_dates)} rows; want at most the {len(deal.payment_dates)} "
                     "payment dates of the deal")
    c = loaded.collections
    opening = float(c.performing[0] + c.scheduled_principal[0] + c.prepayment[0] + c.default[0])
    if abs(opening - 1.0) > 0.02:
        problems.say(f"row 2: the pool opens with {opening:.1%} of the deal's target_par of "
                     f"{deal.par:,.0f}; want the pool of this deal")
    if loaded.index is None and (any(n.spread_bps is not None for n in deal.terms.notes)
                                 or deal.terms.reinvestment or deal.terms.hedges):
        problems.say(f"column index: missing; want the {deal.terms.index} fixing of each period, "
                     "on which notes, hedges or reinvested collateral depend")
    return first_periods(deal, len(loaded.pay_dates)) if not problems.found else deal


def _distribute(deal, loaded, rate):
    index = jnp.asarray(np.zeros(len(loaded.pay_dates)) if loaded.index is None else loaded.index)
    buys, reinvestment = purchases(deal.terms), deal.terms.reinvestment

    def run(terms, collections, index, calendar, buys):
        new = None if buys is None else from_rates(buys, reinvestment.cdr, reinvestment.cpr, index,
                                                   calendar)
        cash = run_waterfall(terms, deal.waterfall, collections, index, 0.0, calendar=calendar,
                             new=new)
        numbers = _numbers(cash, terms, calendar.years, rate)
        return cash, numbers, conservation_error(terms, cash, collections, calendar)

    cash, numbers, error = jax.device_get(jax.jit(run)(
        deal.deal, loaded.collections, index, deal.calendar, buys))
    named = {name: {key: float(x[k]) for key, x in numbers.items()}
             for k, name in enumerate(deal.classes)}
    if _is_cut_short(deal, loaded, cash):
        unknown = dict.fromkeys(("pv", "price", "wal_years", "duration", "modified_duration",
                                 "irr"), np.nan)
        for n in named.values():
            n.update(unknown if n["principal_unpaid"] > PAID_OFF else {})
    return Distribution(deal, loaded, cash, named, float(error), rate, (*loaded.notes,
                                                                       *_notes(deal, loaded, cash)))


def _is_cut_short(deal, loaded, cash):
    """Whether payments are still to come after the last row."""
    return float(deal.calendar.is_last[-1]) == 0.0 and float(cash.called.sum()) < 1.0


def _notes(deal, loaded, cash):
    last, left = loaded.pay_dates[-1], float(loaded.collections.performing[-1])
    if _is_cut_short(deal, loaded, cash):
        yield (f"the collections end on {last}, before the last payment date "
               f"{deal.terms.maturity}: no price, IRR or WAL for classes still owed money")
    elif deal.terms.call is None and left > PAID_OFF:
        yield (f"{left:.2%} of par still performs on the last date and pays nobody: without [call] "
               "prices it is not sold")
    r = deal.terms.reinvestment
    if r is not None:
        yield (f"reinvested principal is assumed to default at {r.cdr:.1%} and to prepay at "
               f"{r.cpr:.1%} a year")


def _numbers(cash, deal, years, rate):
    """Analytics per class [K] at a flat yearly `rate`."""
    discount = analytics.discount_factors(rate, years)

    def of_class(flows, principal, balance, left, unpaid, price):
        value = analytics.present_value(flows, discount)
        irr, converged = analytics.internal_rate(flows, years, balance * price)
        return {
            "pv": value, "price": analytics.clean_price(value, balance, 0.0),
            "wal_years": analytics.wal_years(principal, years),
            "duration": analytics.macaulay_duration(flows, years, discount),
            "modified_duration": analytics.modified_duration(flows, years, rate),
            "irr": jnp.where(converged, irr, jnp.nan), "principal_unpaid": left,
            "interest_unpaid": unpaid}

    price = jnp.ones_like(deal.balance).at[-1].set(deal.equity_price)
    return jax.vmap(of_class, in_axes=(1, 1, 0, 0, 0, 0))(
        cash.interest + cash.principal, cash.principal, deal.balance, cash.balance[-1],
        cash.unpaid[-1], price)


def as_json(d: Distribution) -> dict[str, Any]:
    """{"notes", "fees", "analytics"} in the shape of the schema's `expected`."""
    dates, par = [str(date) for date in d.collections.pay_dates], d.deal.par

    def rows(**columns):
        return [{"date": date} | {name: round(float(x[p]) * par, 6) for name, x in columns.items()}
                for p, date in enumerate(dates)]

    c = d.cash
    notes = {name: rows(interest=c.interest[:, k], principal=c.principal[:, k],
                        balance=c.balance[:, k], unpaid_interest=c.unpaid[:, k])
             for k, name in enumerate(d.deal.classes)}
    fees = {name: rows(paid=c.fees[:, f], unpaid=c.fee_unpaid[:, f])
            for f, name in enumerate(d.deal.fees)}
    return {"notes": notes, "fees": fees, "analytics": _analytics_json(d)}


def _analytics_json(d):
    flat = f"flat_{d.rate * 100:g}pct"

    def number(x):
        return None if np.isnan(x) else round(x, 9)

    def of_class(n):
        paid_off = n["principal_unpaid"] < PAID_OFF
        return {"pv": number(n["pv"] * d.deal.par),
                "price_pct_of_balance": number(n["price"] * 100),
                "wal_years": n["wal_years"] if paid_off and not np.isnan(n["wal_years"]) else 0.0,
                "duration": number(n["duration"]), "accrued": 0}

    return {
        flat: {name: of_class(n) for name, n in d.numbers.items()},
        f"{flat}_convention": f"valuation {d.deal.terms.closing}; discount 1/(1+{d.rate:g})^(days/"
                              "365); duration = sum(t*pv)/pv; WAL in years, 0 when the class is "
                              "not paid off",
        f"irr_bought_at_par_{str(d.deal.terms.closing).replace('-', '_')}": {
            name: number(n["irr"]) for name, n in d.numbers.items()},
        "irr_convention": "annual compounding, ACT/365; null where none was found",
    }


def as_table(d: Distribution) -> pd.DataFrame:
    """One row a date and payee, money in the deal's currency."""
    dates, par, c = d.collections.pay_dates, d.deal.par, d.cash
    parts = []
    for k, name in enumerate(d.deal.classes):
        parts.append(pd.DataFrame({
            "date": dates, "payee": name, "kind": "class", "interest": c.interest[:, k] * par,
            "principal": c.principal[:, k] * par, "balance": c.balance[:, k] * par,
            "unpaid": c.unpaid[:, k] * par}))
    for f, name in enumerate(d.deal.fees):
        parts.append(pd.DataFrame({"date": dates, "payee": name, "kind": "fee",
                                   "interest": c.fees[:, f] * par,
                                   "unpaid": c.fee_unpaid[:, f] * par}))
    accounts = {"incentive": c.incentive, "reinvested": c.reinvested, "sold": c.sold,
                "hedge receipts": c.hedged, "bought collateral, par": c.bought,
                "cash left": c.left}
    for r, reserve in enumerate(d.deal.terms.reserves):
        accounts[f"reserve {reserve.name}"] = c.reserve[:, r]
    for name, x in accounts.items():
        if np.abs(x).max() > 0:
            parts.append(pd.DataFrame({"date": dates, "payee": name, "kind": "account",
                                       "amount": x * par}))
    for q, name in enumerate(d.deal.tests):
        parts.append(pd.DataFrame({"date": dates, "payee": name, "kind": "test",
                                   "ratio": c.ratio[:, q], "trigger": float(d.deal.deal.trigger[q]),
                                   "amount": c.cure[:, q] * par}))
    return pd.concat(parts, ignore_index=True)

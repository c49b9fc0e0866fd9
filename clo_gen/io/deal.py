"""Deal TOML -> Deal, its waterfall and its calendar. All user data about deals is judged here."""

import dataclasses
import datetime
from typing import Annotated, Literal

import jax.numpy as jnp
import numpy as np
from pydantic import Field

from clo_gen.deal import steps
from clo_gen.deal.program import Program, compile_program
from clo_gen.io import dates
from clo_gen.io.problems import Problems
from clo_gen.io.toml import Record, load_toml, parse
from clo_gen.records import Calendar, Deal

DayCount = Literal["ACT/360", "ACT/365F", "30/360", "ACT/ACT"]
Money = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class NoteTerms(Record):
    """A debt class; `spread_bps` over the index or a fixed `rate`."""

    name: str
    balance: Annotated[float, Field(gt=0)]
    spread_bps: Annotated[float, Field(ge=0, le=5000)] | None = None
    rate: Share | None = None
    floor_bps: Annotated[float, Field(ge=-500, le=2000)] = 0.0
    day_count: DayCount = "ACT/360"
    deferrable: bool = False
    rating: str = ""


class EquityTerms(Record):
    """The subordinated notes; `price` is what the IRR and the hurdle start from."""

    name: str
    balance: Annotated[float, Field(gt=0)]
    price: Annotated[float, Field(gt=0, le=2)] = 1.0


class FeeTerms(Record):
    """`rate` x opening performing par + `amount`, both a year; `cap` a deal year (currency)."""

    name: str
    rate: Share = 0.0
    amount: Money = 0.0
    cap: Money | None = None
    day_count: DayCount = "ACT/360"


class TestTerms(Record):
    """Coverage of class `through` and everything senior to it."""

    name: str
    kind: Literal["oc", "ic"]
    through: str
    trigger: Annotated[float, Field(gt=0, le=10)]


class WaterfallTerms(Record):
    """Steps in order, each { op = ..., ... }; names are those of notes, fees and tests."""

    interest: tuple[dict, ...]
    principal: tuple[dict, ...]


class DealTerms(Record):
    """A deal as written in TOML; money in `currency`."""

    name: str
    source: str = ""
    assumptions: tuple[str, ...] = ()  # terms that the source does not give
    currency: str = "USD"
    target_par: Annotated[float, Field(gt=0)]
    closing: datetime.date
    first_payment: datetime.date
    maturity: datetime.date
    payment_months: Literal[1, 3, 6, 12] = 3
    reinvestment_end: datetime.date | None = None
    index: str = "SOFR"
    ccc_limit: Share = 0.075
    ccc_price: Share = 0.70
    defaulted_price: Share = 0.50
    hurdle_irr: Share = 0.12
    incentive_share: Share = 0.20
    notes: Annotated[tuple[NoteTerms, ...], Field(min_length=1)]
    equity: EquityTerms
    fees: tuple[FeeTerms, ...] = ()
    tests: tuple[TestTerms, ...] = ()
    waterfall: WaterfallTerms


@dataclasses.dataclass(frozen=True)
class LoadedDeal:
    """A judged deal. Money in `deal` is a share of `par`."""

    terms: DealTerms
    deal: Deal
    waterfall: steps.Waterfall
    program: Program
    calendar: Calendar
    payment_dates: tuple[datetime.date, ...]
    months: int  # from closing to maturity
    par: float
    not_modelled: tuple[str, ...]  # terms read and checked, but without effect yet
    source: str

    @property
    def classes(self):
        """Names of the K classes, senior first, equity last."""
        return (*(note.name for note in self.terms.notes), self.terms.equity.name)

    @property
    def tests(self):
        return tuple(test.name for test in self.terms.tests)


def read_deal(path, *, par=None):
    """LoadedDeal from TOML. `par` (currency) is the pool's par; without it the target par.

    Raises InputError with every problem: unknown keys, names, orders of dates, debt above the pool.
    """
    terms = parse(load_toml(path), DealTerms, path)
    problems = Problems(path)
    par = terms.target_par if par is None else par
    _check_terms(terms, par, problems)
    waterfall = _resolve(terms, problems)
    problems.raise_if_any()
    _check_order_of_payments(terms, waterfall, problems)
    problems.raise_if_any()
    payment_dates, months, calendar = _calendar(terms)
    ignored = () if terms.reinvestment_end is None else (
        f"reinvestment until {terms.reinvestment_end}: principal repays the notes from the first "
        "payment date",)
    return LoadedDeal(terms, _to_deal(terms, par), waterfall,
                      compile_program(waterfall, len(terms.fees)), calendar, payment_dates, months,
                      float(par), ignored, str(path))


def _check_terms(terms, par, problems):
    names = [n.name for n in terms.notes] + [terms.equity.name]
    for kind, listed in (("notes", names), ("fees", [f.name for f in terms.fees]),
                         ("tests", [t.name for t in terms.tests])):
        for name in {n for n in listed if listed.count(n) > 1}:
            problems.add(kind, name, "each name once")
    for i, note in enumerate(terms.notes):
        if (note.spread_bps is None) == (note.rate is None):
            problems.say(f"notes[{i + 1}] ({note.name}): want either spread_bps or rate")
    debt = sum(n.balance for n in terms.notes)
    if debt > par * (1 + 1e-9):
        problems.say(f"notes: debt of {debt:,.0f} {terms.currency} is larger than the pool's par "
                     f"of {par:,.0f}; want at most the par (a tape of the deal's size, or "
                     "smaller notes)")
    if not terms.closing < terms.first_payment <= terms.maturity:
        problems.say(f"dates: closing {terms.closing}, first_payment {terms.first_payment}, "
                     f"maturity {terms.maturity}; want closing < first_payment <= maturity")
    elif dates.months_between(terms.closing, terms.maturity) > 480:
        problems.add("maturity", str(terms.maturity), "a date within 40 years of closing")
    elif dates.whole_months(terms.closing, terms.first_payment) < 1:
        problems.add("first_payment", str(terms.first_payment), "a date a month after closing")
    elif _payment_dates(terms)[-1] != terms.maturity:
        near = _payment_dates(terms)[-2:]
        problems.add("maturity", str(terms.maturity), "a payment date, such as "
                     + " or ".join(map(str, near)))
    end = terms.reinvestment_end
    if end is not None and not terms.closing <= end <= terms.maturity:
        problems.add("reinvestment_end", str(end), "a date between closing and maturity")
    known = [n.name for n in terms.notes]
    for i, test in enumerate(terms.tests):
        if test.through not in known:
            problems.add(f"tests[{i + 1}] ({test.name}), through", test.through,
                         "a debt class: " + ", ".join(known))
        if test.kind == "oc" and test.trigger <= 1.0:
            problems.add(f"tests[{i + 1}] ({test.name}), trigger", test.trigger,
                         "an OC trigger above 1 (1.2 is 120 %)")


def _resolve(terms, problems):
    """Waterfall with note, fee and test numbers in place of names."""
    numbers = {
        "notes": {n.name: i for i, n in enumerate(terms.notes)},
        "fee": {f.name: i for i, f in enumerate(terms.fees)},
        "tests": {t.name: i for i, t in enumerate(terms.tests)},
    }
    numbers["order"] = numbers["notes"]
    resolved = []
    for account in ("interest", "principal"):
        for i, given in enumerate(getattr(terms.waterfall, account)):
            place = f"waterfall.{account}[{i + 1}]"
            step = _resolve_step(given, account, numbers, place, problems)
            if step is not None:
                resolved.append(step)
    through = numbers["notes"]
    tests = tuple(steps.Test(t.kind, tuple(range(through.get(t.through, 0) + 1)))
                  for t in terms.tests)
    return steps.Waterfall(tuple(resolved), tests, (*(n.deferrable for n in terms.notes), False))


def _resolve_step(given, account, numbers, place, problems):
    given = dict(given)
    op = given.pop("op", None)
    if not isinstance(op, str) or op not in steps.OPS:
        problems.add(f"{place}.op", "missing" if op is None else op,
                     "one of " + ", ".join(steps.OPS))
        return None
    kind = steps.OPS[op]
    fields = {f.name: f for f in dataclasses.fields(kind) if f.name != "account"}
    for key in set(given) - set(fields):
        problems.say(f"{place} ({op}).{key}: unknown key; known keys here: "
                     + ", ".join(["op", *fields]))
    values = {"account": account}
    for name, field in fields.items():
        if name not in given:
            if name == "order":
                values[name] = tuple(numbers["notes"].values())
            elif field.default is dataclasses.MISSING:
                problems.say(f"{place} ({op}).{name}: missing")
            continue
        values[name] = _resolve_value(given[name], numbers.get(name), name,
                                      f"{place} ({op}).{name}", problems)
    complete = all(f in values or fields[f].default is not dataclasses.MISSING for f in fields)
    return kind(**values) if complete else None


def _resolve_value(value, known, name, place, problems):
    if known is None:
        if not isinstance(value, bool):
            problems.add(place, value, "true or false")
        return value
    single = name == "fee"
    listed = (value,) if isinstance(value, str) else value
    if not isinstance(listed, tuple) or not listed or (single and not isinstance(value, str)):
        problems.add(place, value, "a name" if single else "a list of names")
        return () if not single else 0
    for item in dict.fromkeys(map(str, listed)):
        if list(map(str, listed)).count(item) > 1:
            problems.add(place, item, "each name once")
    listed = tuple(map(str, listed))
    for item in listed:
        if item not in known:
            problems.add(place, item, "one of " + (", ".join(known) or "(none is defined)"))
    found = tuple(known.get(item, 0) for item in listed)
    return found[0] if single else found


def _check_order_of_payments(terms, waterfall, problems):
    """Every class, fee and test has its step, and no cash is left without a payee."""
    def covered(kind, attribute):
        return {i for s in waterfall.steps if isinstance(s, kind)
                for i in np.atleast_1d(getattr(s, attribute))}

    for what, kind, listed in (
        ("interest", steps.PayNoteInterest, terms.notes),
        ("principal", steps.PayNotePrincipal, terms.notes),
    ):
        for i in set(range(len(listed))) - covered(kind, "notes"):
            problems.say(f"waterfall: no step pays the {what} of note {listed[i].name}")
    deferred = covered(steps.PayDeferredInterest, "notes")
    for i, note in enumerate(terms.notes):
        if note.deferrable and i not in deferred:
            problems.say(f"waterfall: no step pays the deferred interest of note {note.name}")
    for i in set(range(len(terms.fees))) - covered(steps.PayFee, "fee"):
        problems.say(f"waterfall: no step pays the fee {terms.fees[i].name}")
    for i in set(range(len(terms.tests))) - covered(steps.CureTests, "tests"):
        problems.say(f"waterfall: no step cures the test {terms.tests[i].name}")
    for account in ("interest", "principal"):
        of_account = [s for s in waterfall.steps if s.account == account]
        kinds = [type(s) for s in of_account]
        if steps.PayIncentive in kinds and steps.PayEquityToHurdle not in kinds[
                : kinds.index(steps.PayIncentive)]:
            problems.say(f"waterfall.{account}: want equity_to_hurdle before pay_incentive, so "
                         "that the manager shares only beyond the hurdle")
        if not of_account or not isinstance(of_account[-1], steps.PayEquity):
            problems.say(f"waterfall.{account}: want pay_residual_to_equity as the last step, "
                         "so that no cash is left without a payee")


def _payment_dates(terms):
    payments = [terms.first_payment]
    while payments[-1] < terms.maturity:
        payments.append(dates.add_months(terms.first_payment,
                                         terms.payment_months * len(payments)))
    return payments


def _calendar(terms):
    months = dates.whole_months(terms.closing, terms.maturity)
    grid = [dates.add_months(terms.closing, t) for t in range(months + 1)]
    payments = _payment_dates(terms)
    # A date distributes the months collected by then; a month that ends later waits.
    last = np.array([dates.whole_months(terms.closing, d) for d in payments]) - 1
    ends = [terms.closing, *payments]
    by_count = {c: dates.fractions(ends, c) for c in dates.DAY_COUNTS}
    notes = [by_count[n.day_count] for n in terms.notes] + [np.zeros(len(payments))]
    fees = [by_count[f.day_count] for f in terms.fees]
    deal_year = last // 12
    return tuple(payments), months, Calendar(
        month_fraction=jnp.asarray(np.array([dates.fractions(grid, c) for c in dates.DAY_COUNTS])),
        period=jnp.asarray(np.searchsorted(last, np.arange(months))),
        last_month=jnp.asarray(last),
        reset_month=jnp.asarray(np.concatenate([[-1], last[:-1]])),
        note_fraction=jnp.asarray(np.array(notes).T),
        fee_fraction=jnp.asarray(np.array(fees).T.reshape(len(payments), len(fees))),
        years=jnp.asarray([(d - terms.closing).days / 365.0 for d in payments]),
        new_year=jnp.asarray(np.diff(deal_year, prepend=-1) > 0, float),
    )


def _to_deal(terms, par):
    notes = terms.notes

    def column(values, equity):
        return jnp.asarray([*values, equity], float)

    floating = [n.spread_bps is not None for n in notes]
    return Deal(
        balance=column((n.balance / par for n in notes), terms.equity.balance / par),
        coupon=column((n.rate or 0.0 for n in notes), 0.0),
        spread=column(((n.spread_bps or 0.0) / 1e4 for n in notes), 0.0),
        floor=column((n.floor_bps / 1e4 for n in notes), 0.0),
        floating=column(floating, 0.0),
        fee_rate=jnp.asarray([f.rate for f in terms.fees], float),
        fee_amount=jnp.asarray([f.amount / par for f in terms.fees], float),
        fee_cap=jnp.asarray([np.inf if f.cap is None else f.cap / par for f in terms.fees], float),
        trigger=jnp.asarray([t.trigger for t in terms.tests], float),
        ccc_limit=jnp.asarray(terms.ccc_limit, float),
        ccc_price=jnp.asarray(terms.ccc_price, float),
        defaulted_price=jnp.asarray(terms.defaulted_price, float),
        hurdle=jnp.asarray(terms.hurdle_irr, float),
        incentive=jnp.asarray(terms.incentive_share, float),
        equity_price=jnp.asarray(terms.equity.price, float),
    )

"""A deal as written in TOML: every key, its type, its default. Money is in the deal's currency."""

import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from clo_gen.io import limits
from clo_gen.io.toml import Record

DayCount = Literal["ACT/360", "ACT/365F", "30/360", "ACT/ACT"]
Money = Annotated[float, Field(ge=0, le=limits.LARGEST)]
Positive = Annotated[float, Field(gt=0, le=limits.LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Price = Annotated[float, Field(ge=0, le=2)]
Trigger = Annotated[float, Field(gt=0, le=10)]
Basis = Annotated[float, Field(ge=0, le=5000)]
ShortText = Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
Name = Annotated[ShortText, Field(min_length=1)]


def _in_range(date):
    if not limits.FIRST_YEAR <= date.year <= limits.LAST_YEAR:
        raise ValueError(f"a date from {limits.FIRST_YEAR} to {limits.LAST_YEAR}")
    return date


Date = Annotated[datetime.date, AfterValidator(_in_range)]


class RefinanceTerms(Record):
    """From the payment date `date` on the class bears the new `spread_bps` or fixed `rate`."""

    date: Date
    spread_bps: Basis | None = None
    rate: Share | None = None


class NoteTerms(Record):
    """A debt class; `spread_bps` over the index or a fixed `rate`.

    Classes of one `group` rank pari passu: they share pro rata in the standard waterfalls.
    """

    name: Name
    balance: Positive
    spread_bps: Basis | None = None
    rate: Share | None = None
    floor_bps: Annotated[float, Field(ge=-500, le=2000)] = 0.0
    day_count: DayCount = "ACT/360"
    deferrable: bool = False
    group: ShortText = ""
    rating: ShortText = ""
    refinance: RefinanceTerms | None = None


class EquityTerms(Record):
    """The subordinated notes; `price` is what the IRR and the hurdle start from."""

    name: Name
    balance: Positive
    price: Annotated[float, Field(gt=0, le=2)] = 1.0


class FeeTerms(Record):
    """`rate` x performing par + `amount`, a year or a payment; `cap` a deal year.

    What a capped senior fee does not get under its cap is paid junior to the notes in the standard
    waterfalls. An unpaid fee is carried forward (unless not `carried`), with `interest` a year.
    """

    name: Name
    rate: Share = 0.0
    amount: Money = 0.0
    per: Literal["year", "payment"] = "year"
    basis: Literal["opening", "average", "closing"] = "opening"
    cap: Money | None = None
    rank: Literal["senior", "subordinated"] = "senior"
    carried: bool = True
    interest: Share = 0.0
    day_count: DayCount = "ACT/360"


class TestTerms(Record):
    """Coverage of class `through` and everything senior to it, on payment dates due on or after
    `applies_from` (none given: on all)."""

    name: Name
    kind: Literal["oc", "ic"]
    through: str
    trigger: Trigger
    applies_from: Date | None = None


class DiversionTerms(Record):
    """Interest diversion test: below the `trigger`, the `share` of what interest is left, at most
    what restores the ratio, buys collateral or repays notes; in the reinvestment period only,
    unless `always`."""

    name: Name
    through: str
    trigger: Trigger
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    to: Literal["collateral", "notes"] = "collateral"
    always: bool = False


class ReserveTerms(Record):
    """An account: `initial` at closing; target = `amount` + `rate` x performing par + `of_notes`
    (share of each class's balance)."""

    name: Name
    initial: Money = 0.0
    amount: Money = 0.0
    rate: Share = 0.0
    of_notes: dict[str, Share] = {}


class HedgeTerms(Record):
    """A swap pays `rate` and receives the index; a cap receives what the index exceeds `rate` by.

    `notional` is one number or one a payment date (the last one stays); `premium` a year. Both
    legs accrue ACT/365.
    """

    name: Name
    kind: Literal["swap", "cap"]
    notional: Money | Annotated[tuple[Money, ...], Field(min_length=1)]
    rate: Annotated[float, Field(ge=-0.05, le=1)]
    premium: Share = 0.0


class CallTerms(Record):
    """Optional redemption: on `date`, or once a condition holds after `non_call_end` and the sale
    repays every note. Without either, collateral left at maturity is sold at these prices."""

    price_performing: Price
    price_defaulted: Price
    date: Date | None = None
    non_call_end: Date | None = None
    collateral_below: Annotated[float, Field(gt=0, lt=1)] | None = None
    equity_irr: Share | None = None
    fees_accrue: bool = True


class EventOfDefaultTerms(Record):
    """Acceleration once par (without CCC haircut) over class `through` and senior to it is below
    the `trigger`, ruling from the `effective` payment date; or once those classes miss interest,
    ruling from the next one."""

    through: str
    trigger: Trigger
    effective: Literal["same", "next"] = "next"
    missed_interest: bool = True


class ReinvestmentTerms(Record):
    """Principal proceeds buy collateral until `end` while the `tests` pass; after it only the share
    `after` of unscheduled principal. The rest are assumptions about what is bought; `cdr` and
    `cpr` serve when the collateral comes from a file instead of a simulation."""

    end: Date
    tests: tuple[str, ...] | None = None  # none given: all tests of kind oc
    after: Share = 0.0
    price: Annotated[float, Field(gt=0, le=1.5)] = 1.0
    spread_bps: Basis = 350.0
    floor_bps: Annotated[float, Field(ge=-500, le=2000)] = 0.0
    rating: str = "B"
    term_months: Annotated[int, Field(ge=1, le=240)] = 60
    recovery: Share = 0.45
    lag_months: Annotated[int, Field(ge=0, le=36)] = 12  # after three years a default has no value
    cdr: Share = 0.02
    cpr: Share = 0.20


class WaterfallTerms(Record):
    """Steps in order, each { op = ..., ... }; names are those of notes, fees, tests, reserves.

    `standard` writes all lists from the classes, fees and tests; a list given here replaces it.
    """

    standard: Literal["US", "European"] | None = None
    interest: tuple[dict, ...] | None = None
    principal: tuple[dict, ...] | None = None
    accelerated: tuple[dict, ...] | None = None
    call: tuple[dict, ...] | None = None


class DealTerms(Record):
    """A deal."""

    name: Name
    source: str = ""
    assumptions: tuple[str, ...] = ()  # terms that the source does not give
    currency: ShortText = "USD"
    target_par: Positive
    closing: Date
    first_payment: Date
    maturity: Date
    payment_months: Literal[1, 3, 6, 12] = 3
    business_days: Literal["none", "following", "modified following"] = "none"
    index: Name = "SOFR"
    ccc_limit: Share = 0.075
    ccc_price: Share = 0.70
    defaulted_price: Share = 0.50
    discount_threshold: Share = 0.80
    long_dated_value: Share = 0.0
    hurdle_irr: Share = 0.12
    incentive_share: Share = 0.20
    notes: Annotated[tuple[NoteTerms, ...], Field(min_length=1)]
    equity: EquityTerms
    fees: tuple[FeeTerms, ...] = ()
    tests: tuple[TestTerms, ...] = ()
    diversions: tuple[DiversionTerms, ...] = ()
    reserves: tuple[ReserveTerms, ...] = ()
    hedges: tuple[HedgeTerms, ...] = ()
    reinvestment: ReinvestmentTerms | None = None
    call: CallTerms | None = None
    event_of_default: EventOfDefaultTerms | None = None
    waterfall: WaterfallTerms

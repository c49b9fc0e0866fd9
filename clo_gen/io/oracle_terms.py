"""A deal as written in the JSON schema clo_waterfall_oracle_v1: the keys read, and their types.

Other keys (descriptions, the collateral behind the numbers) are left alone.
"""

import datetime
from typing import Annotated, Any

import pydantic
from pydantic import BeforeValidator, Field

from clo_gen.io.deal_terms import DayCount, Price, Share


def _iso_date(value):
    try:
        return datetime.date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("a date such as 2026-01-15") from None


Date = Annotated[datetime.date, BeforeValidator(_iso_date)]
Money = Annotated[float, Field(ge=0)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]


class JsonRecord(pydantic.BaseModel):
    """Base of every record of the schema: frozen, strict types, further keys ignored."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore", strict=True,
                                       allow_inf_nan=False)


class Note(JsonRecord):
    name: str
    balance: Annotated[float, Field(gt=0)]
    day_count: DayCount = "ACT/360"
    rate: Share | None = None
    rate_by_pay_date: dict[str, Share] | None = None
    accrues_from: Date | None = None
    type: str = ""


class Fee(JsonRecord):
    name: str
    kind: str
    amount: Money = 0.0
    rate: Share = 0.0
    basis: str = ""
    carry: bool = True


class OcTest(JsonRecord):
    name: str
    denominator: Names
    trigger: float
    numerator: tuple[str, ...] = ("end_performing", "principal_account")


class Event(JsonRecord):
    denominator: Names
    trigger: float
    effective: str = "next payment date"
    numerator: tuple[str, ...] = ("end_performing", "principal_account")


class Step(JsonRecord):
    """One step; which keys an operation needs is for io.oracle and io.steps to say."""

    op: str
    account: Annotated[str | None, Field(alias="from")] = None
    fee: str | None = None
    notes: Names | None = None
    allocation: str | None = None
    test: str | None = None
    denominator: Names | None = None
    trigger: float | None = None
    order: Names | None = None
    max_share: float | None = None
    irr: float | None = None
    share: float | None = None
    to: str | None = None
    price_performing: Price = 0.0
    price_defaulted: Price = 0.0


Steps = tuple[Step, ...]


class OracleDeal(JsonRecord):
    closing: Date
    payment_frequency_months: int = 3
    initial_performing_balance: Annotated[float, Field(gt=0)]
    notes: Annotated[tuple[Note, ...], Field(min_length=1)]
    fees: tuple[Fee, ...] = ()
    oc_tests: tuple[OcTest, ...] = ()
    event_of_default: Event | None = None
    call_date: Date | None = None
    waterfall: Steps
    accelerated_waterfall: Steps = ()
    call_waterfall: Steps = ()


class OracleFile(JsonRecord):
    """The parts that are read; io.collections judges the rows."""

    id: str | None = None
    deal: OracleDeal
    period_inputs: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]
    expected: dict[str, Any] | None = None

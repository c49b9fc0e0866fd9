"""The vocabulary of a waterfall: static data, in the order an indenture would list the steps.

Each step takes money from one `account`, "interest" or "principal". Notes, fees and tests are
numbers here; io.deal resolves names. deal.waterfall gives each step its meaning.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class PayFee:
    """Pays what is due of a fee; `capped` only up to its yearly cap (the rest may come later)."""

    account: str
    fee: int
    capped: bool = False


@dataclasses.dataclass(frozen=True)
class PayNoteInterest:
    """Pays current interest, and interest missed before by a note that may not defer."""

    account: str
    notes: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class PayDeferredInterest:
    """Pays interest deferred on earlier dates."""

    account: str
    notes: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class PayNotePrincipal:
    """Pays principal; several notes share pro rata by balance."""

    account: str
    notes: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class CureTests:
    """Repays notes in `order` by the larger cure of the failed `tests` of one class."""

    account: str
    tests: tuple[int, ...]
    order: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class PayEquityToHurdle:
    """Pays equity until its IRR since closing reaches the hurdle."""

    account: str


@dataclasses.dataclass(frozen=True)
class PayIncentive:
    """Pays the manager's share of what is left, once equity has reached its hurdle."""

    account: str


@dataclasses.dataclass(frozen=True)
class PayEquity:
    """Pays all that is left to equity."""

    account: str


@dataclasses.dataclass(frozen=True)
class Test:
    """A coverage test of class `through` and everything senior to it (note numbers)."""

    kind: str  # "oc" or "ic"
    notes: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Waterfall:
    """Static structure of a deal: deals with equal waterfalls stack and vmap."""

    steps: tuple
    tests: tuple[Test, ...]
    deferrable: tuple[bool, ...]  # [K] unpaid interest is deferred, not missed


OPS = {
    "pay_fee": PayFee,
    "pay_note_interest": PayNoteInterest,
    "pay_deferred_interest": PayDeferredInterest,
    "pay_note_principal": PayNotePrincipal,
    "cure_tests": CureTests,
    "equity_to_hurdle": PayEquityToHurdle,
    "pay_incentive": PayIncentive,
    "pay_residual_to_equity": PayEquity,
}



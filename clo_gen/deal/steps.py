"""The vocabulary of a waterfall: static data, in the order an indenture would list the steps.

Each step takes money from one `account`: "interest", "principal" or a reserve. Notes, fees, tests
and reserves are numbers here; io.steps resolves names. deal.claims gives each step its claims,
deal.pay pays them.
"""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class PayFee:
    """Pays what is due of a fee; `capped` only up to its yearly cap (the rest may come later)."""

    account: str
    fee: int
    capped: bool = False


@dataclasses.dataclass(frozen=True)
class PayHedge:
    """Pays what the deal owes on a swap or cap."""

    account: str
    hedge: int


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
class PayAllInterest:
    """Pays current and deferred or missed interest together; several notes share by amount due."""

    account: str
    notes: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class PayNotePrincipal:
    """Pays principal; several notes share pro rata by balance."""

    account: str
    notes: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class CureTests:
    """Repays notes in `order` by the larger cure of the failed `tests` of one class.

    `order` lists groups of notes; those of one group share pro rata.
    """

    account: str
    tests: tuple[int, ...]
    order: tuple[tuple[int, ...], ...]


@dataclasses.dataclass(frozen=True)
class Divert:
    """Interest diversion: while `test` fails, the share `diversion` of the account, at most what
    restores the ratio, buys collateral (goes to the account `to`) or repays notes in `order`."""

    account: str
    test: int
    diversion: int
    to: str | None = None
    order: tuple[tuple[int, ...], ...] = ()


@dataclasses.dataclass(frozen=True)
class Reinvest:
    """Buys collateral, in the reinvestment period with all that is left of the account, after it
    with the deal's share of unscheduled principal; only while all `tests` pass."""

    account: str
    tests: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class FundReserve:
    """Fills a reserve account up to its target."""

    account: str
    reserve: int


@dataclasses.dataclass(frozen=True)
class ReleaseReserve:
    """Moves what a reserve (`account`) holds above its target to the account `to`."""

    account: str
    to: str


@dataclasses.dataclass(frozen=True)
class MoveAll:
    """Moves all of the account to the account `to`."""

    account: str
    to: str


@dataclasses.dataclass(frozen=True)
class PayEquityPrincipal:
    """Pays equity up to its outstanding balance."""

    account: str


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
    """Static structure of a deal: deals with equal waterfalls stack and vmap.

    `steps` runs on ordinary dates, `accelerated` after an event of default, `call` on the date of
    an optional redemption.
    """

    steps: tuple
    tests: tuple[Test, ...]
    deferrable: tuple[bool, ...]  # [K] unpaid interest is deferred, not missed
    accelerated: tuple = ()
    call: tuple = ()
    fees: int = 0
    hedges: int = 0
    reserves: tuple[str, ...] = ()

    @property
    def lists(self) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]:
        return (self.steps, self.accelerated, self.call)


OPS = {
    "pay_fee": PayFee,
    "pay_hedge": PayHedge,
    "pay_note_interest": PayNoteInterest,
    "pay_deferred_interest": PayDeferredInterest,
    "pay_all_interest": PayAllInterest,
    "pay_note_principal": PayNotePrincipal,
    "cure_tests": CureTests,
    "divert": Divert,
    "reinvest": Reinvest,
    "fund_reserve": FundReserve,
    "release_reserve": ReleaseReserve,
    "move_all": MoveAll,
    "pay_equity_principal": PayEquityPrincipal,
    "equity_to_hurdle": PayEquityToHurdle,
    "pay_incentive": PayIncentive,
    "pay_residual_to_equity": PayEquity,
}

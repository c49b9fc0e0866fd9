"""What can be owed on a payment date, and which of it each step of a waterfall pays."""

import dataclasses
from typing import Any

from clo_gen.deal import steps

ACCOUNTS = ("interest", "principal")
LISTS = ("ordinary", "accelerated", "call")  # each has accounts of its own
ACCELERATED = LISTS.index("accelerated")


@dataclasses.dataclass(frozen=True)
class Claims:
    """Positions of all claims of a date: K classes, F fees and hedges, A accounts."""

    classes: int
    fees: int
    reserves: int

    def interest(self, k: int) -> int:
        return k

    def unpaid(self, k: int) -> int:
        return self.classes + k

    def principal(self, k: int) -> int:
        return 2 * self.classes + k

    def capped_fee(self, f: int) -> int:
        return 3 * self.classes + f

    def fee(self, f: int) -> int:
        return 3 * self.classes + self.fees + f

    @property
    def hurdle(self) -> int:
        """What equity still lacks of its hurdle; it is paid as part of the residual."""
        return 3 * self.classes + 2 * self.fees

    @property
    def residual(self) -> int:
        return self.hurdle + 1

    @property
    def incentive(self) -> int:
        return self.hurdle + 2

    @property
    def purchase(self) -> int:
        return self.hurdle + 3

    def account(self, a: int) -> int:
        """What may be moved to account a."""
        return self.hurdle + 4 + a

    @property
    def accounts_of_list(self) -> int:
        return len(ACCOUNTS) + self.reserves


def claims_of(waterfall: steps.Waterfall) -> Claims:
    return Claims(len(waterfall.deferrable), waterfall.fees + waterfall.hedges,
                  len(waterfall.reserves))


def account_number(waterfall: steps.Waterfall, which: int, name: Any) -> int:
    """Number of the account `name` as list number `which` sees it."""
    names = (*ACCOUNTS, *waterfall.reserves)
    return len(names) * which + names.index(name)


def claims_of_step(step: Any, claims: Claims, waterfall: steps.Waterfall,
                   which: int) -> list[list[int]]:
    """Positions of the step's claims in order of payment: groups, within which they share."""
    match step:
        case steps.PayFee(fee=f, capped=True):
            return [[claims.capped_fee(f)]]
        case steps.PayFee(fee=f):
            return [[claims.capped_fee(f)], [claims.fee(f)]]
        case steps.PayHedge(hedge=h):
            return [[claims.fee(waterfall.fees + h)]]
        case steps.PayNoteInterest(notes=notes):
            missed = [claims.unpaid(k) for k in notes if not waterfall.deferrable[k]]
            return ([missed] if missed else []) + [[claims.interest(k) for k in notes]]
        case steps.PayDeferredInterest(notes=notes):
            return [[claims.unpaid(k) for k in notes]]
        case steps.PayAllInterest(notes=notes):
            return [[c for k in notes for c in (claims.interest(k), claims.unpaid(k))]]
        case steps.PayNotePrincipal(notes=notes):
            return [[claims.principal(k) for k in notes]]
        case steps.CureTests(order=order) | steps.Divert(to=None, order=order):
            return [[claims.principal(k) for k in group] for group in order]
        case steps.Divert(to=to) | steps.MoveAll(to=to) | steps.ReleaseReserve(to=to):
            return [[claims.account(account_number(waterfall, which, to))]]
        case steps.FundReserve(reserve=r):
            name = waterfall.reserves[r]
            return [[claims.account(account_number(waterfall, which, name))]]
        case steps.Reinvest():
            return [[claims.purchase]]
        case steps.PayEquityPrincipal():
            return [[claims.principal(claims.classes - 1)]]
        case steps.PayEquityToHurdle():
            return [[claims.hurdle]]
        case steps.PayIncentive():
            return [[claims.incentive]]
        case steps.PayEquity():
            return [[claims.residual]]
    raise TypeError(f"{step} is not a waterfall step")


def tests_of_step(step: Any) -> tuple[int, ...]:
    """Numbers of the tests that a step makes."""
    match step:
        case steps.Divert(test=q):
            return (q,)
        case steps.CureTests(tests=tests) | steps.Reinvest(tests=tests):
            return tests
    return ()

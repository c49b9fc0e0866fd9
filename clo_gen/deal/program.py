"""A waterfall's steps as rows of one table, so that one small rule runs any of them.

Every row reads: from this account, pay these claims in this order, up to a limit. The limit is all
the cash of the account, the manager's share of it, or what cures the row's failed tests. Rows are
arrays: deals with different waterfalls batch together once their tables have the same shape.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from clo_gen.deal import steps

ACCOUNTS = ("interest", "principal")
SLOTS = 9  # claims a row of plain steps holds; longer lists continue in the next row


@dataclasses.dataclass(frozen=True)
class Claims:
    """Positions of all that can be owed on a date: K classes, F fees."""

    classes: int
    fees: int

    def interest(self, k):
        return k

    def unpaid(self, k):
        return self.classes + k

    def principal(self, k):
        return 2 * self.classes + k

    def capped_fee(self, f):
        return 3 * self.classes + f

    def fee(self, f):
        return 3 * self.classes + self.fees + f

    @property
    def hurdle(self):
        return 3 * self.classes + 2 * self.fees

    @property
    def residual(self):
        return self.hurdle + 1

    @property
    def incentive(self):
        return self.hurdle + 2

    @property
    def nothing(self):
        return self.hurdle + 3

    @property
    def size(self):
        return self.hurdle + 4


@struct.dataclass
class Program:
    """R rows of n slots, at most J tests a row (0 in a deal without tests); K classes, Q tests."""

    account: jax.Array  # [R] 0 interest, 1 principal
    slots: jax.Array  # [R, n] position of each claim
    earlier: jax.Array  # [R, n, n] 1 where slot i is paid before slot j
    together: jax.Array  # [R, n, n] 1 where slots i and j share pro rata (and on the diagonal)
    to_equity: jax.Array  # [R, n] 1 where the slot is equity's
    is_cure: jax.Array  # [R] bool: the limit is what cures the tests
    is_incentive: jax.Array  # [R] bool: the limit is the manager's share
    test: jax.Array  # [R, J] number of each test; 0 for none
    has_test: jax.Array  # [R, J] 1 where there is one
    is_oc: jax.Array  # [R, J] bool; else IC
    covers: jax.Array  # [R, J, K] 1 for the tested class and everything senior
    senior_fees: jax.Array  # [R, J, 2F] 1 for fee claims paid before the test is first made
    defers: jax.Array  # [R, K] 1 for classes whose unpaid interest is deferred, not missed
    first_row: jax.Array  # [Q, 2] row and test slot where each test is first made


def _groups(step, claims, deferrable):
    """Claims of a step in order; those within one group share pro rata."""
    match step:
        case steps.PayFee(fee=f, capped=True):
            return [[claims.capped_fee(f)]]
        case steps.PayFee(fee=f):
            return [[claims.capped_fee(f)], [claims.fee(f)]]
        case steps.PayNoteInterest(notes=notes):
            missed = [claims.unpaid(k) for k in notes if not deferrable[k]]
            return ([missed] if missed else []) + [[claims.interest(k) for k in notes]]
        case steps.PayDeferredInterest(notes=notes):
            return [[claims.unpaid(k) for k in notes]]
        case steps.PayNotePrincipal(notes=notes):
            return [[claims.principal(k) for k in notes]]
        case steps.CureTests(order=order):
            return [[claims.principal(k)] for k in order]
        case steps.PayEquityToHurdle():
            return [[claims.hurdle]]
        case steps.PayIncentive():
            return [[claims.incentive]]
        case steps.PayEquity():
            return [[claims.residual]]
    raise TypeError(f"{step} is not a waterfall step")


def _rows(waterfall, claims):
    """(special step or None, account, groups) per row: neighbouring plain steps share a row.

    A row reads all its claims before it pays any, so a claim stands in a row once.
    """
    rows = []
    for step in waterfall.steps:
        groups = _groups(step, claims, waterfall.deferrable)
        wanted = {claim for group in groups for claim in group}
        special = isinstance(step, steps.CureTests | steps.PayIncentive)
        if rows and rows[-1][:2] == (None, step.account) and not special:
            present = {claim for group in rows[-1][2] for claim in group}
            if not wanted & present and len(present) + len(wanted) <= SLOTS:
                rows[-1][2].extend(groups)
                continue
        rows.append((step if special else None, step.account, list(groups)))
    return rows


def compile_program(waterfall: steps.Waterfall, fees):
    """Program of a waterfall with `fees` fees (host)."""
    classes = len(waterfall.deferrable)
    claims = Claims(classes, fees)
    rows = _rows(waterfall, claims)
    n = max(SLOTS, *(sum(map(len, groups)) for _, _, groups in rows))
    slots = np.full((len(rows), n), claims.nothing)
    earlier = np.zeros((len(rows), n, n))
    together = np.tile(np.eye(n), (len(rows), 1, 1))
    tests = max((len(s.tests) for s, _, _ in rows if isinstance(s, steps.CureTests)), default=0)
    test = np.zeros((len(rows), tests), int)
    has_test = np.zeros((len(rows), tests))
    is_oc = np.zeros((len(rows), tests), bool)
    covers = np.zeros((len(rows), tests, classes))
    senior_fees = np.zeros((len(rows), tests, 2 * fees))
    seen, senior_of = np.zeros(2 * fees), {}
    first_row = np.full((len(waterfall.tests), 2), -1)
    for r, (step, _, groups) in enumerate(rows):
        listed = [claim for group in groups for claim in group]
        rank = np.array([g for g, group in enumerate(groups) for _ in group])
        if len(set(listed)) < len(listed):
            raise ValueError(f"waterfall: {step} pays the same claim twice")
        slots[r, : len(listed)] = listed
        earlier[r, : len(rank), : len(rank)] = rank[:, None] < rank[None, :]
        together[r, : len(rank), : len(rank)] = rank[:, None] == rank[None, :]
        for j, q in enumerate(step.tests if isinstance(step, steps.CureTests) else ()):
            test[r, j], has_test[r, j] = q, 1.0
            is_oc[r, j] = waterfall.tests[q].kind == "oc"
            covers[r, j, list(waterfall.tests[q].notes)] = 1.0
            senior_fees[r, j] = senior_of.setdefault(q, seen.copy())
            if first_row[q, 0] < 0:
                first_row[q] = (r, j)
        for claim in listed:
            if claims.capped_fee(0) <= claim < claims.hurdle:
                seen[claim - claims.capped_fee(0)] = 1.0
    return Program(
        account=jnp.asarray([ACCOUNTS.index(account) for _, account, _ in rows]),
        slots=jnp.asarray(slots),
        earlier=jnp.asarray(earlier),
        together=jnp.asarray(together),
        to_equity=jnp.asarray((slots == claims.hurdle) | (slots == claims.residual), float),
        is_cure=jnp.asarray([isinstance(s, steps.CureTests) for s, _, _ in rows]),
        is_incentive=jnp.asarray([isinstance(s, steps.PayIncentive) for s, _, _ in rows]),
        test=jnp.asarray(test),
        has_test=jnp.asarray(has_test),
        is_oc=jnp.asarray(is_oc),
        covers=jnp.asarray(covers),
        senior_fees=jnp.asarray(senior_fees),
        defers=jnp.tile(jnp.asarray(waterfall.deferrable, float), (len(rows), 1)),
        first_row=jnp.asarray(first_row),
    )

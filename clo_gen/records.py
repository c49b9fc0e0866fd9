"""Every record that crosses a stage, with shapes and units. Read this first.

Letters: N paths, L loans, C cohorts, T months, P payment dates, S states, K classes (equity last),
F fees, Q tests, M macro series, I indices. Money is a share of initial par, rates are yearly
fractions, times are months after the cut-off date unless the name says otherwise.
"""

import jax
from flax import struct


@struct.dataclass
class MacroPath:
    """One path of the macro series: fractions (0.045 = 4.5 %)."""

    history: jax.Array  # [H, M] the months before the path, for lags
    values: jax.Array  # [T, M]
    series: tuple[str, ...] = struct.field(pytree_node=False)  # M names


@struct.dataclass
class Transitions:
    """Monthly transition matrices; rows sum to 1, masked entries are exactly 0."""

    matrix: jax.Array  # [C, T, S, S]; C may be 1, then it serves every cohort


@struct.dataclass
class Tape:
    """Loans at the cut-off date, judged and converted by io.tape."""

    balance: jax.Array  # [L] share of initial par; 0 for padding
    state: jax.Array  # [L] int, index into the state space
    cohort: jax.Array  # [L] int, vintage x asset class
    industry: jax.Array  # [L] int, latent factor group
    region: jax.Array  # [L] int, latent factor group
    loan_effect: jax.Array  # [L] log-odds of a worse state, on top of the cohort's
    maturity: jax.Array  # [L] int months, >= 1
    amortization_months: jax.Array  # [L] term of the level-pay schedule; 0: none before maturity
    coupon: jax.Array  # [L] fixed rate; 0 for floating loans
    spread: jax.Array  # [L] over the index; 0 for fixed loans
    floor: jax.Array  # [L] of the index
    floating: jax.Array  # [L] 1 floating, 0 fixed
    index: jax.Array  # [L] int, column of the index paths
    payment_months: jax.Array  # [L] int months between interest payments
    payment_offset: jax.Array  # [L] int, payment when (month + offset) % payment_months == 0
    day_count: jax.Array  # [L] int, row of Calendar.month_fraction
    recovery_rate: jax.Array  # [L] of par at default
    market_price: jax.Array  # [L] of par
    default_age: jax.Array  # [L] months since default at the cut-off; 0 for live loans


@struct.dataclass
class Schedule:
    """Contract cash of each loan while it lives; the same on every path."""

    opening: jax.Array  # [T, L] balance at the start of the month, share of initial par
    principal: jax.Array  # [T, L] scheduled principal, maturity included
    year_fraction: jax.Array  # [T, L] interest accrual of the month
    pays: jax.Array  # [T, L] bool, interest is paid this month


@struct.dataclass
class Flows:
    """What became of each loan in one month, as weights [L]; together they are its live weight."""

    survive: jax.Array  # live at the end of the month, or matured in it
    prepay: jax.Array
    default: jax.Array
    distressed: jax.Array  # live in the distressed state at the end of the month


@struct.dataclass
class LoanPath:
    """Loan lives, kept only when asked for: weights over states after each month."""

    weights: jax.Array  # [T, L, S]; one-hot in `markov`, probabilities in `expected`
    cash: jax.Array  # [T, L] interest, principal and prepayment received, before recoveries


@struct.dataclass
class Collections:
    """Collateral cash and stock per month, share of initial par.

    Each month: opening performing = scheduled + prepayment + default + closing performing.
    Over time: initial par = scheduled + prepayment + recovery + loss, all summed,
    + performing[-1] + defaulted[-1].
    """

    interest: jax.Array  # [T]
    scheduled_principal: jax.Array  # [T]
    prepayment: jax.Array  # [T]
    default: jax.Array  # [T] par of new defaults
    recovery: jax.Array  # [T] cash, `lag` months after default
    loss: jax.Array  # [T] booked with the recovery
    performing: jax.Array  # [T] closing par of live loans
    defaulted: jax.Array  # [T] closing par of defaults not yet recovered
    defaulted_value: jax.Array  # [T] their carrying value: lesser of market value and recovery
    ccc_par: jax.Array  # [T] closing par of live loans in the distressed state
    ccc_value: jax.Array  # [T] its market value


@struct.dataclass
class Deal:
    """Terms of one deal as arrays (they batch and have gradients); equity is class K-1."""

    balance: jax.Array  # [K] share of initial par
    coupon: jax.Array  # [K] fixed rate; 0 for floating
    spread: jax.Array  # [K] over the index
    floor: jax.Array  # [K] of the index
    floating: jax.Array  # [K] 1 floating, 0 fixed
    fee_rate: jax.Array  # [F] of opening performing par, per year
    fee_amount: jax.Array  # [F] per year, share of initial par
    fee_cap: jax.Array  # [F] per deal year, share of initial par; inf for none
    trigger: jax.Array  # [Q]
    ccc_limit: jax.Array  # [] share of performing par
    ccc_price: jax.Array  # [] market value of par that falls to CCC
    defaulted_price: jax.Array  # [] market value of defaulted par, for its carrying value
    hurdle: jax.Array  # [] equity IRR after which the manager shares
    incentive: jax.Array  # [] the manager's share
    equity_price: jax.Array  # [] paid for the equity, of par; where the hurdle starts


@struct.dataclass
class Calendar:
    """Dates as year fractions, computed on the host by io.dates."""

    month_fraction: jax.Array  # [B, T] of each collection month, by day count (io.dates.DAY_COUNTS)
    period: jax.Array  # [T] int, the payment date that receives month t's collections
    last_month: jax.Array  # [P] int, last collection month of each payment date
    reset_month: jax.Array  # [P] int, month that fixes the notes' index; -1: the cut-off
    note_fraction: jax.Array  # [P, K] accrual of each class
    fee_fraction: jax.Array  # [P, F]
    years: jax.Array  # [P] ACT/365 from closing
    new_year: jax.Array  # [P] 1 where a deal year starts (yearly fee caps refill)


@struct.dataclass
class TrancheCash:
    """What the waterfall paid, per payment date, share of initial par."""

    interest: jax.Array  # [P, K] current and deferred interest; equity: residual interest
    principal: jax.Array  # [P, K] equity: residual principal
    balance: jax.Array  # [P, K] closing
    unpaid: jax.Array  # [P, K] closing deferred or missed interest, earning the note rate
    rate: jax.Array  # [P, K] note rate of the period; 0 for equity
    ratio: jax.Array  # [P, Q] coverage when tested; 0 where not tested
    cure: jax.Array  # [P, Q] notes repaid, credited to the test that asked for most
    fees: jax.Array  # [P, F]
    incentive: jax.Array  # [P] the manager's share of the residual
    left: jax.Array  # [P] cash that no step paid out: 0 in a complete waterfall


@struct.dataclass
class TrancheMetrics:
    """One path's numbers per class [K]."""

    loss: jax.Array  # principal unpaid at maturity over original balance
    unpaid_interest: jax.Array  # interest deferred or missed at maturity over original balance
    wal_years: jax.Array  # of the principal repaid; nan when none is
    irr: jax.Array  # effective yearly yield bought at par; -1 when nothing comes back
    irr_converged: jax.Array  # bool
    price: jax.Array  # present value at the class's own index + spread, of original balance

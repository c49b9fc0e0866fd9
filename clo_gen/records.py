"""Every record that crosses a stage, with shapes and units. Read this first.

Letters: N paths, L loans, C cohorts, T months, P payment dates, S states, K classes (equity last),
F fees (hedges after them), H hedges, Q tests, V diversions, R reserve accounts, M macro series,
I indices, G rating agencies, B price buckets. Money is a share of initial par, rates are yearly
fractions, times are months after the cut-off date unless the name says otherwise.
"""

import jax
from flax import struct


class MacroPath(struct.PyTreeNode):
    """One path of the macro series: fractions (0.045 = 4.5 %)."""

    history: jax.Array  # [H, M] the months before the path, for lags
    values: jax.Array  # [T, M]
    series: tuple[str, ...] = struct.field(pytree_node=False)  # M names


class Transitions(struct.PyTreeNode):
    """Monthly transition matrices; rows sum to 1, masked entries are exactly 0."""

    matrix: jax.Array  # [C, T, S, S]; C may be 1, then it serves every cohort


class Tape(struct.PyTreeNode):
    """Loans at the cut-off date, judged and converted by io.tape."""

    balance: jax.Array  # [L] share of initial par; 0 for padding
    state: jax.Array  # [L] int, index into the state space
    cohort: jax.Array  # [L] int, vintage x asset class
    industry: jax.Array  # [L] int, latent factor group
    region: jax.Array  # [L] int, latent factor group
    loan_effect: jax.Array  # [L] log-odds of a worse state, on top of the cohort's
    maturity: jax.Array  # [L] int months, >= 1
    amortization_months: jax.Array  # [L] term of the repayment plan; 0: none before maturity
    straight_line: jax.Array  # [L] 1: that plan repays even principal, 0: level payments
    coupon: jax.Array  # [L] fixed rate; 0 for floating loans
    spread: jax.Array  # [L] over the index; 0 for fixed loans
    floor: jax.Array  # [L] of the index
    floating: jax.Array  # [L] 1 floating, 0 fixed
    index: jax.Array  # [L] int, column of the index paths
    payment_months: jax.Array  # [L] int months between interest payments
    payment_offset: jax.Array  # [L] int, payment when (month + offset) % payment_months == 0
    day_count: jax.Array  # [L] int, row of Calendar.month_fraction
    recovery_rate: jax.Array  # [L] of par at default
    default_at_maturity: jax.Array  # [L] share of a bullet or balloon that is not refinanced
    market_price: jax.Array  # [L] of par
    purchase_price: jax.Array  # [L] of par
    default_age: jax.Array  # [L] months since default at the cut-off; 0 for live loans


class Schedule(struct.PyTreeNode):
    """Contract cash of each loan while it lives; the same on every path."""

    opening: jax.Array  # [T, L] balance at the start of the month, share of initial par
    principal: jax.Array  # [T, L] scheduled principal, maturity included
    year_fraction: jax.Array  # [T, L] interest accrual of the month
    pays: jax.Array  # [T, L] bool, interest is paid this month
    balloon: jax.Array  # [T, L] bool, a bullet or balloon falls due; see Tape.default_at_maturity


class Flows(struct.PyTreeNode):
    """What became of each loan in one month, as weights [L]; together they are its live weight."""

    survive: jax.Array  # live at the end of the month, or matured in it
    prepay: jax.Array
    default: jax.Array
    distressed: jax.Array  # live in the distressed state at the end of the month


class Vectors(struct.PyTreeNode):
    """Assumptions by period in place of a model; they hold for every loan of the tape."""

    years: jax.Array  # [T] length of each period, for the yearly rates
    cdr: jax.Array  # [T] yearly default rate of the live balance
    cpr: jax.Array  # [T] yearly prepayment rate of what did not default
    severity: jax.Array  # [T] or [T, L] share of par lost on what defaults in the period
    default_at_maturity: jax.Array  # [] or [L]; see Tape


class LoanPath(struct.PyTreeNode):
    """Loan lives, kept only when asked for: weights over states after each month."""

    weights: jax.Array  # [T, L, S]; one-hot in `markov`, probabilities in `expected`
    cash: jax.Array  # [T, L] interest, principal and prepayment received, before recoveries


class Collections(struct.PyTreeNode):
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
    defaulted_value: jax.Array  # [T] the lesser of market value and recovery; 0 after 36 months
    ccc_par: jax.Array  # [T, G, B] closing par of live CCC loans, lowest market values first
    ccc_value: jax.Array  # [T, G, B] its value were all of it in excess; see deal.coverage
    carrying_haircut: jax.Array  # [T] par less carrying value of discount and long-dated loans
    par_by_state: jax.Array  # [T, S] closing par of live loans by state; S may be 0: not kept


class Call(struct.PyTreeNode):
    """Optional redemption: the collateral is sold and a waterfall of its own repays the notes.

    A call on a given date is in the Calendar. A condition that is None does not exist.
    """

    price_performing: jax.Array  # [] sale price of performing par
    price_defaulted: jax.Array  # [] of defaulted par; later recoveries are the buyer's
    collateral_below: jax.Array | None  # [] called once performing par is below this share of par
    equity_irr: jax.Array | None  # [] called once the sale gives equity this IRR since closing
    fee_accrual: jax.Array  # [] share of the period's fees that accrue on the call date


class EventOfDefault(struct.PyTreeNode):
    """Acceleration: one sequential waterfall from then on."""

    covers: jax.Array  # [K] 1 for the classes in the denominator
    trigger: jax.Array  # [] par (without CCC haircut) over those classes
    on_missed_interest: jax.Array  # [K] 1 where unpaid interest of the class is one too; it is
    # known only once the date is paid, so it always rules from the next one
    same_date: jax.Array  # [] 1: a par breach rules its own payment date; 0: the next one


class Hedges(struct.PyTreeNode):
    """Interest-rate swaps and caps: what they pay goes to interest proceeds. Both legs accrue
    ACT/365 from payment date to payment date."""

    notional: jax.Array  # [P, H] share of initial par
    rate: jax.Array  # [H] fixed leg of a swap, strike of a cap
    premium: jax.Array  # [H] per year of notional, paid by the deal
    is_swap: jax.Array  # [H] 1: the deal pays rate - index when that is positive; 0: a cap


class Reserves(struct.PyTreeNode):
    """Reserve accounts: target = amount + rate x performing par + weights @ note balances."""

    initial: jax.Array  # [R] paid in at closing
    amount: jax.Array  # [R]
    rate: jax.Array  # [R]
    of_notes: jax.Array  # [R, K]


class Deal(struct.PyTreeNode):
    """Terms of one deal as arrays (they batch and have gradients); equity is class K-1.

    What a deal does not have is None, so that deals of equal structure stack.
    """

    balance: jax.Array  # [K] share of initial par
    coupon: jax.Array  # [K], or [P, K] when it steps: fixed rate; 0 for floating
    spread: jax.Array  # [K] over the index
    floor: jax.Array  # [K] of the index
    floating: jax.Array  # [K] 1 floating, 0 fixed
    new_coupon: jax.Array  # [K] fixed rate after refinancing; see Calendar.refinanced
    new_spread: jax.Array  # [K]
    fee_rate: jax.Array  # [F] of performing par, per year
    fee_closing: jax.Array  # [F] weight of closing par in that basis: 0 opening, 0.5 average
    fee_amount: jax.Array  # [F] per year, share of initial par
    fee_cap: jax.Array  # [F] per deal year, share of initial par; inf for none
    fee_carried: jax.Array  # [F] share of an unpaid fee that stays due
    fee_interest: jax.Array  # [F] yearly rate on what stays due
    trigger: jax.Array  # [Q]
    diversion: jax.Array  # [V] largest share of the account that each diversion takes
    ccc_limit: jax.Array  # [] share of performing par
    ccc_price: jax.Array  # [] market value of par that falls to CCC
    defaulted_price: jax.Array  # [] market value of defaulted par, for its carrying value
    discount_threshold: jax.Array  # [] loans bought below are carried at their purchase price
    long_dated_value: jax.Array  # [] carrying value of par that matures after the notes
    hurdle: jax.Array  # [] equity IRR after which the manager shares
    incentive: jax.Array  # [] the manager's share
    equity_price: jax.Array  # [] paid for the equity, of par; where the hurdle starts
    reinvest_after: jax.Array  # [] share of unscheduled principal reinvested after the period
    call: Call | None = None
    event_of_default: EventOfDefault | None = None
    hedges: Hedges | None = None
    reserves: Reserves | None = None


class Calendar(struct.PyTreeNode):
    """Dates as year fractions, computed on the host by io.payment_calendar."""

    month_fraction: jax.Array  # [B, T] of each collection month, by day count (io.dates.DAY_COUNTS)
    period: jax.Array  # [T] int, the payment date that receives month t's collections
    last_month: jax.Array  # [P] int, last collection month of each payment date
    reset_month: jax.Array  # [P] int, month that fixes the notes' index; -1: the cut-off
    note_fraction: jax.Array  # [P, K] accrual of each class
    fee_fraction: jax.Array  # [P, F] accrual of each fee; 1 for fees per payment
    carried_fraction: jax.Array  # [P, F] for the interest on unpaid fees
    is_last: jax.Array  # [P] 1 at maturity: reserves hold nothing back
    years: jax.Array  # [P] ACT/365 from closing
    new_year: jax.Array  # [P] 1 where a deal year starts (yearly fee caps refill)
    refinanced: jax.Array  # [P, K] 1 in periods after the class was refinanced
    tested: jax.Array  # [P, Q] 1 where the test applies
    diverting: jax.Array  # [P, V] 1 where the diversion applies
    reinvesting: jax.Array  # [P] 1 in the reinvestment period
    after_reinvesting: jax.Array  # [P] 1 where unscheduled principal may still be reinvested
    can_call: jax.Array  # [P] 1 once the non-call period is over
    call_date: jax.Array  # [P] 1 on the date of a call that is certain


class NewCollateral(struct.PyTreeNode):
    """What one unit of par bought with principal becomes on this path, by payment period.

    Its loans move between D live states and mature `term` periods after the purchase.
    """

    stay: jax.Array  # [P, D, D] moves between live states over the period
    default: jax.Array  # [P, D] share that defaults
    prepay: jax.Array  # [P, D] share that prepays
    interest: jax.Array  # [P] of the period, on par that did not default
    matured: jax.Array  # [P, D] states on date p of what is left of a unit bought `term` before
    mix: jax.Array  # [D] states of a purchase
    is_ccc: jax.Array  # [D] 1 for the distressed state
    price: jax.Array  # [] paid for par
    recovery_rate: jax.Array  # [] of par
    term: int = struct.field(pytree_node=False)  # payment periods
    lag: int = struct.field(pytree_node=False)  # payment periods from default to recovery


class TrancheCash(struct.PyTreeNode):
    """What the waterfall paid, per payment date, share of initial par."""

    interest: jax.Array  # [P, K] current and deferred interest; equity: all its distributions
    principal: jax.Array  # [P, K] equity: only what a step pays as equity principal
    balance: jax.Array  # [P, K] closing
    unpaid: jax.Array  # [P, K] closing deferred or missed interest, earning the note rate
    rate: jax.Array  # [P, K] note rate of the period; 0 for equity
    ratio: jax.Array  # [P, Q] coverage when tested; 0 where not tested
    cure: jax.Array  # [P, Q] repaid or diverted, credited to the test that asked for most
    fees: jax.Array  # [P, F + H] paid; hedge payments after the fees
    fee_unpaid: jax.Array  # [P, F + H]
    incentive: jax.Array  # [P] the manager's share of the residual
    sold: jax.Array  # [P] proceeds of collateral sold for a call
    hedged: jax.Array  # [P] received from swaps and caps
    from_bought: jax.Array  # [P] interest, principal and recoveries of collateral bought
    reinvested: jax.Array  # [P] cash spent on new collateral
    bought: jax.Array  # [P] closing performing par of collateral bought since closing
    reserve: jax.Array  # [P, R] closing
    accelerated: jax.Array  # [P] weight of the accelerated waterfall
    called: jax.Array  # [P] share of the deal called on the date
    left: jax.Array  # [P] closing cash in the interest and principal accounts


class TrancheMetrics(struct.PyTreeNode):
    """One path's numbers per class [K]."""

    loss: jax.Array  # principal unpaid at maturity over original balance
    unpaid_interest: jax.Array  # interest deferred or missed at maturity over original balance
    wal_years: jax.Array  # of the principal repaid; nan when none is
    irr: jax.Array  # effective yearly yield bought at par; -1 when nothing comes back
    irr_converged: jax.Array  # bool
    price: jax.Array  # present value at the class's own index + spread, of original balance

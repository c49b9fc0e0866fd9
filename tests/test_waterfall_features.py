"""Each feature of the waterfall on a deal small enough to compute by hand.

Yearly payments, 30/360, par 100: A 60 at 5 %, B 20 at 8 % (deferrable), equity 20, a fee of 0.1.
"""

import datetime

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from clo_gen.cash.new_collateral import from_rates
from clo_gen.deal import coverage
from clo_gen.deal.waterfall import conservation_error, run_waterfall
from clo_gen.io.deal import load_deal
from clo_gen.io.deal_arrays import purchases
from clo_gen.io.deal_terms import DealTerms
from clo_gen.io.toml import parse
from clo_gen.records import Collections

CLOSING = datetime.date(2025, 1, 15)
DATES = tuple(datetime.date(year, 1, 15) for year in (2026, 2027, 2028, 2029))
near = lambda got, want: np.testing.assert_allclose(got, want, atol=1e-9)  # noqa: E731


def deal(dates=DATES, **changes):
    terms = dict(
        name="small", target_par=100.0, closing=CLOSING, first_payment=dates[0],
        maturity=dates[-1], payment_months=12, incentive_share=0.0,
        notes=[dict(name="A", balance=60.0, rate=0.05, day_count="30/360"),
               dict(name="B", balance=20.0, rate=0.08, day_count="30/360", deferrable=True)],
        equity=dict(name="equity", balance=20.0),
        fees=[dict(name="trustee", amount=0.1, per="payment")], waterfall=dict(standard="US"))
    return load_deal(parse(terms | changes, DealTerms, "small"), "small", pay_dates=dates)


def pay(loaded, interest, principal, performing, *, default=0.0, defaulted=0.0, index=0.03):
    """TrancheCash in currency; amounts are one a date, or one for all."""
    count = len(loaded.payment_dates)
    full = lambda x: jnp.asarray(np.broadcast_to(np.asarray(x, float), count) / 100)  # noqa: E731
    none, index = jnp.zeros(count), full(np.asarray(index) * 100)
    c = Collections(
        interest=full(interest), scheduled_principal=none, prepayment=full(principal),
        default=full(default), recovery=none, loss=none, performing=full(performing),
        defaulted=full(defaulted), defaulted_value=none, ccc_par=none[:, None, None],
        ccc_value=none[:, None, None], carrying_haircut=none, par_by_state=none[:, None])
    bought = purchases(loaded.terms)
    new = bought and from_rates(bought, loaded.terms.reinvestment.cdr,
                                loaded.terms.reinvestment.cpr, index, loaded.calendar)

    @jax.jit
    def run(deal, c, new):
        cash = run_waterfall(deal, loaded.waterfall, c, index, 0.0, calendar=loaded.calendar,
                             new=new)
        return cash, conservation_error(deal, cash, c, loaded.calendar)

    cash, error = run(loaded.deal, c, new)
    assert error < 1e-12
    rates = {"rate", "ratio", "called", "accelerated"}
    return type(cash)(**{name: np.asarray(x) * (1 if name in rates else 100)
                         for name, x in vars(cash).items()})


def test_a_reserve_is_funded_used_for_senior_interest_and_released():
    """Left after notes: 10 - 0.1 - 3 - 1.6 = 5.3, of which 1 fills the reserve from 2 to 3."""
    got = pay(deal(reserves=[dict(name="R", initial=2.0, amount=3.0)]), [10, 2, 10, 10], 0, 90)
    near(got.reserve[0], [3.0])
    near(got.interest[0], [3.0, 1.6, 4.3])
    near(got.reserve[1], [3.0 - 1.1])  # A lacks 3 - (2 - 0.1)
    near(got.interest[1, 0], 3.0)
    near(got.unpaid[1, 1], 1.6)
    near(got.reserve[2], [3.0])
    near(got.reserve[3], [0.0])
    near(got.interest[3, 2], 10 - 0.1 - 3.0 - 1.6 + 3.0)


@pytest.mark.parametrize("to", ["notes", "collateral"])
def test_a_diversion_takes_its_share_up_to_what_restores_the_ratio(to):
    """84 / 80 is below 1.1: 88 - 84 of par or 80 - 84 / 1.1 of notes, half of the rest at most."""
    diversion = dict(name="D", through="B", trigger=1.1, share=0.5, always=True, to=to)
    got = pay(deal(diversions=[diversion]), [10, 20, 10, 10], 0, 84)
    near(got.ratio[0, 0], 1.05)
    near(got.cure[0, 0], 2.65)
    near(got.interest[0, 2], 2.65)
    near(got.principal[0, 0], 2.65)  # with no purchases the principal account repays notes
    left = 20 - 0.1 - (60 - 2.65) * 0.05 - 1.6
    need = 1.1 * 77.35 - 84 if to == "collateral" else 77.35 - 84 / 1.1
    near(got.cure[1, 0], min(left / 2, need))


def test_what_is_bought_pays_defaults_recovers_and_matures():
    """10 buy 12.5 par at 80; a year later 10 % default, 20 % of the rest prepay, 8 % interest
    ACT/360."""
    terms = dict(end=DATES[0], term_months=24, price=0.8, spread_bps=500.0, cdr=0.1, cpr=0.2,
                 recovery=0.4, lag_months=12, tests=[])
    got = pay(deal(reinvestment=terms, discount_threshold=0.5), 10, [10, 0, 0, 0], [90] * 4)
    near(got.reinvested, [10, 0, 0, 0])
    near(got.bought, [12.5, 12.5 * 0.72, 0, 0])
    rate = 0.08 * 365 / 360
    second = (12.5 - 1.25) * rate + 12.5 * 0.18
    third = (9 - 0.9) * rate + 9 * 0.18 + 9 * 0.72 + 1.25 * 0.4
    stretch = [0, second, third, 0.9 * 0.4]
    near(got.from_bought, stretch)


def test_recoveries_without_a_lag_come_with_the_default():
    terms = dict(end=DATES[0], term_months=24, cdr=0.1, cpr=0.0, recovery=0.4, lag_months=0,
                 spread_bps=0.0, tests=[])
    got = pay(deal(reinvestment=terms), 10, [10, 0, 0, 0], 90, index=0.0)
    near(got.from_bought, [0, 1.0 * 0.4, 9.0 * 0.9 + 0.9 * 0.4, 0])


def test_purchases_stop_while_a_test_fails_and_follow_a_cure():
    """85 + 5 over 80 is below 115 %; a cure from ample interest lets the principal buy."""
    terms = dict(end=DATES[0], term_months=12, spread_bps=0.0)
    tests = [dict(name="OC", kind="oc", through="B", trigger=1.15)]
    rich, poor = (pay(deal(reinvestment=terms, tests=tests), [x, 5, 5, 5], [5, 0, 0, 0], 85)
                  for x in (20, 4.7))
    near(rich.cure[0, 0], 80 - 90 / 1.15)
    near(rich.reinvested[0], 5.0)
    assert poor.reinvested[0] == 0.0 and poor.principal[0, 0] > 4.9


def call(**keys):
    return dict(price_performing=0.98, price_defaulted=0.3) | keys


def test_a_call_on_a_date_sells_everything_and_pays_in_order():
    got = pay(deal(call=call(date=DATES[1])), 10, 0, 95, default=2, defaulted=4)
    near(got.called, [0, 1, 0, 0])
    near(got.sold, [0, 0.98 * 95 + 0.3 * 4, 0, 0])
    near(got.principal[1], [60, 20, 0])
    near(got.interest[1], [3.0, 1.6, 10 + 94.3 - 0.1 - 3.0 - 1.6 - 80])
    near(got.interest[2:], 0.0)
    near(got.fees[2:], 0.0)
    near(got.fee_unpaid[2:], 0.0)


def test_a_clean_up_call_waits_for_the_pool_to_shrink_and_for_the_proceeds_to_suffice():
    terms = call(collateral_below=0.5, non_call_end=DATES[1])
    got = pay(deal(call=terms), 5, [50, 5, 4, 0], [45, 40, 36, 36])
    near(got.called, [0, 1, 0, 0])  # below half from the first date on, not callable before
    poor = pay(deal(call=call(collateral_below=0.9)), 5, 0, [70, 70, 70, 70])
    near(poor.called, [0, 0, 0, 1])  # 68.6 + 5 never repay 80; what is left is sold at maturity


def test_equity_calls_once_the_sale_gives_its_irr():
    """Equity paid 20 and gets 5.3 a year. It wants 10 %: 22, then (22 - 5.3) x 1.1 = 18.37 ..."""
    got = pay(deal(call=call(equity_irr=0.10)), 10, 0, [92, 94, 97, 97])
    surplus = [0.98 * 92 + 10 - 84.7, 0.98 * 94 + 10 - 84.7, 0.98 * 97 + 10 - 84.7]
    need = [22.0, 16.7 * 1.1, (16.7 * 1.1 - 5.3) * 1.1]
    assert surplus[0] < need[0] and surplus[1] < need[1] and surplus[2] > need[2]
    near(got.called, [0, 0, 1, 0])
    near(got.interest[2, 2], surplus[2])


def test_refinancing_changes_the_rate_from_the_next_period():
    notes = [dict(name="A", balance=60.0, rate=0.05, day_count="30/360",
                  refinance=dict(date=DATES[1], rate=0.03)),
             dict(name="B", balance=20.0, spread_bps=300.0, floor_bps=100.0, day_count="30/360",
                  deferrable=True, refinance=dict(date=DATES[0], spread_bps=200.0))]
    got = pay(deal(notes=notes), 10, 0, 95, index=[0.0, 0.04, 0.0, 0.04])
    near(got.rate[:, 0], [0.05, 0.05, 0.03, 0.03])
    near(got.interest[:, 0], [3.0, 3.0, 1.8, 1.8])
    near(got.interest[:, 1], [20 * 0.04, 20 * 0.06, 20 * 0.03, 20 * 0.06])


@pytest.mark.parametrize("effective,first", [("same", 1), ("next", 2)])
def test_acceleration_rules_from_the_date_the_deal_says(effective, first):
    """58 of par over 60 of A on the second date: then everything goes to A first."""
    event = dict(through="A", trigger=1.0, effective=effective)
    got = pay(deal(event_of_default=event), 10, 0, [95, 58, 50, 50])
    near(got.accelerated, (np.arange(4) >= first).astype(float))
    near(got.principal[first, 0], 10 - 0.1 - 3.0)
    near(got.interest[first, 1], 0.0)
    near(got.interest[first - 1], [3.0, 1.6, 5.3])


def test_missed_senior_interest_accelerates_on_the_next_date():
    event = dict(through="A", trigger=0.1)
    got = pay(deal(event_of_default=event), [10, 2, 10, 10], 0, 95)
    near(got.accelerated, [0, 0, 1, 1])
    near(got.unpaid[1, 0], 1.1)
    near(got.interest[2, 0], 1.1 + 61.1 * 0.05)


def test_swap_and_cap_legs():
    """On 50: a swap at 3 % and a cap at 4 % that costs 0.1 % a year."""
    hedges = [dict(name="swap", kind="swap", notional=50.0, rate=0.03),
              dict(name="cap", kind="cap", notional=[50.0, 50.0, 20.0], rate=0.04, premium=0.001)]
    got = pay(deal(hedges=hedges), 10, 0, 95, index=[0.05, 0.02, 0.06, 0.03])
    near(got.hedged[:3], [1.0 + 0.5, 0.0, 1.5 + 0.4])
    near(got.fees[:3, 1:], [[0.0, 0.05], [0.5, 0.05], [0.0, 0.02]])
    near(got.interest[1, 2], 5.3 - 0.55)


def test_a_fee_is_capped_by_deal_year_and_the_rest_waits():
    quarters = tuple(datetime.date(2025 + (m - 1) // 12, (m - 1) % 12 + 1, 15)
                     for m in range(4, 26, 3))
    fees = [dict(name="trustee", amount=1.0, per="payment", cap=2.5)]
    lists = dict(interest=[dict(op="pay_fee", fee="trustee", capped=True),
                           dict(op="pay_note_interest", notes=["A", "B"]),
                           dict(op="pay_deferred_interest", notes=["B"]),
                           dict(op="pay_residual_to_equity")],
                 principal=[dict(op="pay_note_principal", notes=["A"]),
                            dict(op="pay_note_principal", notes=["B"]),
                            dict(op="pay_residual_to_equity")])
    got = pay(deal(dates=quarters, payment_months=3, fees=fees, waterfall=lists), 10, 0, 95)
    near(got.fees[:, 0], [1, 1, 0.5, 0, 2.5, 0, 0, 0])
    near(got.fee_unpaid[:, 0], [0, 0, 0.5, 1.5, 0, 1, 2, 3])


def test_the_manager_shares_only_beyond_the_hurdle():
    """Equity paid 0.9 x 20 = 18 and gets 15.3: it lacks 19.8 - 15.3 = 4.5, which grow by 10 %."""
    terms = dict(hurdle_irr=0.10, incentive_share=0.2,
                 equity=dict(name="equity", balance=20.0, price=0.9))
    got = pay(deal(**terms), [20, 20, 20, 20], 0, 95)
    rest = 15.3 - 4.95
    near(got.incentive[:2], [0.0, 0.2 * rest])
    near(got.interest[:2, 2], [15.3, 4.95 + 0.8 * rest])
    near(got.incentive[2], 0.2 * 15.3)


def test_ccc_excess_takes_the_lowest_prices_first_and_the_worse_agency():
    """5 % of 100 may be CCC. One agency sees 3 at 40 and 5 at 80: 3 in excess, all of it at 40;
    the other 9 at 70: 4 in excess."""
    def haircut(first, second):
        par, value = jnp.asarray([first, second]).transpose(2, 0, 1)
        return coverage.ccc_haircut(coverage.Collateral(
            performing=jnp.asarray(100.0), defaulted=0.0, defaulted_value=0.0,
            carrying_haircut=0.0, ccc_par=par, ccc_value=value), 0.05)

    first = [(3.0, 1.2), (5.0, 4.0)]
    near(haircut(first, [(0.0, 0.0), (9.0, 6.3)]), 3 * 0.6)
    near(haircut(first, [(0.0, 0.0), (13.0, 9.1)]), 8 * 0.3)
    near(haircut([(0.0, 0.0), (5.0, 4.0)], [(0.0, 0.0), (5.0, 4.0)]), 0.0)

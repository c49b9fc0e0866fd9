"""Slow oracles in plain Python, written from the rules and sharing no code with the library."""

import math


def loan_cash(loan, states, index, month_fraction, *, default, prepaid):
    """Cash of one loan month by month, from the states it went through.

    `loan`: dict with balance, maturity, amortization_months, coupon, spread, floor, floating,
    straight_line, default_at_maturity, payment_months, payment_offset, amortisation_rate. Returns
    dicts per month.
    """
    balance, accrued, previous, out = loan["balance"], 0.0, 0, []
    alive, term = True, loan["amortization_months"]
    rate_now = 0 if loan["straight_line"] else loan["amortisation_rate"] / 12
    fails = loan["default_at_maturity"] if not 0 < term <= loan["maturity"] else 0.0
    for t, state in enumerate(states, start=1):
        row = dict(interest=0.0, scheduled=0.0, prepayment=0.0, default=0.0, balance=0.0)
        if alive and t <= loan["maturity"]:
            rate = loan["coupon"] + loan["floating"] * (max(index[t - 1], loan["floor"])
                                                        + loan["spread"])
            accrued += balance * rate * month_fraction[t - 1]
            pays = (t + loan["payment_offset"]) % loan["payment_months"] == 0
            pays = pays or t == loan["maturity"]
            if state == default:
                row["default"], alive = balance, False
            else:
                scheduled = 0.0
                if t == loan["maturity"]:
                    scheduled = balance
                elif pays and term:
                    left = term - previous
                    for _ in range(t - previous):  # level payments of the months since
                        payment = (balance - scheduled) * (
                            rate_now / (1 - (1 + rate_now) ** -left) if rate_now else 1 / left)
                        scheduled += payment - (balance - scheduled) * rate_now
                        left -= 1
                    previous = t
                pays_in_full = 1 - fails if t == loan["maturity"] else 1.0
                row["default"] = (1 - pays_in_full) * balance
                row["scheduled"] = pays_in_full * scheduled
                if pays or state == prepaid:
                    row["interest"], accrued = pays_in_full * accrued, 0.0
                if state == prepaid:
                    row["prepayment"], alive = balance - scheduled, False
                balance -= scheduled
                row["balance"] = balance if alive and t < loan["maturity"] else 0.0
        out.append(row)
    return out


def internal_rate(flows, years, price):
    """Yield by bisection on the growth rate."""
    low, high = -0.999999, 10.0
    value = lambda y: math.fsum(f * (1 + y) ** -t for f, t in zip(flows, years, strict=True))  # noqa: E731
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if value(middle) > price else (low, middle)
    return low

"""Slow oracles in plain Python, written from the rules and sharing no code with the library."""

import math


def waterfall(deal, steps, tests, dates, *, deferrable):
    """Runs a waterfall with floats and loops.

    `deal`: dict of lists (balance, fee_rate, fee_amount, fee_cap, trigger) and numbers (ccc_limit,
    hurdle, incentive, equity_price). `dates`: dicts with interest, principal, opening, performing,
    defaulted_value, ccc_par, ccc_value, rate[K], note_fraction[K], fee_fraction[F], new_year,
    step_years. Returns a list of dicts per date.
    """
    classes, fees = len(deal["balance"]), len(deal["fee_rate"])
    balance, unpaid = list(deal["balance"]), [0.0] * classes
    fee_unpaid, fee_used = [0.0] * fees, [0.0] * fees
    hurdle = deal["balance"][-1] * deal["equity_price"]
    out = []
    for date in dates:
        due = [(b + u) * r * f for b, u, r, f in zip(balance, unpaid, date["rate"],
                                                     date["note_fraction"], strict=True)]
        billed, missed_before, opened = list(due), list(unpaid), list(balance)
        senior = {}
        for f in range(fees):
            amount = deal["fee_rate"][f] * date["opening"] + deal["fee_amount"][f]
            fee_unpaid[f] += amount * date["fee_fraction"][f]
            if date["new_year"]:
                fee_used[f] = 0.0
        hurdle *= (1 + deal["hurdle"]) ** date["step_years"]
        cash = {"interest": date["interest"], "principal": date["principal"]}
        row = {"interest": [0.0] * classes, "principal": [0.0] * classes, "fees": [0.0] * fees,
               "incentive": 0.0, "ratio": {}}

        def ratio_and_cure(test, trigger, account, cash=cash, date=date, row=row, billed=billed,
                           unpaid=unpaid, missed_before=missed_before, opened=opened,
                           senior=senior):
            notes = sum(balance[k] for k in test.notes)
            if test.kind == "ic":
                owed = sum(billed[k] * (balance[k] / opened[k] if opened[k] else 0.0)
                           + (0.0 if deferrable[k] else missed_before[k]) for k in test.notes)
                ratio = min((date["interest"] - senior[test]) / owed, 1e3) if owed > 0 else 1e3
                return ratio, max(1 - ratio / trigger, 0) * notes
            debt = notes + sum(unpaid[k] for k in test.notes)
            excess = max(date["ccc_par"] - deal["ccc_limit"] * date["performing"], 0)
            price = date["ccc_value"] / date["ccc_par"] if date["ccc_par"] > 0 else 1.0
            par = (date["performing"] + cash["principal"] + date["defaulted_value"]
                   - excess * (1 - price))
            ratio = min(par / debt, 1e3) if debt > 0 else 1e3
            if account == "interest":
                return ratio, max(debt - par / trigger, 0)
            return ratio, max(trigger * debt - par, 0) / (trigger - 1)

        for step in steps:
            kind, account = type(step).__name__, step.account
            if kind == "PayFee":
                f = step.fee
                wanted = fee_unpaid[f]
                if step.capped:
                    wanted = min(wanted, max(deal["fee_cap"][f] - fee_used[f], 0))
                # Cash for a fee counts against its cap first, whichever step pays it.
                room = max(deal["fee_cap"][f] - fee_used[f], 0)
                paid = min(cash[account], wanted)
                fee_used[f] += min(paid, room)
                fee_unpaid[f] -= paid
                row["fees"][f] += paid
                cash[account] -= paid
            elif kind in ("PayNoteInterest", "PayDeferredInterest"):
                missed = [k for k in step.notes if kind == "PayDeferredInterest"
                          or not deferrable[k]]
                for bucket, notes in ((unpaid, missed),
                                      (due, step.notes if kind == "PayNoteInterest" else ())):
                    total = sum(bucket[k] for k in notes)
                    pot = min(cash[account], total)
                    for k in notes:
                        paid = pot * bucket[k] / total if total > 0 else 0.0
                        bucket[k] -= paid
                        row["interest"][k] += paid
                    cash[account] -= pot
            elif kind == "PayNotePrincipal":
                total = sum(balance[k] for k in step.notes)
                pot = min(cash[account], total)
                for k in step.notes:
                    paid = pot * balance[k] / total if total > 0 else 0.0
                    balance[k] -= paid
                    row["principal"][k] += paid
                cash[account] -= pot
            elif kind == "CureTests":
                amount = 0.0
                for q in step.tests:
                    senior.setdefault(tests[q], sum(row["fees"]))
                    ratio, cure = ratio_and_cure(tests[q], deal["trigger"][q], account)
                    row["ratio"].setdefault(q, ratio)
                    if ratio < deal["trigger"][q] * (1 - 1e-12):
                        amount = max(amount, min(cash[account], cure))
                for k in step.order:
                    paid = min(amount, balance[k])
                    amount -= paid
                    cash[account] -= paid
                    balance[k] -= paid
                    row["principal"][k] += paid
            elif kind == "PayIncentive":
                paid = deal["incentive"] * cash[account]
                row["incentive"] += paid
                cash[account] -= paid
            else:
                paid = cash[account]
                if kind == "PayEquityToHurdle":
                    paid = min(paid, max(hurdle, 0.0))
                row[account][-1] += paid
                hurdle -= paid
                cash[account] -= paid
        unpaid = [u + d for u, d in zip(unpaid, due, strict=True)]
        out.append(row | {"balance": list(balance), "unpaid": list(unpaid)})
    return out


def loan_cash(loan, states, index, month_fraction, *, default, prepaid):
    """Cash of one loan month by month, from the states it went through.

    `loan`: dict with balance, maturity, amortization_months, coupon, spread, floor, floating,
    payment_months, payment_offset, amortisation_rate. Returns dicts per month.
    """
    balance, accrued, previous, out = loan["balance"], 0.0, 0, []
    alive, term = True, loan["amortization_months"]
    rate_now = loan["amortisation_rate"] / 12
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
                row["scheduled"] = scheduled
                if pays or state == prepaid:
                    row["interest"], accrued = accrued, 0.0
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

"""A slow waterfall in plain Python, written from the rules and sharing no code with the library.

Hard tests only: on each date one list rules. Steps are dicts, as a deal file has them.
"""

from reference_steps import Steps


def run(deal, dates, new=None):
    """Rows of what was paid, a dict a date.

    `deal`: plain terms (see test_waterfall.plain_terms); `dates`: dicts with interest, principal,
    unscheduled, opening, performing, defaulted, defaulted_value, carrying_haircut, ccc (a list of
    (par, value) buckets by agency), rate[K], note_fraction[K], fee_fraction[F], hedge_in,
    hedge_due[H], flags and step_years. `new`: price, recovery, term, lag and per date default,
    prepay, interest of what is bought.
    """
    book = Book(deal, new)
    return [book.pay(p, date) for p, date in enumerate(dates)]


class Book(Steps):
    """A deal between and on its payment dates."""

    def __init__(self, deal, new):
        self.deal, self.new, self.vintages, self.lost = deal, new, [], []
        self.k = len(deal["balance"])
        self.balance, self.unpaid = list(deal["balance"]), [0.0] * self.k
        self.fee_unpaid = [0.0] * (len(deal["fees"]) + len(deal["hedges"]))
        self.fee_used = [0.0] * len(self.fee_unpaid)
        self.hurdle = self.need = deal["balance"][-1] * deal["equity_price"]
        self.cash = {"interest": 0.0, "principal": 0.0}
        self.cash |= {name: r["initial"] for name, r in deal["reserves"].items()}
        self.alive, self.accelerated = True, False

    def pay(self, p, date):
        self.p, self.date, d = p, date, self.deal
        self.row = {"interest": [0.0] * self.k, "principal": [0.0] * self.k, "ratio": {},
                    "fees": [0.0] * len(self.fee_unpaid), "incentive": 0.0, "reinvested": 0.0}
        self._collect()
        self.opened = list(self.balance)
        self.due = [(b + u) * r * f * self.alive for b, u, r, f in zip(
            self.balance, self.unpaid, date["rate"], date["note_fraction"], strict=True)]
        self.billed, self.missed = list(self.due), list(self.unpaid)
        self.target = {n: 0.0 if date["is_last"] else r["amount"] + r["rate"] * self.performing
                       + sum(w * b for w, b in zip(r["of_notes"], self.balance, strict=True))
                       for n, r in d["reserves"].items()}
        self.hurdle *= (1 + d["hurdle"]) ** date["step_years"]
        self.need *= (1 + ((d["call"] or {}).get("equity_irr") or 0.0)) ** date["step_years"]
        fees = self._accrued_fees()
        called, breach = self._is_called(fees), self._breaches()
        if breach and d["event"]["same_date"]:
            self.accelerated = True
        self._bill_fees(called, fees)
        lists = ["call"] if called else ["accelerated"] if self.accelerated else [
            "interest", "principal"]
        if called:
            self.cash["principal"] += self._sale()
        for name in lists:
            for step in d["lists"][name]:
                account = step.get("from", "interest" if name == "interest" else "principal")
                getattr(self, step["op"])(step, account)
        return self._close(called, breach)

    def _collect(self):
        date, bought = self.date, dict(interest=0.0, principal=0.0, prepay=0.0)
        if self.new is not None:
            bought = self._live()
        live = 1.0 if self.alive else 0.0
        stock = sum(v["par"] for v in self.vintages) if self.alive else 0.0
        self.opening = live * (date["opening"] + bought.get("opening", 0.0))
        self.performing = live * date["performing"] + stock
        self.proceeds = live * (date["interest"] + bought["interest"] + date["hedge_in"])
        self.cash["interest"] += self.proceeds
        self.cash["principal"] += live * (date["principal"] + bought["principal"])
        self.unscheduled = live * (date["unscheduled"] + bought["prepay"])
        self.outstanding = sum(loss for q, loss in self.lost if q + self.new["lag"] > self.p
                               ) if self.new else 0.0
        haircut = self._purchase_haircut() if self.new else 0.0
        worth = self.new and min(self.new["recovery"], self.deal["defaulted_price"])
        self.par = live * (date["performing"] + date["defaulted_value"] - date["carrying_haircut"]
                           + self.outstanding * (worth or 0.0)) + stock * (1 - haircut)
        self.excess = live * self._ccc_excess(self.performing)

    def _ccc_excess(self, performing):
        worst = 0.0
        for buckets in self.date["ccc"]:
            left = max(sum(par for par, _ in buckets) - self.deal["ccc_limit"] * performing, 0.0)
            lost = 0.0
            for par, value in buckets:  # lowest prices first
                taken = min(left, par)
                left -= taken
                lost += taken * (1 - value / par) if par > 0 else 0.0
            worst = max(worst, lost)
        return worst

    def _live(self):
        n, p, out = self.new, self.p, dict(interest=0.0, principal=0.0, prepay=0.0)
        out["opening"] = sum(v["par"] for v in self.vintages)
        defaults = 0.0
        for v in self.vintages:
            default, prepay = v["par"] * n["default"][p], v["par"] * n["prepay"][p]
            out["interest"] += (v["par"] - default) * n["interest"][p]
            out["prepay"] += prepay
            out["principal"] += prepay
            defaults += default
            v["par"] -= default + prepay
            if p - v["date"] == n["term"]:
                out["principal"] += v["par"]
                v["par"] = 0.0
        self.lost.append((p, defaults))
        out["principal"] += n["recovery"] * sum(x for q, x in self.lost if q + n["lag"] == p)
        return out

    def _purchase_haircut(self):
        price = self.new["price"]
        return 1 - price if price < self.deal["discount_threshold"] else 0.0

    def _sale(self):
        call = self.deal["call"]
        if not self.alive:
            return 0.0
        return (call["price_performing"] * self.performing
                + call["price_defaulted"] * (self.date["defaulted"] + self.outstanding))

    def _is_called(self, fees):
        call, date = self.deal["call"], self.date
        if call is None or not self.alive:
            return False
        owed = sum((b + u) * (1 + r * f) for b, u, r, f in list(zip(
            self.balance, self.unpaid, date["rate"], date["note_fraction"], strict=True))[:-1])
        surplus = (self._sale() + self.cash["interest"] + self.cash["principal"] - owed
                   - sum(self.fee_unpaid) - sum(fees))
        wanted = (call["collateral_below"] is not None
                  and self.performing < call["collateral_below"])
        wanted = wanted or (call["equity_irr"] is not None and surplus >= self.need)
        return bool(date["call_date"] or (date["can_call"] and surplus >= 0 and wanted))

    def _breaches(self):
        event = self.deal["event"]
        if event is None:
            return False
        debt = sum(self.balance[k] + self.unpaid[k] for k in event["covers"])
        ratio = min((self.par + self.cash["principal"]) / debt, 1e3) if debt > 0 else 1e3
        return ratio < event["trigger"]

    def _accrued_fees(self):
        out = []
        for f, fee in enumerate(self.deal["fees"]):
            basis = self.opening * (1 - fee["closing"]) + self.performing * fee["closing"]
            out.append((fee["rate"] * basis + fee["amount"] * self.alive)
                       * self.date["fee_fraction"][f])
        return out + [due * self.alive for due in self.date["hedge_due"]]

    def _bill_fees(self, called, accrued):
        date, fees = self.date, self.deal["fees"]
        for f, fee in enumerate(fees):
            self.fee_unpaid[f] *= 1 + fee["interest"] * date["carried_fraction"][f]
            self.fee_used[f] *= not date["new_year"]
            if called and not self.deal["call"]["fees_accrue"]:
                accrued[f] = 0.0
        self.fee_unpaid = [u + a for u, a in zip(self.fee_unpaid, accrued, strict=True)]
        self.capped = [min(self.fee_unpaid[f], max(fee["cap"] - self.fee_used[f], 0.0))
                       for f, fee in enumerate(fees)]
        self.over = [u - c for u, c in zip(self.fee_unpaid, self.capped, strict=False)]
        self.paid_fees = {}

    def _close(self, called, breach):
        event, fees = self.deal["event"], self.deal["fees"]
        for f, fee in enumerate(fees):
            self.fee_unpaid[f] = (self.capped[f] + self.over[f]) * fee["carried"]
        unpaid = [u + d for u, d in zip(self.unpaid, self.due, strict=True)]
        if event is not None:
            owed = [a + b for a, b in zip(self.billed, self.missed, strict=True)]
            missed = any(unpaid[k] > 1e-9 * owed[k] for k in event["on_missed_interest"])
            self.accelerated = self.accelerated or breach or missed
        self.unpaid, self.alive = unpaid, self.alive and not called
        return self.row | {
            "balance": list(self.balance), "unpaid": list(unpaid), "called": float(called),
            "fee_unpaid": list(self.fee_unpaid),
            "reserve": [self.cash[name] for name in self.deal["reserves"]]}

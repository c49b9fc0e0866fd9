"""The steps of the slow waterfall: what each pays from one account (see reference_waterfall)."""


class Steps:
    """Operations by name; the books they write are reference_waterfall.Book's."""

    def _note(self, name):
        return self.deal["notes"].index(name)

    def _share(self, account, buckets, cash=None):
        """Pays [(list, place)] pro rata to what is due; returns what each got."""
        total = sum(bucket[k] for bucket, k in buckets)
        pot = min(self.cash[account], total)
        got = [pot * bucket[k] / total if total > 0 else 0.0 for bucket, k in buckets]
        for (bucket, k), x in zip(buckets, got, strict=True):
            bucket[k] -= x
        self.cash[account] -= pot
        return got

    def _interest(self, account, buckets):
        for (_, k), x in zip(buckets, self._share(account, buckets), strict=True):
            self.row["interest"][k] += x

    def pay_note_interest(self, step, account):
        notes = [self._note(n) for n in step["notes"]]
        missed = [k for k in notes if not self.deal["deferrable"][k]]
        self._interest(account, [(self.unpaid, k) for k in missed])
        self._interest(account, [(self.due, k) for k in notes])

    def pay_deferred_interest(self, step, account):
        self._interest(account, [(self.unpaid, self._note(n)) for n in step["notes"]])

    def pay_all_interest(self, step, account):
        self._interest(account, [(bucket, self._note(n)) for n in step["notes"]
                                 for bucket in (self.due, self.unpaid)])

    def pay_note_principal(self, step, account):
        buckets = [(self.balance, self._note(n)) for n in step["notes"]]
        for (_, k), x in zip(buckets, self._share(account, buckets), strict=True):
            self.row["principal"][k] += x

    def pay_fee(self, step, account):
        f = [fee["name"] for fee in self.deal["fees"]].index(step["fee"])
        for part, bucket in (("capped", self.capped), ("over", self.over)):
            if part == "over" and step.get("capped"):
                continue
            paid = self._share(account, [(bucket, f)])[0]
            self.row["fees"][f] += paid
            self.paid_fees[f, part] = self.paid_fees.get((f, part), 0.0) + paid
            self.fee_used[f] += paid if part == "capped" else 0.0

    def pay_hedge(self, step, account):
        f = len(self.deal["fees"]) + self.deal["hedges"].index(step["hedge"])
        paid = self._share(account, [(self.fee_unpaid, f)])[0]
        self.row["fees"][f] += paid
        self.paid_fees[f, "over"] = self.paid_fees.get((f, "over"), 0.0) + paid

    def _senior_fees(self, test):
        """Paid by now of the claims that the ordinary list pays before it first makes the test."""
        d, claims = self.deal, set()
        names = [fee["name"] for fee in d["fees"]]
        for step in d["lists"]["interest"] + d["lists"]["principal"]:
            made = step.get("tests", d["reinvestment_tests"] if step["op"] == "reinvest" else ())
            if test in made or step.get("diversion") == test:
                break
            if step["op"] == "pay_fee":
                f = names.index(step["fee"])
                claims |= {(f, "capped")} | (set() if step.get("capped") else {(f, "over")})
            elif step["op"] == "pay_hedge":
                claims.add((len(names) + d["hedges"].index(step["hedge"]), "over"))
        return sum(self.paid_fees.get(c, 0.0) for c in claims)

    def _test(self, name, account):
        """(ratio, cure from the account, debt) of a test."""
        test, trigger = self.deal["tests"][name], self.deal["tests"][name]["trigger"]
        notes = sum(self.balance[k] for k in test["notes"])
        if test["kind"] == "ic":
            owed = sum(self.billed[k] * (self.balance[k] / self.opened[k] if self.opened[k] else 0)
                       + (0 if self.deal["deferrable"][k] else self.missed[k])
                       for k in test["notes"])
            net = self.proceeds - self._senior_fees(name)
            ratio = min(net / owed, 1e3) if owed > 0 else 1e3
            return ratio, max(1 - ratio / trigger, 0) * notes, 0.0
        debt = notes + sum(self.unpaid[k] for k in test["notes"])
        par = self.par + self.cash["principal"] - self.excess
        if self.row["reinvested"]:
            par += self.row["reinvested"] / self.new["price"] * (1 - self._purchase_haircut())
        ratio = min(par / debt, 1e3) if debt > 0 else 1e3
        cure = (max(debt - par / trigger, 0.0) if account == "interest"
                else max(trigger * debt - par, 0.0) / (trigger - 1))
        return ratio, cure, max(trigger * debt - par, 0.0)

    def _failing(self, name, ratio):
        self.row["ratio"].setdefault(name, ratio)
        if self.p < self.deal["tests"][name]["first_date"]:
            return False
        return ratio < self.deal["tests"][name]["trigger"] * (1 - 1e-10)

    def _repay(self, amount, account, order):
        """Principal of the classes in order; those of one group share by balance."""
        names = [self._note(name) for name in order or self.deal["notes"]]
        for group in dict.fromkeys(self.deal["groups"][k] for k in names):
            equal = [k for k in names if self.deal["groups"][k] == group]
            total = sum(self.balance[k] for k in equal)
            pot = min(amount, total)
            amount -= pot
            self.cash[account] -= pot
            for k, owed in [(k, self.balance[k]) for k in equal]:
                paid = pot * owed / total if total > 0 else 0.0
                self.balance[k] -= paid
                self.row["principal"][k] += paid

    def cure_tests(self, step, account):
        amount = 0.0
        for name in step["tests"]:
            ratio, cure, _ = self._test(name, account)
            if self._failing(name, ratio):
                amount = max(amount, min(self.cash[account], cure))
        self._repay(amount, account, step.get("order"))

    def divert(self, step, account):
        d = self.deal["tests"][step["diversion"]]
        ratio, cure, need = self._test(step["diversion"], account)
        cash = self.cash[account] * d["share"] * self.date["diverting"][d["number"]]
        if not self._failing(step["diversion"], ratio):
            return
        if d["to"] == "notes":
            return self._repay(min(cash, cure), account, step.get("order"))
        self.cash[account] -= min(cash, need)
        self.cash["principal"] += min(cash, need)

    def reinvest(self, step, account):
        failing = False
        for name in step.get("tests", self.deal["reinvestment_tests"]):
            failing |= self._failing(name, self._test(name, account)[0])
        allowed = self.cash[account] if self.date["reinvesting"] else (
            self.date["after_reinvesting"] * self.deal["reinvest_after"] * self.unscheduled)
        spent = 0.0 if failing or self.new is None else min(self.cash[account], allowed)
        self.cash[account] -= spent
        self.row["reinvested"] += spent
        if spent:
            self.vintages.append({"date": self.p, "par": spent / self.new["price"]})

    def _move(self, account, to, amount):
        amount = min(max(amount, 0.0), self.cash[account])
        self.cash[account] -= amount
        self.cash[to] += amount

    def fund_reserve(self, step, account):
        name = step["reserve"]
        self._move(account, name, self.target[name] - self.cash[name])

    def release_reserve(self, step, account):
        self._move(account, step["to"], self.cash[account] - self.target[account])

    def move_all(self, step, account):
        self._move(account, step["to"], self.cash[account])

    def _to_equity(self, kind, amount, account):
        paid = min(self.cash[account], max(amount, 0.0))
        self.row[kind][-1] += paid
        self.cash[account] -= paid
        self.hurdle -= paid
        self.need -= paid
        return paid

    def pay_equity_principal(self, step, account):
        self.balance[-1] -= self._to_equity("principal", self.balance[-1], account)

    def equity_to_hurdle(self, step, account):
        self._to_equity("interest", self.hurdle, account)

    def pay_residual_to_equity(self, step, account):
        self._to_equity("interest", self.cash[account], account)

    def pay_incentive(self, step, account):
        paid = self.deal["incentive"] * self.cash[account]
        self.row["incentive"] += paid
        self.cash[account] -= paid

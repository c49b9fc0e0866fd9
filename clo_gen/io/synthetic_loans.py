"""Synthetic loan panels of known truth, for tests and demonstrations: labelled synthetic."""

import numpy as np

from clo_gen.io.auto_panel import FEATURES, MISSED_PAYMENTS, SYNTHETIC, LoanPanel

_LIVE = len(MISSED_PAYMENTS.live)
RISK = 0.8  # log-odds of missing a payment per standard deviation of (minus) the first feature


def synthetic_panel(*, loans: int, months: int, seed: int, first: int = 564) -> LoanPanel:
    """LoanPanel of `loans` new loans over `months` months from calendar month `first` (2017-01).

    A current loan misses a payment with log-odds -3 - RISK x (its first feature, standardised); one
    that missed pays again with probability 0.6; from two misses on it defaults with probability
    0.08; it prepays with probability 0.015. One in four always pays a fixed share above schedule.
    """
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=loans)
    generous = np.where(rng.random(loans) < 0.25, rng.uniform(1.1, 1.6, loans), 1.0)
    original = rng.uniform(8_000.0, 30_000.0, loans)
    rate, term = rng.uniform(0.03, 0.12, loans), np.full(loans, 72.0)
    due = original * rate / 12.0 / (1.0 - (1.0 + rate / 12.0) ** -term)
    state, missed = np.full((loans, months), -1), np.zeros((loans, months), int)
    payment, balance = np.zeros((loans, months)), np.zeros((loans, months))
    now, run, owed = np.zeros(loans, int), np.zeros(loans, int), original.copy()
    for t in range(months):
        live = (now >= 0) & (now < _LIVE)
        miss = rng.random(loans) < np.where(now == 0, 1 / (1 + np.exp(3.0 + RISK * quality)), 0.4)
        prepaid = rng.random(loans) < 0.015
        default = (now >= 2) & (rng.random(loans) < 0.08) & ~prepaid
        run = np.where(miss, run + 1, 0)
        after = np.where(miss, np.minimum(run, _LIVE - 1), 0)
        after = np.where(prepaid, MISSED_PAYMENTS.prepaid, after)
        after = np.where(default, MISSED_PAYMENTS.default, after)
        balance[:, t] = np.where(live, owed, 0.0)
        total = owed * (1.0 + rate / 12.0)
        paid = np.where(after == 0, np.minimum(due * generous, total), 0.0)
        paid = np.where(after == MISSED_PAYMENTS.prepaid, total, paid)
        payment[:, t] = np.where(live, paid, 0.0)
        state[:, t], missed[:, t] = np.where(live, after, -1), np.where(live, run, 0)
        owed = np.where(live, total - paid, owed)
        now = np.where(live, after, -1)
    features = np.concatenate([quality[:, None], rng.normal(size=(loans, len(FEATURES) - 1))], 1)
    defaulted = (state == MISSED_PAYMENTS.default).any(1)
    return LoanPanel(
        ids=np.array([f"SYN{i:05d}" for i in range(loans)]), trust=np.full(loans, SYNTHETIC),
        features=features, band=np.ones(loans, int), due=due, rate=rate, term=term,
        recovery=np.where(defaulted, rng.uniform(0.2, 0.8, loans), np.nan),
        first=np.full(loans, first), age=np.zeros(loans), state=state, payment=payment,
        balance=balance, missed=missed, source=SYNTHETIC)

"""Synthetic loan terms for demos and tests. Everything made here is labelled synthetic."""

import datetime

import numpy as np
import pandas as pd

from clo_gen.io import dates

LABEL = "synthetic"
HYPOTHETICAL = "hypothetical"  # a pool that limits allow, held by nobody
INDUSTRIES, REGIONS = 30, ("Northeast", "South", "Midwest", "West")


def _counts(weights, total):
    """Whole numbers near `weights` x `total` that add to `total` (largest remainders)."""
    exact = np.array(list(weights.values())) / sum(weights.values()) * total
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact)[: total - counts.sum()]] += 1
    return dict(zip(weights, counts, strict=True))


def synthetic_tape(*, obligors: int, par: float, cutoff: datetime.date,
                   rating_weights: dict[str, float], spread_bps: float, seed: int) -> pd.DataFrame:
    """Text frame of one first-lien floating loan per obligor, in tape columns, of total `par`.

    Ratings are in proportion to `rating_weights` by number, spreads rise with risk and average
    `spread_bps` by balance, maturities are 4 to 7 years, prices 0.88 to 1.00, recoveries 0.45 to
    0.75. Column `data_label` says synthetic.
    """
    rng = np.random.default_rng(seed)
    counts = _counts(rating_weights, obligors)
    ratings = rng.permutation([r for r, n in counts.items() for _ in range(n)])
    order = list(rating_weights)
    risk = np.array([order.index(r) for r in ratings]) / max(len(order) - 1, 1)
    balance = rng.lognormal(0.0, 0.35, obligors)
    balance = np.round(balance / balance.sum() * par, 2)
    balance[-1] += round(par - balance.sum(), 2)
    spread = 225.0 + 250.0 * risk + rng.normal(0.0, 20.0, obligors)
    spread *= spread_bps / np.average(spread, weights=balance)
    life = rng.integers(48, 85, obligors)
    age = rng.integers(1, 37, obligors)
    return pd.DataFrame({
        "loan_id": [f"SYN{i + 1:04d}" for i in range(obligors)],
        "obligor_id": [f"OBL{i + 1:04d}" for i in range(obligors)],
        "origination_date": [str(dates.add_months(cutoff, -int(a))) for a in age],
        "maturity_date": [str(dates.add_months(cutoff, int(m))) for m in life],
        "current_balance": [f"{b:.2f}" for b in balance],
        "rate_type": "float",
        "spread_bps": [f"{s:.6f}" for s in spread],
        "benchmark": "SOFR",
        "floor": [f"{f:.0f}" for f in rng.choice([0, 50, 75], obligors)],
        "payment_frequency": "quarterly",
        "amortization_type": "bullet",
        "rating": ratings,
        "lien": "first",
        "recovery_rate": [f"{x:.4f}" for x in np.clip(rng.normal(0.60, 0.06, obligors), .45, .75)],
        "market_price": [f"{x:.4f}" for x in np.clip(1.0 - 0.12 * risk**2
                                                     + rng.normal(0, .005, obligors), .88, 1.0)],
        "industry_sector": [f"industry {i:02d}" for i in rng.integers(1, INDUSTRIES + 1, obligors)],
        "geography_country": "US",
        "geography_region": rng.choice(REGIONS, obligors),
        "cov_lite": rng.choice(["yes", "no"], obligors, p=[0.9, 0.1]),
        "data_label": LABEL,
    })

"""A hypo pool as a loan tape: it then runs through the simulation and the waterfall like any other.

Every line says that it is hypothetical.
"""

import datetime
from typing import Any

import pandas as pd

from clo_gen.hypo.checks import number
from clo_gen.io import dates
from clo_gen.io.problems import Problems
from clo_gen.io.synthetic import HYPOTHETICAL
from clo_gen.io.tables import data_path


def as_tape(obligors: Any, *, par: float, cutoff: datetime.date, was: float, warr: float,
            wal: float, benchmark: str = "SOFR", floor_bps: float = 0.0) -> pd.DataFrame:
    """Text frame in tape columns, one floating bullet loan an obligor.

    `obligors` is a result of a hypo pool, its obligors, or a list of Obligor; `par` the pool's par
    in currency, `cutoff` the date it stands at, `was` and `warr` fractions, `wal` the years to
    maturity of every loan. Ratings 1..21 become S&P's notches. Raises InputError with every
    problem.
    """
    scale = pd.read_csv(data_path("rating_scale.csv")).set_index("rating_int")["sp"]
    obligors = getattr(obligors, "obligors", obligors)
    obligors = obligors.get("obligors", obligors) if isinstance(obligors, dict) else obligors
    listed, problems = list(getattr(obligors, "values", lambda: obligors)()), Problems("hypo pool")
    if not listed:
        problems.say("empty; want at least one obligor")
    for n in [n for n, o in enumerate(listed) if o.rating not in scale.index][:1]:
        problems.say(f"obligor {n + 1} has no rating; want 1 to 21")
    number(problems, "par", par, above=0.0)
    for name, value, high in (("was", was, 0.5), ("warr", warr, 1.0), ("wal", wal, 50.0)):
        number(problems, name, value, 0.0, high)
    problems.raise_if_any()
    maturity = str(dates.add_months(cutoff, max(round(12 * wal), 1)))
    return pd.DataFrame({
        "loan_id": [f"HYP{n + 1:04d}" for n in range(len(listed))],
        "obligor_id": [f"OB{n + 1:03d}" for n in range(len(listed))],
        "maturity_date": maturity,
        "current_balance": [f"{o.percentage * par:.6f}" for o in listed],
        "rate_type": "float",
        "spread_bps": f"{1e4 * was:.6f}",
        "benchmark": benchmark,
        "floor": f"{floor_bps:.6f}",
        "rating": [scale[o.rating] for o in listed],
        "lien": "first",
        "recovery_rate": f"{warr:.8f}",
        "industry_sector": [f"industry {o.industry}" for o in listed],
        "geography_region": [f"region {o.region}" for o in listed],
        "data_label": HYPOTHETICAL,
    })

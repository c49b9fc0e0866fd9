"""The four standard scenarios under a macro CVAE: overlays calibrated, then checked on other draws.

Reference: methodology, Scenario Conditioning, Standard Scenarios.
"""

import numpy as np

from clo_gen.io.config import read_scenarios
from clo_gen.io.tables import config_path
from clo_gen.learned import calibrated, scenario_draws
from clo_gen.models import regimes
from clo_gen.models.macro_start import MEMORY
from clo_gen.scores import Metric


def off_table(model, data, months=120, draws=2000, seed=0):
    """How far scenario means are from the methodology's table at the peak month, other draws than
    those of the calibration; the largest miss of each scenario as a share of its entry."""
    table = read_scenarios(config_path("scenarios.toml"), regimes.LABELS, data.series, months)
    history = data.values[-MEMORY:]
    ready = calibrated(model, table, history, seed=seed)
    means = {name: scenario_draws(model, s, history, draws, seed + 1).mean(0)
             for name, s in ready.items()}
    rows = []
    for name in regimes.LABELS[1:]:
        miss = {}
        for m in np.flatnonzero((table[name].shift != 0) | (table[name].multiplier != 1)):
            peak = table[name].shape[:, m].argmax()
            part = table[name].shape[peak, m]  # under 1 where the path ends before the peak
            base, got = means["baseline"][peak, m], means[name][peak, m]
            want = part * (base * (table[name].multiplier[m] - 1.0) + table[name].shift[m])
            miss[data.series[m]] = (got - base) / want - 1.0
        worst = max(miss, key=lambda k: abs(miss[k]))
        rows.append(Metric(
            f"scenario {name} off its table", float(abs(miss[worst])), "share", target="<= 0.10",
            split=f"{draws} paths of {months} months after {data.frame.index[-1]}",
            note=f"worst series: {worst}"))
    return rows

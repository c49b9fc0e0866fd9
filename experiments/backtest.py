"""Is VaR 99 conservative on real default history, and what can so few years tell?

    python experiments/backtest.py [configs/backtest.toml] [--known 0.15] [--years 300]

First asset correlation is estimated from simulated years of a known value: expected figure within
0.02 of 0.15 from 300 years, and off by about 0.04 from any single 20 years. Then the config is run
(about two minutes on two cores with the embedded histories). Expected: no model exceeds its VaR 99,
while the models with the S&P prior expect about three times the defaults that came.
Reference: risk/backtest.py, risk/asset_correlation.py, docs/backtests.md.
"""

import argparse
import tempfile

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np  # noqa: E402

from clo_gen.io.backtest_config import read_backtest  # noqa: E402
from clo_gen.jobs.backtest import backtest_job  # noqa: E402
from clo_gen.risk import asset_correlation as ac  # noqa: E402
from clo_gen.terminal import backtest as terminal_backtest  # noqa: E402
from clo_gen.terminal import console  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("config", nargs="?")
parser.add_argument("--known", type=float, default=0.15)
parser.add_argument("--years", type=int, default=300)
parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
options = parser.parse_args()

generator, rates = np.random.default_rng(0), [0.005, 0.02, 0.06]
obligors = np.full((options.years, len(rates)), 800.0)
defaults = ac.simulate(generator, rates, options.known, obligors)
found = ac.asset_correlation(defaults, obligors, draws=60)
print(f"simulated rho {options.known:.3f}, {options.years} years: estimate "
      f"{found.correlation:.3f} +- {found.error:.3f}, 95 % {found.low:.3f} to {found.high:.3f}")
short = ac.simulate(generator, rates, np.full(65, options.known), obligors[:20])
many = ac.estimate_batch(short, np.broadcast_to(obligors[:20], short.shape)).correlation
print(f"65 histories of 20 years: mean {many.mean():.3f}, standard deviation {many.std():.3f}")

with tempfile.TemporaryDirectory() as folder:
    report, written = backtest_job(read_backtest(options.config, options.set), f"{folder}/run")
for table in terminal_backtest.tables(report):
    console.show(table)
for line in terminal_backtest.notes(report, written):
    if not line.startswith("written"):
        console.say(line)

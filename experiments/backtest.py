"""Is VaR 99 conservative on real default history, and what can so few years tell?

    python experiments/backtest.py [configs/backtest.toml] [--known 0.15] [--years 300]

First asset correlation is estimated from simulated years of a known value: expected figure within
0.02 of 0.15 from 300 years, and off by about 0.04 from any single 20 years. Then the config is run
on the embedded histories. Expected: no model exceeds its VaR 99, while the models with the S&P
prior expect about three times the defaults that came. About two minutes on two cores.
Measured: 0.156 +- 0.011 from 300 years, standard deviation 0.038 of estimates from 20 years; no
exception of VaR 99; 2.8 to 4.1 times the defaults that came are expected under the S&P prior.
Reference: risk/backtest.py, risk/asset_correlation.py, docs/backtests.md.
"""

import tempfile

import jax

jax.config.update("jax_enable_x64", True)

import numpy as np  # noqa: E402
from record import Experiment, figure  # noqa: E402

from clo_gen.io.backtest_config import read_backtest  # noqa: E402
from clo_gen.jobs.backtest import backtest_job  # noqa: E402
from clo_gen.plots.backtest import write_figure  # noqa: E402
from clo_gen.risk import asset_correlation as ac  # noqa: E402
from clo_gen.terminal import backtest as terminal_backtest  # noqa: E402
from clo_gen.terminal import console  # noqa: E402

experiment = Experiment(__doc__, years=(300, 60), paths=(1000, 200), histories=(65, 20))
experiment.parser.add_argument("config", nargs="?")
experiment.parser.add_argument("--known", type=float, default=0.15)
experiment.parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
options = experiment.options()

generator, rates = np.random.default_rng(0), [0.005, 0.02, 0.06]
obligors = np.full((options.years, len(rates)), 800.0)
defaults = ac.simulate(generator, rates, options.known, obligors)
found = ac.asset_correlation(defaults, obligors, draws=60)
print(f"simulated rho {options.known:.3f}, {options.years} years: estimate "
      f"{found.correlation:.3f} +- {found.error:.3f}, 95 % {found.low:.3f} to {found.high:.3f}")
short = ac.simulate(generator, rates, np.full(options.histories, options.known), obligors[:20])
many = ac.estimate_batch(short, np.broadcast_to(obligors[:20], short.shape)).correlation
print(f"{options.histories} histories of 20 years: mean {many.mean():.3f}, standard deviation "
      f"{many.std():.3f}")

with tempfile.TemporaryDirectory() as folder:
    config = read_backtest(options.config, [f"ratings.paths={options.paths}", *options.set])
    report, _ = backtest_job(config, f"{folder}/run")
for table in terminal_backtest.tables(report):
    console.show(table)

coverage, whole = report.tables["coverage"], report.tables["calibration"]
top = max(row["level"] for row in coverage)
prior = [row["expected"] / row["defaults"] for row in whole if "S&P" in row["model"]]
experiment.keep(
    [figure(f"estimate of a known rho of {options.known:g}", found.correlation,
            options.known - 0.02, options.known + 0.02),
     figure("standard deviation of estimates from 20 years", many.std(), 0.03, 0.05),
     figure(f"exceptions of VaR {top:.0%}, all models",
            sum(row["exceptions"] for row in coverage if row["level"] == top), 0, 0),
     figure("expected over realised defaults, S&P prior, least", min(prior), 2.0),
     figure("expected over realised defaults, S&P prior, most", max(prior), high=4.5)],
    whole, lambda path: write_figure(path, report.forecasts, top))

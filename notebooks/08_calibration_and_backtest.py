# %% [markdown]
# # Does the model match history, and would its forecasts have held?
#
# Two different questions. **Calibration** moves named parameters of the model until its default,
# upgrade and downgrade rates are those of published histories. A **backtest** fits on the past of
# each January alone, forecasts default counts, and counts how often they were wrong.
#
# All figures fitted and tested here are **real** and embedded. Small settings; the full backtest is
# `clo-gen backtest` (1,000 paths, more models and horizons).

# %%
import pathlib

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import clo_gen as cg
from clo_gen.evaluate import backtest
from clo_gen.evaluate.rating_forecasts import rating_forecasts
from clo_gen.io.backtest_config import RatingBacktest
from clo_gen.models import knobs as named
from clo_gen.plots.backtest import counts_against_var, pit_histogram
from clo_gen.plots.calibration import compared
from clo_gen.plots.lives import transition_map
from clo_gen.risk import discrimination, pit
from clo_gen.train import calibration_corporate
from clo_gen.train.calibration_targets import CorporateTargets, evidence_of

jax.config.update("jax_enable_x64", True)
PATHS, LEVEL = 300, 0.99

# %% [markdown]
# ## Calibration: the targets
#
# Each target has an interval: a rate of few defaults says little, and the fit may not pretend
# otherwise. The synthetic tape of the run plays no part.

# %%
a = cg.assemble(*cg.read_config(overrides=["tape.synthetic.obligors=60"]))
evidence = evidence_of(CorporateTargets(), a)
pd.DataFrame(evidence.targets["default rate, 1 year"])[["name", "value", "low", "high", "trials"]]

# %% [markdown]
# ## The fit
#
# Knobs $\theta$ by regularised least squares through the model,
# $\min_\theta \sum_i ((m_i(\theta) - y_i) / s_i)^2 + \sum_j (\theta_j / \tau_j)^2$.

# %%
done, knobs = calibration_corporate.calibrate(a, evidence)
table = pd.DataFrame(done.comparisons)
assert table.inside[table.fitted].all()
table.groupby(["group", "fitted"], sort=False)[["inside_before", "inside"]].agg(["sum", "count"])

# %%
groups = list(dict.fromkeys(row.group for row in done.comparisons))[:2]
figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for ax, group in zip(axes, groups, strict=True):
    compared(ax, [row for row in done.comparisons if row.group == group])
axes[0].legend(frameon=False, fontsize=7);

# %% [markdown]
# What the data say nothing of stays at its prior, and is named.

# %%
parameters = pd.DataFrame(done.parameters).set_index("name")
print("rest on their prior:", ", ".join(parameters.index[~parameters.identified]))
moved = parameters[parameters.identified]
moved.assign(size=moved.value.abs() / moved.error).nlargest(6, "size")[["value", "low", "high"]]

# %%
params, _ = named.calibrated(a.params, a.inputs, knobs, np.zeros(len(a.tape.frame), int))
live = [*a.setup.space.live, "default"]
figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for ax, (name, p) in zip(axes, (("before", a.params), ("after", params)), strict=True):
    year = np.linalg.matrix_power(np.asarray(p.transition.base), 12)
    transition_map(ax, year[: len(live) - 1, : len(live)], live[:-1], live)
    ax.set(title=f"One year, % ({name})", xlabel="to", ylabel="from")

# %% [markdown]
# ## Backtest: default counts against their forecast
#
# Each half-year forecast is a whole distribution of counts. An exception is a count above the
# VaR; of 90 % VaRs one in ten should be one.

# %%
settings = RatingBacktest(horizons=(6,), paths=PATHS, models=("constant_own", "constant"))
found = rating_forecasts(settings, pathlib.Path("."), seed=1)
rows = pd.DataFrame([backtest.coverage(f, level) for f in found.counts for level in (0.9, LEVEL)])
rows[["model", "level", "periods", "exceptions", "promised", "p_kupiec_exact", "zone",
      "detectable", "verdict"]]

# %%
figure, axes = plt.subplots(2, 2, figsize=(11, 5), width_ratios=(3, 1), layout="constrained")
for (left, right), f in zip(axes, found.counts, strict=True):
    expected = [mass @ np.arange(len(mass)) for mass in f.masses]
    counts_against_var(left, f.observed, expected, backtest.var_of(f, LEVEL), f"VaR {LEVEL:.0%}")
    left.set_xticks(range(len(f.periods)), f.periods, rotation=30, fontsize=7)
    left.set(title=f.model.replace("_", " "), ylabel="defaults")
    pit_histogram(right, pit.histogram(*backtest.intervals(f), 5))
    right.set(title="transforms (1 is right)")
axes[0, 0].legend(frameon=False, fontsize=8);

# %% [markdown]
# The whole forecast tells more than its tail: a model that expects too many defaults puts every
# outcome low.

# %%
whole = pd.DataFrame([backtest.calibration(f) for f in found.counts])
whole[["model", "defaults", "expected", "p_uniform_exact", "p_berkowitz", "log_score", "crps"]]

# %% [markdown]
# Single obligors: does the rating rank those that default above those that do not?

# %%
who, probability, defaulted = next(iter(found.obligors.values()))
ranked = discrimination.ranking(probability, defaulted, cluster=who)
assert ranked.auc > 0.5
print(f"AUC {ranked.auc:.3f} ({ranked.low:.3f} to {ranked.high:.3f}), Gini {ranked.gini:.3f}, "
      f"{ranked.defaults} defaults")

# %% [markdown]
# **What this means.** None or one exception in ten half-years is no proof of a good VaR: the column
# `detectable` says which true exception rate the test could have found at all. The model with the
# S&P prior expects several times the defaults that came in these years; the prior is kept because
# seven calm years are not the whole story.
#
# **Limits.** A calibrated model is fitted to the years it is compared with; only held-out checks
# (the backtest, docs/calibration.md) speak about the future. From the shell: `clo-gen calibrate`,
# `clo-gen backtest`.

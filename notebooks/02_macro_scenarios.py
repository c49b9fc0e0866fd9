# %% [markdown]
# # What does a recession look like, and which paths meet my conditions?
#
# Level 1 draws monthly macro paths after the last real month. This notebook fits the generator to
# **real** US history, compares scenarios, and then asks for paths with "GDP at -4 % in month 12
# **and** unemployment at 10 % in month 24" - and for how unlikely that is.
#
# Small settings; to scale up raise `PATHS`, or use the CVAE: `clo-gen train`, then
# `model = cg.read_macro_model("runs/stage1")`. Everything below works on either.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import clo_gen as cg
from clo_gen.assembly import load_macro
from clo_gen.plots.run import COLORS, TITLES, fan

PATHS, MONTHS = 200, 60
config, folder = cg.read_config()
model = cg.macro_model_of(config, folder, MONTHS)
model.series

# %% [markdown]
# ## Scenarios
#
# The generator is a vector autoregression on real US history,
# $x_t = c + \sum_k A_k x_{t-k} + \Sigma^{1/2} z_t$; a scenario adds an overlay to its mean. Path
# *i* has the same noise under each scenario, so differences are those of the scenario alone.

# %%
years = np.arange(1, MONTHS + 1) / 12
past = np.asarray(model.history)
paths = {name: model.generate(PATHS, scenario=name) for name in ("baseline", "severely_adverse")}
figure, axes = plt.subplots(2, 2, figsize=(10, 5), layout="constrained")
for ax, name in zip(axes.ravel(), ("gdp_growth_yoy", "unemployment_rate", "policy_rate",
                                   "credit_spread_cp"), strict=True):
    m = model.series.index(name)
    ax.plot(np.arange(1 - len(past), 1) / 12, past[:, m] * 100, color="0.3")
    for scenario, values in paths.items():
        fan(ax, years, values[:, :, m], COLORS[scenario], scenario.replace("_", " "))
    ax.set(title=TITLES[name], xlabel="years", ylabel="%")
axes[0, 0].legend(frameon=False, fontsize=8);

# %% [markdown]
# ## Conditions
#
# `generate_conditional` draws from the model's own law given the conditions: the likeliest noise
# that meets them, then draws around it that are weighted by what the model says. Values are met to
# a tenth of a basis point; months in between are free.

# %%
wanted = {"gdp_growth_yoy": {"month": 12, "value": -0.04},
          "unemployment_rate": {"month": 24, "value": 0.10}}
got = model.generate_conditional(wanted, PATHS)
u, g = model.series.index("unemployment_rate"), model.series.index("gdp_growth_yoy")
assert np.abs(got.values[:, 11, g] + 0.04).max() < 1e-5
assert np.abs(got.values[:, 23, u] - 0.10).max() < 1e-5
pd.Series({"standard deviations asked for": got.distance, "candidates": got.candidates,
           "worth independent draws": got.effective}).round(1)

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
for ax, name in zip(axes, ("gdp_growth_yoy", "unemployment_rate", "policy_rate"), strict=True):
    m = model.series.index(name)
    fan(ax, years, paths["baseline"][:, :, m], "0.6", "unconditional")
    fan(ax, years, got.values[:, :, m], COLORS["severely_adverse"], "given the conditions")
    if name in wanted:
        ax.plot(wanted[name]["month"] / 12, wanted[name]["value"] * 100, "ko", markersize=5)
    ax.set(title=TITLES[name], xlabel="years", ylabel="%")
axes[0].legend(frameon=False, fontsize=8);

# %% [markdown]
# ## Is the law right?
#
# Rejection is the honest check: draw freely, keep what meets the conditions. Points are never met
# by chance, so the check uses a range that a few draws in a hundred meet.

# %%
band = {"unemployment_rate": {"month": 24, "low": 0.06, "high": 0.07}}
free = model.generate(20 * PATHS)
kept = free[(free[:, 23, u] >= 0.06) & (free[:, 23, u] <= 0.07)]
drawn = model.generate_conditional(band, 2 * PATHS).values
month = 35
compare = pd.DataFrame({"rejection": kept[:, month].mean(0), "conditional": drawn[:, month].mean(0),
                        "free": free[:, month].mean(0), "sd": kept[:, month].std(0)},
                       index=model.series)
error = compare["sd"] * np.sqrt(1 / len(kept) + 1 / len(drawn))
assert (np.abs(compare.conditional - compare.rejection) < 4 * error).all()
print(f"{len(kept)} of {len(free)} free paths meet the range; means in month {month + 1}:")
(compare * 100).round(2)

# %% [markdown]
# ## History again, and mixtures
#
# `replay` repeats real months from today's level, `hold` lets the model go on where they end, and
# `blend` mixes scenarios over time.

# %%
macro = load_macro(config.macro, folder, None)
crisis = model.replay(macro, "2007-12")[:24]
after = model.hold(crisis, PATHS)
mixed = model.generate(PATHS, scenario=model.blend(
    {"baseline": [(1, 1.0), (24, 0.0)], "severely_adverse": [(1, 0.0), (24, 1.0)]}))
np.testing.assert_allclose(after[:, :24], np.broadcast_to(crisis, after[:, :24].shape), atol=1e-6)
figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
fan(ax, years, after[:, :, u], COLORS["severely_adverse"], "24 months from 2007-12, then free")
fan(ax, years, mixed[:, :, u], COLORS["adverse"], "baseline turning severely adverse in 2 years")
ax.set(title=TITLES["unemployment_rate"], xlabel="years", ylabel="%")
ax.legend(frameon=False, fontsize=8);

# %% [markdown]
# **What this means.** The distance is the number to quote with a conditional scenario: a path five
# or more standard deviations away is far outside what sixty years of data support, however neat it
# looks.
#
# **Limits.** The generator is linear and its noise normal; the pandemic months are left out of the
# fit. Few effective candidates (under the number of paths) mean that the conditions are met but
# the spread around them is not to be trusted. From the shell: `clo-gen scenario condition`.

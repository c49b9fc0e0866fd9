# %% [markdown]
# # What is the difference between two scenarios made of?
#
# Severely adverse costs more than baseline. How much of that is unemployment, how much growth, how
# much credit spreads? Shares of a difference have to sum to it, which bumping one series after
# the other does not give.
#
# A small static deal (**constructed**), **synthetic** loans, **real** macro and rating histories.
# Small settings; for a study take the quickstart's deal, 200 loans and `PATHS = 64`.

# %%
import jax
import matplotlib.pyplot as plt
import pandas as pd

import clo_gen as cg
from clo_gen.analysis.settings import Settings
from clo_gen.jobs.sensitivity import attribute
from clo_gen.plots.sensitivity import attribution_bars

jax.config.update("jax_enable_x64", True)
LOANS, PATHS = 24, 8
a = cg.assemble(*cg.read_config(overrides=[
    "deal='deals/static_amortising.toml'", f"tape.synthetic.obligors={LOANS}"]))

# %% [markdown]
# ## Shares that sum
#
# Slopes along the straight way from one scenario to the other (Aumann-Shapley),
# $s_m = \int_0^1 \partial_m f(x_0 + u (x_1 - x_0))\, (x_1 - x_0)_m \, du$, add up to
# $f(x_1) - f(x_0)$; where tests make the way too rough, Shapley's average over orders is taken.

# %%
found = attribute(a, a, ("baseline", "severely_adverse"), Settings(paths=PATHS))
shares = pd.DataFrame(found.found.shares, index=found.outcomes)
shares["residual"], shares["total"] = found.found.residual, found.found.total
assert found.found.worst < 0.01
print(found.about["method"], found.about["evaluations"], "evaluations")
(shares.loc[list(found.headlines)] * 1e4).round(1)

# %%
figure, axes = plt.subplots(1, 2, figsize=(12, 3.8), layout="constrained")
for ax, outcome in zip(axes, found.headlines[:2], strict=True):
    o = found.outcomes.index(outcome)
    attribution_bars(ax, found.found.start[o], found.found.end[o],
                     ("baseline", *found.found.shares, "severely adverse"),
                     [share[o] for share in found.found.shares.values()], 100.0)
    ax.set(title=f"{outcome} (synthetic loans)", ylabel="%")

# %% [markdown]
# **What this means.** A series with a bar of nothing either does not move between the scenarios or
# does not matter to this number. The bars are shares of a difference under this model, no causes.
#
# **Limits.** Few paths: the shares are those of these paths' mean. Tests are softened by a
# temperature of 0.01; the difference under hard tests is the report's `hard_total`. From the shell:
# `clo-gen attribute --from baseline --to adverse`, also between two configs, such as two closing
# dates (docs/sensitivity.md).

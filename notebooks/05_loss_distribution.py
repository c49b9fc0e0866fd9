# %% [markdown]
# # How are the losses distributed, and how far into the tail can we see?
#
# Paths of the whole graph - macro, transitions, loans, waterfall - give a distribution of losses
# for the pool and for every class. The tail of that distribution is where the deal lives, and where
# paths are few: so every number here has its error, and rare losses get paths of their own.
#
# Deal, macro and rating histories are **real**, the loans are **synthetic**. Small settings; for a
# study take `PATHS = 1000` or more: errors fall with the root of their number.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import clo_gen as cg
from clo_gen.jobs.tail import Request, examine
from clo_gen.plots.run import COLORS, curve, loss_histogram
from clo_gen.plots.tail import loss_curve

jax.config.update("jax_enable_x64", True)
LOANS, PATHS, TAIL_PATHS = 60, 256, 2048
a = cg.assemble(*cg.read_config(overrides=[f"tape.synthetic.obligors={LOANS}"]))

# %% [markdown]
# ## Paths
#
# `simulate_scenario` maps one path over path numbers. Path *i* draws the same numbers under each
# scenario, so that differences between scenarios are not noise.

# %%
results = {name: cg.simulate_scenario(a, name, PATHS) for name in ("baseline", "severely_adverse")}
assert max(r.conservation_error.max() for r in results.values()) < 1e-9

# %% [markdown]
# ## The pool
#
# $\mathrm{VaR}_\alpha$ is the smallest loss that is exceeded with probability $1-\alpha$,
# $\mathrm{CVaR}_\alpha$ the mean of the worst $1-\alpha$ of paths.

# %%
pool = pd.DataFrame({name: cg.pool_risk(r) for name, r in results.items()}).T
assert (pool.cvar_99 >= pool.var_99).all() and (pool.var_99 >= pool.expected_loss).all()
(pool * 100).round(2)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
bins = np.linspace(0, max(float(r.loss.max()) for r in results.values()) + 1e-6, 30)
years = np.arange(1, a.deal.months + 1) / 12
for name, r in results.items():
    label = name.replace("_", " ")
    loss_histogram(left, np.asarray(r.loss), pool.var_99[name], bins,
                   COLORS[name], label)
    curve(right, years, np.asarray(r.collections.loss), np.asarray(r.collections.loss.mean(0)),
          COLORS[name], label)
left.set(title="Lifetime loss of the pool (dashed: VaR 99 %)", xlabel="% of par", ylabel="density")
right.set(title="Cumulative losses (mean, 5-95 %)", xlabel="years", ylabel="% of par", xlim=(0, 8))
left.legend(frameon=False);

# %% [markdown]
# ## The classes
#
# A cash CLO writes no note down: a class loses when principal or deferred interest is still owed at
# maturity. A probability of 0 in `PATHS` paths means "below about 3 / PATHS", not "never".

# %%
classes = cg.class_risk(a, results["severely_adverse"])
assert (np.diff(classes.loss_probability[:-1]) >= 0).all()           # juniors lose first
shown = ["loss_probability", "loss_probability_std_error", "expected_loss", "irr", "price"]
classes[shown].round(4)

# %% [markdown]
# ## Rare losses
#
# A loss that one path in a thousand has is not seen in a few hundred. Paths are then drawn under
# a tilt q towards the loss and weighted back, $P = E_q[1_{loss}\, p/q]$: same answer, narrower
# interval. Plain paths of equal number stand beside them. The deal is a small static one
# (**constructed**), which compiles in seconds; `clo-gen tail` does the same for the 2025 deal.

# %%
small = cg.assemble(*cg.read_config(overrides=[f"tape.synthetic.obligors={LOANS}",
                                            "deal='deals/static_amortising.toml'"]))
found = examine(small, Request(class_name="B", paths=TAIL_PATHS, pilot=256))
print(found.verdict)
both = pd.DataFrame(found.rows).set_index("number")
assert both.z.abs().max() < 4 or both.z.isna().all()
both[["plain", "plain_half_width", "tilted", "tilted_half_width", "ratio"]].round(5)

# %%
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
loss_curve(ax, found.curves, 0.999)
ax.set_title("Pool losses of the static deal, with 95 % bands (synthetic loans)");

# %% [markdown]
# **What this means.** Quote the tail with its half width. Where plain paths hold no loss at all,
# the tilted estimate is the only one, and the notes of the study say whether to trust it.
#
# **Limits.** A sharp tail under the model is no sharp tail of the world: default rates rest on 35
# real defaults and a prior, loadings on assumptions. Where the variance comes from: notebook 9.
# From the shell: `clo-gen run`, `clo-gen tail --class C`; theory in docs/tail.md.

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
import functools

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import clo_gen as cg
from clo_gen.assemble import assemble
from clo_gen.jobs.tail import Request, examine
from clo_gen.plots.run import COLORS, curve, loss_histogram
from clo_gen.plots.tail import loss_curve
from clo_gen.risk.losses import note_losses, tail

jax.config.update("jax_enable_x64", True)
LOANS, PATHS, TAIL_PATHS = 60, 256, 2048
a = assemble(*cg.read_config(overrides=[f"tape.synthetic.obligors={LOANS}"]))

# %% [markdown]
# ## Paths
#
# `simulate_batch` maps one path over path numbers. Path *i* draws the same numbers under each
# scenario, so that differences between scenarios are not noise.

# %%
run = jax.jit(functools.partial(cg.simulate_batch, setup=a.setup))
key, numbers = jax.random.key(a.config.seed), jnp.arange(PATHS)
results = {name: run(a.params, a.inputs, a.scenarios[name], key, numbers, 0.0)
           for name in ("baseline", "severely_adverse")}
assert max(r.conservation_error.max() for r in results.values()) < 1e-9

# %% [markdown]
# ## The pool
#
# $\mathrm{VaR}_\alpha$ is the smallest loss that is exceeded with probability $1-\alpha$,
# $\mathrm{CVaR}_\alpha$ the mean of the worst $1-\alpha$ of paths.

# %%
levels = (0.95, 0.99)
rows = {}
for name, r in results.items():
    t = tail(r.loss, levels)
    rows[name] = {"mean": t.mean, "+-": t.mean_error} | {
        f"{what} {level:.0%}": v for level, *both in zip(levels, t.var, t.cvar, strict=True)
        for what, v in zip(("VaR", "CVaR"), both, strict=True)}
    assert (t.cvar >= t.var).all() and t.var[0] >= t.mean
(pd.DataFrame(rows).T.astype(float) * 100).round(2)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
bins = np.linspace(0, max(float(r.loss.max()) for r in results.values()) + 1e-6, 30)
years = np.arange(1, a.deal.months + 1) / 12
for name, r in results.items():
    label = name.replace("_", " ")
    loss_histogram(left, np.asarray(r.loss), float(tail(r.loss, (0.99,)).var[0]), bins,
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
r = results["severely_adverse"]
notes = note_losses(r.tranches.loss, r.tranches.unpaid_interest)
table = pd.DataFrame({"P(loss), %": notes.probability * 100, "+-": notes.probability_error * 100,
                      "expected loss, %": notes.expected_loss * 100,
                      "loss given loss, %": notes.severity * 100,
                      "IRR, mean %": r.tranches.irr.mean(0) * 100}, index=a.deal.classes)
assert (np.diff(table["P(loss), %"][:-1]) >= 0).all()             # juniors lose first
table.round(2)

# %% [markdown]
# ## Rare losses
#
# A loss that one path in a thousand has is not seen in a few hundred. Paths are then drawn under
# a tilt q towards the loss and weighted back, $P = E_q[1_{loss}\, p/q]$: same answer, narrower
# interval. Plain paths of equal number stand beside them. The deal is a small static one
# (**constructed**), which compiles in seconds; `clo-gen tail` does the same for the 2025 deal.

# %%
small = assemble(*cg.read_config(overrides=[f"tape.synthetic.obligors={LOANS}",
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

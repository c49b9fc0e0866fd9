# %% [markdown]
# # How large may each class be?
#
# Class sizes at which equity earns most while every class keeps to its rating's loss rate:
# $\max_w \mathrm{IRR}(w) \;\text{s.t.}\; P(\text{loss of class } k) \le \text{limit}_k$.
#
# A small static deal (**constructed**), **synthetic** loans, **real** macro and rating histories;
# the table of idealised loss rates is a **stand-in**: use your licensed one. Small settings; for a
# study take the quickstart's deal, `PATHS = 512` and `CHECKS = 2048` or more.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import clo_gen as cg
from clo_gen.jobs.structure import Request, structure
from clo_gen.plots.structuring import against_limits, sizes

jax.config.update("jax_enable_x64", True)
LOANS, PATHS, CHECKS = 40, 256, 512
a = cg.assemble(*cg.read_config(overrides=[f"tape.synthetic.obligors={LOANS}",
                                        "deal='deals/static_amortising.toml'"]))
pd.DataFrame({"size, % of par": a.inputs.deal.balance * 100,
              "spread, bp": a.inputs.deal.spread * 1e4}, index=a.deal.classes).round(1)

# %% [markdown]
# The pool is sampled once; only the waterfall runs, and is differentiated, for every structure. The
# result is judged on fresh paths, under hard tests.

# %%
found = structure(a, Request(paths=PATHS, checks=CHECKS))
rows = pd.DataFrame(found.rows).set_index("class")
assert (rows.loss_probability_after <= rows.limit_after + 3 * rows.error_after + 3 / CHECKS).all()
rows[["rating", "size_before", "size_after", "loss_probability_before", "loss_probability_after",
      "error_after", "limit_after"]].round(4)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")
names, par = list(a.deal.classes), a.deal.par
before = np.append(rows.size_before, found.equity["equity_size_before"]) / par
after = np.append(rows.size_after, found.equity["equity_size_after"]) / par
sizes(left, names, before, after)
left.set(title="Sizes before and after", ylabel="share of par")
left.legend(frameon=False, fontsize=8)
against_limits(right, names[:-1], rows.loss_probability_after, rows.error_after, rows.limit_after,
               CHECKS)
right.set(title="Probability of loss against its limit (synthetic loans)", ylabel="% (log)")
right.legend(frameon=False, fontsize=8)
pd.Series(found.equity)

# %% [markdown]
# Notes of the run: whether every class keeps to its limit, and where the numbers come from.

# %%
print(*found.notes, sep="\n")

# %% [markdown]
# **What this means.** A limit that binds says which rating the structure is built on; a size at its
# bound says that the search was not allowed to go further.
#
# **Limits.** A limit below one over the number of paths cannot be told from zero. Equity gains from
# leverage only while the loans earn more than the notes cost. Buyers, agencies' own stresses and
# market minima are not modelled (docs/structuring.md). From the shell: `clo-gen structure`.

# %% [markdown]
# # Where does the loss variance come from?
#
# A pool's loss scatters because the macro path does, because vintages and industries share factors,
# and because single loans have luck. This notebook splits the variance by source and shows what
# that means for pairs of loans.
#
# A static deal (**constructed**) with **synthetic** loans; macro and rating histories are **real**,
# factor loadings an assumption. Small settings; for a study take 1,000 loans and 1,024 paths.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import clo_gen as cg
from clo_gen.analysis import correlation, variance
from clo_gen.analysis.default_correlation import beside_copula, cells_of, pair_table
from clo_gen.plots.correlation import variance_bars

jax.config.update("jax_enable_x64", True)
LOANS, PATHS = 60, 128
a = cg.assemble(*cg.read_config(overrides=[f"tape.synthetic.obligors={LOANS}",
                                        "deal='deals/static_amortising.toml'"]))
scenario, key = a.scenarios["baseline"], jax.random.key(0)

# %% [markdown]
# ## One path, four times
#
# The same draws, then the cohorts, the factors and the loans redrawn one after the other. The
# macro path stays.

# %%
one_by_one = ((0, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
losses = jax.jit(lambda params, inputs, key: jax.lax.map(
    lambda sources: variance.pool_loss(params, inputs, scenario, sources, setup=a.setup),
    variance.crossed(key, 0, one_by_one)))(a.params, a.inputs, key)
pd.Series(np.asarray(losses), ["own draws", "cohort redrawn", "factor redrawn", "loans redrawn"],
          name="pool loss").round(4)

# %% [markdown]
# ## Shares of the variance
#
# $\mathrm{Var} L = \mathrm{Var}\,E[L|M] + E\,\mathrm{Var}(E[L|M,F]\,|M) + \ldots$, from exact
# conditional moments of the loans, so that no inner simulation is needed.

# %%
cells = cells_of(a.inputs.tape, a.setup.space)
study = correlation.study_pool(correlation.compile_pool(a.setup, cells, (12, 36, 60)),
                               (a.params, a.inputs, scenario, key), PATHS, 16)
shares = study.shares
assert abs(float(shares.share.sum()) - 1.0) < 1e-9
assert abs(shares.closure - 1.0) < 4 * shares.closure_error
figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
variance_bars(ax, variance.NAMES, [(f"{LOANS} loans", shares.share, shares.share_error)])
ax.set_title("Shares of the loss variance (synthetic loans)")
pd.DataFrame({"share": shares.share, "+-": shares.share_error}, index=variance.NAMES).round(3)

# %% [markdown]
# The four components add to the variance of losses with every loan drawn, within its error
# (asserted above): the closure is

# %%
float(shares.closure), float(shares.closure_error)

# %% [markdown]
# ## Pairs of loans
#
# Default correlation of two loans, $(p_{12} - p_1 p_2) / \sqrt{p_1 q_1 p_2 q_2}$, in the same
# industry and in others, and the asset correlation that a one-factor Gaussian copula would need.

# %%
apart = np.not_equal.outer(cells.industry, cells.industry)
rows = []
for name, mask in (("same industry", ~apart), ("other industry", apart)):
    table, error = pair_table(study.pairs, cells, np.ones((1, len(cells.rating))), mask)
    implied, _ = beside_copula(table, 0.2)
    rows += [{"pairs": name, "years": y, "default rate": table.first[h, 0, 0],
              "correlation": table.correlation[h, 0, 0], "+-": error[h, 0, 0],
              "implied asset correlation": implied[h, 0, 0]} for h, y in enumerate((1, 3, 5))]
pairs = pd.DataFrame(rows).set_index(["pairs", "years"])
pairs.round(3)

# %%
figure, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
for name, color in (("same industry", "#b8412f"), ("other industry", "#3b6ea5")):
    part = pairs.loc[name]
    ax.errorbar(part.index, part.correlation, 1.96 * part["+-"], color=color, marker="o",
                capsize=3, label=name)
ax.set(title="Default correlation of pairs, 95 % intervals", xlabel="years", ylim=(0, None),
       xticks=pairs.index.unique("years"), ylabel="correlation")
ax.legend(frameon=False);

# %% [markdown]
# **What this means.** With 60 loans the luck of single loans weighs as much as everything else;
# with 1,000 it is some 7 %. Correlation that is measured over five years is larger than over one:
# the macro path has had time to differ.
#
# **Limits.** The loadings are assumptions that no embedded data identify. Set them to the shares
# you believe in: `clo-gen correlation --target 60,25,10,5` writes a config that `clo-gen run`
# reads (docs/correlation.md).

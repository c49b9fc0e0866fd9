# %% [markdown]
# # How bad may a pool be that still keeps every limit?
#
# A hypo pool is the most concentrated, worst rated pool that a deal's limits allow. Limits here are
# the published ones of a **real** 2016 US CLO; the pools are **hypothetical** by construction. One
# call solves a deal, one batch solves thousands.
#
# Small settings; to scale up raise `STEPS` (2,000 deals take some seconds once compiled).

# %%
import time

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from clo_gen.hypo import hypo_pool_discrete_constraints, hypo_pools_discrete, hypo_pools_formula
from clo_gen.hypo.tape import as_tape
from clo_gen.io.tables import config_path
from clo_gen.jobs.hypo import hypo_job
from clo_gen.plots.run import industry_bars, obligor_ladder

jax.config.update("jax_enable_x64", True)
STEPS = 12

# %% [markdown]
# ## One deal
#
# The file holds the limits by name; `limits` are the arguments of the function that solves them.

# %%
report = hypo_job(config_path("hypo/us_2016.toml"))
deal = report.deals[0]
names = ("pool_par", "conc_limit_basis", "dscore_min", "ob_max", "ind_max", "riskscore_max",
         "ob_exceptions", "ind_exceptions", "ob_floor", "ind_floor")
limits = {name: deal[name] for name in names}
pool = hypo_pool_discrete_constraints(**limits)
assert pool["is_solve"] and pool["dscore"] >= limits["dscore_min"]
assert pool["riskscore"] <= limits["riskscore_max"]
pd.Series({k: pool[k] for k in ("stage", "dscore", "riskscore", "ob_base", "ind_base",
                                "n_obligors", "n_industries")})

# %%
held = pool.to_frame()
by_industry = held.groupby("industry").pct.agg(["sum", "count"]).sort_values("sum",
                                                                             ascending=False)
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")
obligor_ladder(left, held.pct)
left.set(title=f"{len(held)} obligors (hypothetical)", xlabel="obligor, by size",
         ylabel="% of pool")
industry_bars(right, by_industry["sum"], by_industry["count"])
right.set(title="Industries, obligors on top", xlabel="industry, by size", ylabel="% of pool");

# %% [markdown]
# ## Many deals in a batch
#
# How many names does the worst pool have when the diversity score and the obligor limit move? A
# grid of deals is a list of dicts; the batch gives each the result that it has alone, bit for bit.

# %%
scores, largest = np.linspace(40, 70, STEPS), np.linspace(0.01, 0.024, STEPS)
grid = [limits | {"dscore_min": float(d), "ob_max": float(o)} for d in scores for o in largest]
hypo_pools_discrete(grid)                                             # compiles
start = time.perf_counter()
pools = hypo_pools_discrete(grid)
seconds = time.perf_counter() - start
alone = hypo_pool_discrete_constraints(**grid[37])
assert alone["dscore"] == pools[37]["dscore"] and alone["t"] == pools[37]["t"]
print(f"{len(grid)} deals in {seconds:.2f} s, {len(grid) / seconds:.0f} a second; "
      f"{sum(p['is_solve'] for p in pools)} have a solution")
pd.Series([p["stage"] for p in pools]).value_counts()

# %%
obligors = np.array([p["n_obligors"] if p["is_solve"] else np.nan for p in pools], float)
figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
mesh = ax.pcolormesh(largest * 100, scores, obligors.reshape(STEPS, STEPS), cmap="viridis")
figure.colorbar(mesh, label="obligors of the worst pool")
ax.set(title="Names in the worst pool (blank: no pool)", xlabel="obligor limit, %",
       ylabel="least diversity score");

# %% [markdown]
# The map is not a staircase, and should not be. Up to a score of 55 the base limits tighten
# together and names are added (stage `inner`). At their floors obligor exceptions go one by one
# (`partial`), then industry exceptions (`industry`): without those the base limits may be wider
# again, and fewer names do.

# %% [markdown]
# ## The CDO Monitor on those pools
#
# A pool passes when its break-even default rate (adjusted BDR less a cushion) exceeds its scenario
# default rate: $\mathrm{SDR}(\text{risk score}, \text{dispersion}, \ldots) \le \mathrm{BDR}$. The
# batch finds the worst rating mixture that passes for each solved pool.

# %%
keys = ("run_mode", "rs_abs_max", "coef_bdr", "coef_sdr", "rvst_target_par", "collat_prin_amt",
        "was", "warr", "wal", "rs_bound_lower", "rs_bound_higher", "monitor_cushion")
monitor = {k: deal.get(k) for k in keys} | {"risk_score_tbl": None, "IDT_sp": None,
                                            "WARF_sp": None}
solved = [p for p in pools if p["is_solve"]]
found = hypo_pools_formula([monitor | {"hypo_pool_diversity": p["obligors"]} for p in solved])
assert all(m.sdr <= m.adj_bdr + 1e-9 for m in found if m.is_solve)
figure, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
passing = [(p, m) for p, m in zip(solved, found, strict=True) if m.is_solve]
dots = ax.scatter([p["n_obligors"] for p, _ in passing],
                  [m.riskscore_realized for _, m in passing],
                  c=[p["dscore"] for p, _ in passing], cmap="viridis", s=22)
figure.colorbar(dots, label="diversity score")
ax.set(title="More names carry worse ratings", xlabel="obligors", ylabel="worst risk score");

# %% [markdown]
# ## Into the simulation
#
# A hypo pool is a loan tape like any other, labelled hypothetical: `tape.to_csv("hypo.csv")`, then
# `clo-gen run --tape hypo.csv`.

# %%
tape = as_tape(pool["obligors"], par=limits["pool_par"], cutoff="2016-12-15", was=0.0394,
               warr=0.36, wal=4.6)
assert len(tape) == len(held)
tape[["loan_id", "rating", "current_balance", "spread_bps", "maturity_date"]].head()

# %% [markdown]
# **What this means.** Limits on single names and industries alone leave room for pools of very
# different size; the diversity score decides. The worst pool is the one to structure against.
#
# **Limits.** Diversity and rating-factor tables are the published ones, parts of them recalled
# (`clo_gen/data/NOTICE`); the monitor's solution is the worst mixture of two neighbouring ratings,
# not of all mixtures. From the shell: `clo-gen hypo deals.csv --out results.csv`; docs/hypo.md.

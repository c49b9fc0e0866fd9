# %% [markdown]
# # What is known about the pool, and which history stands behind the model?
#
# Everything that clo_gen simulates rests on four inputs: a loan tape, a deal, a macro history and
# a history of rating moves. This notebook reads them, shows what is **real** and what is
# **synthetic**, and what happens to a tape with mistakes.
#
# Small settings; to scale up, say `LOANS = 200` (the quickstart) or read a tape of your own.

# %%
import pathlib
import tempfile

import jax
import matplotlib.pyplot as plt
import pandas as pd

import clo_gen as cg

jax.config.update("jax_enable_x64", True)
LOANS = 60

# %% [markdown]
# `read_config` gives the settings of a run, `assemble` reads and fits all that they name. Where
# each part comes from travels with it into every report.

# %%
a = cg.assemble(*cg.read_config(overrides=[f"tape.synthetic.obligors={LOANS}"]))
pd.DataFrame(a.provenance).T[["kind", "source"]]

# %% [markdown]
# ## The tape (synthetic)
#
# No public tape has the terms of leveraged loans, so this one is drawn around the published
# average spread of the 2025 deal. Every row says so.

# %%
loans = a.tape.frame
assert (loans.data_label == "synthetic").all()
loans[["loan_id", "rating", "current_balance", "spread_bps", "maturity_date", "data_label"]].head()

# %% [markdown]
# What a manager quotes are averages weighted by par: $\bar s = \sum_l b_l s_l / \sum_l b_l$.

# %%
par = loans.current_balance
years = (loans.maturity_date - pd.Timestamp(a.deal.terms.closing)).dt.days / 365.25
pd.Series({"par, million": par.sum() / 1e6,
           "spread, bp": (par * loans.spread_bps).sum() / par.sum(),
           "recovery": (par * loans.recovery_rate).sum() / par.sum(),
           "years to maturity": (par * years).sum() / par.sum()}).round(2)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2), layout="constrained")
order = list(a.config.tape.synthetic.rating_weights)
share = par.groupby(loans.rating).sum() / par.sum() * 100
share[order].plot.bar(ax=left, color="#3b6ea5", rot=0)
left.set(title="Par by rating (synthetic tape)", xlabel="", ylabel="% of par")
by_year = (par / par.sum() * 100).groupby(loans.maturity_date.dt.year).sum()
by_year.plot.bar(ax=right, color="#d8a03d", rot=0)
right.set(title="Par by year of maturity (synthetic tape)", xlabel="", ylabel="% of par");

# %% [markdown]
# ## A tape of your own, and one with mistakes
#
# `cg.read_tape` reads CSV or Parquet (columns: docs/input.md). All complaints come at once, each
# with row, field, value and what is accepted; nothing is guessed.

# %%
folder = pathlib.Path(tempfile.mkdtemp())
loans[["loan_id", "origination_date", "maturity_date", "current_balance", "rate_type",
       "spread_bps", "benchmark", "rating", "lien"]].to_csv(folder / "my_tape.csv", index=False)
how = dict(cutoff=a.deal.terms.closing, space=a.setup.space, indices=["SOFR"],
           recovery_by_lien={"first": 0.6, "second": 0.3})
mine = cg.read_tape(folder / "my_tape.csv", **how)
assert len(mine.frame) == len(loans)
mine.derived

# %%
wrong = pd.read_csv(folder / "my_tape.csv", dtype=str)
wrong.loc[2, "rating"], wrong.loc[5, "current_balance"] = "B?", "-1000"
wrong.to_csv(folder / "wrong_tape.csv", index=False)
try:
    cg.read_tape(folder / "wrong_tape.csv", **how)
except cg.InputError as error:
    print(error)

# %% [markdown]
# ## The macro history (real)
#
# Public-domain US series in FRED's format, 1959 to 2026; a run sees no month after its closing.
# They are revised data: what a forecaster knew at the time was less.

# %%
history = a.macro.frame
chosen = {"gdp_growth_yoy": "GDP growth, yearly", "unemployment_rate": "unemployment rate",
          "policy_rate": "policy rate", "credit_spread_cp": "commercial paper - bill spread"}
figure, axes = plt.subplots(2, 2, figsize=(10, 4.5), layout="constrained", sharex=True)
for ax, (name, title) in zip(axes.ravel(), chosen.items(), strict=True):
    ax.plot(history.index.to_timestamp(), history[name] * 100, color="#3b6ea5", linewidth=0.9)
    ax.set(title=title, ylabel="%")
assert history.index[-1] <= pd.Period(a.deal.terms.closing, "M")

# %% [markdown]
# ## Rating moves (real)
#
# 1,829 corporate obligors, 1999 to 2005. Counts by month are all that the transition models see.

# %%
counts = a.counts.counts.sum(1)                                   # [months, from, to]
default = a.counts.space.default
by_year = pd.DataFrame({"obligor-months": counts.sum((1, 2)),
                        "rating moves": counts.sum((1, 2)) - counts.trace(axis1=1, axis2=2),
                        "defaults": counts[:, :, default].sum(1)},
                       index=a.counts.months).groupby(lambda month: month.year).sum().astype(int)
assert by_year.defaults.sum() == 35
by_year

# %% [markdown]
# **What this means.** Thirty-five defaults in seven years cannot tell a B from a B- default rate:
# the model adds S&P's 1981-2016 averages as a Dirichlet prior worth 12,000 obligor-months a rating
# (notebook 3). Withdrawn ratings are censored, not counted as prepayments.
#
# **Limits.** The obligors rated here are larger and better rated than a CLO's; recoveries,
# prepayments and factor loadings are assumptions that no embedded data identify. Use your own
# panel: `clo-gen train --help`, docs/input.md.

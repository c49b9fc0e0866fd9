# %% [markdown]
# # Who is paid, in which order, and what does a failing test change?
#
# A deal's waterfall without any simulation: the published terms of a **real** 2025 US CLO, given
# default rates, every payment of one date, and the default rate that each class survives. The loans
# are **synthetic**.
#
# To scale up say `LOANS = 200`, or read a deal of your own with `cg.read_deal("deal.toml")`.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import clo_gen as cg
from clo_gen import break_even
from clo_gen.deal.tranche import attachment_points, closing_oc_ratios, metrics
from clo_gen.deal.waterfall import conservation_error
from clo_gen.explain.deal import explain_deal
from clo_gen.plots.run import cash_stack

jax.config.update("jax_enable_x64", True)
LOANS = 60
a = cg.assemble(*cg.read_config(overrides=[f"tape.synthetic.obligors={LOANS}"]))
deal = a.deal.deal
first, last = attachment_points(deal)
pd.DataFrame({"balance, million": deal.balance * a.deal.par / 1e6, "spread, bp": deal.spread * 1e4,
              "attaches at, %": first * 100, "detaches at, %": last * 100,
              "OC at closing, %": np.append(closing_oc_ratios(deal) * 100, np.nan)},
             index=a.deal.classes).round(1)

# %% [markdown]
# ## The deal in words
#
# A waterfall is a list of steps (docs/deals.md), so that a deal can be read back in words and in
# order. This is what `clo-gen deal check` prints.

# %%
words = explain_deal(a.deal)
print(words[: words.index("All proceeds, after an event of default")])

# %% [markdown]
# ## One payment date, step by step
#
# Collections come from assumptions in place of a model: 8 % of par defaults and 20 % prepays each
# year, 40 % of what defaults is lost. Every number is a share of initial par.

# %%
@jax.jit
def pay(inputs, cdr, severity=0.40):
    vectors = break_even.flat_vectors(inputs, cdr, 0.20, severity)
    return break_even.under_vectors(inputs, vectors, setup=a.setup)

cash = pay(a.inputs, 0.08)
date = 11                                            # the twelfth payment, three years in
paid = {f"fee: {name}": cash.fees[date, f] for f, name in enumerate(a.deal.fees)}
paid |= {f"{name} interest": cash.interest[date, k] for k, name in enumerate(a.deal.classes)}
paid |= {f"{name} principal": cash.principal[date, k] for k, name in enumerate(a.deal.classes)}
paid |= {f"cure of {name}": cash.cure[date, q] for q, name in enumerate(a.deal.tests)}
table = pd.Series(paid).astype(float) * a.deal.par / 1e6
print(f"{a.deal.payment_dates[date]}, million {a.deal.terms.currency}")
table[table.abs() > 1e-6].round(3)

# %% [markdown]
# Cash in is cash out, to rounding, on every date and path. It is worth checking: a waterfall that
# creates money is hard to see in averages.

# %%
vectors = break_even.flat_vectors(a.inputs, 0.08, 0.20, 0.40)
collections, index = break_even.collections_under(a.inputs, vectors, setup=a.setup)
error = conservation_error(deal, cash, collections, a.deal.calendar)
assert error < 1e-9
float(error)

# %% [markdown]
# ## When a test fails
#
# $\mathrm{OC}_k = (\text{performing par} + \text{defaults at market value} - \text{CCC haircut}) /
# \text{notes down to } k$. Below its trigger, interest that would go to the juniors repays the
# seniors until the ratio is back.

# %%
years = np.asarray(a.deal.calendar.years)
figure, axes = plt.subplots(3, 2, figsize=(11, 7), layout="constrained", sharex=True, sharey="row")
names = ["fees", *a.deal.classes]
e = a.deal.tests.index("E OC")
for column, cdr in zip(axes.T, (0.02, 0.08), strict=True):
    found = pay(a.inputs, cdr)
    flows = np.column_stack([found.fees.sum(1), found.interest])
    cash_stack(column[0], years, flows, names)
    column[0].set(title=f"Interest by payee at {cdr:.0%} defaults a year", ylim=(0, 2))
    ratio = np.where((found.ratio[:, e] > 0) & (found.ratio[:, e] < 3), found.ratio[:, e], np.nan)
    column[1].plot(years, ratio * 100, color="#3b6ea5", label="E OC ratio")
    column[1].axhline(deal.trigger[e] * 100, color="black", linestyle=":", label="trigger")
    column[1].set(title="E OC ratio and its trigger", ylim=(60, 140))
    column[2].bar(years, found.cure[:, e] * 100, width=0.2, color="#b8412f")
    column[2].set(title="Paid to cure the E test", xlabel="years", xlim=(0, 8))
for ax, unit in zip(axes[:, 0], ("% of par a date", "%", "% of par a date"), strict=True):
    ax.set_ylabel(unit)
axes[1, 0].legend(frameon=False, fontsize=8)
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center", fontsize=8,
              frameon=False, reverse=True)
cures = pay(a.inputs, 0.08).cure
assert pay(a.inputs, 0.02).cure.sum() < cures.sum()

# %% [markdown]
# ## What each class survives
#
# First-loss CDR: the highest constant default rate at which nothing of a class stays unpaid; 100
# where no rate hurts it.

# %%
severities = jnp.array([0.3, 0.4, 0.5])
found = break_even.compile_batch(a.setup)(a.inputs, jnp.full(3, 0.20), severities)
assert found.converged.all()
debt = list(a.deal.classes[:-1])
cdrs = pd.DataFrame(found.cdr * 100, columns=debt,
                    index=[f"{s:.0%} severity" for s in severities.tolist()])
assert (np.diff(cdrs.to_numpy(), axis=0) <= 1e-6).all()          # larger losses: lower rates
figure, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
cdrs.T.plot.bar(ax=ax, rot=0, color=["#3b6ea5", "#d8a03d", "#b8412f"], width=0.75)
ax.set(title="First-loss default rate (synthetic loans)", ylabel="% a year")
ax.legend(frameon=False)
cdrs.round(1)

# %% [markdown]
# ## Numbers of a path
#
# Loss, weighted average life, IRR and price of each class on this one path.

# %%
numbers = metrics(deal, cash, a.deal.calendar)
pd.DataFrame({"loss, %": numbers.loss * 100, "WAL, years": numbers.wal_years,
              "IRR, %": numbers.irr * 100, "price, %": numbers.price * 100},
             index=a.deal.classes).round(2)

# %% [markdown]
# **What this means.** At 8 % defaults a year the E test fails, equity stops being paid, and senior
# notes repay sooner: the cures are the protection that the presale's break-even rates rest on.
#
# **Limits.** One constant rate is no scenario; real defaults come in waves (notebook 5). Fee cap,
# market values, call, event of default and what reinvestment buys are assumptions, listed in
# `configs/deals/us_bsl.toml`. Collections of your own: `clo-gen waterfall deal.toml --collections`.

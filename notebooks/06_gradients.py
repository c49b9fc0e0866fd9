# %% [markdown]
# # What moves the deal, and what would it take to hurt a class?
#
# The graph is differentiable from the tape to the price of a class. One pullback gives the effect
# of every loan, rate and trigger; followed to a boundary, the same slopes give the likeliest macro
# path on which a class loses.
#
# A small static deal (**constructed**), **synthetic** loans, **real** macro and rating histories.
# Small settings; for a study take the quickstart's deal, 200 loans and `PATHS = 64`.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import clo_gen as cg
from clo_gen.analysis.settings import Settings
from clo_gen.jobs.reverse_stress import Request, examine
from clo_gen.jobs.sensitivity import sensitivities
from clo_gen.plots.reverse_stress import stressed_series
from clo_gen.plots.sensitivity import tornado

jax.config.update("jax_enable_x64", True)
LOANS, PATHS = 24, 8
a = cg.assemble(*cg.read_config(overrides=[
    "deal='deals/static_amortising.toml'", f"tape.synthetic.obligors={LOANS}", "paths=200"]))
{part: about["kind"] for part, about in a.provenance.items()}

# %% [markdown]
# ## A gradient
#
# Expected loss by each loan's recovery, $\partial\, E[L] / \partial R_l$: in mode `expected` it is
# exact, and minus the par of the loan that is expected to default.

# %%
def pool_loss(recovery, path):
    tape = a.inputs.tape.replace(recovery_rate=recovery)
    result = cg.simulate(a.params, a.inputs.replace(tape=tape), a.scenarios["adverse"],
                         cg.rng.path_key(jax.random.key(0), path), 0.01,
                         setup=cg.gradients.expected(a.setup))
    return result.loss, result.log_prob

found = jax.jit(lambda recovery: cg.gradient(pool_loss, recovery, jnp.arange(PATHS),
                                                    block=8))(a.inputs.tape.recovery_rate)
assert (found.gradient <= 0).all() and (-found.gradient <= a.inputs.tape.balance + 1e-9).all()
a.tape.frame.assign(gradient=found.gradient, error=found.error).nsmallest(5, "gradient")[
    ["loan_id", "rating", "current_balance", "gradient", "error"]]

# %% [markdown]
# A gradient is a claim that can be tested: move a recovery by a little and run again.

# %%
worst, bump = int(jnp.argmin(found.gradient)), 1e-4
values = jax.jit(jax.vmap(lambda recovery: jax.vmap(
    lambda i: pool_loss(recovery, i)[0])(jnp.arange(PATHS)).mean()))
up, down = values(a.inputs.tape.recovery_rate
                  + bump * jnp.array([[1.0], [-1.0]]) * jnp.eye(LOANS)[worst])
np.testing.assert_allclose((up - down) / (2 * bump), found.gradient[worst], rtol=1e-4)
float((up - down) / (2 * bump)), float(found.gradient[worst])

# %% [markdown]
# ## All of them at once
#
# Stated bumps (25 bp of spread, 5 points of recovery, ...) to first order, and the largest ones
# revalued in full: where both marks meet the bar's end, the slope tells the story.

# %%
found = sensitivities(a, "adverse", Settings(paths=PATHS, bars=6, obligors=3))
rows = {name: pd.DataFrame(found.checks[name]) for name in found.headlines[:2]}
figure, axes = plt.subplots(1, 2, figsize=(12, 3.6), layout="constrained")
for ax, (name, r) in zip(axes, rows.items(), strict=True):
    tornado(ax, r.factor + " " + r.bump, r.first_order, r[["revalued_up", "revalued_down"]], 1e4)
    ax.set(title=f"{name} (synthetic loans)", xlabel="change, bp")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4,
              frameon=False, fontsize=8)
assert (rows["pool loss"].difference < 0.05).all()
rows["pool loss"][["factor", "bump", "first_order", "revalued_central", "difference"]]

# %% [markdown]
# ## Reverse stress
#
# Which macro path on which class C loses is the likeliest? With z the generator's normal noise:
# $\min \lVert z \rVert \;\text{s.t. class C loses on path } z$. The distance is in standard
# deviations; two answers that differ are asked for.

# %%
stress = examine(a, Request(class_name="C", answers=2, draws=128))
assert all(row["reached"] for row in stress.rows)
pd.DataFrame(stress.rows)[["distance", "reached", "all_drawn_share", "all_drawn_mean",
                           "all_drawn_mean_error"]].round(3)

# %%
years = np.arange(1, len(stress.usual.middle) + 1) / 12
figure, axes = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")
for ax, (name, title) in zip(axes, (("unemployment_rate", "Unemployment rate"),
                                    ("gdp_growth_yoy", "GDP growth, yearly")), strict=True):
    m = stress.series.index(name)
    stressed_series(ax, years, [x[:, m] for x in (stress.usual.low, stress.usual.middle,
                                                  stress.usual.high)],
                    [path[:, m] for path in stress.paths])
    ax.set(title=title, xlabel="years", ylabel="%")
axes[0].legend(frameon=False, fontsize=8);

# %% [markdown]
# **What this means.** `all_drawn_share` is the share of loan lives that lose when that macro path
# is given and all else is drawn: a reverse stress in the pool's mean is about a coin's toss in
# its lives.
#
# **Limits.** Tests and calls are steps: slopes go through tests softened by a temperature of 0.01,
# and the tables show the hard revaluation beside them. A class's gradient in mode `expected` leaves
# out the luck of single loans (`gradients.scored` has it, at more noise: docs/gradients.md).
# Reverse stress moves macro noise alone. From the shell: `clo-gen sensitivity`, `clo-gen
# reverse-stress`.

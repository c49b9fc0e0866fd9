# %% [markdown]
# # How do loans move between ratings, and what do their lives look like?
#
# Level 2 turns a macro path into monthly transition matrices, level 3 turns those into loan
# lives. This notebook looks at the **real** counts behind the matrices, tests them on years not
# seen, and follows a pool of **synthetic** loans down one macro path.
#
# Small settings; to scale up raise `LOANS` and `DRAWS`. The learned forms of both levels (a
# transformer each) come from `clo-gen train`; see the end.

# %%
import dataclasses
import functools

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import clo_gen as cg
from clo_gen.assembly import prior_matrix
from clo_gen.evaluate.transition_baselines import held_out_transitions
from clo_gen.plots.lives import state_stack, transition_map

jax.config.update("jax_enable_x64", True)
LOANS, DRAWS = 60, 40
a = cg.assemble(*cg.read_config(overrides=[f"tape.synthetic.obligors={LOANS}"]))
space = a.setup.space
space.states

# %% [markdown]
# ## A matrix from real counts
#
# Posterior mean of a Dirichlet prior (S&P 1981-2016) and the counts of 1999-2005:
# $P_{ij} = (n_{ij} + \nu \pi_{ij}) / (n_i + \nu)$, with $\nu$ = 12,000 obligor-months. Years are
# the twelfth power of the month.

# %%
monthly = {"S&P 1981-2016 (prior)": prior_matrix(),
           "with the counts of 1999-2005": np.asarray(a.params.transition.base)}
live = [*space.live, "default"]
at = [space.states.index(s) for s in live]
figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for ax, (name, matrix) in zip(axes, monthly.items(), strict=True):
    year = np.linalg.matrix_power(matrix, 12)
    np.testing.assert_allclose(matrix[at[:-1]].sum(1), 1.0, atol=1e-9)
    transition_map(ax, year[np.ix_(at[:-1], at)], live[:-1], live)
    ax.set(title=f"{name}: % a year", xlabel="to", ylabel="from")

# %% [markdown]
# ## Does macro help out of sample?
#
# Models are fitted up to 2003 and scored on the months after: mean log-likelihood an obligor-month,
# higher is better, difference to the constant matrix with its standard error over months.

# %%
found = held_out_transitions(a.config.transitions, a.counts, a.macro, a.setup.series)
print(found["tested"], "-", found["defaults_seen"], "defaults seen;", found["verdict"])
pd.DataFrame(found["models"]).T

# %% [markdown]
# The test years are calm, and hold few defaults: they mostly score rating moves. That is the honest
# state of the public data, not a proof of the logit.
#
# ## Matrices on a macro path
#
# The logit moves the log-odds of each kind of move with macro covariates z:
# $\log P_{ij}(t) = \log P_{ij} + \beta_k \cdot z_t + \alpha_k - \log Z_i$.

# %%
key = cg.rng.path_key(jax.random.key(0), 3)
sources = cg.rng.sources(key)
figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
matrices, b, d = {}, space.states.index("B"), space.default
for name, color in (("baseline", "#3b6ea5"), ("severely_adverse", "#b8412f")):
    path = a.setup.macro_sample(a.params.macro, sources.macro, a.inputs.history,
                                a.scenarios[name], a.setup.series)
    matrices[name] = np.asarray(cg.pipeline.transitions_of(a.params, path, a.setup).matrix[0])
    years = np.arange(1, len(matrices[name]) + 1) / 12
    ax.plot(years, 100 * (1 - (1 - matrices[name][:, b, d]) ** 12), color=color,
            label=name.replace("_", " "))
ax.set(title="Default rate of a B loan on one path, same noise", xlabel="years", ylabel="% a year",
       xlim=(0, 8))
ax.legend(frameon=False)
assert all(np.allclose(m.sum(-1), 1.0) for m in matrices.values())

# %% [markdown]
# ## Loan lives
#
# Mode `markov` draws each loan's state month by month, `expected` pushes probabilities. With the
# macro path and the factors fixed, the second is exactly the mean of the first.

# %%
def lives(loan_key, mode):
    setup = dataclasses.replace(a.setup, mode=mode)
    own = cg.rng.sources(key).replace(loan=loan_key)
    lived, *_ = cg.pipeline.live_pool(a.params, a.inputs, a.scenarios["severely_adverse"], own,
                                   setup=setup, keep_loans=True)
    return lived.loans.weights, lived.collections.default

weights, expected = jax.jit(functools.partial(lives, mode="expected"))(sources.loan)
keys = jax.random.split(jax.random.key(1), DRAWS)
drawn, defaults = jax.jit(lambda keys: jax.lax.map(functools.partial(lives, mode="markov"), keys))(
    keys)
total, error = defaults.sum(1).mean(), defaults.sum(1).std() / np.sqrt(DRAWS)
assert abs(total - expected.sum()) < 4 * error
print(f"defaults, share of par: drawn {total:.3f} +- {error:.3f}, expected {expected.sum():.3f}")

# %%
figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained", sharey=True)
years = np.arange(1, weights.shape[0] + 1) / 12
for ax, shares, title in zip(axes, (drawn[0].mean(1), weights.mean(1)), (
        "one draw", "expected"), strict=True):
    state_stack(ax, years, shares, space.states)
    ax.set(title=f"{LOANS} loans (synthetic), severely adverse: {title}", xlim=(years[0], 8))
figure.legend(*axes[1].get_legend_handles_labels(), fontsize=7, frameon=False,
              loc="outside right center", reverse=True);

# %% [markdown]
# Single lives: each row of the table is a loan's state at the end of a year.

# %%
state = np.asarray(drawn[0].argmax(-1))[11:72:12].T
pd.DataFrame(np.array(space.states)[state], index=a.tape.frame.loan_id,
             columns=[f"year {y}" for y in range(1, 7)]).head(8)

# %% [markdown]
# **What this means.** On one macro path the pool's losses hardly scatter with many loans: what is
# left is the luck of single loans, which falls with their number (notebook 9). What one path
# cannot show is the macro path itself.
#
# **Limits.** A Markov chain forgets: a downgraded loan is no likelier to be downgraded again.
# Prepayment is an assumption (20 % a year), and the pool's terms are synthetic. Levels 2 and 3 as
# transformers, trained and judged against these baselines: `clo-gen train`, `clo-gen evaluate`,
# then `clo-gen run configs/learned.toml` (docs/levels.md has the measured gains, and where there
# are none).

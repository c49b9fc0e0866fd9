"""Loan-level contributions to expected loss and CVaR of the pool, by Euler's allocation.

The pool's loss on a path is linear in the loans' balances, so it is the sum of the balance weights
times their gradient; the same holds for its mean and for its mean over the worst paths. What a loan
adds is the gradient with respect to its own weight.

Reference: Tasche (2008), Capital allocation to business units and sub-portfolios: the Euler
principle; Rockafellar and Uryasev (2002), Conditional value-at-risk for general loss distributions.
"""

import dataclasses
import functools
from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from clo_gen import mesh, pipeline, rng
from clo_gen.analysis.bumps import Case
from clo_gen.analysis.settings import Settings, case_of
from clo_gen.assembly import Assembly
from clo_gen.pipeline import Setup

LEVELS = (0.95, 0.99)  # of the CVaR that loans contribute to
BLOCK = 256  # paths of a compiled call


def pool_loss(weight: jax.Array, case: Case, number: int, *, setup: Setup) -> jax.Array:
    """Lifetime loss [] of path `number`, share of the base par, at `weight` [L] times the balances.

    Loans already in default at the cut-off count, and recoveries after the end are lost, as in
    PathResult.loss.
    """
    i = case.inputs
    tape = i.tape.replace(balance=i.tape.balance * weight)
    contract = i.schedule.replace(opening=i.schedule.opening * weight[None],
                                  principal=i.schedule.principal * weight[None])
    sources = rng.sources(rng.path_key(case.key, number))
    lived = pipeline.live_pool(case.params, i.replace(tape=tape, schedule=contract),
                               case.scenario, sources, setup=setup)[0]
    return lived.collections.loss.sum() + lived.collections.defaulted[-1]


def loan_losses(case: Case, numbers, *, setup: Setup):
    """Loss [N, L] that each loan brings on each path, by the gradient at weights of one."""
    ones = jnp.ones_like(case.inputs.tape.balance)
    return jax.vmap(lambda n: jax.grad(lambda w: pool_loss(w, case, n, setup=setup))(ones))(numbers)


def tail_weights(losses: jax.Array | np.ndarray, level: float) -> np.ndarray:
    """Weights [N] of paths, summing to 1, whose weighted loss is the CVaR of risk.losses.tail.

    Paths beyond the VaR weigh 1 / (N (1 - level)) each, those on it share the rest.
    """
    losses = np.asarray(losses, float)
    n = len(losses)
    var = np.sort(losses)[min(max(int(np.ceil(level * n - 1e-9)) - 1, 0), n - 1)]
    beyond, on = losses > var, losses == var
    weights = beyond / (n * (1.0 - level))
    return weights + on * (1.0 - weights.sum()) / on.sum()


@dataclasses.dataclass(frozen=True)
class Contributions:
    """What each loan adds to the pool's expected loss and CVaR, share of initial par (host)."""

    expected: np.ndarray  # [L]; its sum is the expected loss
    expected_error: np.ndarray  # [L] Monte Carlo standard error
    cvar: np.ndarray  # [A, L]; row sums are the CVaR
    cvar_error: np.ndarray  # [A, L] of the mean over the tail's paths, the VaR taken as known
    losses: np.ndarray  # [N] of the pool by path
    levels: tuple[float, ...]


def contributions(by_loan: jax.Array | np.ndarray, levels: tuple[float, float]) -> Contributions:
    """Contributions from the losses [N, L] that loans bring on paths."""
    by_loan = np.asarray(by_loan, float)
    losses, n = by_loan.sum(1), len(by_loan)
    tails = np.stack([tail_weights(losses, level) for level in levels])
    cvar = tails @ by_loan
    spread = np.stack([w[:, None] ** 2 * (by_loan - row) ** 2
                       for w, row in zip(tails, cvar, strict=True)]).sum(1)
    return Contributions(by_loan.mean(0), by_loan.std(0, ddof=1) / np.sqrt(n), cvar,
                         np.sqrt(spread), losses, tuple(levels))


def simulated_losses(a: Assembly, scenario):
    """Losses [N, L] that loans bring on the paths of the config, in its own mode.

    Memory: N x L doubles.
    """
    devices = mesh.path_mesh()
    spread, whole = mesh.by_path(devices), mesh.replicated(devices)
    count = jax.device_count()
    block = -(-min(a.config.block or BLOCK, a.config.paths) // count) * count
    losses = jax.jit(functools.partial(loan_losses, setup=a.setup),
                     in_shardings=(whole, spread), out_shardings=spread)
    case = case_of(a, a.scenarios[scenario], Settings())
    parts = [np.asarray(losses(case, first + jnp.arange(block)))
             for first in range(0, a.config.paths, block)]
    return np.concatenate(parts)[: a.config.paths]


def loan_table(a: Assembly, scenario):
    """A row a loan, largest CVaR contribution first: its par, its part of the pool's expected loss
    and CVaR (share of initial par), their errors and shares. `attrs` holds the totals."""
    found, frame = contributions(simulated_losses(a, scenario), LEVELS), a.tape.frame
    table = pd.DataFrame({
        "loan_id": frame["loan_id"], "obligor_id": frame["obligor_id"],
        "industry": frame["industry_sector"], "rating": frame["rating"],
        "par": np.asarray(a.inputs.tape.balance)})
    totals: dict[Hashable | None, Any] = {"mode": str(a.setup.mode), "paths": a.config.paths}
    rows = [("expected_loss", found.expected, found.expected_error)]
    rows += [(f"cvar_{level * 100:g}", row, error)
             for level, row, error in zip(LEVELS, found.cvar, found.cvar_error, strict=True)]
    for name, row, error in rows:
        total = totals[name] = float(row.sum())
        table[name], table[f"{name}_std_error"] = row, error
        table[f"{name}_share"] = row / (total if total > 0 else 1.0)
    table = table.sort_values(rows[-1][0], ascending=False, ignore_index=True)
    table.attrs = totals
    return table

"""Shares of the loss variance by random source: macro, cohort, factor, idiosyncratic.

Nested law of total variance in that order. With L the loss of a path and each source an independent
set of draws (rng.Sources):

    Var L = Var E[L|m] + E Var(E[L|m,c] | m) + E Var(E[L|m,c,f] | m,c) + E Var(L | m,c,f)

and Var E[L | kept sources] = Cov(L, L'), L' the path with all other sources redrawn (pick-freeze).
`decompose` takes drawn losses of anything; `decompose_conditional` the exact conditional moments of
the pool's loss (conditional_losses), which leaves the noise of single loans out of every estimate.

Reference: methodology, correlation structure; Sobol (1993), Sensitivity estimates for nonlinear
mathematical models; Janon, Klein, Lagnoux, Nodet and Prieur (2014), Asymptotic normality and
efficiency of two Sobol index estimators, ESAIM P&S 18; Saltelli et al. (2010), CPC 181.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from clo_gen import pipeline, rng
from clo_gen.analysis.conditional_losses import loan_moments

NAMES = ("macro", "cohort", "factor", "idiosyncratic")
OTHER = 2**32 - 1  # fold of the key from which redrawn sources come; no path has this number

# One row a run of the path, one column a source: 0 its own draws, 1 those of the other path.
NESTED = ((0, 0, 0, 0), (0, 1, 1, 1), (0, 0, 1, 1), (0, 0, 0, 1), (1, 1, 1, 1))
CONDITIONAL = ((0, 0, 0, 0), (0, 1, 1, 0), (0, 0, 1, 0), (0, 1, 0, 0))
INDICES = (*NESTED, (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0), (1, 0, 0, 0), (0, 1, 0, 0),
           (0, 0, 1, 0))


def pool_loss(params, inputs, scenario, sources, *, setup):
    """PathResult.loss [] of pipeline.simulate_from, without the waterfall."""
    lived = pipeline.live_pool(params, inputs, scenario, sources, setup=setup)[0]
    return lived.collections.loss.sum() + lived.collections.defaulted[-1]


def class_loss(params, inputs, scenario, sources, *, setup):
    """Losses [K] of the classes, principal unpaid at maturity over original balance."""
    done = pipeline.simulate_from(params, inputs, scenario, sources, 0.0, setup=setup)
    return done.tranches.loss


def conditional_loss(params, inputs, scenario, sources, *, setup):
    """(mean [], variance []) of the pool's loss given the systematic draws; exact and smooth."""
    of_loan = loan_moments(params, inputs, scenario, sources, setup=setup)
    return of_loan.mean.sum(), (of_loan.square - of_loan.mean**2).sum()


def crossed(key: jax.Array, number: int,
            design: tuple[tuple[int, int, int, int], ...]) -> rng.Sources:
    """rng.Sources with leading axis D: path `number` with sources redrawn as each row says."""
    pair = jnp.stack([rng.path_key(key, number),
                      rng.path_key(jax.random.fold_in(key, OTHER), number)])
    rows = jnp.asarray(design)
    return rng.Sources(*(jax.random.clone(pair)[rows[:, k]] for k in range(len(NAMES))))


def run_design(outcome, key, numbers, design):
    """outcome(sources) of every path number [N] under every row of `design` [D], axes [N, D]."""
    def path(number):
        return jax.vmap(outcome)(crossed(key, number, design))

    return jax.vmap(path)(numbers)


@dataclasses.dataclass(frozen=True)
class Shares:
    """Shares of a variance by NAMES, with standard errors over paths."""

    share: np.ndarray  # [4]; they add to 1 as shares of the components' sum
    share_error: np.ndarray  # [4]
    variance: np.ndarray  # [4] components; their sum need not be the variance of anything drawn
    variance_error: np.ndarray  # [4]
    closure: float  # sum of the components over the variance of whole paths' drawn losses
    closure_error: float
    mean: float
    mean_error: float
    sd: float  # of the loss: root of the components' sum
    paths: int


def _shares(parts, drawn, losses):
    """Shares from each path's contribution `parts` [N, 4] to the components.

    Errors by the influence function of each ratio. `drawn` [N] are losses whose variance closes the
    sum, `losses` [N] those whose mean is told.
    """
    n = len(parts)
    component = parts.mean(0)
    total, each = component.sum(), parts.sum(1)
    share = component / total if total > 0 else np.full(4, np.nan)
    pull = (parts - component - share * (each - total)[:, None]) / max(total, 1e-300)
    squared = (drawn - drawn.mean()) ** 2
    spread = max(squared.mean(), 1e-300)
    closure = total / spread
    slack = (each - total - closure * (squared - squared.mean())) / spread
    root = np.sqrt(n)
    return Shares(share, pull.std(0) / root, component, parts.std(0) / root, float(closure),
                  float(slack.std() / root), float(losses.mean()), float(losses.std() / root),
                  float(np.sqrt(max(total, 0.0))), n)


def decompose(values: jax.Array | np.ndarray) -> Shares:
    """Shares of drawn losses `values` [N, 5 or more] under the rows of NESTED (or INDICES).

    The first three components are differences of pick-freeze covariances, the fourth is half the
    mean square of what redrawing the loans alone changes. So nothing forces the sum: `closure`
    compares it with the variance of the paths that share no draw.
    """
    values = np.asarray(values, float)
    own, macro, cohort, factor, other = (values[:, d] for d in range(5))
    mean = values[:, :5].mean()
    covariance = np.stack([(own - mean) * (x - mean) for x in (macro, cohort, factor)], axis=1)
    parts = np.column_stack([np.diff(covariance, axis=1, prepend=0.0), 0.5 * (own - factor) ** 2])
    return _shares(parts, other, own)


def decompose_conditional(mean, variance, drawn):
    """Shares from conditional moments [N, 4] each under the rows of CONDITIONAL.

    The four rows are one macro path with two cohort draws crossed with two factor draws: every
    covariance is an average of two products. `drawn` [N] are losses of the same paths with the
    loans drawn too.
    """
    mean, variance = np.asarray(mean, float), np.asarray(variance, float)
    y = mean - mean.mean()
    macro = 0.5 * (y[:, 0] * y[:, 1] + y[:, 2] * y[:, 3])
    cohort = 0.5 * (y[:, 0] * y[:, 2] + y[:, 1] * y[:, 3])
    systematic_part = (y**2).mean(1)
    parts = np.column_stack([macro, cohort - macro, systematic_part - cohort, variance.mean(1)])
    return _shares(parts, np.asarray(drawn, float), mean.mean(1))


@dataclasses.dataclass(frozen=True)
class Indices:
    """Sobol indices by NAMES: of a source alone, and of it with all it interacts with."""

    first: np.ndarray  # [4] Var E[L | source] / Var L
    first_error: np.ndarray  # [4]
    total: np.ndarray  # [4] E Var(L | all others) / Var L
    total_error: np.ndarray  # [4]


def indices(values: jax.Array | np.ndarray) -> Indices:
    """Indices of drawn losses [N, D] under the rows of INDICES. Unlike the nested shares they do
    not depend on an order; first-order indices add to less than 1 where sources interact."""
    values = np.asarray(values, float)
    own, mean = values[:, 0], values.mean()
    squared = ((values - mean) ** 2).mean(1)
    total = squared.mean()
    alone = [INDICES.index(tuple(int(k != s) for k in range(4))) for s in range(4)]
    swapped = [INDICES.index(tuple(int(k == s) for k in range(4))) for s in range(4)]
    first = np.stack([(own - mean) * (values[:, d] - mean) for d in alone], axis=1)
    effect = np.stack([0.5 * (own - values[:, d]) ** 2 for d in swapped], axis=1)

    def ratio(parts):
        share = parts.mean(0) / total
        pull = (parts - parts.mean(0) - share * (squared - total)[:, None]) / total
        return share, pull.std(0) / np.sqrt(len(values))

    return Indices(*ratio(first), *ratio(effect))

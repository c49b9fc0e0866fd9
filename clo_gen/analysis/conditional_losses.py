"""Loan losses and defaults given the systematic draws, without drawing a single loan.

Given the macro path and the cohort and factor draws, loans are independent of each other and the
events of one loan's life that bring a loss exclude each other (default in month t, or a share of
its balloon not refinanced). So probabilities pushed month by month (`expected` mode) give the mean
and the variance of every loan's loss exactly, and pair moments are products of probabilities.
"""

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen import pipeline
from clo_gen.models import loan_states, systematic


class LoanMoments(struct.PyTreeNode):
    """Of each loan given the systematic draws; losses in shares of the pool's initial par."""

    mean: jax.Array  # [L] expected loss
    square: jax.Array  # [L] expected squared loss
    default: jax.Array  # [H, L] probability of default by each horizon, maturities left out


def _severity(rate, lag, months):
    """Share of par [T, L] lost on a default in month t; recoveries after the end are lost."""
    in_time = (jnp.arange(months) + lag < months).astype(rate.dtype)
    return 1.0 - in_time[:, None] * rate


def loan_moments(params, inputs, scenario, sources, horizons=(), *, setup):
    """LoanMoments of one path by `horizons` [H] months (static); differentiable in params, inputs.

    What rng.Sources.loan holds does not matter: loans are not drawn.
    """
    i = inputs
    path = setup.macro_sample(params.macro, sources.macro, i.history, scenario, setup.series)
    shifts = systematic.sample(params.loadings, sources, i.schedule.opening.shape[0], setup.groups)
    matrix = pipeline.transitions_of(params, path, setup).matrix
    return moments_given(i.tape, i.schedule, matrix, shifts, horizons, setup=setup)


def moments_given(tape, schedule, matrix, shifts, horizons, *, setup):
    """LoanMoments under given monthly matrices [C, T, S, S] and systematic shifts."""
    space, way = setup.space, loan_states.MODES["expected"]
    months = schedule.opening.shape[0]
    caught_at = jnp.asarray(horizons, int)
    last_month = tape.maturity.max()

    def month(carry, x):
        weights, mean, square, caught = carry
        t, contract, matrix, shift, severity = x

        def advance(weights):
            odds = systematic.odds_of_loans(tape, shift)
            return way.advance(space, tape, weights, matrix, odds, t, None)

        after = jax.lax.cond(t < last_month, advance, lambda weights: weights, weights)
        flows = way.flows(space, weights, after)
        fails = jnp.where(contract.balloon, tape.default_at_maturity, 0.0)
        owing = flows.survive + flows.prepay
        lost = severity * contract.opening
        mean = mean + (flows.default + owing * fails) * lost
        square = square + (flows.default + owing * fails**2) * lost**2
        here = (caught_at == t + 1)[:, None]
        caught = jnp.where(here, way.weights(after, space)[:, space.default][None], caught)
        return (after, mean, square, caught), None

    severity = _severity(tape.recovery_rate, setup.recovery_lag, months)
    start = way.start(space, tape)
    nothing = jnp.zeros_like(tape.balance)
    caught = jnp.zeros((len(horizons), tape.balance.shape[0]), tape.balance.dtype)
    xs = (jnp.arange(months), schedule, jnp.moveaxis(matrix, 1, 0), shifts, severity)
    (_, mean, square, caught), _ = jax.lax.scan(month, (start, nothing, nothing, caught), xs)
    known = _known_losses(tape, setup, months)
    return LoanMoments(mean + known, square + known**2, caught)


def _known_losses(tape, setup, months):
    """Losses [L] of the loans in default at the cut-off: the same on every path."""
    in_time = jnp.maximum(setup.recovery_lag - tape.default_age, 1) <= months
    lost = tape.balance * (1.0 - in_time * tape.recovery_rate)
    return jnp.where(tape.state == setup.space.default, lost, 0.0)

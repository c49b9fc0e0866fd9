"""Named perturbations of a whole problem, all zero at the base, and the outcomes under them.

One record holds every input that a desk bumps, so that one vector-Jacobian product with respect to
it gives all sensitivities, and a bump-and-revalue is the same function at another point.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen import pipeline, rng
from clo_gen.cash.schedule import schedule
from clo_gen.deal.analytics import (
    clean_price,
    discount_factors,
    floating_discount,
    present_value,
)
from clo_gen.numerics import safe_ratio
from clo_gen.pipeline import Inputs, Params, Setup
from clo_gen.records import MacroPath, Transitions
from clo_gen.states import StateSpace

QUARTER = 3  # months


class Bumps(struct.PyTreeNode):
    """Perturbations by name; zero is the base. Rates are yearly fractions, log-odds are natural.

    R live states, Q quarters of the path; the other letters as in clo_gen.records.
    """

    default_odds: jax.Array  # [R] added to the monthly log-odds of default of a loan so rated
    recovery: jax.Array  # [] added to every recovery rate, also of what principal buys
    prepayment: jax.Array  # [] added to the yearly prepayment rate
    loan_spread: jax.Array  # [] added to every loan's rate, also of what principal buys
    loading: jax.Array  # [3] log of a factor on the loadings: cohort, industry, region
    macro: jax.Array  # [Q, M] added to each series in the months of that quarter alone
    note_spread: jax.Array  # [K] added to the rate that a class pays; equity has none
    market_spread: jax.Array  # [] added to the rates at which classes are priced
    trigger: jax.Array  # [tests]
    fee: jax.Array  # [F] added to the yearly rate on performing par
    size: jax.Array  # [K] par added to a class and taken from equity, share of initial par
    loan_odds: jax.Array  # [L] added to each loan's log-odds of a worse state
    loan_par: jax.Array  # [L] par moved into a loan out of all others pro rata, of initial par


class Case(struct.PyTreeNode):
    """What a revaluation reads beside the bumps and the path numbers."""

    params: Params
    inputs: Inputs
    scenario: Any
    key: jax.Array  # of the run; path i uses rng.path_key(key, i)
    temperature: jax.Array  # []
    yields: jax.Array  # [K] where the net present values among the outcomes are taken


class Tilted(struct.PyTreeNode):
    """A transition model and what is added to its log-odds of default [R]."""

    model: Any
    default_odds: jax.Array


def no_bumps(inputs: Inputs, setup: Setup) -> Bumps:
    """Bumps of zeros for a problem."""
    def zeros(*shape):
        return jnp.zeros(shape, inputs.deal.balance.dtype)

    months, loans = inputs.schedule.opening.shape
    classes = inputs.deal.balance.shape[0]
    return Bumps(
        default_odds=zeros(len(setup.space.live)), recovery=zeros(), prepayment=zeros(),
        loan_spread=zeros(), loading=zeros(3),
        macro=zeros(-(-months // QUARTER), len(setup.series)), note_spread=zeros(classes),
        market_spread=zeros(), trigger=zeros(*inputs.deal.trigger.shape),
        fee=zeros(*inputs.deal.fee_rate.shape), size=zeros(classes), loan_odds=zeros(loans),
        loan_par=zeros(loans))


def tilt(transitions: Transitions, log_odds: jax.Array, space: StateSpace) -> Transitions:
    """Transitions whose rows [R] of live states have their log-odds of default raised."""
    odds = jnp.ones(space.size, log_odds.dtype).at[: len(space.live)].set(jnp.exp(log_odds))
    column = jnp.arange(space.size) == space.default
    matrix = transitions.matrix
    matrix = jnp.where(column[None, None, None], matrix * odds[None, None, :, None], matrix)
    return Transitions(matrix / matrix.sum(-1, keepdims=True))


def _predict_tilted(predict, space, tilted: Tilted, path):
    return tilt(predict(tilted.model, path), tilted.default_odds, space)


def bumped(setup: Setup):
    """`setup` that reads what `perturb` returns, in `expected` mode.

    Make it once: a new one is a new program to the compiler.
    """
    return dataclasses.replace(setup, mode="expected", transition_predict=functools.partial(
        _predict_tilted, setup.transition_predict, setup.space))


def _perturbed_tape(tape, b: Bumps):
    taken = tape.balance * b.loan_par.sum() / tape.balance.sum()
    return tape.replace(
        balance=tape.balance + b.loan_par - taken,
        recovery_rate=tape.recovery_rate + b.recovery,
        coupon=tape.coupon + b.loan_spread * (1.0 - tape.floating),
        spread=tape.spread + b.loan_spread * tape.floating,
        loan_effect=tape.loan_effect + b.loan_odds)


def _perturbed_deal(deal, b: Bumps):
    debt = jnp.ones_like(deal.balance).at[-1].set(0.0)
    floating = b.note_spread * debt * deal.floating
    fixed = b.note_spread * debt * (1.0 - deal.floating)
    size = b.size * debt
    return deal.replace(
        balance=(deal.balance + size).at[-1].add(-size.sum()),
        coupon=deal.coupon + jnp.broadcast_to(fixed, deal.coupon.shape),
        new_coupon=deal.new_coupon + fixed,
        spread=deal.spread + floating, new_spread=deal.new_spread + floating,
        trigger=deal.trigger + b.trigger, fee_rate=deal.fee_rate + b.fee)


def _a_year(calendar):
    """What turns a yearly fee rate into the one a fee accrues at [F]: fees that are due per payment
    have their rate per payment, too."""
    payments = calendar.fee_fraction.shape[0]
    per_payment = (calendar.fee_fraction == 1.0).all(0)
    return jnp.where(per_payment, calendar.years[-1] / payments, 1.0)


def perturb(params: Params, inputs: Inputs, b: Bumps, setup: Setup) -> tuple[Params, Inputs]:
    """(Params, Inputs) with the bumps in them, for `bumped(setup)`.

    The contract schedule is worked out anew, as balances and rates enter it.
    """
    tape = _perturbed_tape(inputs.tape, b)
    today = pipeline.index_now(inputs.history, inputs.curves, setup.index_columns)
    purchases = inputs.purchases
    if purchases is not None:
        purchases = purchases.replace(spread=purchases.spread + b.loan_spread,
                                      recovery_rate=purchases.recovery_rate + b.recovery)
    load, factor = params.loadings, jnp.exp(b.loading)
    params = params.replace(
        transition=Tilted(params.transition, b.default_odds),
        prepayment=params.prepayment.replace(cpr=params.prepayment.cpr + b.prepayment),
        loadings=load.replace(cohort=load.cohort * factor[0], industry=load.industry * factor[1],
                              region=load.region * factor[2]))
    yearly = b.replace(fee=b.fee * _a_year(inputs.calendar))
    return params, inputs.replace(tape=tape, schedule=schedule(tape, inputs.calendar, today),
                                  deal=_perturbed_deal(inputs.deal, yearly), purchases=purchases)


def by_month(quarters, months):
    """[months, M] from values [Q, M] that hold for each quarter of the path."""
    count = QUARTER * quarters.shape[0]
    return jnp.repeat(quarters, QUARTER, axis=0, total_repeat_length=count)[:months]


def shift_path(path: MacroPath, shift):
    """`path` with `shift` [Q, M] added to the months of each quarter."""
    return path.replace(values=path.values + by_month(shift, path.values.shape[0]))


def outcome_names(classes):
    """Names of the O outcomes: the pool's loss, then loss, price and IRR of each class."""
    return ("pool loss", *(f"{name} {what}" for what in ("loss", "price", "IRR")
                           for name in classes))


class Paths(struct.PyTreeNode):
    """What single paths add to the outcomes.

    The IRR of a class is that of its mean cash, not the mean of IRRs by path: those are -1 wherever
    nothing comes back, next to which no first-order number holds. Path by path it enters as the net
    present value at a given yield, whose slope over that of the mean's value in the yield is the
    slope of the IRR.
    """

    values: jax.Array  # [N, O] the IRR's place holds the net present value per cost at Case.yields
    returns: jax.Array  # [N, P, K] cash over cost


def path_outcomes(result: pipeline.PathResult, deal, calendar, price, yields):
    """Paths of one path, without the leading axis."""
    cost = deal.balance.at[-1].multiply(deal.equity_price)
    returns = safe_ratio(result.cash.interest + result.cash.principal, cost[None], 0.0)
    discount = (1.0 + yields)[None] ** -calendar.years[:, None]
    value = (returns * discount).sum(0) - 1.0
    return Paths(jnp.concatenate([result.loss[None], result.tranches.loss, price, value]), returns)


def market_price(deal, cash, calendar, b: Bumps):
    """Price [K] at the market's rates: those of the unbumped classes plus b.market_spread.

    So a wider coupon of the class raises its price, and a wider market spread lowers it; without
    bumps it is TrancheMetrics.price.
    """
    own = cash.rate - b.note_spread.at[-1].set(0.0)[None]
    discount = jax.vmap(floating_discount, in_axes=(None, 1, 1), out_axes=1)(
        b.market_spread, own, calendar.note_fraction)
    discount = discount.at[:, -1].set(
        discount_factors(deal.hurdle + b.market_spread, calendar.years))
    value = jax.vmap(present_value, in_axes=(1, 1))(cash.interest + cash.principal, discount)
    return clean_price(value, deal.balance, 0.0)


def outcomes(b: Bumps, case: Case, numbers, *, setup: Setup):
    """Paths [N] of the paths `numbers`; `setup` is `bumped(...)`."""
    params, inputs = perturb(case.params, case.inputs, b, setup)

    def one(number):
        sources = rng.sources(rng.path_key(case.key, number))
        path = setup.macro_sample(params.macro, sources.macro, inputs.history, case.scenario,
                                  setup.series)
        result = pipeline.follow(params, inputs, shift_path(path, b.macro), sources,
                                 case.temperature, setup=setup)
        price = market_price(inputs.deal, result.cash, inputs.calendar, b)
        return path_outcomes(result, inputs.deal, inputs.calendar, price, case.yields)

    return jax.vmap(one)(numbers)

"""First-loss CDR of every class: how high a constant default rate it survives; and the break-even
default rate: how much of the pool may default, along a timing curve.

The pool runs under assumption vectors (cash.vectors) in place of the simulation, then through the
deal's waterfall; all classes are searched in one batch.
"""

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from clo_gen.cash import new_collateral, vectors
from clo_gen.deal.waterfall import run_waterfall
from clo_gen.io.problems import Problems
from clo_gen.numerics import lesser, safe_ratio
from clo_gen.pipeline import Inputs, Setup
from clo_gen.records import Collections, TrancheCash, Vectors
from clo_gen.risk.break_even import BreakEven, first_loss_cdr


def collections_under(inputs: Inputs, assumed: Vectors, *,
                      setup: Setup) -> tuple[Collections, jax.Array]:
    """(Collections of the pool, indices by month [T, I]) under `assumed` vectors."""
    i = inputs
    index = jnp.stack([i.curves[1:, n] if c < 0 else jnp.full(i.curves.shape[0] - 1,
                                                              i.history[-1, c])
                       for n, c in enumerate(setup.index_columns)], axis=1)
    return vectors.collections(i.tape, i.schedule, assumed, i.deal, index, space=setup.space,
                               lag=setup.recovery_lag), index


def under_vectors(inputs: Inputs, assumed: Vectors, *, setup: Setup) -> TrancheCash:
    """TrancheCash of the pool and deal under `assumed` vectors, the indices on their forward curve
    or, where they follow a macro series, at their value on the cut-off date.

    Collateral bought with principal defaults, prepays and loses at the rates of the last month of
    each payment period.
    """
    i = inputs
    collections, index = collections_under(i, assumed, setup=setup)
    fixings = jnp.concatenate([index[:1], index])[i.calendar.reset_month + 1, setup.note_index]
    new = None
    if i.purchases is not None:
        last = i.calendar.last_month
        one_state = i.purchases.replace(mix=jnp.ones(1),
                                        recovery_rate=1.0 - assumed.severity[last].mean())
        new = new_collateral.from_rates(one_state, assumed.cdr[last], assumed.cpr[last], fixings,
                                        i.calendar)
    return run_waterfall(i.deal, setup.waterfall, collections, fixings, 0.0, calendar=i.calendar,
                         new=new)


def flat_vectors(inputs: Inputs, cdr: jax.Array | float, cpr: jax.Array | float,
                 severity: jax.Array | float) -> Vectors:
    """Vectors at constant yearly rates; months count as 30/360."""
    months = inputs.schedule.opening.shape[0]
    ones = jnp.ones(months)
    return Vectors(years=ones / 12.0, cdr=cdr * ones, cpr=cpr * ones, severity=severity * ones,
                   default_at_maturity=jnp.zeros(()))


def first_loss_cdrs(inputs: Inputs, cpr: jax.Array | float, severity: jax.Array | float, *,
                    setup: Setup) -> BreakEven:
    """risk.break_even.BreakEven over the K-1 debt classes at constant `cpr` and `severity`: a class
    is hit once principal or deferred interest is unpaid at maturity."""
    # The inputs stay outside the solver's arguments: what loans pay is summed once for all.
    def unpaid(cdr, args):
        cpr, severity = args
        cash = under_vectors(inputs, flat_vectors(inputs, cdr, cpr, severity), setup=setup)
        left = (cash.balance[-1] + cash.unpaid[-1])[:-1]
        return left / jnp.where(inputs.deal.balance[:-1] > 0, inputs.deal.balance[:-1], 1.0)

    return first_loss_cdr(unpaid, (jnp.asarray(cpr, float), jnp.asarray(severity, float)))


def compile_batch(setup: Setup) -> Callable[[Inputs, jax.Array, jax.Array], BreakEven]:
    """Compiled (inputs, cpr [N], severity [N]) -> BreakEven [N, K-1]: all searches in one batch."""
    def batch(inputs, cpr, severity):
        return jax.vmap(lambda c, s: first_loss_cdrs(inputs, c, s, setup=setup))(cpr, severity)

    return jax.jit(batch)


TIMINGS = {"early": (0.4, 0.3, 0.15, 0.1, 0.05), "even": (0.2, 0.2, 0.2, 0.2, 0.2),
           "late": (0.05, 0.1, 0.15, 0.3, 0.4)}  # shares of all defaults by year: our choice


def timing_curves(timings: Mapping[str, Sequence[float]] | None,
                  months: int) -> tuple[tuple[str, ...], np.ndarray]:
    """(names, monthly shares [n, months]) of default timings {name: shares by year}; None: TIMINGS.

    Raises InputError unless shares are not negative and sum to 1 within the months.
    """
    timings, problems, rows = timings or TIMINGS, Problems("timings"), []
    for name, shares in timings.items():
        try:
            years = np.asarray(shares, float)
        except (TypeError, ValueError):
            years = np.full(1, np.nan)
        if years.ndim != 1 or not (years >= 0).all() or not abs(years.sum() - 1.0) <= 1e-9:
            problems.add(name, shares, "shares by year that are not negative and sum to 1")
        elif 12 * len(years) > months:
            problems.add(name, f"{len(years)} years", f"at most the deal's {months / 12:g}")
        else:
            rows.append(np.pad(np.repeat(years / 12, 12), (0, months - 12 * len(years))))
    problems.raise_if_any()
    return tuple(timings), np.stack(rows)


def timed_vectors(inputs: Inputs, rate: jax.Array | float, timing: jax.Array,
                  cpr: jax.Array | float, severity: jax.Array | float) -> Vectors:
    """Vectors that aim at defaults of `rate` x timing[t] of the pool in month t; less default once
    `cpr` or a maturity leaves less."""
    flat = flat_vectors(inputs, 0.0, cpr, severity)
    stay = 1.0 - vectors.period_rate(flat.cpr[0], flat.years[0])

    def month(left, share):
        hazard = lesser(safe_ratio(rate * share, left, 1.0), 1.0)
        return left * (1.0 - hazard) * stay, hazard

    hazard = jax.lax.scan(month, jnp.ones_like(stay), timing)[1]
    return flat.replace(cdr=1.0 - (1.0 - hazard) ** 12)


def break_even_default_rates(inputs: Inputs, timing: jax.Array, shift: jax.Array | float,
                             cpr: jax.Array | float, severity: jax.Array | float, *,
                             setup: Setup) -> BreakEven:
    """risk.break_even.BreakEven over the K-1 debt classes: the share of the pool's par that has
    defaulted, along `timing` [T], when principal or deferred interest of the class is first unpaid.

    It is what really defaults, not what the timing aims at: loans that prepaid or matured cannot.
    `shift` [] is added to every index. A class never hit has the most that can default, at an aim
    of 1. Collateral bought in between defaults at the same rates and is not counted.
    """
    followed = jnp.asarray([c for c in setup.index_columns if c >= 0], int)
    moved = inputs.replace(curves=inputs.curves + shift,
                           history=inputs.history.at[-1, followed].add(shift))

    def unpaid(rate, args):
        assumed = timed_vectors(moved, rate, timing, *args)
        cash = under_vectors(moved, assumed, setup=setup)
        left = (cash.balance[-1] + cash.unpaid[-1])[:-1]
        return left / jnp.where(inputs.deal.balance[:-1] > 0, inputs.deal.balance[:-1], 1.0)

    args = jnp.asarray(cpr, float), jnp.asarray(severity, float)
    found = first_loss_cdr(unpaid, args)

    def defaulted(rate):
        assumed = timed_vectors(moved, rate, timing, *args)
        return collections_under(moved, assumed, setup=setup)[0].default.sum()

    return found.replace(cdr=jax.vmap(defaulted)(found.cdr))

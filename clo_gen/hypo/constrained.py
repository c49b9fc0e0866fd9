"""Optimal pools within the limits: the worst that trading can reach, and the nearest compliant one.

hypo.trading says how the limits become linear. The diversity constraint counts the obligors held
now: those bought do not raise the number (a dust position would count as a name), and where the
optimum sells so many out that the look-up fails, the program is solved again with the number left.
Every reported result and breach is that of hypo.quality, the look-up included. Infeasible limits
give the pool of least breach (prices are then those of breaching), or the present one where that
cannot be found, and `converged` False.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from clo_gen.hypo.diversity import EPS
from clo_gen.hypo.monitor import adjusted_bdr, effective_number, sdr
from clo_gen.hypo.quality import AVERAGES, Quality, averages, diversity_of, held, quality
from clo_gen.hypo.records import FormulaProblem, Positions, QualityLimits, SdrMeasures
from clo_gen.hypo.trading import Trading, program_of, unit_of
from clo_gen.solve.quadratic import Found, lagrangian, search, solution

DUST = 1e-7  # of the portfolio: smaller holdings are none
TOLERANCE = 1e-6  # of KKT residual and breach
UNSOLVED = 1e-2  # KKT residual beyond which a result means nothing
ROUNDS = 6  # numbers of obligors tried
HALVINGS = 30  # of a line search


class Traded(struct.PyTreeNode):
    """The portfolio a solve found. A price is d objective / d limit, 0 where the limit has room.

    Differentiable once in limits, trading and positions: the objective always, shares where the
    optimum is unique.
    """

    share: jax.Array  # [L]
    objective: jax.Array  # []
    traded: jax.Array  # [] bought, share of the portfolio
    quality: Quality  # tests of the portfolio
    price: QualityLimits  # of each limit, and of each number of the tables
    trading_price: Trading  # of turnover and of what may be bought
    count: jax.Array  # [] obligors that the diversity constraint counted
    breach: jax.Array  # [] largest: a share, or relative to the limit of an average
    kkt: jax.Array  # [] largest KKT residual, all scaled to 1
    converged: jax.Array  # [] bool: kkt and breach within TOLERANCE


class _Case(struct.PyTreeNode):
    """What an objective reads."""

    limits: QualityLimits
    trading: Trading
    positions: Positions
    monitor: FormulaProblem | None = None
    region: jax.Array | None = None  # [L] int below L


class _Tried(struct.PyTreeNode):
    """A pool on the way."""

    x: jax.Array  # [n] variables of hypo.trading.program_of
    found: Found  # solution of the program linear at x
    gain: jax.Array  # [] slope (x - found.x) over the largest slope: 0 at a stationary pool
    steps: jax.Array  # [] int


def stressed_portfolio(limits: QualityLimits, trading: Trading, positions: Positions, *,
                       industries: int, curvature: float = 0.0) -> Traded:
    """Traded: the portfolio of highest risk score that trading reaches within the limits.

    A linear program; `objective` is the risk score, whose own limit takes no part: compare the two.
    Industry codes are below `industries`. Equal ratings make many portfolios equally bad; this is
    one in their middle. A `curvature` as in `closest_portfolio` leaves one only, whose shares have
    derivatives.
    """
    free = limits.replace(riskscore_max=jnp.full_like(limits.riskscore_max, jnp.inf))
    return _judged(_optimum(_less_score, _Case(free, trading, positions), industries=industries,
                            curvature=curvature, sign=-1.0), free, positions)


def closest_portfolio(limits: QualityLimits, trading: Trading, positions: Positions, *,
                      industries: int, curvature: float = 0.0) -> Traded:
    """Traded: the portfolio within the limits that trades least; `objective` is the par bought.

    A portfolio that passes every test stays as it is. `curvature` adds half of itself times the
    squared trades to what is minimised, and priced: the solution is then unique and spread out.
    """
    stays = quality(positions, limits).passes.all()
    # The bound below the score table may ask for more than the look-up, which it passes.
    free = limits.replace(dscore_min=jnp.where(stays, 0.0, limits.dscore_min))
    return _judged(_optimum(lambda case, trades: trades[0].sum(), _Case(free, trading, positions),
                            industries=industries, curvature=curvature), limits, positions)


def least_cushion_portfolio(monitor: FormulaProblem, limits: QualityLimits, trading: Trading,
                            positions: Positions, *, industries: int,
                            region: jax.Array | None = None, steps: int = 20) -> Traded:
    """Traded: a portfolio of lowest CDO Monitor cushion that trading reaches within the limits.

    `objective` is adjusted BDR - cushion - SDR; spread, recovery, life and `level` of the ratings
    are the positions', `region` [L] gives codes below L (None: one region). Sequential linear
    programs with a line search, so a local optimum; `kkt` includes how much a linear program could
    still gain at the end. Shares have no derivative, the objective and prices do.
    """
    case = _Case(limits, trading, positions, monitor, region)
    return _judged(_optimum(_cushion, case, industries=industries, steps=steps), limits, positions)


def _less_score(case: _Case, trades):
    """Minus the risk score []; trades [2, L] are bought and sold."""
    score = case.limits.risk_score[case.positions.rating - 1]
    return -(_after(case, trades) * score).sum() / case.positions.share.sum()


def _cushion(case: _Case, trades):
    """Adjusted BDR less cushion less SDR [] of the portfolio after the trades."""
    p, positions = case.monitor, case.positions
    assert p is not None
    share = held(_after(case, trades))
    _, was, warr, wal = averages(positions.replace(share=share), case.limits)
    level = p.level[positions.rating - 1]
    mean = (share * level).sum()
    region = jnp.zeros_like(positions.obligor) if case.region is None else case.region
    m = SdrMeasures(level=mean, drd=(share * jnp.abs(level - mean)).sum(),
                    odm=effective_number(share, positions.obligor),
                    idm=effective_number(share, positions.industry),
                    rdm=effective_number(share, region), wal=wal)
    changed = p.replace(was=was, warr=warr, wal=wal)
    return adjusted_bdr(changed) - p.monitor_cushion - sdr(m, p.sdr_coefficients, p.run_mode)


def _after(case: _Case, trades):
    return case.positions.share + trades[0] - trades[1]


def _trades(case: _Case, x):
    size = case.positions.share.shape[0]
    return x[:2 * size].reshape(2, size)


def _optimum(objective, case: _Case, *, industries, curvature=0.0, steps=0, sign=1.0):
    """Traded, not _judged: least objective(case, trades [2, L]) within the limits.

    `steps` 0: it is linear. Prices are those of the Lagrangian at the optimum (envelope theorem).
    """
    def program(case, x, count):
        slope = jax.grad(objective, argnums=1)(case, _trades(case, x)).reshape(-1)
        return program_of(slope, case.limits, case.trading, case.positions, count,
                          industries=industries, curvature=curvature)

    count, tried = _settle(objective, program, jax.lax.stop_gradient(case), steps)
    p, pull_back = jax.vjp(lambda own: program(own, tried.x, count), case)
    end = solution(p, tried.found)
    x = tried.x if steps else end.x
    fixed, trades = jax.lax.stop_gradient((end.replace(x=x), _trades(case, x)))

    def constrained(p):
        return lagrangian(p.replace(cost=jnp.zeros_like(p.cost)), fixed)

    pull, p_price = jax.value_and_grad(constrained, allow_int=True)(p)
    own, its = jax.grad(objective, allow_int=True)(case, trades), pull_back(p_price)[0]
    price = jax.tree.map(lambda x, y: sign * (x + y), (own.limits, own.trading),
                         (its.limits, its.trading))
    # `pull` adds no value: it carries the prices to autodiff.
    value = objective(case, trades) + pull - jax.lax.stop_gradient(pull)
    share = _without_dust(_after(case, _trades(case, x)))
    traded = jnp.maximum(share - case.positions.share, 0.0).sum()
    later: Any = None  # judged outside, once for all numbers of obligors
    return Traded(share=share, objective=sign * value, traded=traded, quality=later,
                  price=price[0], trading_price=price[1], count=count, breach=later,
                  kkt=jnp.maximum(end.residual, tried.gain), converged=later)


def _settle(objective, program, case: _Case, steps):
    """(obligors counted [], _Tried): counts fewer until the look-up passes or none was sold out."""
    size, limits = case.positions.share.shape[0], case.limits

    def obligors(share):
        names = jax.ops.segment_sum(_without_dust(share), case.positions.obligor, size)
        return (names > 0).sum().astype(share.dtype)

    def go_on(carry):
        _, count, left, rounds = carry
        return (rounds == 0) | ((left < count) & (rounds < ROUNDS))

    def solve_again(carry):
        _, _, count, rounds = carry
        tried = _descend(objective, program, case, count, steps)
        share = _without_dust(_after(case, _trades(case, tried.x if steps else tried.found.x)))
        score = diversity_of(case.positions.replace(share=share), limits.diversity)
        left = jnp.where(score >= limits.dscore_min - EPS, count, obligors(share))
        return tried, count, left, rounds + 1

    count = jnp.maximum(obligors(case.positions.share), 1.0)
    blank = _blank(program, case, count)
    tried, count, _, _ = jax.lax.while_loop(
        go_on, solve_again, (blank, count, count, jnp.zeros((), int)))
    return count, tried


def _blank(program, case: _Case, count):
    """_Tried before the first step: nothing traded."""
    nothing = jnp.zeros_like(case.positions.share, shape=2 * case.positions.share.size)
    shapes = jax.eval_shape(lambda: search(program(case, nothing, count)))
    found = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    return _Tried(found.x, found, jnp.full_like(count, jnp.inf), jnp.zeros((), int))


def _descend(objective, program, case: _Case, count, steps):
    """_Tried after one linear program (`steps` 0), or once they gain no more, or `steps` of them.

    The first program's solution is taken whole, for the present portfolio may breach limits.
    """
    def linear_at(x, done):
        p = program(case, x, count)
        found = search(p)
        gain = (p.cost * (x - found.x)).sum() / jnp.abs(p.cost).max()
        return _Tried(x, found, jnp.where(done > 0, gain, jnp.inf), done)

    def step(tried):
        part = jnp.append(0.5 ** jnp.arange(HALVINGS, dtype=tried.x.dtype), 0.0)
        way = tried.x + part[:, None] * (tried.found.x - tried.x)
        value = jax.vmap(lambda x: objective(case, _trades(case, x)))(way)
        best = jnp.where(tried.steps == 1, 0, jnp.argmin(value))
        x = jnp.where(tried.steps == 0, tried.x, way[best])
        return linear_at(x, tried.steps + 1)

    blank = _blank(program, case, count)
    if not steps:
        return linear_at(blank.x, jnp.zeros((), int)).replace(gain=jnp.zeros_like(blank.gain))
    gains = 0.1 * TOLERANCE
    return jax.lax.while_loop(lambda t: (t.gain > gains) & (t.steps < steps), step, blank)


def _without_dust(share):
    return jnp.where(share > DUST, share, 0.0)


def _judged(result: Traded, limits: QualityLimits, positions: Positions):
    """The result with its tests against these limits; what the solver could not solve trades
    nothing."""
    solved = result.kkt <= UNSOLVED
    result = result.replace(share=jnp.where(solved, result.share, positions.share),
                            traded=jnp.where(solved, result.traded, 0.0))
    tests = quality(positions.replace(share=result.share), limits)
    breach = breach_of(tests)
    good = (result.kkt <= TOLERANCE) & (breach <= TOLERANCE)
    return result.replace(quality=tests, breach=breach, converged=good)


def breach_of(tests: Quality) -> jax.Array:
    """Largest breach []: a share, or relative to the limit of an average; negative: room."""
    unit = unit_of(tests.threshold).at[len(AVERAGES):].set(1.0)
    limited = jnp.isfinite(tests.threshold)
    return jnp.where(limited, -jnp.where(limited, tests.cushion, 0.0) / unit, -1.0).max()

"""L_portfolio: historical default rates, their quantiles, published averages, note returns.

    rates      -log mean_k prod_r Binomial(d_r | n_r, p_rk) + its lowest value, a year: the year's
               real macro path, K draws of the systematic factor
    quantiles  pinball loss of the speculative-grade default rate, points: N paths generated from
               the months before the year, so a forecast
    averages   squared log ratio of mean default rates to S&P's averages at 1, 2 and 3 years
    tranches   Cramer distance, points of par, between the returns of a deal's rated notes and
               what their ratings imply

Each part is divided by its value before stage 2 on the training years, so L_portfolio starts
there at 1. Everything is pushed in `expected` mode: gradients pass through states, transitions,
macro path and latents to the parameters of levels 1 and 2.
Reference: methodology, Stage 2; Gneiting and Raftery (2007), section 6 (quantile scores); Szekely
and Rizzo (2013), Energy statistics, JSPI 143.
"""

import dataclasses
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import struct
from pydantic import Field

from clo_gen import pipeline, rng
from clo_gen.io.config import Positive
from clo_gen.io.toml import Record
from clo_gen.models import loan_states, macro_cvae, prepayment, systematic, transition
from clo_gen.models.regimes import LABELS
from clo_gen.records import MacroPath
from clo_gen.states import RATING
from clo_gen.train.portfolio_data import AVERAGED, HORIZONS, SPECULATIVE, PortfolioData

_LABEL = 101  # stream of the regime that a generated path starts in
_SAMPLING = 102  # stream of the sampling error of an observed rate
Weight = Annotated[float, Field(ge=0)]
Level = Annotated[float, Field(gt=0, lt=1)]


class Objective(Record):
    """[portfolio.objective]: weights of the parts, and how many draws stand behind them."""

    rates: Weight = 0.4
    quantiles: Weight = 0.3
    averages: Weight = 0.15
    tranches: Weight = 0.15
    levels: Annotated[tuple[Level, ...], Field(min_length=1)] = (
        0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
    factor_draws: Positive = 32
    paths: Annotated[int, Field(ge=8)] = 32  # generated, a year
    tranche_paths: Annotated[int, Field(ge=2)] = 2  # of the deal, a year
    temperature: Annotated[float, Field(gt=0)] = 0.01  # of the deal's tests


class World(struct.PyTreeNode):
    """What the objective needs beside the parameters it differentiates."""

    macro: macro_cvae.Cvae
    transition: transition.Transformer
    loadings: systematic.Loadings
    scenario: Any  # models.scenarios.Scenario over HORIZONS[-1] months
    deal_params: pipeline.Params
    deal_inputs: pipeline.Inputs
    deal_scenario: Any
    withdrawal: jax.Array  # [] monthly
    averages: jax.Array  # [3, 4]
    note_probability: jax.Array  # [K - 1]
    note_severity: jax.Array  # []
    setup: pipeline.Setup = struct.field(pytree_node=False)

    def learned(self, params):
        """The World whose levels have `params` {"macro", "transition"}."""
        return self.replace(macro=self.macro.replace(params=params["macro"]),
                            transition=self.transition.replace(params=params["transition"]))


class YearNumbers(struct.PyTreeNode):
    """What one year says; a batch has a leading axis Y. None: its parts have no weight."""

    deviance: jax.Array  # [] nats
    observed: jax.Array  # [] speculative-grade default rate
    rates: jax.Array  # [S live] mean default rates along the real path
    pinball: jax.Array | None = None  # [Q] points
    quantiles: jax.Array | None = None  # [Q] of the default rate forecast, fractions
    averages: jax.Array | None = None  # [3, 4] mean default rates at HORIZONS of AVERAGED
    price: jax.Array | None = None  # [P, K - 1] of the notes, of par


def world(macro, transformer, data: PortfolioData):
    """World of trained levels 1 and 2 and the targets `data`."""
    a = data.deal
    return jax.tree.map(jnp.asarray, World(
        macro, transformer, a.params.loadings, data.scenario, a.params, a.inputs,
        a.scenarios["baseline"], data.withdrawal, data.averages, data.notes["probability"],
        data.notes["severity"], dataclasses.replace(a.setup, mode="expected")))


def default_probabilities(w: World, path: MacroPath, sources):
    """[J, T, S live] of having defaulted by each month, by first rating, along `path`.

    `sources` [J] (rng.Sources) draw the systematic factor that all obligors share. A withdrawn
    rating is lost from sight, as it is in the counts.
    """
    months, live = path.values.shape[0], len(RATING.live)
    matrices = prepayment.add(transition.predict(w.transition, path),
                              jnp.broadcast_to(w.withdrawal, (months,)), RATING).matrix[0]
    cohort, start = jnp.zeros(live, int), jnp.eye(RATING.size)[:live]

    def one(source):
        shift = systematic.sample(w.loadings, source, months, (1, 1, 1)).cohort[:, 0]

        def month(weights, x):
            matrix, odds = x
            new = loan_states.push(matrix[None], RATING, weights, cohort,
                                   jnp.broadcast_to(odds, (live,)))
            return new, new[:, RATING.default]

        return jax.lax.scan(month, start, (matrices, jnp.exp(shift)))[1]

    return jax.vmap(one)(sources)


def deviance(probability, firms, defaults):
    """Half the deviance [] of counts [R] under the mixture of `probability` [K, R], in nats."""
    p = jnp.clip(probability, 1e-12, 1.0 - 1e-9)
    each = jnp.sum(defaults * jnp.log(p) + (firms - defaults) * jnp.log1p(-p), axis=-1)
    seen = jnp.where(firms > 0, defaults / jnp.where(firms > 0, firms, 1.0), 0.0)
    best = jax.scipy.special.xlogy(defaults, seen) + jax.scipy.special.xlog1py(
        firms - defaults, -seen)
    return best.sum() - jax.nn.logsumexp(each) + jnp.log(each.shape[0])


def pinball(quantiles, observed, levels):
    """Quantile losses [Q] of `quantiles` [Q] at `levels` [Q] against one observation []."""
    above = observed - quantiles
    return jnp.maximum(levels * above, (levels - 1.0) * above)


def cramer_distance(sample, probability, severity):
    """Energy distance [] of `sample` [N] to par with `probability` of losing `severity` of it."""
    low = 1.0 - severity
    to_target = jnp.mean((1.0 - probability) * jnp.abs(sample - 1.0)
                         + probability * jnp.abs(sample - low))
    within = jnp.abs(sample[:, None] - sample[None]).mean()
    return 2.0 * to_target - within - 2.0 * probability * (1.0 - probability) * severity


def _regime(w: World, key):
    """Weights [4] of a regime drawn as often as the training windows show it."""
    drawn = jax.random.categorical(rng.stream(key, _LABEL), jnp.log(
        jnp.maximum(w.macro.label_share, 1e-12)))
    return jax.nn.one_hot(drawn, len(LABELS))


def _generated(w: World, key, history):
    """([T, S live] default probabilities of one generated path)."""
    label = jnp.broadcast_to(_regime(w, key), w.scenario.label.shape)
    scenario = w.scenario.replace(label=label)
    path = macro_cvae.sample(w.macro, key, history, scenario, w.macro.series)
    sources = jax.tree.map(lambda k: k[None], rng.sources(key))
    return default_probabilities(w, path, sources)[0]


def _observed_rate(firms, probability, key):
    """Speculative-grade rate [] with the sampling error of a pool of its size."""
    spec = jnp.asarray(SPECULATIVE)
    n, p = firms[spec], probability[spec]
    total = jnp.maximum(n.sum(), 1.0)
    variance = jnp.sum(n * p * (1.0 - p)) + 1e-12
    noise = jax.random.normal(rng.stream(key, _SAMPLING), (), p.dtype)
    return jnp.maximum(jnp.sum(n * p) + jnp.sqrt(variance) * noise, 0.0) / total


def _note_price(w: World, key, history, temperature):
    """Prices [K - 1] of the notes on one path of the deal, closed after `history`."""
    params = w.deal_params.replace(macro=w.macro, transition=w.transition)
    label = jnp.broadcast_to(_regime(w, key), w.deal_scenario.label.shape)
    done = pipeline.simulate(params, w.deal_inputs.replace(history=history),
                             w.deal_scenario.replace(label=label), key, temperature, setup=w.setup)
    return done.tranches.price[:-1]


def _forecast(w: World, objective: Objective, example, key):
    """{pinball, quantiles, averages} of paths generated from the months before the year."""
    keys = jax.vmap(rng.path_key, (None, 0))(key, jnp.arange(objective.paths))
    ahead = jax.vmap(lambda k: _generated(w, k, example["history"]))(keys)
    rate = jax.vmap(lambda p, k: _observed_rate(example["firms"], p, k))(ahead[:, 11], keys)
    levels = jnp.asarray(objective.levels)
    found = jnp.quantile(rate, levels)
    at = jnp.asarray(HORIZONS) - 1
    return {"quantiles": found, "averages": ahead.mean(0)[at][:, jnp.asarray(AVERAGED)],
            "pinball": 100.0 * pinball(found, speculative_rate(example), levels)}


def speculative_rate(example):
    """Share [] of the year's speculative-grade obligors that defaulted."""
    spec = jnp.asarray(SPECULATIVE)
    return example["defaults"][spec].sum() / jnp.maximum(example["firms"][spec].sum(), 1.0)


def year_numbers(w: World, objective: Objective, example, key):
    """YearNumbers of one example of PortfolioData; `key` is the year's own."""
    keys = jax.random.split(key, 3)
    own = jax.vmap(rng.path_key, (None, 0))
    real = MacroPath(example["history"], example["path"], w.macro.series)
    sources = rng.sources(own(keys[0], jnp.arange(objective.factor_draws)))
    along = default_probabilities(w, real, sources)[:, -1]
    forecast, price = {}, None
    if objective.quantiles or objective.averages:
        forecast = _forecast(w, objective, example, keys[1])
    if objective.tranches:
        price = jax.vmap(lambda k: _note_price(w, k, example["history"], objective.temperature))(
            own(keys[2], jnp.arange(objective.tranche_paths)))
    return YearNumbers(deviance=deviance(along, example["firms"], example["defaults"]),
                       observed=speculative_rate(example), rates=along.mean(0), price=price,
                       **forecast)


def parts_of(w: World, years: YearNumbers):
    """{part: []} of a batch of years; parts that were not simulated are left out."""
    parts = {"rates": years.deviance.mean()}
    if years.averages is not None and years.pinball is not None:
        ratio = jnp.log(years.averages.mean(0) / w.averages)
        parts |= {"quantiles": years.pinball.mean(), "averages": jnp.mean(ratio**2)}
    if years.price is not None:
        price = years.price.reshape(-1, years.price.shape[-1])
        distance = jax.vmap(cramer_distance, (1, 0, None))(price, w.note_probability,
                                                           w.note_severity)
        parts["tranches"] = 100.0 * distance.mean()
    return parts


def numbers(w: World, objective: Objective, examples, key):
    """YearNumbers [Y] of `examples`; a year draws the same whatever other years stand beside it."""
    return jax.vmap(lambda e: year_numbers(w, objective, e, rng.path_key(key, e["year"])))(examples)


def total(parts, objective: Objective, scale):
    """L_portfolio [] of `parts`, each over its `scale` {part: float}, 1 where that is 0."""
    return sum(getattr(objective, name) * parts[name] / (scale[name] or 1.0) for name in parts
               if getattr(objective, name))

"""Cases of the waterfall alone: every feature on, random collections, no simulation."""

import datetime

import jax
import jax.numpy as jnp

from clo_gen import mesh
from clo_gen.bench.measure import compiled, scaled
from clo_gen.cash.new_collateral import from_rates
from clo_gen.deal.waterfall import run_waterfall
from clo_gen.io.deal import load_deal
from clo_gen.io.deal_arrays import purchases
from clo_gen.io.deal_terms import DealTerms
from clo_gen.io.tables import config_path
from clo_gen.io.toml import load_toml, parse
from clo_gen.records import Collections

BLOCK = 500  # paths at once: they stay in a core's cache


def full_deal():
    """us_bsl over ten years (40 payment dates) with every feature on: pari passu and fixed classes,
    refinancing, a diversion, a reserve account, a swap, a cap, reinvestment, a call, an event of
    default, OC and IC tests, haircuts, fee caps, interest and bases, incentive fee."""
    data = load_toml(config_path("deals/us_bsl.toml"))
    notes = data["notes"]
    notes[0] |= {"group": "A", "refinance": {"date": datetime.date(2028, 1, 15), "spread_bps": 110}}
    notes[1]["group"] = "A"
    notes[2] = {k: v for k, v in notes[2].items() if k != "spread_bps"} | {"rate": 0.055}
    data["fees"][1] |= {"basis": "average", "interest": 0.05}
    return load_deal(parse(data | {
        "maturity": datetime.date(2035, 10, 15),
        "reinvestment": data["reinvestment"] | {"term_months": 60, "after": 0.3},
        "call": data["call"] | {"equity_irr": 0.25},
        "diversions": [{"name": "diversion", "through": "E", "trigger": 1.045}],
        "reserves": [{"name": "interest reserve", "initial": 2e6, "amount": 1e6,
                      "of_notes": {"A-1": 0.002}}],
        "hedges": [{"name": "swap", "kind": "swap", "notional": 50e6, "rate": 0.035},
                   {"name": "cap", "kind": "cap", "notional": 50e6, "rate": 0.05,
                    "premium": 0.001}]}, DealTerms, "bench"), "bench")


def made_up_collections(key, months):
    """Collections [months] of a pool under random default and prepayment rates."""
    draws = jax.random.uniform(key, (4, months))
    default, prepay, ccc = 0.006 * draws[0], 0.03 * draws[1], 0.2 * draws[2]
    stay = (1.0 - default) * (1.0 - prepay)
    opening = jnp.cumprod(jnp.concatenate([jnp.ones(1), stay[:-1]]))
    par, lost = opening * stay, opening * default
    late = jnp.concatenate([jnp.zeros(12), lost])[:months]
    defaulted = jnp.cumsum(lost - late)
    prices = jnp.array([0.45, 0.55, 0.65, 0.7, 0.7])
    buckets = (par * ccc)[:, None, None] * jnp.array([0.1, 0.1, 0.1, 0.2, 0.5])
    return Collections(
        interest=opening * (0.004 + 0.003 * draws[3]), scheduled_principal=0.0 * par,
        prepayment=opening * (1.0 - default) * prepay, default=lost, recovery=0.6 * late,
        loss=0.4 * late, performing=par, defaulted=defaulted, defaulted_value=0.5 * defaulted,
        ccc_par=buckets, ccc_value=buckets * prices, carrying_haircut=0.01 * par,
        par_by_state=jnp.zeros((months, 0)))


def waterfall(scale, folder, *, gradient=False):
    """The waterfall alone; with `gradient`, that of a price in all deal terms too."""
    d, paths = full_deal(), scaled(10_000, scale)
    buys, dates = purchases(d.terms), len(d.payment_dates)
    assert buys is not None
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(jnp.arange(paths))
    collections = jax.jit(jax.vmap(lambda k: made_up_collections(k, d.months)))(keys)
    index = jax.jit(jax.vmap(lambda k: 0.01 + 0.05 * jax.random.uniform(k, (dates,))))(keys)

    def cash(deal, calendar, collections, index):
        new = from_rates(buys, 0.03, 0.2, index, calendar)
        return run_waterfall(deal, d.waterfall, collections, index, 0.01, calendar=calendar,
                             new=new)

    def value(deal, calendar, collections, index):
        paid = cash(deal, calendar, collections, index)
        return jnp.sum((paid.interest + paid.principal) * jnp.arange(1.0, 10.0))

    one = jax.value_and_grad(value) if gradient else cash

    def run(deal, calendar, collections, index):
        batch = jax.vmap(lambda c, i: one(deal, calendar, c, i))
        return (batch if paths % BLOCK else mesh.in_blocks(batch, BLOCK))(collections, index)

    return compiled(run, (d.deal, d.calendar, collections, index), {2, 3}, unit="path-dates",
                    work=paths * dates, dtype="float64",
                    sizes={"paths": paths, "dates": dates, "classes": len(d.classes)})

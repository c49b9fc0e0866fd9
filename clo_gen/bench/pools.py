"""Cases of the compiled graph: random numbers, pools, whole graph, gradients."""

import functools
import math
import pathlib
import re

import jax
import jax.numpy as jnp

from clo_gen import gradients, pipeline, rng
from clo_gen.assembly import assemble
from clo_gen.bench.measure import compiled, scaled
from clo_gen.io.config import read_config
from clo_gen.io.tables import config_path
from clo_gen.models import systematic

MONTHS = 60


def assembly(loans, *overrides):
    """Assembly of the quickstart with so many synthetic loans."""
    return assemble(*read_config(overrides=[f"tape.synthetic.obligors={loans}", *overrides]))


def us_bsl(folder, maturity, **changes):
    """Config text "deal=..." of us_bsl with another maturity, written to `folder`; `changes` are
    further numbers {key: value}."""
    text = config_path("deals/us_bsl.toml").read_text()
    text, found = re.subn("(?m)^maturity = .*$", f"maturity = {maturity}", text)
    for key, value in changes.items():
        text, more = re.subn(rf"\b{key} = \d+", f"{key} = {value}", text)
        found = min(found, more)
    assert found == 1, "us_bsl.toml has other lines now"
    file = pathlib.Path(folder) / f"until_{maturity}.toml"
    file.write_text(text)
    return f"deal={str(file)!r}"


def random_numbers(scale, folder):
    """The floor of a draw a loan and month: the random numbers alone."""
    loans, paths = 1000, scaled(512, scale)

    def run(key, numbers):
        def one(i):
            def month(total, t):
                draw = jax.random.uniform(jax.random.fold_in(rng.path_key(key, i), t), (loans,),
                                          jnp.float32)
                return total + draw.sum(), None

            return jax.lax.scan(month, jnp.float32(0), jnp.arange(MONTHS))[0]

        return jax.vmap(one)(numbers)

    return compiled(run, (jax.random.key(0), jnp.arange(paths)), {1}, unit="numbers",
                    work=loans * MONTHS * paths, dtype="float32",
                    sizes={"loans": loans, "months": MONTHS, "paths": paths})


def _collections_of(a, params, inputs, scenario, key, number):
    """One path's Collections over MONTHS months: macro, transitions, factors, loans, cash."""
    key = rng.path_key(key, number)
    path = a.setup.macro_sample(params.macro, key, inputs.history, scenario, a.setup.series)
    path = path.replace(values=path.values[:MONTHS])
    shifts = systematic.sample(params.loadings, rng.sources(key), MONTHS, a.setup.groups)
    index = pipeline.index_paths(path, inputs.curves[: MONTHS + 1], a.setup.index_columns)
    plan = jax.tree.map(lambda x: x[:MONTHS], inputs.schedule)
    return pipeline.collect(inputs.tape, plan, inputs.deal,
                            pipeline.transitions_of(params, path, a.setup), shifts, index, key,
                            space=a.setup.space, mode=a.setup.mode, lag=a.setup.recovery_lag)


def pool(scale, folder, *, loans, mode, paths):
    """Macro path, transitions, factors and collections of a pool, without the deal."""
    a, paths = assembly(loans, f"mode={mode}"), scaled(paths, scale)
    batch = jax.vmap(functools.partial(_collections_of, a), in_axes=(None, None, None, None, 0))
    args = (a.params, a.inputs, a.scenarios["baseline"], jax.random.key(0), jnp.arange(paths))
    return compiled(batch, args, {4}, unit="loan-months", work=loans * MONTHS * paths,
                    sizes={"loans": loans, "months": MONTHS, "paths": paths})


def graph(scale, folder, *, loans):
    """The whole graph to the deal's maturity; months after a loan's maturity do not count."""
    a, paths = assembly(loans), scaled(512, scale)
    batch = functools.partial(pipeline.simulate_batch, setup=a.setup)
    args = (a.params, a.inputs, a.scenarios["baseline"], jax.random.key(0), jnp.arange(paths), 0.0)
    return compiled(batch, args, {4}, unit="loan-months",
                    work=int(a.inputs.tape.maturity.sum()) * paths,
                    sizes={"loans": loans, "months": a.deal.months, "paths": paths})


def prices(scale, folder, *, loans, paths, gradient, block=32):
    """Class prices and pool loss in mode `expected` over ten years, `block` paths at a time.

    With `gradient` also their gradient in every number of params, tape, schedule, deal, calendar
    and history at once.
    """
    a = assembly(loans, "mode=expected", us_bsl(folder, "2035-10-15"))
    devices = jax.device_count()
    share = scaled(paths, scale) // devices
    block = min(block, share)
    numbers = jnp.arange(devices * math.ceil(share / block) * block).reshape(devices, -1)

    def run(params, inputs, scenario, key, numbers):
        def one(args, i):
            got = pipeline.simulate(*args, scenario, rng.path_key(key, i), 0.01, setup=a.setup)
            return got.tranches.price[:-1].sum() + got.loss, got.log_prob

        def mean(numbers):
            if gradient:
                return gradients.gradient(one, (params, inputs), numbers, block=block).gradient
            many = jax.vmap(lambda i: one((params, inputs), i)[0])
            return jax.lax.map(many, numbers.reshape(-1, block)).mean()

        return jax.tree.map(lambda x: x.mean(0), jax.vmap(mean)(numbers))

    args = (a.params, a.inputs, a.scenarios["adverse"], jax.random.key(0), numbers)
    return compiled(run, args, {4}, unit="loan-months", work=loans * a.deal.months * numbers.size,
                    dtype="float64", sizes={"loans": loans, "months": a.deal.months,
                                            "paths": numbers.size, "block": block})

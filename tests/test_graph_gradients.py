"""The gradient of the whole graph against central differences, learned networks included.

Everything is float64 here, networks too. Left out are parameters on a kink (a cap that binds, a
payment that runs out): their differences at two step sizes, or the slopes on their two sides,
disagree.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import small_assembly
from jax.flatten_util import ravel_pytree

from clo_gen import pipeline, rng
from clo_gen.models import macro_cvae, transition
from clo_gen.models.transition import Cohorts, Scaling, Transformer, TransitionConfig
from clo_gen.records import MacroPath
from clo_gen.states import RATING
from clo_gen.train import macro as macro_training

COUNT = 50  # parameters of a group
PATHS = 2
TEMPERATURE = 0.02
COVARIATES = ("unemployment_rate_change_12m",)


def shaken(params, size, seed):
    """`params` in float64 with noise on every weight, so that no gradient is 0 by design."""
    draws = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(x, float) + size * draws.normal(size=x.shape), params)


def macro_model(series):
    data = macro_training.load(macro_training.MacroTraining(window=24, series=series))
    cfg = macro_cvae.MacroCvaeConfig(latent=2, waves=3, hidden=4)
    start = macro_training.start_of(data, cfg)
    params = jax.jit(lambda k: macro_cvae.init(k, cfg, start))(jax.random.key(0))
    model = macro_training.assemble(shaken(params, 0.05, 1), data, cfg)
    return jax.tree.map(jnp.asarray, model)


def transition_model(base):
    cfg = TransitionConfig(members=1, width=4, heads=2, dtype="float64")
    one, two = jnp.ones(1), jnp.ones(2)
    model = Transformer(
        {}, Cohorts(base[None], jnp.zeros((1, 1)), jnp.asarray([jnp.inf])),
        Scaling(0.03 * two, 0.02 * two, 0.01 * two, jnp.zeros(5), 0.5 * jnp.ones(5)), cfg, RATING,
        ("gdp_growth_yoy", "unemployment_rate"), COVARIATES, ("all",))
    params = jax.jit(transition.init)(jax.random.key(0), model)
    return model.replace(params=shaken(params, 0.2, 2)), one


@functools.cache
def graph():
    """(groups of parameters, objective of them): prices of every class and the pool's loss."""
    a = small_assembly("mode=expected")
    setup, series = a.setup, a.setup.series
    generator = macro_model(series)
    moves, _ = transition_model(a.params.transition.base)
    months = a.inputs.schedule.opening.shape[0]
    setup = dataclasses.replace(setup, transition_predict=transition.predict)
    scenario = a.scenarios["adverse"]
    size = macro_cvae.noise_size(generator, months)
    groups = {
        "networks": (generator.params["decoder"], moves.params),
        "loadings": a.params.loadings,
        "deal": floats(a.inputs.deal),
        "tape": floats(a.inputs.tape),
        "latents": 0.5 * jax.random.normal(jax.random.key(1), (PATHS, size), float),
    }

    def objective(groups):
        decoder, weights = groups["networks"]
        params = a.params.replace(transition=moves.replace(params=weights),
                                  loadings=groups["loadings"])
        model = generator.replace(params=generator.params | {"decoder": decoder})
        inputs = pipeline.with_tape(a.inputs, put(a.inputs.tape, groups["tape"]), setup=setup)
        inputs = inputs.replace(deal=put(a.inputs.deal, groups["deal"]))

        def one(noise, i):
            values = macro_cvae.decode(model, noise, inputs.history, scenario, months)
            path = MacroPath(inputs.history, values, series)
            sources = rng.sources(rng.path_key(jax.random.key(2), i))
            got = pipeline.follow(params, inputs, path, sources, TEMPERATURE, setup=setup)
            return got.tranches.price.sum() + 3.0 * got.loss

        return jax.vmap(one)(groups["latents"], jnp.arange(PATHS)).mean()

    return groups, objective


def floats(record):
    """The finite floating fields of a record, by name."""
    return {f.name: x for f in dataclasses.fields(record)
            if isinstance(x := getattr(record, f.name), jax.Array)
            and jnp.issubdtype(x.dtype, jnp.floating) and bool(jnp.isfinite(x).all())}


def put(record, values):
    return record.replace(**values)


@functools.cache
def gradient():
    groups, objective = graph()
    return jax.jit(jax.grad(objective))(groups)


@functools.cache
def shifted():
    """Jitted objective at [n] shifts of the flattened groups."""
    groups, objective = graph()
    flat, back = ravel_pytree(groups)
    run = jax.jit(lambda flat, rows, steps: jax.lax.map(
        lambda x: objective(back(flat.at[x[0]].add(x[1]))), (rows, steps), batch_size=32))
    return flat, run


@pytest.mark.slow
@pytest.mark.parametrize("group", ["networks", "loadings", "deal", "tape", "latents"])
def test_every_group_agrees_with_central_differences(group):
    groups, _ = graph()
    got = ravel_pytree(gradient())[0]
    which = ravel_pytree({k: jax.tree.map(lambda x, k=k: jnp.full(jnp.shape(x), float(k == group)),
                                          v) for k, v in groups.items()})[0]
    mine = np.random.default_rng(0).permutation(np.flatnonzero(which > 0))
    speaks = np.abs(np.asarray(got)[mine]) > 1e-6  # below, differences are rounding
    rows, silent = mine[speaks][:COUNT], mine[~speaks][:20]
    assert len(rows) == min(COUNT, speaks.sum()) and len(rows) >= 4
    flat, run = shifted()

    def values(rows, *times):
        step = 1e-4 * np.maximum(np.abs(np.asarray(flat)[rows]), 0.05)
        steps = np.concatenate([t * step for t in times])
        found = run(flat, jnp.tile(jnp.asarray(rows), len(times)), jnp.asarray(steps))
        return step, *np.split(np.asarray(found), len(times))

    if len(silent):  # no gradient says that nothing moves, but for one side of a tie
        step, up, down, here = values(silent, 1.0, -1.0, 0.0)
        still = np.abs(np.stack([up, down]) - here) < 2e-6 * step
        print(f"{group}: {still.all(0).sum()} of {len(silent)} silent ones do not move")
        assert still.any(0).all()
    step, up, down, near_up, near_down, here = values(rows, 1.0, -1.0, 1 / 3, -1 / 3, 0.0)
    wide, near = (up - down) / (2.0 * step), (near_up - near_down) / (2.0 * step / 3)
    scale = np.maximum(np.abs(wide), 1e-6)
    sides = np.abs(up - 2.0 * here + down) / step  # what the two sides' slopes differ by
    smooth = (np.abs(wide - near) < 1e-4 * scale) & (sides < 5e-3 * scale)
    error = np.abs(np.asarray(got)[rows] - wide) / scale
    print(f"{group}: worst relative error {error[smooth].max():.1e}, {smooth.sum()} of {len(rows)}")
    assert smooth.mean() > 0.8
    assert error[smooth].max() < 1e-4

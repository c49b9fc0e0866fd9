"""Trained levels for a run: read from a training run, checked, and made to meet the scenarios."""

import pathlib
from typing import Any

import jax
import numpy as np

from clo_gen.io import checkpoint
from clo_gen.io.problems import InputError, Problems
from clo_gen.io.tape import LoadedTape
from clo_gen.models import knobs, macro_cvae, scenarios, transition
from clo_gen.models.trajectory_records import Trajectory
from clo_gen.pipeline import Inputs, Params
from clo_gen.states import RATING


def load_learned(run, level, kind):
    """(trained record, about) of one `level` of the training run `run`; it must be a `kind`.

    `about` says among other things the `kind` and `source` of the data it was trained on.

    Raises InputError when the run has none.
    """
    path = pathlib.Path(run) / level / "model.npz"
    record, about = checkpoint.load_record(path)
    if not isinstance(record, kind):
        raise InputError(f"{path}: holds a {type(record).__name__}; want a {kind.__name__}")
    return record, about


def learned_macro(config, folder):
    """(Cvae, about) of a run whose macro generator is learned; `config` is its [macro]."""
    model, about = load_learned(folder / config.run, "macro", macro_cvae.Cvae)
    if model.series != config.series:
        raise InputError(f"macro.series: {', '.join(config.series)}; want what the model of "
                         f"macro.run was trained on: {', '.join(model.series)}")
    return model, about


def learned_transitions(config, folder, series):
    """(Transformer, about) of a run with learned transitions; `config` is its [transitions]."""
    model, about = load_learned(folder / config.run, "transition", transition.Transformer)
    problems = Problems(folder / config.run)
    if model.space != RATING or len(model.names) != 1:
        problems.add("transition", f"{len(model.names)} cohorts in the space {model.space.name}",
                     "one cohort in the space rating, as rating events give it")
    for name in sorted(set(model.series) - set(series)):
        problems.say(f"transition reads {name}; want it in macro.series")
    problems.raise_if_any()
    return model, about


def learned_trajectory(config, folder, series):
    """(Trajectory, about) of a run with learned lives; `config` is its [trajectory]."""
    model, about = load_learned(folder / config.run, "trajectory", Trajectory)
    problems = Problems(folder / config.run)
    if model.space != RATING or model.cfg.payments:
        problems.add("trajectory", f"payments of loans in the space {model.space.name}",
                     "states in the space rating, as rating histories give them")
    for name in sorted(set(model.series) - set(series)):
        problems.say(f"trajectory reads {name}; want it in macro.series")
    problems.raise_if_any()
    return model, about


def with_knobs(config: Any, folder: Any, params: Params, inputs: Inputs, tape: LoadedTape,
               series: tuple[str, ...]) -> tuple[Params, Inputs, dict[str, dict[str, Any]] | None]:
    """(params, inputs, data) under the knobs of a calibration; `config` is the run's [calibration],
    None for none. `data` {part: {kind, source, notes}} says what it was fitted to, None for none.

    Raises InputError for knobs of another kind of model or of other macro series.
    """
    if config is None:
        return params, inputs, None
    path = folder / config.run / "calibrated.npz"
    found, about = checkpoint.load_record(path)
    if not isinstance(found, knobs.Knobs):
        raise InputError(f"{path}: holds {type(found).__name__}; want the calibration of a run")
    problems = Problems(path)
    for what, was, now in (("macro.series", found.series, tuple(series)),
                           ("transitions", found.transitions, knobs.kind_of(params.transition)),
                           ("macro", found.macro, knobs.kind_of(params.macro))):
        if was != now:
            problems.add(what, now, f"what was calibrated: {was}")
    problems.raise_if_any()
    lien = np.array([knobs.LIENS.index(name) for name in tape.frame["lien"]])
    found = jax.tree.map(jax.numpy.asarray, found)
    return *jax.jit(knobs.calibrated)(params, inputs, found, lien), about["data"]


def scenario_draws(model, scenario, history, draws, seed):
    """Paths [draws, T, M] under a scenario, overlay included."""
    months = np.asarray(scenario.shape).shape[0]
    size = macro_cvae.noise_size(model, months)

    def one(model, scenario, key):
        noise = jax.random.normal(key, (size,), history.dtype)
        return macro_cvae.decode(model, noise, history, scenario, months)

    keys = jax.random.split(jax.random.key(seed), draws)
    return np.asarray(jax.jit(jax.vmap(one, (None, None, 0)))(model, scenario, keys))


def calibrated(model, table, history, draws=512, seed=0):
    """`table` {name: Scenario}, "baseline" among them, with overlays that supply what the regime
    labels do not; see scenarios.calibrate."""
    bare = {name: s.replace(shape=np.zeros_like(s.shape), lower=np.full_like(s.lower, -np.inf))
            for name, s in table.items()}
    paths = {name: scenario_draws(model, s, history, draws, seed) for name, s in bare.items()}
    return {name: scenarios.calibrate(s, paths[name], paths["baseline"])
            for name, s in table.items()}

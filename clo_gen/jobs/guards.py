"""Where a number that is not finite comes from: paths again, one by one, under checkify."""

import pathlib
import traceback

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import checkify

import clo_gen
from clo_gen import pipeline, rng
from clo_gen.assembly import Assembly


def checked(a: Assembly):
    """Compiled function (scenario, path number) -> error text or None: the first operation of pool
    or waterfall on that path that makes a NaN.

    Class yields are left out: their searches are batched loops, which checkify does not follow.
    """
    def one(params, inputs, scenario, key, number):
        sources = rng.sources(rng.path_key(key, number))
        lived, transitions, index = pipeline.live_pool(params, inputs, scenario, sources,
                                                       setup=a.setup)
        temperature = jnp.asarray(a.config.temperature, float)
        cash = pipeline.distribute(inputs, lived.collections, transitions, index, temperature,
                                   setup=a.setup)
        return cash.balance[-1]

    function = jax.jit(checkify.checkify(one, errors=checkify.nan_checks))
    key = jax.random.key(a.config.seed)

    def run(scenario, number):
        error, _ = function(a.params, a.inputs, scenario, key, jnp.asarray(number))
        return _where(error.get_exception())

    return run


def check(a: Assembly, outcomes, paths=None, *, on_path=lambda done, total: None):
    """{"checked": paths looked at, "found": [{"scenario", "path", "error"}]}.

    Broken paths of `outcomes` {scenario: Outcome} come first, then path 0, 1, ... up to `paths` a
    scenario (None: all).
    """
    run, found = checked(a), []
    count = a.config.paths if paths is None else min(paths, a.config.paths)
    queues = {name: list(dict.fromkeys([*sorted(r.broken), *range(count)]))
              for name, r in outcomes.items()}
    total, done = sum(map(len, queues.values())), 0
    for name, queue in queues.items():
        for path in queue:
            error, done = run(a.scenarios[name], np.int64(path)), done + 1
            on_path(done, total)
            if error is not None:
                found.append({"scenario": name, "path": int(path), "error": error})
    return {"checked": total, "found": found}


def _where(error):
    """What happened, and the line of the package that it happened in."""
    if error is None:
        return None
    ours = pathlib.Path(clo_gen.__file__).parent
    frames = traceback.extract_tb(error.traceback_info.as_python_traceback())
    inside = [f for f in frames if ours in pathlib.Path(f.filename).parents
              and pathlib.Path(f.filename) != pathlib.Path(__file__)]
    if not inside:
        return str(error)
    last = inside[-1]
    place = pathlib.Path(last.filename).relative_to(ours.parent)
    return f"{str(error).rstrip('.')} at {place}:{last.lineno}: {last.line}"

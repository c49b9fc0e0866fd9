"""How far off, how noisy and how dear is each estimator of a gradient?

    python experiments/gradients.py [configs/smoke.toml] [--paths 4096]

The derivative of the pool's expected loss and of a class's mean price with respect to three
numbers: the log-odds of worse moves, recovery, and prepayment (the quickstart's deal, adverse
scenario). For the pool `expected` is exact; `scored` must agree with it within 3 standard errors
and `relaxed` shows its bias by temperature. For a class only `scored` is unbiased: what the others
are off by is the price of leaving out single-loan risk. Then VaR 99 and CVaR 99 of the pool.
About 4 minutes on 2 cores, two thirds of it compiling.
Measured: docs/gradients.md.
"""

import functools
import time

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
from record import Experiment, figure  # noqa: E402

from clo_gen import gradients, pipeline, rng  # noqa: E402
from clo_gen.assembly import assemble  # noqa: E402
from clo_gen.io.config import read_config  # noqa: E402
from clo_gen.io.tables import config_path  # noqa: E402
from clo_gen.plots.experiment import write_dots  # noqa: E402

experiment = Experiment(__doc__, paths=(4096, 128))
experiment.parser.add_argument("config", nargs="?")
experiment.parser.add_argument("--class", dest="name", default="E")
options = experiment.options()

a = assemble(*read_config(options.config or (config_path("smoke.toml") if options.small else None),
                          ["macro.generator='var'"] if options.small else []))
scenario = a.scenarios[a.config.scenarios[min(1, len(a.scenarios) - 1)]]
number = a.deal.classes.index(options.name)
key = jax.random.key(a.config.seed)
start = {"worse moves": jnp.zeros(()), "recovery": jnp.zeros(()), "prepayment": jnp.zeros(())}


def outcome(args, i, *, setup, what):
    """(pool loss or class price of path i, its log-probability) after moving the three numbers."""
    tape = a.inputs.tape
    tape = tape.replace(loan_effect=tape.loan_effect + args["worse moves"],
                        recovery_rate=tape.recovery_rate + args["recovery"])
    slower = a.params.prepayment.replace(cpr=a.params.prepayment.cpr + args["prepayment"])
    got = pipeline.simulate(a.params.replace(prepayment=slower), a.inputs.replace(tape=tape),
                            scenario, rng.path_key(key, i), 0.01, setup=setup)
    return (got.loss if what == "pool" else got.tranches.price[number]), got.log_prob


def measured(setup, what, paths, statistic=gradients.mean):
    """(Gradient, seconds to compile, seconds to run)."""
    one = functools.partial(outcome, setup=setup, what=what)
    run = jax.jit(lambda args, n: gradients.gradient(one, args, n, statistic, block=64))
    began = time.perf_counter()
    compiled = run.lower(start, jnp.arange(paths)).compile()
    ready = time.perf_counter()
    found = jax.block_until_ready(compiled(start, jnp.arange(paths)))
    return found, ready - began, time.perf_counter() - ready


rows, few = [], min(options.paths, 512)
estimators = [("expected", gradients.expected(a.setup), few),
              ("scored", gradients.scored(a.setup), options.paths)]
estimators += [(f"relaxed {t:g}", gradients.relaxed(a.setup, t), few) for t in (0.1, 0.5, 2.0)]
estimators += [("straight 0.5", gradients.relaxed(a.setup, 0.5, straight_through=True), few)]
for what in ("pool", f"class {options.name}"):
    print(f"\n{'mean loss of the pool' if what == 'pool' else 'mean price of ' + what}: "
          "derivative +- standard error")
    print(f"{'':<14}" + "".join(f"{name:>22}" for name in start) + f"{'paths':>8}{'seconds':>9}")
    for name, setup, paths in estimators:
        found, compile_s, run_s = measured(setup, what, paths)
        slopes = {k: (float(found.gradient[k]), float(found.error[k])) for k in start}
        rows += [{"of": what, "estimator": name, "number": k, "slope": slope, "error": error,
                  "paths": paths, "compile_s": compile_s, "run_s": run_s}
                 for k, (slope, error) in slopes.items()]
        print(f"{name:<14}" + "".join(f"{slope:>13.4f} +-{error:.4f}"
                                      for slope, error in slopes.values())
              + f"{paths:>8}{run_s:>9.2f}", flush=True)
print("\npool, expected: derivative of VaR 99 and CVaR 99")
for name, statistic in (("VaR 99", gradients.var), ("CVaR 99", gradients.cvar)):
    found, *_ = measured(gradients.expected(a.setup), "pool", few,
                         functools.partial(statistic, level=0.99))
    print(f"{name:<14}" + "".join(f"{float(found.gradient[k]):>22.4f}" for k in start))


def of_pool(estimator):
    return [(row["slope"], row["error"]) for row in rows
            if (row["of"], row["estimator"]) == ("pool", estimator)]


apart = [abs(x - y) / (e**2 + f**2) ** 0.5
         for (x, e), (y, f) in zip(of_pool("expected"), of_pool("scored"), strict=True)]
names = [name for name, *_ in estimators]
experiment.keep(
    [figure("pool: scored off expected, worst, standard errors", max(apart), high=3.0)],
    rows, lambda path: write_dots(path, "Derivative of the pool's mean loss, 95 % intervals", [
        (number, "", names, {"": tuple(zip(*(of_pool(name)[n] for name in names), strict=True))})
        for n, number in enumerate(start)]))

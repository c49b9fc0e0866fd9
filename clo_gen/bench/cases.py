"""Every case: its name, what it measures, and what builds it."""

import dataclasses
from collections.abc import Callable
from functools import partial

from clo_gen.bench import deals, hypo, pools, runs, starts, training


@dataclasses.dataclass(frozen=True)
class Case:
    """One case."""

    about: str  # one line for --list
    build: Callable  # (scale, temporary folder) -> measure.Work
    from_scale: float = 0.0  # below it only when named: the size is the point


def _pool(about, **sizes):
    return Case(f"{about}, pool alone, 60 months", partial(pools.pool, **sizes))


CASES = {
    "random-numbers": Case("a uniform draw a loan and month: the floor of any simulation",
                           pools.random_numbers),
    "markov-200": _pool("states drawn, 200 loans x 512 paths", loans=200, mode="markov", paths=512),
    "markov-1k": _pool("states drawn, 1,000 loans x 512 paths", loans=1000, mode="markov",
                       paths=512),
    "markov-10k": _pool("states drawn, 10,000 loans x 64 paths", loans=10_000, mode="markov",
                        paths=64),
    "expected-1k": _pool("probabilities pushed, 1,000 loans x 128 paths", loans=1000,
                         mode="expected", paths=128),
    "waterfall": Case("every feature of a deal, 10,000 paths x 40 dates", deals.waterfall),
    "waterfall-gradient": Case("the same with a price's gradient in all deal terms",
                               partial(deals.waterfall, gradient=True)),
    "graph-200": Case("whole graph, 200 loans to maturity x 512 paths",
                      partial(pools.graph, loans=200)),
    "graph-expected": Case("whole graph in mode expected, 200 loans x 120 months x 256 paths",
                           partial(pools.prices, loans=200, paths=256, gradient=False)),
    "graph-gradient": Case("the same with the gradient in every number",
                           partial(pools.prices, loans=200, paths=256, gradient=True)),
    "gradient-1k": Case("gradient in every number, 1,000 loans x 120 months x 1,000 paths",
                        partial(pools.prices, loans=1000, paths=1000, gradient=True)),
    "run-1k": Case("the main job's loop, files included: 1,000 loans x 60 months x 1,000 paths",
                   partial(runs.run, loans=1000, paths=1000)),
    "run-10k": Case("the same with 10,000 loans", partial(runs.run, loans=10_000, paths=1000)),
    "trajectory-1k": Case("the same with lives of level 3, 1,000 loans x 32 paths",
                          partial(runs.trajectory, loans=1000, paths=32)),
} | {
    f"hypo-{kind}-{count // 1000}k": Case(
        f"hypo pools, {kind}: {count:,} deals", partial(hypo.pools, kind=kind, deals=count),
        from_scale=1.0 if count == 100_000 else 0.0)
    for kind in ("discrete", "formula") for count in (1000, 10_000, 100_000)
} | {
    f"train-{level}": Case(f"{level}: epochs between two looks, embedded data",
                           partial(training.epochs, level=level)) for level in training.SETTINGS
} | {
    "import-jax": Case("start-up: import jax", partial(
        starts.process, arguments=("-c", "import jax"))),
    "import-clo-gen": Case("start-up: import clo_gen", partial(
        starts.process, arguments=("-c", "import clo_gen"))),
    "help": Case("start-up: clo-gen --help", partial(
        starts.process, arguments=("-m", "clo_gen", "--help"))),
}

# 640 paths are whole rounds of the blocks that both pool sizes run in on one, two or five cores.
GROWTH = {
    "growth": Case("run-1k with 640 paths", partial(runs.run, loans=1000, paths=640)),
    "growth-paths": Case("10 times the paths", partial(runs.run, loans=1000, paths=6400)),
    "growth-loans": Case("10 times the loans", partial(runs.run, loans=10_000, paths=640)),
}

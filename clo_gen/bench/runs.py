"""Cases of the main job's own loop: blocks of paths computed, kept and written to disk."""

import itertools
import pathlib

import jax

from clo_gen.bench.measure import Work, scaled
from clo_gen.bench.pools import MONTHS, assembly, us_bsl
from clo_gen.io import checkpoint
from clo_gen.jobs import simulation
from clo_gen.jobs.blocks import Blocks
from clo_gen.jobs.start import MEMORY
from clo_gen.levels import LEVELS
from clo_gen.train.loop import start
from clo_gen.train.trajectory import FIT, TrajectoryTraining


def run(scale, folder, *, loans, paths, overrides=(), more=None):
    """Blocks of one scenario of a five-year deal (20 payment dates, reinvestment, call, event of
    default): pool, waterfall and class numbers of every path, the files of all blocks included.

    Every month up to the deal's maturity counts for every loan.
    """
    paths = scaled(paths, scale)
    a = assembly(loans, f"paths={paths}", 'scenarios=["baseline"]', *overrides,
                 us_bsl(folder, "2030-10-15", term_months=30))
    block = simulation.choose_block(a.config, loans, jax.local_device_count(),
                                    jax.devices()[0].platform, MEMORY)
    sim = simulation.simulator(a, block)
    todo = simulation.wanted(a, block)
    number = itertools.count()

    def once():
        simulation.simulate(a, sim, Blocks(pathlib.Path(folder) / f"blocks{next(number)}"), todo)

    assert a.deal.months == MONTHS
    return Work(run=once, unit="loan-months", work=loans * MONTHS * paths,
                sizes={"loans": loans, "months": MONTHS, "paths": paths, "block": block,
                       "dates": len(a.deal.payment_dates)},
                compile_s=sim.compile_s, temporaries=sim.temporaries, more=more or {})


def trajectory(scale, folder, *, loans, paths):
    """`run` in mode `trajectory`, with a model of the shipped sizes that has learned nothing: its
    speed is the trained one's."""
    verbs = LEVELS["trajectory"]
    data = verbs.load(TrajectoryTraining(), pathlib.Path("."), None)
    model = verbs.assemble(start(verbs.task(data, None), FIT).params, data, None)
    file = pathlib.Path(folder) / "untrained" / "trajectory" / "model.npz"
    file.parent.mkdir(parents=True)
    checkpoint.save_record(file, model, {"kind": data.kind, "source": "nothing, untrained"})
    return run(scale, folder, loans=loans, paths=paths, more={"weights": "untrained"},
               overrides=("mode=trajectory", f"trajectory.run={str(file.parent.parent)!r}"))

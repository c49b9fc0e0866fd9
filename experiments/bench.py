"""How fast is each stage, and what do ten times the paths or loans cost?

    python experiments/bench.py [--cases run-1k,waterfall] [--scale 1.0] [--growth]

The same as `clo-gen bench` (`--list` names the cases, clo_gen/bench/ has them): compile time apart
from the median of 5 runs, rate and peak memory, each case in a process of its own. About 20 minutes
on 2 idle cores. Expected there: markov at least 30 million loan-months a second with macro,
factors, cash and recovery lags included; --growth 8 to 12 times the time in the same memory.
Measured: BENCHMARKS.md holds the figures of every case.
"""

from record import Experiment, figure

from clo_gen.bench.suite import bench_job
from clo_gen.plots.bench import write_figure

experiment = Experiment(__doc__, scale=(1.0, 0.02))
experiment.parser.add_argument("--cases")
experiment.parser.add_argument("--growth", action="store_true")
options = experiment.options()

cases = options.cases or ("import-jax,markov-200" if options.small else None)
rows = bench_job(cases, options.scale, growth=options.growth,
                 on_row=lambda row: print(row, flush=True))
good = [row for row in rows if "error" not in row]
least = {"markov-1k": 30e6, "markov-10k": 30e6}
experiment.keep(
    [figure("cases that failed", len(rows) - len(good), high=0),
     *(figure(f"{row['case']}, {row['unit']} a second", row["per_s"], least.get(row["case"]))
       for row in good if row.get("per_s"))],
    rows, lambda path: write_figure(path, good))

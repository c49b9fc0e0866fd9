"""Does stage 2 lower L_portfolio on years it has not seen, and what do the levels pay for it?

    python experiments/stage2.py RUN OUT [--counts FILE] [--held-out 1991] [--test 1996]
                                 [--set KEY=VALUE]

RUN is a folder written by `clo-gen train`. FILE has columns year, rating, firms, defaults, such as
S&P's counts of 1981 to 2000; without it the embedded rating histories, whose test years 2004 and
2005 hold two defaults. About 12 minutes on two busy cores, most of it compiling; set
XLA_FLAGS=--xla_backend_optimization_level=0 to compile faster and run slower. Expected figures
stand in docs/stage2.md. Exit code 1 when the target is missed: at least 20 % lower on the test
years, and no stage-1 held-out loss more than 5 % worse.
"""

import argparse
import pathlib
import sys

import jax

jax.config.update("jax_enable_x64", True)

from clo_gen.jobs import stage2 as stage2_job  # noqa: E402
from clo_gen.terminal import console  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("run", type=pathlib.Path)
parser.add_argument("out", type=pathlib.Path)
parser.add_argument("--counts", type=pathlib.Path)
parser.add_argument("--held-out", type=int, default=1991)
parser.add_argument("--test", type=int, default=1996)
parser.add_argument("--set", action="append", default=[])
options = parser.parse_args()

overrides = list(options.set)
if options.counts is not None:
    overrides += [f"portfolio.data.counts={str(options.counts.resolve())!r}",
                  f"portfolio.data.held_out_from={options.held_out}",
                  f"portfolio.data.test_from={options.test}"]
config, folder = stage2_job.prepare(None, options.out, None, overrides, options.run)
report = stage2_job.stage2_job(config, folder, on_stage=print, on_report=print)
console.show(stage2_job.as_table(report))
for line in (*report.notes, report.verdict):
    console.say(line)
at = {(row["quantity"], row["split"]): row["change"] for row in report.rows}
paid = max(at["L_macro", "held_out"], at["L_transition", "held_out"])
sys.exit(0 if at["L_portfolio", "test"] <= -0.20 and paid <= config.joint.guard else 1)

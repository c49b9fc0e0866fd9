"""How far does stage 3 move the model, and does a calibration carry over to a trust not seen?

    python experiments/calibration.py [configs/calibrate.toml] [--out runs/calibration]
    python experiments/calibration.py configs/calibrate_auto.toml

About half a minute on 2 cores with the embedded data. It prints every target beside the model
before and after, how many standard deviations off, and what each parameter rests on. Expected
figure: every fitted rate inside its 95 % interval after, about two thirds of them before; five-year
default rates, which are not fitted, mostly inside too, BB below (a Markov chain forgets that a
downgrade makes the next one likelier). With the auto file: expected over realised loss of each
trust, calibrated on the others, between 0.9 and 1.1.
Measured, embedded data: 43 of 62 fitted figures inside before, all of them after.
"""

import tempfile

import jax

jax.config.update("jax_enable_x64", True)

from record import Experiment, figure  # noqa: E402

from clo_gen.jobs.calibrate import calibrate_job, read_calibration  # noqa: E402
from clo_gen.plots.calibration import write_calibration  # noqa: E402

experiment = Experiment(__doc__)
experiment.parser.add_argument("config", nargs="?")
options = experiment.options()

with tempfile.TemporaryDirectory() as folder:
    report, _ = calibrate_job(*read_calibration(options.config), f"{folder}/run")
group = None
for row in report.comparisons:
    if row.group != group:
        group = row.group
        print(f"\n{group + ('' if row.fitted else ' (not fitted)'):<46}{'before':>9}{'after':>9}"
              f"{'target':>9}{'low':>9}{'high':>9}{'off':>7}")
    deviation = max(row.high - row.low, 1e-12) / 3.92
    print(f"  {row.name:<44}{row.before:>9.4f}{row.after:>9.4f}{row.target:>9.4f}{row.low:>9.4f}"
          f"{row.high:>9.4f}{(row.after - row.target) / deviation:>7.2f}"
          + ("" if row.inside else "  OUTSIDE"))
print(f"\n{'parameter':<62}{'value':>8}{'+-':>8}{'prior':>8}")
for p in report.calibration.parameters:
    print(f"{p.name:<62}{p.value:>8.3f}{p.error:>8.3f}{p.prior:>8.2f}"
          + ("" if p.identified else "  rests on its prior"))
for h in report.held_out:
    print(f"\n{h.trust} left out: realised {h.loss:.3%} [{h.low:.3%}, {h.high:.3%}], expected "
          f"{h.after:.3%} (ratio {h.ratio:.3f}), by band averages {h.before:.3%} "
          f"({h.ratio_before:.3f})")

fitted = [row for row in report.comparisons if row.fitted]
figures = [figure("share of fitted rates inside their interval, before",
                  sum(row.inside_before for row in fitted) / len(fitted)),
           figure("share of fitted rates inside their interval, after",
                  sum(row.inside for row in fitted) / len(fitted), 1.0)]
figures += [figure(f"expected over realised loss, {h.trust} left out", h.ratio, 0.9, 1.1)
            for h in report.held_out]
rows = [{key: getattr(row, key) for key in ("group", "name", "fitted", "before", "after", "target",
                                            "low", "high", "inside")}
        for row in report.comparisons]
experiment.keep(figures, rows, lambda path: write_calibration(report.comparisons, path))

"""Does a transition transformer beat the constant matrix and the logit on months it has not seen?

    python experiments/transitions.py [ratings] [continuous] [synthetic] [--auto COUNTS.csv]

About two minutes on 2 cores for the first three, most of it compiling; --auto fits four models to a
file of cohort counts (bond, risk_cat, month, n_current, n_default, n_prepaid): test 2019, then each
trust left out. Expected, as measured: log-likelihoods a loan-month (higher is better) on the test
months:

    case                 transformer     logit   constant
    ratings                 -0.04197  -0.04197   -0.04277   the network has no held-out support
    continuous              -0.04169  -0.04197   -0.04277
    synthetic               -0.25933  -0.26183   -0.26768   KL to the truth 0.0010, 0.0035, 0.0094
    auto                    -0.12187  -0.12187   -0.12203   no held-out support
    auto without aart       -0.09866  -0.09868   -0.09886
    auto without carmax     -0.08152  -0.08152   -0.08134   no support; the constant matrix wins
    auto without sdart      -0.13781  -0.13784   -0.13799

Accuracy is persistence's in every case (99.4 % of rating months, 98 % of auto months), since
staying is always the likeliest move.
Reference: methodology, Level 2 and Evaluation Metrics (transition accuracy above 85 %).
"""

import dataclasses

import jax

jax.config.update("jax_enable_x64", True)

from record import Experiment, figure  # noqa: E402

from clo_gen.evaluate.transition import evaluate  # noqa: E402
from clo_gen.io.cohort_counts import read_cohort_counts  # noqa: E402
from clo_gen.io.synthetic_counts import SERIES  # noqa: E402
from clo_gen.models.transition import TransitionConfig  # noqa: E402
from clo_gen.plots.experiment import write_dots  # noqa: E402
from clo_gen.train import loop, transition  # noqa: E402
from clo_gen.train.transition_data import TransitionTraining  # noqa: E402

SYNTHETIC = TransitionTraining(
    source="synthetic", series=SERIES,
    covariates=(*SERIES, *(f"{name}_change_12m" for name in SERIES)),
    held_out_from="1998-01", test_from="2004-01", test_until="2019-12")
# Twenty months of one vintage hardly tell macro from age: the ridges were chosen on 2018-07 to
# 2018-12, from 1 to 3e4 and 1e4 to 1e6.
AUTO = dict(source="cohort_counts", covariates=("unemployment_rate_change_12m",),
            held_out_from="2018-07", test_from="2019-01", test_until="2019-12",
            leave_out=("2020-03", "2020-04", "2020-05"))
AUTO_NETWORK = TransitionConfig(ridge=3e4, head_ridge=1e6)
CASES = {
    "ratings": (TransitionTraining(), TransitionConfig()),
    "continuous": (TransitionTraining(), TransitionConfig(time="continuous")),
    "synthetic": (SYNTHETIC, TransitionConfig(width=32, members=2, blocks=2, head_ridge=1.0)),
}


def auto_cases(path):
    trusts = dict.fromkeys(read_cohort_counts(path).trusts)
    yield "auto", (TransitionTraining(file=path, **AUTO), AUTO_NETWORK)
    for trust in trusts:
        yield f"auto without {trust}", (
            TransitionTraining(file=path, leave_out_trusts=(trust,), **AUTO), AUTO_NETWORK)


experiment = Experiment(__doc__, epochs=(transition.FIT.epochs, 2))
experiment.parser.add_argument("cases", nargs="*", help=f"some of {', '.join(CASES)}")
experiment.parser.add_argument("--auto", metavar="COUNTS.csv")
options = experiment.options()
chosen = {name: CASES[name] for name in options.cases or ([] if options.auto else CASES)}
if options.auto:
    chosen |= dict(auto_cases(options.auto))

rows, fit = [], dataclasses.replace(transition.FIT, epochs=options.epochs)
for name, (training, network) in chosen.items():
    data = transition.load(training)
    params, history = loop.fit(transition.task(data, network), fit)
    best = min(history, key=lambda row: row["held_out"])
    model = transition.assemble(params, data, network)
    print(f"\n{name}: {data.kind} data, {data.source.rpartition('/')[2]}; {history[-1]['epoch']} "
          f"epochs in {sum(row['seconds'] for row in history):.1f} s, best {best['epoch']}")
    for m in evaluate(model, data):
        rows.append({"case": name} | dataclasses.asdict(m))
        interval = f"  [{m.low:+.6f}, {m.high:+.6f}]" if m.low is not None else ""
        print(f"  {m.name:<28}{m.value:>13.6f}  {m.baseline_name:<16}{m.baseline:>13.6f}{interval}"
              f"  {'' if m.beats_baseline else m.note}")


scores = [row for row in rows if row["name"] == "transition log-likelihood"]
gains = {}
for row in scores:
    gains.setdefault(row["baseline_name"], {})[row["case"]] = row["value"] - row["baseline"]
least = {"ratings": 0.0, "continuous": 0.0, "synthetic": 0.005}
experiment.keep(
    [figure(f"{case}: log-likelihood above the constant matrix", gain, least.get(case))
     for case, gain in gains["constant matrix"].items()]
    + [figure(f"{row['case']}: KL to the truth over the {row['baseline_name']}'s",
              row["value"] / row["baseline"], high=0.5)
       for row in rows if row["name"].startswith("KL") and row["baseline_name"] == "logit"],
    rows, lambda path: write_dots(path, "Gain of the transformer on unseen months", [
        (f"over the {name}", "nats a loan-month", list(gain), {"": list(gain.values())})
        for name, gain in gains.items()], (0.0,)))

"""Do learned loan lives beat the cohort matrix, and learned payments the contract, out of sample?

    python experiments/trajectories.py FOLDER    (auto_abs_loans.parquet, auto_abs_panel.parquet)
    python experiments/trajectories.py           (synthetic loans: shows the machinery only)

Three minutes on two cores. Trains on 80 % of the 3,454 loans up to 2018-09, stops on their months
to 2018-12, and scores the other loans in 2019 and all loans from 2019-01 to 2020-02. Then a million
loan-months are sampled and checked against the laws, and the speed is measured.

Expected, as measured on all loans (trust AART 2017-3): state log-likelihood about -0.33 a month
(cohort matrix -0.39, persistence below -0.6), accuracy 0.89 (persistence 0.82); payments given the
state: RMSE about $414 (contract $444), CRPS about $46 (contract $95); 150,000 loan-months a second
or more.
Reference: methodology, Level 3 and Evaluation Metrics.
"""

import dataclasses
import json
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
from record import Experiment, figure

from clo_gen.evaluate.trajectory import evaluate
from clo_gen.models import trajectory
from clo_gen.plots.experiment import write_dots
from clo_gen.train import loop
from clo_gen.train import trajectory as training
from clo_gen.train.trajectory_data import TrajectoryTraining, loans_of

AUTO = {"train_until": "2018-09", "stop_until": "2018-12", "test_until": "2020-02",
        "macro_reference": ("1990-01", "2016-12")}
BLOCK, MONTHS = 512, 64  # loans at once, months: 32 blocks are 1,048,576 in all


def train(folder, epochs):
    files = {"loans": "synthetic"} if folder is None else {"loans": "auto_abs_loans.parquet",
                                                           "months": "auto_abs_panel.parquet"}
    data = training.load(TrajectoryTraining(**AUTO, **files), folder or pathlib.Path("."))
    task = training.task(data)
    config = dataclasses.replace(training.FIT, epochs=epochs)
    params, history = loop.fit(task, config, on_report=lambda row: print(
        f"epoch {row['epoch']:3d}  held out {row['held_out']:.4f}"))
    months = history[-1]["epoch"] * int(data.train.counted.sum())
    seconds = sum(row["seconds"] for row in history)
    print(f"{months / seconds:,.0f} loan-months a second in training")
    return training.assemble(params, data), data


def many_lives(model, data, blocks):
    """(states, Payment), each [blocks, T, BLOCK], of sampled lives, and loan-months a second."""
    live = np.flatnonzero(data.panel.state[:, 0] < len(model.space.live))
    chosen = np.resize(live, BLOCK * blocks)
    loans = loans_of(data.panel.take(chosen), data.history.cohort[chosen])
    loans = jax.tree.map(lambda x: jnp.asarray(x).reshape(blocks, BLOCK, *x.shape[1:]), loans)
    macro = jnp.broadcast_to(jnp.asarray(data.history.macro[0, -1]), (MONTHS, len(model.series)))

    def block(x):
        key, loans = x
        return trajectory.sample(model, key, trajectory.start(model, loans), macro, 600)[1:]

    run = jax.jit(lambda keys, loans: jax.lax.map(block, (keys, loans)))
    keys = jax.random.split(jax.random.key(0), blocks)
    states, cash = jax.block_until_ready(run(keys, loans))
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        jax.block_until_ready(run(keys, loans))
        seconds.append(time.perf_counter() - begin)
    return loans, states, cash, states.size / float(np.median(seconds))


def broken_laws(model, loans, states, cash):
    """Counts of forbidden moves, of cash after absorption and of overpayment."""
    states = np.concatenate([np.asarray(loans.state)[:, None], np.asarray(states)], axis=1)
    before, after = states[:, :-1], states[:, 1:]
    possible = (np.asarray(model.cohort_matrix) > 0).any(0)
    possible[: len(model.space.live), model.space.matured] = True  # by paying the last of it
    gone = before >= len(model.space.live)
    opening = np.concatenate([np.asarray(loans.debt.balance)[:, None],
                              np.asarray(cash.balance)[:, :-1]], axis=1)
    return {"forbidden moves": int((~possible[before, after]).sum()),
            "cash after absorption": int((gone & (np.asarray(cash.payment + cash.recovery) != 0)
                                          ).sum()),
            "principal above balance": int((np.asarray(cash.principal) > opening).sum()),
            "negative payments": int((np.asarray(cash.payment) < 0).sum())}


def main():
    experiment = Experiment(__doc__, epochs=(training.FIT.epochs, 1), draws=(512, 16),
                            blocks=(32, 1))
    experiment.parser.add_argument("folder", nargs="?", type=pathlib.Path)
    options = experiment.options()
    model, data = train(options.folder, options.epochs)
    metrics = evaluate(model, data, draws=options.draws)
    for m in metrics:
        print(f"{m.name:58s} {m.value:10.4f}  {m.baseline_name} {m.baseline:.4f}  "
              f"[{m.low:.4f}, {m.high:.4f}] {m.unit}  {m.split}  {m.note}")
    loans, states, cash, speed = many_lives(model, data, options.blocks)
    broken = broken_laws(model, loans, states, cash)
    print(json.dumps({"data": data.kind, "source": data.source, "loan_months": int(states.size),
                      **broken,
                      "loan_months_a_second": round(speed), "device": jax.devices()[0].device_kind,
                      "dtype": model.cfg.dtype}))
    above = [m for m in metrics if m.baseline is not None and m.name == "state log-likelihood"]
    labels = [f"{m.baseline_name}, {m.split}" for m in above]
    experiment.keep(
        [figure("broken laws in sampled lives", sum(broken.values()), high=0),
         figure("sampled loan-months a second", speed, 150_000),
         *(figure(f"state log-likelihood above {m.baseline_name}, {m.split}",
                  m.value - m.baseline, 0.0) for m in above)],
        [dataclasses.asdict(m) for m in metrics],
        lambda path: write_dots(path, f"Learned loan lives, {data.kind} loans", [
            ("state log-likelihood above", "nats a month", labels,
             {"": [m.value - m.baseline for m in above]})], (0.0,)))


if __name__ == "__main__":
    main()

"""Is the macro path of a reverse stress likelier than any random path on which the class loses?

    python experiments/reverse_stress.py [config.toml] [--class E] [--paths 1000]

A few minutes on 2 cores with the quickstart, most of it compiling. The answers of `clo-gen
reverse-stress` stand beside random paths on which the class loses too: 1. prior draws, shocks 1.0
to 1.5 times as large, as they are; 2. the same shortened along their rays to where the loss starts
(they lose there, and hardly anywhere nearer); 3. directions that are smooth in time (six cosines a
series), the same way; 4. directions around the best answer, the same way. Expected figure: the best
answer's density is above that of every path of 1 and 2, and of nearly all of 3; those of 4 test
whether it is a local optimum, and the experiment prints how many are likelier and by how much.
Measured, class E of the quickstart: best answer at 0.941; nearest of 1: 28.4, 2: 7.60, 3: 2.05,
4: 1.00; none of 3,595 likelier.
Prior draws also give the event's probability, beside the first-order one, Phi(-distance).
"""

import time

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from record import Experiment, figure  # noqa: E402

from clo_gen.analysis import reverse_stress as rs  # noqa: E402
from clo_gen.analysis.likeliest_path import first_along  # noqa: E402
from clo_gen.assembly import assemble  # noqa: E402
from clo_gen.io.config import read_config  # noqa: E402
from clo_gen.io.tables import config_path  # noqa: E402
from clo_gen.jobs.reverse_stress import Request, event_of, examine  # noqa: E402
from clo_gen.plots.experiment import write_dots  # noqa: E402

experiment = Experiment(__doc__, paths=(1000, 50), obligors=(200, 24), life_draws=(512, 64),
                        answers=(3, 1))
experiment.parser.add_argument("config", nargs="?")
experiment.parser.add_argument("--class", dest="name")
experiment.parser.add_argument("--set", action="append", default=[])
options = experiment.options()

small = [f"deal='{config_path('deals/static_amortising.toml')}'"] if options.small else []
size = [] if options.config else [f"tape.synthetic.obligors={options.obligors}"]
a = assemble(*read_config(options.config, [*size, *small, *options.set]))
request = Request(class_name=options.name, answers=options.answers, draws=options.life_draws)
event, _ = event_of(a, request)
found = examine(a, request)
print(found.title)
for n, row in enumerate(found.rows):
    print(f"answer {n + 1}: distance {row['distance']:.3f}, sampled lives with the event "
          f"{row['all_drawn_share']:.1%}, mean amount {row['all_drawn_mean']:.2%} +- "
          f"{row['all_drawn_mean_error']:.2%}")
print("; ".join(found.notes[-1:]))
best = found.answers[0]
problem = rs.Problem(a.params, a.inputs, next(iter(a.scenarios.values())), jax.random.key(0))
size, block = rs.noise_size(problem), 50
batch = jax.jit(jax.vmap(lambda p, z: rs.happens(p, z, event=event, setup=a.setup), (None, 0)))


def happens(noise):
    """[N] bool, block by block."""
    padded = np.concatenate([noise, np.zeros((-len(noise) % block, size))])
    amounts = [np.asarray(batch(problem, jnp.asarray(padded[i: i + block])))
               for i in range(0, len(padded), block)]
    return rs.happened(event, np.concatenate(amounts)[: len(noise)])


rng = np.random.default_rng(0)
start = time.perf_counter()
prior = rng.standard_normal((options.paths, size))
lost = happens(prior)
print(f"\nprobability of the event over prior draws: {lost.mean():.1%} +- "
      f"{np.sqrt(lost.var() / len(lost)):.1%}; first order: {best.probability:.1%}")
losing = prior[lost]
for inflation in np.linspace(1.0, 1.5, 20):
    if len(losing) >= options.paths:
        break
    more = inflation * rng.standard_normal((options.paths, size))
    losing = np.concatenate([losing, more[happens(more)]])
losing = losing[: options.paths]

months = problem.scenario.shape.shape[0]
waves = np.cos(np.pi * np.outer(np.arange(months) + 0.5, np.arange(6)) / months)
smooth = np.einsum("tw,nwm->ntm", waves, rng.standard_normal((options.paths, 6, size // months)))
around = smooth.reshape(options.paths, -1)[:, :size]
around = np.pad(around, ((0, 0), (0, size - around.shape[1])))
unit = around / np.linalg.norm(around, axis=1, keepdims=True)
rays = {"2. their rays": losing, "3. smooth directions": around,
        "4. around the answer": best.noise + 0.5 * best.distance * unit}
print(f"{'random paths that lose':<26}{'paths':>7}{'nearest':>9}{'median':>9}{'likelier':>10}"
      f"{'log-density ahead of the likeliest':>36}")


rows = []


def line(label, distances):
    distances = distances[np.isfinite(distances)]
    if not len(distances):
        print(f"{label:<26}{0:>7}")
        return
    rows.append({"paths": label, "count": len(distances), "nearest": distances.min(),
                 "median": np.median(distances),
                 "likelier": int((distances < best.distance).sum())})
    ahead = 0.5 * (distances.min() ** 2 - best.distance**2)
    print(f"{label:<26}{len(distances):>7}{distances.min():>9.3f}{np.median(distances):>9.3f}"
          f"{int((distances < best.distance).sum()):>10}{ahead:>36.3f}")


line("1. as drawn", np.linalg.norm(losing, axis=1))
for label, directions in rays.items():
    farthest = 45.0 if label.startswith("2") else max(12.0, 4.0 * best.distance)
    line(label, first_along(happens, directions, farthest))
print(f"{time.perf_counter() - start:.0f} s")
labels = ["answer", *(row["paths"] for row in rows)]
experiment.keep(
    [figure("distance of the best answer, standard deviations", best.distance),
     figure("likelier among random paths that lose, 1 and 2",
            sum(row["likelier"] for row in rows if row["paths"][0] in "12"), high=0),
     figure("likelier among smooth directions, share",
            sum(row["likelier"] / row["count"] for row in rows if row["paths"][0] == "3"),
            high=0.05)],
    rows, lambda path: write_dots(path, found.title, [
        ("distance from the likeliest path", "standard deviations", labels,
         {"nearest": [best.distance, *(row["nearest"] for row in rows)],
          "median": [best.distance, *(row["median"] for row in rows)]})]))

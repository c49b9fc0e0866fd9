"""Cases of training: the epochs between two looks at the held-out examples, on embedded data."""

import pathlib
import time

import jax
import numpy as np

from clo_gen.bench.measure import Work
from clo_gen.levels import LEVELS, MacroLevel, TrajectoryLevel, TransitionLevel
from clo_gen.train import loop

SETTINGS = {"macro": MacroLevel, "transition": TransitionLevel, "trajectory": TrajectoryLevel}
# What is counted (a month of transitions is one of all cohorts), and how many the examples hold.
ITEMS = {"macro": ("windows", lambda train: len(train["window"])),
         "transition": ("months", lambda train: len(train["window"])),
         "trajectory": ("loan-months", lambda train: int(train.counted.sum()))}


def epochs(scale, folder, *, level):
    """As many epochs as `loop.fit` runs at once, times `scale`, and one look after them."""
    settings, verbs = SETTINGS[level](), LEVELS[level]
    task = verbs.task(verbs.load(settings.data, pathlib.Path("."), None), settings.model)
    count = max(round(settings.fit.evaluate_every * scale), 1)
    examples = len(jax.tree.leaves(task.train)[0])
    state = loop.start(task, settings.fit)
    begin = time.perf_counter()
    program = loop.compile_epochs(task, settings.fit, state, count)
    compile_s = time.perf_counter() - begin
    rows = np.concatenate([loop.shuffled(settings.fit, examples, e) for e in range(count)])
    given = jax.device_put((state, rows.astype(np.int32), task.train, task.held_out))
    unit, items = ITEMS[level]
    seen = rows.size / examples  # epochs, less the examples that fill no step
    return Work(run=lambda: program(*given), unit=unit, work=round(items(task.train) * seen),
                sizes={"epochs": count, "examples": examples, "batch": rows.shape[1]},
                dtype=f"{getattr(settings.model, 'dtype', 'float32')} network",
                compile_s=compile_s,
                temporaries=program.memory_analysis().temp_size_in_bytes)

"""Simulations from Python: a scenario's paths in memory, or whole runs in a folder."""

import dataclasses
import pathlib
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from clo_gen import pipeline
from clo_gen.assembly import Assembly
from clo_gen.io.csv_file import read_written
from clo_gen.io.json_data import read_json
from clo_gen.io.problems import InputError
from clo_gen.jobs.run import main_job
from clo_gen.jobs.start import prepare
from clo_gen.summary import read_summary, tranche_table

_batch = jax.jit(pipeline.simulate_batch, static_argnames="setup")


def simulate_scenario(a: Assembly, scenario: str, paths: int = 256) -> pipeline.PathResult:
    """PathResult of the first `paths` paths of a scenario, leading axis N, computed at once.

    They are those of `run` with the same config (seed, temperature). Memory grows with their
    number, some 0.5 MB a path; `run` goes through any number in bounded memory. Compiled at the
    first call for a setup and a number of paths. Raises InputError for an unknown scenario.

    >>> paths = cg.simulate_scenario(a, "adverse", 32)
    >>> paths.loss.shape, paths.collections.default.shape  # [N], [N, T]
    ((32,), (32, 96))
    """
    if scenario not in a.scenarios:
        raise InputError(f"scenario: {scenario!r}; want one of {', '.join(a.scenarios)}")
    return _batch(a.params, a.inputs, a.scenarios[scenario], jax.random.key(a.config.seed),
                  jnp.arange(paths), jnp.asarray(a.config.temperature, float), setup=a.setup)


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder's tables."""

    folder: pathlib.Path
    summary: dict  # of summary.json; its "definitions" say what the numbers mean
    evaluation: dict  # of evaluation.json: the transition model on months it was not fitted to
    classes: pd.DataFrame  # a row for each scenario and class; shares of balance, years, yields
    pool: pd.DataFrame  # a row for each scenario; shares of par
    coverage: pd.DataFrame  # a row for each scenario, coverage test and payment date

    def paths(self, scenario: str) -> pd.DataFrame:
        """Numbers of every path of a scenario: rows are path numbers, columns (number, of), where
        `of` is "pool" or a class. Raises InputError for an unknown scenario."""
        if scenario not in self.summary["scenarios"]:
            raise InputError(f"scenario: {scenario!r}; want one of "
                             f"{', '.join(self.summary['scenarios'])}")
        classes = list(self.summary["deal"]["credit_enhancement"])
        columns: dict = {}
        with np.load(self.folder / "paths.npz", allow_pickle=False) as file:
            for name in ("loss", "tranche_loss", "unpaid_interest", "wal_years", "irr", "price"):
                values = file[f"{scenario}/{name}"]
                of = ["pool"] if values.ndim == 1 else classes
                columns |= {(name, c): v for c, v in zip(of, np.atleast_2d(values.T), strict=True)}
            index = pd.Index(file[f"{scenario}/path"], name="path")
        frame = pd.DataFrame(columns, index=index)
        return frame.rename_axis(columns=["number", "of"])


def read_run(folder: str | pathlib.Path) -> Run:
    """Run that `run` or `clo-gen run` wrote into `folder`. Raises InputError where there is none.

    >>> cg.read_run("configs")
    Traceback (most recent call last):
    clo_gen.io.problems.InputError: configs: no run; want a folder written by clo-gen run
    """
    folder = pathlib.Path(folder)
    summary = read_summary(folder)
    pool = {name: {key: x for key, x in s["portfolio"].items() if not isinstance(x, list)}
            for name, s in summary["scenarios"].items()}
    return Run(folder, summary, read_json(folder / "evaluation.json"),
               tranche_table(summary).set_index(["scenario", "class"]),
               pd.DataFrame.from_dict(pool, orient="index").rename_axis("scenario"),
               read_written(folder / "coverage.csv", parse_dates=["date"]))


def run(config: str | pathlib.Path | None = None, *, overrides: Iterable[str] = (),
        out: str | pathlib.Path | None = None, resume: str | pathlib.Path | None = None,
        memory: float | None = None) -> Run:
    """Run of a config file (None: the shipped quickstart), as `clo-gen run` makes it.

    `overrides` are `key=value` texts, `out` a new folder (None: runs/<name>), `resume` the folder
    of an interrupted run, `memory` [bytes] bounds the paths computed at once (None: 2 GB, or what
    an interrupted run was started with). Runs in double precision whatever the caller's setting.
    Raises InputError for bad input, Interrupted (a KeyboardInterrupt) on Ctrl-C and WriteError (an
    OSError) when the disk is full; both say how to go on.

    >>> done = cg.run("configs/smoke.toml", overrides=["paths=4"], out=tmp / "first")
    >>> done.classes.loc["baseline", ["expected_loss", "price"]].shape
    (9, 2)
    >>> cg.read_run(done.folder).paths("baseline")["price"].shape  # [paths, classes]
    (4, 9)
    """
    with jax.enable_x64(True):
        _, _, folder = main_job(*prepare(config, out, resume, tuple(overrides)),
                                resume=resume is not None, memory=memory)
    return read_run(folder)

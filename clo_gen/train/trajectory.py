"""Level 3's training problem: load a loan panel, task, assemble, and what to watch for drift."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from clo_gen.assembly import prior_matrix
from clo_gen.io.auto_panel import MISSED_PAYMENTS, SYNTHETIC, read_auto_panel
from clo_gen.io.config import TransitionConfig
from clo_gen.io.problems import InputError
from clo_gen.io.rating_panel import read_rating_panel
from clo_gen.io.synthetic_loans import synthetic_panel
from clo_gen.io.tables import data_path
from clo_gen.models import diffusion, loan_cash, loan_payments, trajectory, transition_baseline
from clo_gen.models.loan_cash import NONE, OTHER
from clo_gen.models.trajectory_network import TrajectoryConfig
from clo_gen.models.trajectory_records import Trajectory
from clo_gen.states import RATING
from clo_gen.train.loop import Task, TrainConfig
from clo_gen.train.trajectory_data import (
    COHORTS,
    TrajectoryData,
    TrajectoryTraining,
    by_month,
    cohort_matrices,
    histories,
    macro_of,
)

# Payment shares that a live state allows.
SHARE_BOUNDS = {MISSED_PAYMENTS: ((0.5, 200.0), (0.0, 0.5), (0.0, 0.5), (0.0, 0.5)),
                RATING: ((1.0, 1.0),) * len(RATING.live)}
# Decay is strong: the payment head fits its few odd payments too well within ten epochs.
FIT = TrainConfig(epochs=24, batch=64, learning_rate=1e-3, weight_decay=0.1, evaluate_every=2,
                  patience=5)


def load(config: TrajectoryTraining, folder, before=None):
    """TrajectoryData of the files that `config` names, relative to `folder` (or absolute).

    A model `before` (warm start) lends its sizes and normalisation; the cohort matrix is new.

    Raises InputError with every problem of a file.
    """
    if config.loans == SYNTHETIC:
        panel = synthetic_panel(loans=1000, months=36, seed=config.seed)
    elif config.loans == "embedded":
        panel = read_rating_panel(data_path("rating_events_1999_2005.csv"))
    else:
        panel = read_auto_panel(folder / config.loans, folder / config.months, trust=config.trust)
    macro = macro_of(config.series)
    cohort = np.where(panel.band < 0, len(COHORTS) - 1, panel.band)
    history = histories(panel, cohort, macro)
    seen = np.ones(len(panel.ids), bool)
    order = np.random.default_rng(config.seed).permutation(len(seen))
    seen[order[: round(config.held_out_loans * len(seen))]] = False
    blank = TrajectoryData(panel, seen, history, None, config)
    model = _fixed_parts(config, panel, blank.train, macro)
    if before is not None:
        for name in ("space", "facts", "series"):
            if getattr(before, name) != getattr(model, name):
                raise InputError(f"{panel.source}: the earlier model's {name} differ from those of "
                                 "the data and the config; want the same")
        model = before.replace(params={}, cohort_matrix=model.cohort_matrix,
                               trained_until=model.trained_until)
    return dataclasses.replace(blank, model=model)


def _fixed_parts(config, panel, train, macro):
    """Trajectory without params: matrices, normalisation and sizes, from training months only."""
    space = panel.space
    reference = macro.loc[config.macro_reference[0]: config.macro_reference[1]]
    cfg = TrajectoryConfig(
        features=len(panel.facts), series=len(config.series), share_bounds=SHARE_BOUNDS[space],
        width=config.width, heads=config.heads, layers=config.layers, window=config.window,
        payments=not panel.contract)
    if cfg.payments:
        cfg = _with_heads(config, cfg, space, train)
    spread = np.nanstd(train.facts, axis=0)
    return Trajectory(
        params={}, cohort_matrix=jnp.asarray(_matrices(config, space, train), jnp.float32),
        fact_mean=np.nanmean(train.facts, axis=0), fact_scale=np.where(spread > 0, spread, 1.0),
        macro_mean=reference.mean().to_numpy(np.float32),
        macro_scale=reference.std().to_numpy(np.float32),
        cfg=cfg, space=space, facts=panel.facts, series=config.series, cohorts=COHORTS,
        trained_until=config.stop_until)


def _matrices(config, space, train):
    """Cohort matrices [C, S, S]; those of ratings have the prior that a run's counts have."""
    matrix = cohort_matrices(space, train, by_month(train), len(COHORTS), config.prior_months)
    if space != RATING:
        return matrix
    counts = np.zeros((space.size, space.size))
    np.add.at(counts, (train.before.state[train.counted], train.state[train.counted]), 1.0)
    return np.broadcast_to(transition_baseline.posterior_mean(
        counts, prior_matrix(), TransitionConfig().prior_months, space), matrix.shape)


def _with_heads(config, cfg, space, train):
    """`cfg` with the sizes and the normalisation of the payment and recovery heads."""
    live = train.counted & (train.state < len(space.live))
    payments = np.where(live & (train.kind == OTHER),
                        loan_cash.to_scale(np.minimum(train.share, 200.0)), np.nan)
    recoveries = np.where(train.counted, train.recovery, np.nan)
    head = diffusion.DiffusionConfig(
        condition=loan_payments.condition_size(cfg, space), atoms=(loan_payments.ATOMS,),
        atom_width=1e-4, hidden=config.head_hidden, layers=config.head_layers, steps=config.steps)
    recovery_head = diffusion.DiffusionConfig(
        condition=loan_payments.RECOVERY_CONDITION, atoms=((0.0,),), atom_width=1e-4, hidden=8,
        layers=1, steps=config.steps)
    return dataclasses.replace(
        cfg, head=diffusion.fit_normalisation(payments, head),
        recovery_head=diffusion.fit_normalisation(recoveries, recovery_head))


def task(data: TrajectoryData, config=None):
    """Training problem: one example is one loan's months; the score is the loss at fixed noise."""
    del config  # the sizes are in data.model.cfg, with the values' normalisation

    def loss(params, batch, key, progress):
        del progress
        return trajectory.loss(data.model.replace(params=params), key, batch)

    def score(params, held_out):
        # Recoveries are too few to decide when to stop.
        total, parts = trajectory.loss(data.model.replace(params=params), jax.random.key(0),
                                       held_out)
        return total - parts.get("recovery", 0.0)

    return Task(init=lambda key: trajectory.init(key, data.model.cfg, data.model.space),
                loss=loss, score=score, train=data.train, held_out=data.stop)


def assemble(params, data: TrajectoryData, config=None):
    """The trained Trajectory."""
    del config
    return data.model.replace(params=params)


def monitor(before: Trajectory, data: TrajectoryData):
    """(training months, new months): monthly shares of moves and payments, and the macro series."""
    h, space = data.history, data.panel.space
    keep = h.counted
    state, was, share = h.state[keep], h.before.state[keep], h.share[keep]
    live = state < len(space.live)
    frame = pd.DataFrame({
        "worse": live & (state > was), "default": state == space.default,
        "prepaid": state == space.prepaid, "nothing paid": live & (h.kind[keep] == NONE),
        "odd amount": live & (h.kind[keep] == OTHER),
        "over schedule": np.where(live, np.clip(share - 1.0, 0.0, 5.0), 0.0),
    } | {name: h.macro[keep][:, i] for i, name in enumerate(data.config.series)}, dtype=float)
    index = pd.PeriodIndex.from_ordinals(h.month[keep], freq="M")  # type: ignore[attr-defined]
    frame = frame.groupby(index).mean()
    until = pd.Period(before.trained_until, "M")
    return frame.loc[:until], frame.loc[until + 1:]

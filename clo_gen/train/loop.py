"""The training loop of every level: minibatches, schedule, clipping, EMA, early stopping.

A level states its problem as a Task; `fit` does the rest. What happens in epoch e depends on the
state and e alone, so a resumed fit gives the bits of an uninterrupted one.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from clo_gen import mesh
from clo_gen.io.problems import InputError


@dataclasses.dataclass(frozen=True)
class Task:
    """One level's training problem."""

    init: Callable  # (key) -> params
    loss: Callable  # (params, batch, key, progress) -> (loss [], {name: []}); progress in [0, 1]
    score: Callable  # (params, held_out) -> [] lower is better, without randomness
    train: Any  # pytree of arrays, leading axis N: one row an example
    held_out: Any  # pytree of arrays


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How one level is trained."""

    epochs: int = 200
    batch: int = 64  # examples a step
    learning_rate: float = 1e-3  # at its highest
    warmup: float = 0.05  # share of the steps over which it rises; a cosine brings it down again
    weight_decay: float = 1e-4
    clip_norm: float = 1.0  # of the gradient
    ema_decay: float = 0.99  # of the averaged parameters, which are the ones that are kept
    evaluate_every: int = 5  # epochs between looks at the held-out examples
    patience: int = 10  # looks without improvement before training stops
    seed: int = 0
    devices: int = 1  # that share the examples of a step; parameters are whole on each

    def __post_init__(self):
        for name in ("epochs", "batch", "evaluate_every", "patience", "learning_rate", "clip_norm",
                     "devices"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: {getattr(self, name)}; want a positive number")
        for name in ("warmup", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)}; want a number in [0, 1)")


class TrainState(struct.PyTreeNode):
    """All that training needs to go on."""

    params: Any
    ema: Any
    best: Any  # the averaged parameters with the lowest held-out score so far
    optimizer: Any
    step: jax.Array  # [] int
    epoch: jax.Array  # [] int
    best_score: jax.Array  # []
    best_epoch: jax.Array  # [] int
    waited: jax.Array  # [] int, looks since the best


def rows_of(config, examples):
    """(examples a step, steps an epoch)."""
    batch = min(config.batch, examples)
    return batch, examples // batch


def optimizer_of(config, steps):
    """AdamW under a clipped gradient and a warm-up cosine over `steps` steps."""
    rising = max(1, round(config.warmup * steps))
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, rising, max(steps, rising + 1), 0.02 * config.learning_rate)
    return optax.chain(optax.clip_by_global_norm(config.clip_norm),
                       optax.adamw(schedule, weight_decay=config.weight_decay))


def _examples(task):
    return len(jax.tree.leaves(task.train)[0])


def _steps(task, config):
    return config.epochs * rows_of(config, _examples(task))[1]


def start(task: Task, config: TrainConfig, params=None):
    """TrainState before the first step; `params` continues from trained ones (warm start)."""
    if params is None:
        params = jax.jit(task.init)(jax.random.key(config.seed))
    count = jnp.zeros((), jnp.int32)
    return TrainState(params=params, ema=params, best=params,
                      optimizer=optimizer_of(config, _steps(task, config)).init(params),
                      step=count, epoch=count, best_score=jnp.asarray(jnp.inf, jnp.float32),
                      best_epoch=count, waited=count)


def shuffled(config, examples, epoch):
    """Rows [steps, batch] of one epoch: a permutation that `seed` and `epoch` alone decide."""
    batch, steps = rows_of(config, examples)
    order = np.random.default_rng((config.seed, epoch)).permutation(examples)
    return order[: steps * batch].reshape(steps, batch)


def _mesh(task, config):
    """Mesh of the devices that share a step's examples."""
    batch, _ = rows_of(config, _examples(task))
    if batch % config.devices or config.devices > jax.local_device_count():
        raise InputError(f"fit.devices: {config.devices}; want a divisor of the {batch} examples a "
                         f"step, at most the {jax.local_device_count()} devices there are")
    return mesh.example_mesh(config.devices)


def _step(task, config, optimizer, total, state, rows, train):
    batch = jax.tree.map(lambda x: x[rows], train)
    if config.devices > 1:  # XLA adds up the devices' gradients
        spread = mesh.by_path(_mesh(task, config))
        batch = jax.lax.with_sharding_constraint(batch, jax.tree.map(lambda _: spread, batch))
    key = jax.random.fold_in(jax.random.key(config.seed), state.step)
    progress = state.step / total
    (loss, metrics), gradient = jax.value_and_grad(task.loss, has_aux=True)(
        state.params, batch, key, progress)
    updates, moments = optimizer.update(gradient, state.optimizer, state.params)
    params = optax.apply_updates(state.params, updates)
    # A short memory at first, else the random start lingers in the average.
    decay = jnp.minimum(config.ema_decay, (1.0 + state.step) / (10.0 + state.step))
    ema = jax.tree.map(lambda a, b: (decay * a + (1.0 - decay) * b).astype(b.dtype), state.ema,
                       params)
    state = state.replace(params=params, ema=ema, optimizer=moments, step=state.step + 1)
    return state, {"loss": loss} | metrics


def _judge(task, state, held_out):
    """The state after a look at the held-out examples, and their score."""
    score = task.score(state.ema, held_out).astype(jnp.float32)
    better = score < state.best_score
    best = jax.tree.map(lambda a, b: jnp.where(better, a, b), state.ema, state.best)
    return state.replace(
        best=best, best_score=jnp.where(better, score, state.best_score),
        best_epoch=jnp.where(better, state.epoch, state.best_epoch),
        waited=jnp.where(better, 0, state.waited + 1)), score


def compile_epochs(task, config, state, epochs):
    """Compiled (state, rows [steps, batch], train, held_out) -> (state, {name: []}, score)."""
    total = _steps(task, config)
    optimizer = optimizer_of(config, total)
    examples = _examples(task)
    batch, steps = rows_of(config, examples)

    def run(state, rows, train, held_out):
        state, metrics = jax.lax.scan(
            lambda s, r: _step(task, config, optimizer, total, s, r, train), state, rows)
        state = state.replace(epoch=state.epoch + epochs)
        state, score = _judge(task, state, held_out)
        return state, jax.tree.map(jnp.mean, metrics), score

    rows = jnp.zeros((epochs * steps, batch), jnp.int32)
    return jax.jit(run).lower(state, rows, task.train, task.held_out).compile()


def fit(task: Task, config: TrainConfig, *, state=None, history=(), on_report=lambda row: None,
        save=lambda state, history: None):
    """(best params, history) of a task; `state` and `history` resume an earlier fit.

    `history` is a list of {epoch, held_out, seconds, loss, ...}, one row a look at the held-out
    examples; `save` gets the state after each. The first look comes before any training: a level
    that starts at its baseline keeps the baseline unless training beats it. Training ends after
    `config.epochs` epochs or `config.patience` looks without improvement. Seconds exclude
    compiling.
    """
    state = start(task, config) if state is None else state
    state, train, held_out = jax.device_put((state, task.train, task.held_out),
                                            mesh.replicated(_mesh(task, config)))
    task = dataclasses.replace(task, train=train, held_out=held_out)
    history = list(history)
    compiled = {}
    if not history:
        state, score = jax.jit(functools.partial(_judge, task))(state, held_out)
        history.append({"epoch": 0, "held_out": float(score), "seconds": 0.0})
        on_report(history[-1])
    while int(state.epoch) < config.epochs and int(state.waited) < config.patience:
        first = int(state.epoch)
        epochs = min(config.evaluate_every, config.epochs - first)
        if epochs not in compiled:
            compiled[epochs] = compile_epochs(task, config, state, epochs)
        rows = np.concatenate([shuffled(config, _examples(task), e)
                               for e in range(first, first + epochs)]).astype(np.int32)
        begin = time.perf_counter()
        state, metrics, score = compiled[epochs](state, rows, train, held_out)
        row = {"epoch": int(state.epoch), "held_out": float(score),
               "seconds": time.perf_counter() - begin}
        row |= {k: float(v) for k, v in metrics.items()}
        history.append(row)
        if not np.isfinite(score):
            raise InputError(f"training: the held-out score is {float(score)} after epoch "
                             f"{int(state.epoch)}; want a smaller fit.learning_rate")
        save(state, history)
        on_report(row)
    return state.best, history

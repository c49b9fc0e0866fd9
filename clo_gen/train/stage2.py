"""Stage 2: L_total = L_macro + L_trans + L_traj + lambda L_portfolio, jointly trained.

The levels keep the losses, splits and held-out scores of stage 1 (their own Tasks). L_portfolio
does not depend on level 3, which acts in mode `trajectory` only, so L_traj is a constant: its
minimum is where stage 1 left it. One example of the joint Task is a bundle: a share of the macro
windows, of the transition months and of the portfolio's years.
Reference: methodology, Training Strategy, Stage 2.
"""

import dataclasses
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from clo_gen import rng
from clo_gen.io.config import Positive
from clo_gen.io.toml import Record
from clo_gen.train import portfolio
from clo_gen.train.loop import Task

LEVELS = ("macro", "transition")  # trained in stage 2
_REFUSED = 1e6  # added to the held-out total, times the excess, when the guard is broken


class Bundles(Record):
    """[joint]: weight of L_portfolio, the guard, and what stands in one step."""

    portfolio_weight: Annotated[float, Field(gt=0)] = 1.0  # lambda
    guard: Annotated[float, Field(gt=0, le=1)] = 0.05  # by which a held-out loss may worsen
    bundles: Positive = 8  # steps an epoch
    years: Positive = 4  # of the portfolio in each
    draws_seed: Annotated[int, Field(ge=0)] = 0  # of the held-out score


@dataclasses.dataclass(frozen=True)
class Joint:
    """The joint problem before it is a Task."""

    tasks: dict  # level -> the level's own Task
    start: dict  # level -> stage-1 params
    world: portfolio.World
    objective: portfolio.Objective
    settings: Bundles
    scale: dict  # part -> value before stage 2 on the training years
    before: dict  # level -> stage-1 held-out score


def bundled(arrays, count, size, seed):
    """`arrays` (leading axis N) as [count, size, ...]: shuffled, each row about as often."""
    n = len(jax.tree.leaves(arrays)[0])
    generator = np.random.default_rng(seed)
    rounds = -(-count * size // n)
    order = np.concatenate([generator.permutation(n) for _ in range(rounds)])[: count * size]
    return jax.tree.map(lambda x: np.asarray(x)[order.reshape(count, size)], arrays)


def training_examples(tasks, years, settings: Bundles):
    """{level or "years": [bundles, size, ...]}: every example of a level about once an epoch."""
    count, out = settings.bundles, {}
    for number, (level, task) in enumerate(tasks.items()):
        n = len(jax.tree.leaves(task.train)[0])
        out[level] = bundled(task.train, count, max(1, n // count), number)
    return out | {"years": bundled(years, count, settings.years, len(tasks))}


def excess(scores, before, guard):
    """How far [] the worst level passes what the guard allows; 0 when none does."""
    over = [jnp.maximum(scores[name] - before[name] - guard * abs(before[name]), 0.0)
            / max(abs(before[name]), 1e-12) for name in before]
    return sum(over)


def stage1_scores(tasks, params):
    """{level: held-out score []} of `params`, by the levels' own Tasks."""
    return {name: task.score(params[name], task.held_out) for name, task in tasks.items()}


def task(joint: Joint, years, held_out_years) -> Task:
    """The joint training problem; its params are {level: params of that level}."""
    s = joint.settings

    def loss(params, batch, key, progress):
        del progress  # the levels' warm-ups are over
        batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
        keys = jax.random.split(key, len(LEVELS) + 1)
        levels = {name: joint.tasks[name].loss(params[name], batch[name], k, 1.0)[0]
                  for name, k in zip(LEVELS, keys, strict=False)}
        w = joint.world.learned(params)
        examples = batch["years"]
        each = jax.random.split(keys[-1], examples["year"].shape[0])
        found = jax.vmap(lambda e, k: portfolio.year_numbers(w, joint.objective, e, k))(
            examples, each)
        parts = portfolio.parts_of(w, found)
        value = portfolio.total(parts, joint.objective, joint.scale)
        out = sum(levels.values()) + s.portfolio_weight * value
        return out, {f"L_{name}": x for name, x in levels.items()} | parts | {"L_portfolio": value}

    def score(params, held_out):
        scores = {name: joint.tasks[name].score(params[name], held_out[name]) for name in LEVELS}
        w = joint.world.learned(params)
        found = portfolio.numbers(w, joint.objective, held_out["years"],
                                  rng.path_key(jax.random.key(s.draws_seed), 0))
        value = portfolio.total(portfolio.parts_of(w, found), joint.objective, joint.scale)
        refused = _REFUSED * excess(scores, joint.before, s.guard)
        return sum(scores.values()) + s.portfolio_weight * value + refused

    held_out = {name: t.held_out for name, t in joint.tasks.items()} | {"years": held_out_years}
    return Task(init=lambda key: joint.start, loss=loss, score=score,
                train=training_examples(joint.tasks, years, s), held_out=held_out)

"""How a sensitivity or an attribution is worked out, judged once, and the case it starts from."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from clo_gen.analysis.bumps import Case
from clo_gen.assembly import Assembly
from clo_gen.io.problems import Problems

TEMPERATURE = 0.01  # of the tests where the config's are hard


@dataclasses.dataclass(frozen=True)
class Settings:
    """Options of both jobs."""

    paths: int = 64  # systematic paths, rounded up to whole blocks
    block: int = 16
    temperature: float | None = None  # None: the config's, or TEMPERATURE where that is 0
    obligors: int = 10  # the largest ones, each with two bars
    bars: int = 10  # largest bars that are revalued
    sizes: tuple[str, ...] = ()  # "macro=0.005": the stated bumps (factors.SIZES)

    @property
    def whole_block(self):
        """Paths a compiled call: a multiple of the devices."""
        devices = jax.device_count()
        return -(-min(self.block, self.paths) // devices) * devices


def judge(settings: Settings, scenarios: Any, assemblies: tuple[Assembly, ...]) -> None:
    """Raises InputError with every option that is out of range, every one of `scenarios` that its
    assembly has not, and a mode that is not followed."""
    problems = Problems("options")
    for name, low, high in (("paths", 2, 100_000), ("obligors", 0, 1000), ("bars", 1, 100)):
        if not low <= getattr(settings, name) <= high:
            problems.add(f"--{name}", getattr(settings, name), f"a number from {low} to {high}")
    if settings.temperature is not None and not 0.0 < settings.temperature <= 1.0:
        problems.add("--temperature", settings.temperature, "a number above 0, at most 1: at 0 the "
                     "tests have no slope")
    for name, a in zip(scenarios, assemblies, strict=True):
        if name not in a.scenarios:
            problems.add("scenario", name, "one of " + ", ".join(a.scenarios))
    if any(a.config.mode == "trajectory" for a in assemblies):
        problems.add("mode", "trajectory", "markov or expected: slopes are those of levels 1 and 2")
    problems.raise_if_any()


def case_of(a: Assembly, scenario: Any, settings: Settings) -> Case:
    """Case of an assembly under one models.scenarios.Scenario (or what else the model reads)."""
    temperature = settings.temperature or a.config.temperature or TEMPERATURE
    return Case(params=a.params, inputs=a.inputs, scenario=scenario,
                key=jax.random.key(a.config.seed), temperature=jnp.asarray(temperature),
                yields=jnp.zeros(len(a.deal.classes)))


def headlines(classes):
    """The outcomes of the pictures: the pool's loss, the most junior note's price, equity's IRR."""
    return ("pool loss", f"{classes[-2]} price", f"{classes[-1]} IRR")

"""What stage 2 changed: parts of L_portfolio before and after, and what years leave open."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from clo_gen import rng
from clo_gen.train import portfolio

_INTERVAL = (0.05, 0.95)
OWN_YEARS = ("rates", "quantiles")  # parts whose targets are of the years that they are measured on
OWN = "L_portfolio, targets of its own years only"


@dataclasses.dataclass(frozen=True)
class Draws:
    """The simulation behind a report: the same draws for any params."""

    compiled: Callable  # (params, world, examples, key) -> YearNumbers [Y]
    world: portfolio.World
    examples: dict
    seed: int
    repeats: int


@dataclasses.dataclass(frozen=True)
class Measure:
    """Parts of L_portfolio of any years of simulated numbers."""

    parts_of: Callable  # portfolio.parts_of, compiled
    world: portfolio.World
    objective: portfolio.Objective
    scale: dict | None = None  # None: the parts alone

    def __call__(self, simulated, rows):
        """[repeats] {part or L_portfolio: value} of the years `rows`."""
        out = []
        for numbers in simulated:
            chosen = jax.tree.map(lambda x: x[rows], numbers)
            parts = {k: float(v) for k, v in self.parts_of(self.world, chosen).items()}
            if self.scale is not None:
                parts |= totals(parts, self.objective, self.scale)
            out.append(parts)
        return out


def totals(parts, objective, scale):
    """{L_portfolio: of all `parts`, OWN: of OWN_YEARS alone, their weights made to add to 1}."""
    out = {"L_portfolio": float(portfolio.total(parts, objective, scale))}
    own = {name: parts[name] for name in OWN_YEARS if name in parts and getattr(objective, name)}
    if own:
        weight = sum(getattr(objective, name) for name in own)
        out[OWN] = float(portfolio.total(own, objective, scale)) / weight
    return out


def simulated(draws: Draws, params):
    """[repeats] YearNumbers of all years, on the host."""
    keys = [rng.path_key(jax.random.key(draws.seed), 1000 + i) for i in range(draws.repeats)]
    return [jax.tree.map(np.asarray, draws.compiled(params, draws.world, draws.examples, k))
            for k in keys]


def mean(parts):
    """{part: mean over repeats} of a list of dicts."""
    return {name: float(np.mean([p[name] for p in parts])) for name in parts[0]}


def relative(change, before):
    """`change` as a share of `before`; nan where that is 0."""
    return float(change / before) if before else np.nan


def shown(change, form="+.1%"):
    """A relative change as text; "-" where there is none."""
    return "-" if np.isnan(change) else format(change, form)


def rows_of_split(measure, found, rows, split, draws):
    """Report rows of one split; the change has a 90 % bootstrap interval over its years.

    `found` is (before, after), each [repeats] YearNumbers of all years, `rows` the split's years.
    """
    before, after = (measure(s, rows) for s in found)
    generator = np.random.default_rng(0)
    few = [s[:1] for s in found]  # one repeat is enough for what the years leave open
    resampled = []
    for _ in range(draws):
        some = rows[generator.integers(0, len(rows), len(rows))]
        b, a = (mean(measure(s, some)) for s in few)
        resampled.append({k: relative(a[k] - b[k], b[k]) for k in b})
    out = []
    for name in before[0]:
        old, new = (np.array([p[name] for p in x]) for x in (before, after))
        drawn = [r[name] for r in resampled if np.isfinite(r[name])]
        low, high = np.quantile(drawn, _INTERVAL) if drawn else (np.nan, np.nan)
        each = np.array([relative(n - o, o) for n, o in zip(new, old, strict=True)])
        out.append({"quantity": name, "split": split, "before": float(old.mean()),
                    "after": float(new.mean()),
                    "change": relative(new.mean() - old.mean(), old.mean()),
                    "low": float(low), "high": float(high),
                    "simulation_error": float(each.std(ddof=1) / np.sqrt(len(old)))})
    return out


def verdict(rows, guard):
    """One line: what stage 2 gained, and what it cost the levels."""
    at = {(r["quantity"], r["split"]): r for r in rows}
    test, held = at["L_portfolio", "test"], at["L_portfolio", "held_out"]
    worst = max((r for r in rows if r["quantity"] in ("L_macro", "L_transition")),
                key=lambda r: np.nan_to_num(r["change"], nan=-np.inf))
    return (f"L_portfolio {shown(test['change'])} on the test years "
            f"(90 % interval over years {shown(test['low'])} to {shown(test['high'])}), "
            f"{shown(held['change'])} on the years that stopped the training; worst stage-1 "
            f"held-out loss {worst['quantity']} {shown(worst['change'])} (guard {guard:+.0%})")


def notes(data):
    """Lines that say which target is real and where it comes from."""
    tape = data.deal.provenance["tape"]
    return (f"default counts: {data.kind} - {data.source}, {data.years[0]} to {data.years[-1]}",
            "averages: real - S&P global corporates 1981-2016; they span every split",
            f"note returns: model-implied - {data.deal.deal.terms.name}; its loans: "
            f"{tape['kind']} - {tape['source']}; target: the notes' ratings, recalled table")

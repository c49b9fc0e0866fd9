"""Our own break-even default rate of a hypo pool, to set beside the CDO Monitor's formula."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from clo_gen.assembly import assemble
from clo_gen.break_even import break_even_default_rates, timing_curves
from clo_gen.hypo.objects import Obligor
from clo_gen.hypo.tape import as_tape
from clo_gen.io.config import read_config
from clo_gen.io.deal import read_deal

if TYPE_CHECKING:  # pandas is imported where a table is made
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class DefaultRates:
    """Break-even default rates: defaults as a share of the pool's par that a class survives."""

    rate: np.ndarray  # [S, K - 1] by scenario and debt class, senior first
    converged: np.ndarray  # [S, K - 1] bool
    scenarios: tuple[tuple[str, float], ...]  # S pairs (default timing, shift of the indices)
    classes: tuple[str, ...]  # K - 1
    notes: tuple[str, ...]

    @property
    def lowest(self) -> np.ndarray:
        """[K - 1] lowest rate over the scenarios."""
        return self.rate.min(0)

    def to_frame(self) -> "pd.DataFrame":
        """DataFrame with one row a scenario and one column a class."""
        import pandas as pd

        index = pd.MultiIndex.from_tuples(self.scenarios, names=["timing", "shift"])
        return pd.DataFrame(self.rate, index=index, columns=self.classes)


@functools.cache
def _search(setup):
    # Kept, so that pools of one size in one deal compile once.
    return jax.jit(jax.vmap(functools.partial(break_even_default_rates, setup=setup),
                            (None, 0, 0, None, None)))


def break_even_default_rate(
        obligors: Mapping[str, Obligor] | Iterable[Obligor], deal: str | pathlib.Path, *,
        was: float, warr: float, wal: float, timings: Mapping[str, Sequence[float]] | None = None,
        shifts: Sequence[float] = (-0.01, 0.0, 0.02), cpr: float = 0.15,
        overrides: Iterable[str] = ()) -> DefaultRates:
    """DefaultRates of a pool in a deal (TOML path), all scenarios and classes in one batch.

    `timings` {name: shares of all defaults by year} (default: early, even, late), `shifts` what is
    added to every index, `cpr` a yearly prepayment rate; a default loses 1 - `warr`. `overrides`
    are further key=value texts of the run config. Wants double precision (clo-gen sets it).
    Raises InputError for bad input.
    """
    path = pathlib.Path(deal).resolve()
    terms = read_deal(path).terms
    frame = as_tape(obligors, par=terms.target_par, cutoff=terms.closing, was=was, warr=warr,
                    wal=wal, benchmark=terms.index)
    given = [f"deal={str(path)!r}", *overrides]
    config, folder = read_config(overrides=given)
    if terms.index not in config.indices:  # as SOFR does, it follows the policy rate
        config, folder = read_config(overrides=[*given, f"indices.{terms.index}=policy_rate"])
    a = assemble(config, folder, frame=frame)
    names, curves = timing_curves(timings, a.deal.months)
    scenarios = tuple((name, float(shift)) for name in names for shift in shifts)
    by_scenario = np.repeat(curves, len(shifts), axis=0)
    found = _search(a.setup)(a.inputs, jnp.asarray(by_scenario),
                             jnp.asarray([s for _, s in scenarios]), cpr, 1.0 - warr)
    return DefaultRates(np.asarray(found.cdr), np.asarray(found.converged), scenarios,
                        a.deal.classes[:-1], tuple(a.provenance["tape"]["notes"]))

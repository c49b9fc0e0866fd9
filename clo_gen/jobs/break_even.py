"""`clo-gen break-even`: first-loss default rates of every class."""

import dataclasses
import itertools

import jax.numpy as jnp

from clo_gen.assembly import assemble
from clo_gen.break_even import compile_batch
from clo_gen.io.problems import InputError


@dataclasses.dataclass(frozen=True)
class BreakEvenReport:
    """One row for each pair of prepayment rate and severity."""

    title: str
    rows: tuple[dict, ...]  # cpr, severity, then the first-loss CDR of each debt class
    converged: bool  # every search
    notes: tuple[str, ...]


def break_even_job(config, folder, cpr, severity):
    """BreakEvenReport of a run config's pool and deal at every pair of the yearly prepayment rates
    `cpr` and the `severity` of defaults, fractions. Raises InputError with every problem."""
    for name, values in (("--cpr", cpr), ("--severity", severity)):
        for value in values:
            if not 0.0 <= value <= 1.0:
                raise InputError(f"{name} {value}: want a fraction in [0, 1]")
    a = assemble(config, folder)
    pairs = list(itertools.product(cpr, severity))
    found = compile_batch(a.setup)(a.inputs, *(jnp.asarray(x) for x in zip(*pairs, strict=True)))
    rows = tuple({"cpr": c, "severity": s} | dict(zip(a.deal.classes, found.cdr[n].tolist(),
                                                      strict=False))
                 for n, (c, s) in enumerate(pairs))
    tape, converged = a.provenance["tape"], bool(found.converged.all())
    note = (f"tape: {tape['kind']} - {tape['source']}; recovery after {a.setup.recovery_lag} "
            "months; indices stay where the curve or the cut-off has them"
            + ("" if converged else "; not every search converged"))
    return BreakEvenReport(a.deal.terms.name, rows, converged, (note,))

"""What a run keeps of its paths: numbers of every path, curves of the first, sums over all.

Blocks of paths come and go; what stays grows by some 400 bytes a path, so that ten times the paths
need ten times the time and hardly more memory.
"""

import dataclasses
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from clo_gen.pipeline import PathResult

CURVES = 4096  # paths whose curves are kept, for bands and pictures; means are over all paths
MAY_BE_MISSING = ("wal_years", "irr")  # nan where a class never repays, or no yield was found


class PathNumbers(struct.PyTreeNode):
    """Numbers of each path, leading axis N."""

    loss: jax.Array  # [N] share of par
    conservation_error: jax.Array  # [N]
    tranche_loss: jax.Array  # [N, K] principal unpaid over original balance
    unpaid_interest: jax.Array  # [N, K] over original balance
    wal_years: jax.Array  # [N, K]
    irr: jax.Array  # [N, K] nan where not converged
    price: jax.Array  # [N, K]


class PathCurves(struct.PyTreeNode):
    """What happened on each path over time, leading axis N; float32."""

    macro: jax.Array  # [N, T, M]
    default: jax.Array  # [N, T] par of new defaults
    prepayment: jax.Array  # [N, T]
    opening: jax.Array  # [N, T] performing par
    booked_loss: jax.Array  # [N, T]
    ratio: jax.Array  # [N, P, Q]
    tranche_interest: jax.Array  # [N, P, K]
    tranche_principal: jax.Array  # [N, P, K]
    fees: jax.Array  # [N, P]


class Kept(struct.PyTreeNode):
    """What is kept of a block of paths."""

    numbers: PathNumbers
    curves: PathCurves


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What is kept of a scenario (host). Paths with a number that is not finite are in no field but
    `broken`."""

    path: np.ndarray  # [N] path numbers
    numbers: PathNumbers  # [N, ...]
    curves: PathCurves  # [n, ...] of the first n <= CURVES of them
    means: PathCurves  # over all N, without the leading axis; float64
    failing: np.ndarray  # [P, Q] share of the N paths on which a test's ratio is below its trigger
    broken: dict  # {path number: names of the fields that are not finite}


def keep(result: PathResult) -> Kept:
    """Kept of a batch (or of one path, without the leading axis)."""
    c, t, cash = result.collections, result.tranches, result.cash
    numbers = PathNumbers(
        loss=result.loss,
        conservation_error=result.conservation_error,
        tranche_loss=t.loss,
        unpaid_interest=t.unpaid_interest,
        wal_years=t.wal_years,
        irr=jnp.where(t.irr_converged, t.irr, jnp.nan),
        price=t.price,
    )
    curves = PathCurves(
        macro=result.macro.values,
        default=c.default,
        prepayment=c.prepayment,
        opening=c.performing + c.scheduled_principal + c.prepayment + c.default,
        booked_loss=c.loss,
        ratio=cash.ratio,
        tranche_interest=cash.interest,
        tranche_principal=cash.principal,
        fees=cash.fees.sum(-1) + cash.incentive,
    )
    return Kept(numbers, jax.tree.map(lambda x: x.astype(jnp.float32), curves))


def _fields(record):
    return {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}


def block_arrays(kept: Kept, first: int, paths: int,
                 triggers: np.ndarray) -> dict[str, np.ndarray]:
    """{name: array} of one block (host): what a file of it holds.

    `first` is the number of the block's first path, `paths` how many the run asks for: those of the
    last block beyond it are left out. `triggers` [P, Q] are those of the coverage tests, 0
    where one does not apply.
    """
    number = first + np.arange(len(kept.numbers.loss))
    asked = number < paths
    known = {**_fields(kept.numbers), **_fields(kept.curves)}
    finite = {name: np.isfinite(x).reshape(len(number), -1).all(1) for name, x in known.items()
              if name not in MAY_BE_MISSING}
    whole = np.all(list(finite.values()), axis=0)
    good = asked & whole
    arrays = {"path": number[good]}
    arrays |= {f"numbers/{name}": x[good] for name, x in _fields(kept.numbers).items()}
    inside = good & (number < CURVES)
    for name, x in _fields(kept.curves).items():
        arrays[f"curves/{name}"] = x[inside]
        arrays[f"sums/{name}"] = x[good].sum(0, dtype=np.float64)
    below = kept.curves.ratio[good] < np.asarray(triggers, np.float32)
    arrays["failing"] = below.sum(0).astype(np.float64)
    for name, ok in finite.items():
        if not ok[asked].all():
            arrays[f"broken/{name}"] = number[asked & ~ok]
    return arrays


def gather(blocks: list[dict[str, np.ndarray]] | Iterable) -> Outcome:
    """Outcome of a scenario from its blocks' arrays, in the order of their paths (an iterable)."""
    parts: dict = {}
    sums: dict = {}
    broken: dict = {}
    for arrays in blocks:
        for name, x in arrays.items():
            kind, _, field = name.rpartition("/")
            if kind == "broken":
                for path in x.tolist():
                    broken.setdefault(path, []).append(field)
            elif kind == "sums" or name == "failing":
                sums[name] = sums.get(name, 0.0) + x
            else:
                parts.setdefault(name, []).append(x)
    joined = {name: np.concatenate(x) for name, x in parts.items()}
    count = max(len(joined["path"]), 1)

    def record(kind, of, scale=1.0):
        return of(**{f.name: kind[f.name] * scale for f in dataclasses.fields(of)})

    def part(prefix, source):
        return {name.removeprefix(prefix): x for name, x in source.items()
                if name.startswith(prefix)}

    return Outcome(
        path=joined["path"],
        numbers=PathNumbers(**part("numbers/", joined)),
        curves=PathCurves(**part("curves/", joined)),
        means=record(part("sums/", sums), PathCurves, 1.0 / count),
        failing=sums["failing"] / count,
        broken=broken,
    )

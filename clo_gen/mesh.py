"""Device mesh: one axis, `paths`, `deals` or `examples`. The same program on one and on many."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec


def path_mesh() -> Any:
    """Mesh over all devices of this process with the axis `paths`."""
    return _mesh("paths")


def deal_mesh() -> Any:
    """Mesh over all devices of this process with the axis `deals`."""
    return _mesh("deals")


def example_mesh(count: int) -> Any:
    """Mesh over the first `count` devices of this process with the axis `examples` (training)."""
    return _mesh("examples", count)


def _mesh(axis, count=None):
    devices = jax.local_devices()[:count]
    return jax.make_mesh((len(devices),), (axis,), axis_types=(AxisType.Auto,), devices=devices)


def by_path(mesh: Any) -> Any:
    """Sharding of an array whose leading axis is the mesh's: paths, deals or examples."""
    return NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))


def replicated(mesh: Any) -> Any:
    """Sharding of what every device needs whole: tape, deal, parameters."""
    return NamedSharding(mesh, PartitionSpec())


def each_device(f: Callable, mesh: Any, spread: tuple[bool, ...]) -> Any:
    """`f`, jitted, as one program a device: where `spread` (a bool an argument) is true a device
    gets its part of the leading axis, and so it does of the result; other arguments come whole.

    The program of a device does not know how many there are, so its part of the result has the same
    bits on two devices or more. With `jit` and shardings alone the compiler may fuse differently.
    """
    axis, whole = PartitionSpec(mesh.axis_names[0]), PartitionSpec()
    inner = jax.shard_map(f, mesh=mesh, in_specs=tuple(axis if s else whole for s in spread),
                          out_specs=axis, check_vma=False)
    return jax.jit(inner)


def in_blocks(f: Callable, block: int) -> Callable:
    """f, written for a batch, over a longer batch `block` at a time: a block stays in the cache.

    The length must be a multiple of `block`. Block b holds members b, b + count, ...: the sharded
    axis stays where it is.
    """
    def run(*args):
        size = jax.tree.leaves(args)[0].shape[0]
        if size == block:
            return f(*args)

        def split(x):
            return x.reshape(block, size // block, *x.shape[1:]).swapaxes(0, 1)

        def join(x):
            return x.swapaxes(0, 1).reshape(size, *x.shape[2:])

        return jax.tree.map(join, jax.lax.map(lambda x: f(*x), jax.tree.map(split, args)))

    return run

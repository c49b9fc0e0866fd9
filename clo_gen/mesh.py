"""Device mesh: one axis, `paths` or `deals`. The same program on one CPU and on many devices."""

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec


def path_mesh():
    """Mesh over all devices with the axis `paths`."""
    return _mesh("paths")


def deal_mesh():
    """Mesh over all devices with the axis `deals`."""
    return _mesh("deals")


def _mesh(axis):
    return jax.make_mesh((jax.device_count(),), (axis,), axis_types=(AxisType.Auto,))


def by_path(mesh):
    """Sharding of an array whose leading axis is the mesh's: paths or deals."""
    return NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))


def replicated(mesh):
    """Sharding of what every device needs whole: tape, deal, parameters."""
    return NamedSharding(mesh, PartitionSpec())


def in_blocks(f, block):
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

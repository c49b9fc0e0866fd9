"""Device mesh: one axis, `paths`. The same program runs on one CPU and on many devices."""

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec


def path_mesh():
    """Mesh over all devices with the axis `paths`."""
    return jax.make_mesh((jax.device_count(),), ("paths",), axis_types=(AxisType.Auto,))


def by_path(mesh):
    """Sharding of an array whose leading axis is paths."""
    return NamedSharding(mesh, PartitionSpec("paths"))


def replicated(mesh):
    """Sharding of what every device needs whole: tape, deal, parameters."""
    return NamedSharding(mesh, PartitionSpec())

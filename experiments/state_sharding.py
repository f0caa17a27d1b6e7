"""Sharding of the training state: each device holds a part of parameters and optimizer state."""

import math
from typing import Any, TypeVar

import jax
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

T = TypeVar("T")


def state_shardings(like: T, devices: Mesh | AbstractMesh, *, shard: bool) -> T:
    """The sharding of each array of a state.

    Args:
        like: A pytree of arrays, or of objects with a `shape`.
        devices: A mesh of one axis.
        shard: Whether to divide arrays among the devices. If not, all arrays are replicated.

    Returns:
        A pytree of shardings. An array is divided along its largest axis whose size is a multiple
        of the number of devices; among equal axes, along the first. An array without such an axis
        is replicated.

    Example:
        >>> import numpy as np
        >>> devices = jax.sharding.AbstractMesh((8,), ("batch",))
        >>> tuple(state_shardings(np.zeros((3, 8, 16)), devices, shard=True).spec)
        (None, None, 'batch')
        >>> tuple(state_shardings(np.zeros(10), devices, shard=True).spec)
        ()
    """
    (name,) = devices.axis_names

    def sharding(leaf: Any) -> NamedSharding:
        sizes = [n if n and n % devices.size == 0 else 0 for n in leaf.shape] if shard else []
        if not any(sizes):
            return NamedSharding(devices, PartitionSpec())
        axis = sizes.index(max(sizes))
        return NamedSharding(devices, PartitionSpec(*[None] * axis, name))

    return jax.tree.map(sharding, like)


def bytes_per_device(like: Any, shardings: Any) -> int:
    """The bytes of a state per device.

    Args:
        like: A pytree of arrays, or of objects with `shape` and `dtype`.
        shardings: The shardings of the arrays; see `state_shardings`.
    """
    sizes = jax.tree.map(
        lambda leaf, one: math.prod(one.shard_shape(leaf.shape)) * leaf.dtype.itemsize,
        like,
        shardings,
    )
    return sum(jax.tree.leaves(sizes))


def gathered(tree: T, devices: Mesh) -> T:
    """Replicates sharded arrays, and their gradients, inside a program.

    Without this constraint, XLA propagates the sharding of the parameters, and divides the channels
    of the network among the devices instead of the batch.
    """
    everywhere = NamedSharding(devices, PartitionSpec())
    return jax.tree.map(lambda leaf: jax.lax.with_sharding_constraint(leaf, everywhere), tree)

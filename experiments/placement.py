"""Arrays on a mesh of all devices: replicated on every device, or divided along the batch.

The mesh spans the devices of all processes. A process sends to its devices, and reads from a
stream, only the examples of these devices.
"""

from collections.abc import Generator
from contextlib import closing
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from experiments.data import Stream

T = TypeVar("T")
_AXIS = "batch"


def mesh() -> Mesh:
    """All devices of all processes, along one axis."""
    return jax.make_mesh((jax.device_count(),), (_AXIS,), axis_types=(AxisType.Auto,))


def over_batch(devices: Mesh) -> NamedSharding:
    """The sharding of one batch (N, ...) whose examples are divided among the devices."""
    return NamedSharding(devices, PartitionSpec(_AXIS))


def replicated(tree: T, devices: Mesh) -> T:
    """Replicates arrays on all devices of a mesh.

    Args:
        tree: A pytree of arrays with the same values in each process.
        devices: The mesh.
    """
    sharding = NamedSharding(devices, PartitionSpec())

    def place(array: Any) -> jax.Array:
        whole: Any = np.asarray(array)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.tree.map(place, tree)


def divided(tree: T, order: np.ndarray, devices: Mesh) -> T:
    """The examples of some batches, each batch divided among the devices of a mesh.

    Args:
        tree: A pytree of arrays of all examples (N, ...), on the host.
        order: Which examples each batch takes (steps, batch).
        devices: The mesh, of a size that divides `batch`.

    Returns:
        Arrays (steps, batch, ...), sharded along the batch. This process gathers only the examples
        that its own devices hold.
    """
    sharding = NamedSharding(devices, PartitionSpec(None, _AXIS))

    def gather(array: Any) -> jax.Array:
        def part(index: Any) -> np.ndarray:
            return np.asarray(array[order[index[:2]]])

        return jax.make_array_from_callback((*order.shape, *array.shape[1:]), sharding, part)

    return jax.tree.map(gather, tree)


def read_divided(
    stream: Stream, order: np.ndarray, devices: Mesh
) -> Generator[tuple[jax.Array, jax.Array]]:
    """Batches of a stream, each divided among the devices of a mesh.

    Args:
        stream: The examples.
        order: Which examples each batch takes (steps, batch).
        devices: The mesh, of a size that divides `batch`.

    Yields:
        Inputs and labels of a batch, sharded along the batch axis. This process reads only the
        examples that its own devices hold.
    """
    sharding = over_batch(devices)
    parts = sharding.addressable_devices_indices_map(order.shape[1:]).values()
    rows = np.unique([np.arange(order.shape[1])[index] for index in parts])
    with closing(stream.batches(order[:, rows].ravel(), len(rows))) as batches:
        for batch in batches:
            yield jax.tree.map(lambda array: _assembled(array, rows, order, sharding), batch)


def _assembled(
    array: np.ndarray, rows: np.ndarray, order: np.ndarray, sharding: NamedSharding
) -> jax.Array:
    """A sharded batch from the rows that this process has read."""
    shape = (order.shape[1], *array.shape[1:])

    def part(index: Any) -> np.ndarray:
        return array[np.searchsorted(rows, np.arange(order.shape[1])[index[0]])]

    return jax.make_array_from_callback(shape, sharding, part)

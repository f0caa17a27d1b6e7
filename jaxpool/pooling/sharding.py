"""Operators on arrays whose types carry a sharding (JAX's explicit mode).

In explicit mode the sharding of every intermediate result must be known, which is ambiguous for
some JAX operations, such as a gather or a reshape of a sharded axis. So an operator runs in auto
mode, where the partitioner shards intermediate results. The sharding of its results is derived from
the sharding of its first array.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, AxisType, NamedSharding, auto_axes, use_abstract_mesh
from jax.sharding import PartitionSpec as P

from jaxpool.checks import pooled_axes

Entries = Sequence[Any]  # of a PartitionSpec, one per axis
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def same_axes(arguments: dict[str, Any]) -> Entries:
    """Shard each axis of the result as the same axis of the first array."""
    return _entries(jax.tree.leaves(next(iter(arguments.values())))[0])


def without_pooled_axes(arguments: dict[str, Any]) -> Entries:
    """`same_axes` for an operator that removes the pooled axes unless `keepdims` is set."""
    entries = list(same_axes(arguments))
    if arguments["keepdims"]:
        return entries
    dropped = pooled_axes(len(entries), arguments["axes"], None)
    return [entry for i, entry in enumerate(entries, -len(entries)) if i not in dropped]


def batch_axes(arguments: dict[str, Any]) -> Entries:
    """`without_pooled_axes` for an operator that also merges the pooled axes with the channels."""
    return [*without_pooled_axes({**arguments, "keepdims": False})[:-1], None]


def boxes_and_channels(arguments: dict[str, Any]) -> Entries:
    """Shard the axis of boxes as `boxes`, and the channels as the channels of `features`."""
    features, boxes = arguments["features"], arguments["boxes"]
    return [_entries(boxes)[0], None, None, _entries(features)[-1]]


def explicit_sharding(
    rule: Callable[[dict[str, Any]], Entries] = same_axes,
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Let an operator take arrays with explicit shardings.

    Args:
        rule: Maps the operator's arguments to the sharding of each axis of its results. An axis
            that the mesh axes do not divide evenly is not sharded.
    """

    def decorate(operator: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        signature = inspect.signature(operator)
        untyped: Any = operator

        @functools.wraps(operator)
        def call(*args: Parameters.args, **options: Parameters.kwargs) -> Result:
            leaves, tree = jax.tree.flatten((args, options))
            mesh = _explicit_mesh(leaves)
            if mesh is None:
                return operator(*args, **options)
            bound = signature.bind(*args, **options)
            bound.apply_defaults()
            places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]

            def body(*arrays: jax.Array) -> Any:
                filled = dict(enumerate(leaves)) | dict(zip(places, arrays, strict=True))
                args, options = jax.tree.unflatten(tree, filled.values())
                return untyped(*args, **options)

            arrays = [leaves[i] for i in places]
            with use_abstract_mesh(AbstractMesh((), ())):
                plain = (jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arrays)
                results = jax.eval_shape(body, *plain)
            entries = rule(bound.arguments)
            shardings = jax.tree.map(lambda y: _sharding(mesh, entries, y.shape), results)
            types = zip(mesh.axis_names, mesh.axis_types, strict=True)
            names = tuple(name for name, kind in types if kind == AxisType.Explicit)
            in_auto_mode: Any = auto_axes(body, axes=names, out_sharding=shardings)
            return in_auto_mode(*arrays)

        return call

    return decorate


def _explicit_mesh(leaves: list[Any]) -> AbstractMesh | None:
    """The first mesh with explicit axes among the shardings of the arrays."""
    for leaf in leaves:
        if isinstance(leaf, jax.Array):
            mesh = jax.typeof(leaf).sharding.mesh
            if AxisType.Explicit in mesh.axis_types:
                return mesh
    return None


def _entries(x: Any) -> Entries:
    if not isinstance(x, jax.Array):
        return [None] * jnp.ndim(x)
    spec = jax.typeof(x).sharding.spec
    return [*spec, *(None for _ in range(x.ndim - len(spec)))]


def _sharding(mesh: AbstractMesh, entries: Entries, shape: Sequence[Any]) -> NamedSharding:
    def fitting(entry: Any, size: Any) -> Any:
        names = entry if isinstance(entry, tuple) else (entry,) if entry else ()
        count = 1
        for name in names:
            count *= mesh.shape[name]
        return entry if size % count == 0 else None

    return NamedSharding(mesh, P(*map(fitting, entries, shape)))

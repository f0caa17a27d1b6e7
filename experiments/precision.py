"""Mixed precision: networks compute in bfloat16; parameters and accumulators are float32.

Parameters, optimizer state, running statistics and the loss are float32. In a step, the network
receives bfloat16 copies of its parameters and inputs, so convolutions and matrix products read and
write bfloat16. Gradients are converted to float32 for the update. bfloat16 has the exponent range
of float32, so the loss is not scaled.

Normalisation layers compute in float32 and return bfloat16. Corners of boxes stay float32, because
the 8-bit significand of bfloat16 is too coarse for image coordinates.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

_NORMS = (nnx.BatchNorm, nnx.LayerNorm, nnx.RMSNorm, nnx.GroupNorm, nnx.InstanceNorm)
_PLACES = "boxes"
"""The part of the inputs that holds corners of boxes."""


def compute_in_bfloat16(network: nnx.Module) -> None:
    """Modifies a network in place so that it computes in bfloat16.

    Its float32 parameters are replaced by bfloat16 copies, except those of normalisation layers,
    which compute in float32 and return bfloat16.

    Args:
        network: Any Flax NNX network, built-in or from a plug-in.
    """
    nodes = [node for _, node in nnx.iter_graph(network)]
    exempt = set()
    norms: list[Any] = [node for node in nodes if isinstance(node, _NORMS)]
    for norm in norms:
        exempt |= {id(value) for value in vars(norm).values()}
        norm.dtype = jnp.bfloat16
        norm.promote_dtype = _in_float32  # type: ignore[assignment]
    for node in nodes:
        if isinstance(node, nnx.Param) and id(node) not in exempt:
            node.set_value(_converted(node[...], jnp.float32, jnp.bfloat16))


def inputs_in_bfloat16(inputs: Any) -> Any:
    """A batch of inputs with float32 arrays converted to bfloat16, except boxes."""

    def convert(path: Any, array: jax.Array) -> jax.Array:
        places = any(getattr(step, "key", None) == _PLACES for step in path)
        return array if places else _converted(array, jnp.float32, jnp.bfloat16)

    return jax.tree_util.tree_map_with_path(convert, inputs)


def outputs_in_float32(outputs: Any) -> Any:
    """The outputs of a network with bfloat16 arrays converted to float32, for loss and scores."""
    return jax.tree.map(lambda array: _converted(array, jnp.bfloat16, jnp.float32), outputs)


def _in_float32(arrays: tuple[Any, ...], *, dtype: Any, **others: Any) -> tuple[Any, ...]:
    """The operands of a normalisation layer in float32; a replacement of Flax's `promote_dtype`."""
    del dtype, others
    return tuple(None if array is None else jnp.asarray(array, jnp.float32) for array in arrays)


def _converted(array: Any, before: Any, after: Any) -> jax.Array:
    array = jnp.asarray(array)
    return array.astype(after) if array.dtype == before else array

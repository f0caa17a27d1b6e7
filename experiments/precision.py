"""Mixed precision: a network computes in bfloat16, and all that is learned or summed is float32.

Parameters, the optimizer's state, running statistics and the loss are float32. In a step the
network gets copies of its parameters and inputs in bfloat16, so that convolutions and products of
matrices read and write bfloat16; gradients are converted back to float32 where they meet the
parameters. bfloat16 has the exponents of float32, so the loss needs no scaling.

Normalisation computes in float32 from its input to its output, which is bfloat16 again. The corners
of boxes stay float32: they are places in an image, for which eight bits are too coarse.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

_NORMS = (nnx.BatchNorm, nnx.LayerNorm, nnx.RMSNorm, nnx.GroupNorm, nnx.InstanceNorm)
_PLACES = "boxes"
"""The part of the inputs that holds corners of boxes."""


def compute_in_bfloat16(network: nnx.Module) -> None:
    """Changes a network, in place, to one that computes in bfloat16.

    Its float32 parameters are replaced by bfloat16 copies, but for those of normalisation layers;
    these compute in float32 and give bfloat16.

    Args:
        network: Any network of Flax NNX; built-in ones and those of plug-ins.
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
    """A batch of inputs with float32 arrays as bfloat16, but for boxes; integers as they are."""

    def convert(path: Any, array: jax.Array) -> jax.Array:
        places = any(getattr(step, "key", None) == _PLACES for step in path)
        return array if places else _converted(array, jnp.float32, jnp.bfloat16)

    return jax.tree_util.tree_map_with_path(convert, inputs)


def outputs_in_float32(outputs: Any) -> Any:
    """What a network gives, for the loss and the scores: bfloat16 arrays as float32."""
    return jax.tree.map(lambda array: _converted(array, jnp.bfloat16, jnp.float32), outputs)


def _in_float32(arrays: tuple[Any, ...], *, dtype: Any, **others: Any) -> tuple[Any, ...]:
    """What a normalisation layer computes with, in the form of Flax's `promote_dtype`."""
    del dtype, others
    return tuple(None if array is None else jnp.asarray(array, jnp.float32) for array in arrays)


def _converted(array: Any, before: Any, after: Any) -> jax.Array:
    array = jnp.asarray(array)
    return array.astype(after) if array.dtype == before else array

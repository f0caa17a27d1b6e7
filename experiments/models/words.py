"""Common parts of networks that read tokens: token vectors, and heads that ignore padding."""

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.models.head import Head, HeadError, HeadModule

_COUNT_PADDING = ("flatten", "pyramid")
"""Heads whose output depends on the padded length of a sequence."""


class WordVectors(nnx.Module):
    """A learned vector per token; positions behind the end of a text are 0.

    Args:
        vocabulary: Number of tokens.
        features: Length of the vectors.
        rngs: Random keys of the initial vectors.
    """

    def __init__(self, vocabulary: int, features: int, rngs: nnx.Rngs):
        shape = (vocabulary, features)
        self.table = nnx.Param(jax.random.normal(rngs.params(), shape) * 0.1)

    def __call__(self, tokens: jax.Array, where: jax.Array) -> jax.Array:
        """The vectors (..., L, features) of tokens (..., L) where `where` (..., L) is True."""
        return jnp.where(where[..., None], self.table[...][tokens], 0)


def exist(lengths: jax.Array, most: int) -> jax.Array:
    """Marks the valid positions of padded sequences.

    Args:
        lengths: Number of tokens of each sequence (...).
        most: Padded length.

    Returns:
        Booleans (..., most).
    """
    return jnp.arange(most) < lengths[..., None]


def sequence_head(head: Head, channels: int, positions: int, rngs: nnx.Rngs) -> HeadModule:
    """Builds a head for padded sequences.

    Args:
        head: The configured head.
        channels: Channels of the sequences.
        positions: Padded length of the sequences.
        rngs: Random keys of the initial parameters.

    Returns:
        The module, which must be called with `where`.

    Raises:
        HeadError: The head's output would depend on the padding, or it cannot pool sequences.
    """
    if head.pool in _COUNT_PADDING:
        raise HeadError(
            f"{head.place or 'head'}: {head.pool} divides a text by its padded length, so padding "
            "would change its output; choose another head, such as max or k_max"
        )
    return head.build(channels, (positions,), rngs)

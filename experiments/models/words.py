"""What networks that read tokens have in common: word vectors, and a head that sees no padding."""

import jax
import jax.numpy as jnp
from flax import nnx

from experiments.models.head import Head, HeadError, HeadModule

_COUNT_PADDING = ("flatten", "pyramid")
"""Heads whose answer depends on how far a sequence is padded."""


class WordVectors(nnx.Module):
    """A learned vector per token; positions behind the end of a text are 0.

    Args:
        vocabulary: How many tokens there are.
        features: The length of the vectors.
        rngs: Where the initial vectors come from.
    """

    def __init__(self, vocabulary: int, features: int, rngs: nnx.Rngs):
        shape = (vocabulary, features)
        self.table = nnx.Param(jax.random.normal(rngs.params(), shape) * 0.1)

    def __call__(self, tokens: jax.Array, where: jax.Array) -> jax.Array:
        """The vectors (..., L, features) of tokens (..., L) where `where` (..., L) is True."""
        return jnp.where(where[..., None], self.table[...][tokens], 0)


def exist(lengths: jax.Array, most: int) -> jax.Array:
    """Which positions of padded sequences exist.

    Args:
        lengths: How many tokens each has (...).
        most: How many positions there are.

    Returns:
        Booleans (..., most).
    """
    return jnp.arange(most) < lengths[..., None]


def sequence_head(head: Head, channels: int, positions: int, rngs: nnx.Rngs) -> HeadModule:
    """Builds a head for padded sequences.

    Args:
        head: The head that a config asks for.
        channels: Channels of the sequences.
        positions: Their length, padding included.
        rngs: Where initial parameters come from.

    Returns:
        The module, to be called with `where`.

    Raises:
        HeadError: Its answer would depend on the padding, or it cannot pool such sequences.
    """
    if head.pool in _COUNT_PADDING:
        raise HeadError(
            f"{head.place or 'head'}: {head.pool} divides a text by its padded length, so padding "
            "would change the answer; choose another head, such as max or k_max"
        )
    return head.build(channels, (positions,), rngs)

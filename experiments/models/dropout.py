"""Dropout as a function of the key of the network's call."""

import jax
import jax.numpy as jnp

_FIRST = 2**30
"""Offset of dropout's fold numbers, larger than the numbers with which poolings fold the key."""


def dropout(x: jax.Array, rate: float, key: jax.Array | None, place: int | None = 0) -> jax.Array:
    """Sets a random share of the values to 0, and scales the others to preserve the mean.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    Args:
        x: Any array.
        rate: The share to drop, below 1.
        key: The key of the network's call; None in evaluation, which drops nothing.
        place: Number that distinguishes several dropouts of a network; None if the key has no other
            use.

    Returns:
        An array of the same shape.
    """
    if key is None or rate == 0:
        return x
    own = key if place is None else jax.random.fold_in(key, _FIRST + place)
    kept = jax.random.bernoulli(own, 1 - rate, x.shape)
    return jnp.where(kept, x / (1 - rate), 0)

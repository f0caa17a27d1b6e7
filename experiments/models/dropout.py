"""Dropout as a function of its key, which a network gets with every call in training."""

import jax
import jax.numpy as jnp

_FIRST = 2**30
"""Beyond the numbers by which poolings fold the same key."""


def dropout(x: jax.Array, rate: float, key: jax.Array | None, place: int | None = 0) -> jax.Array:
    """Sets a share of the values to 0 at random, and scales up the others to keep the mean.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    Args:
        x: Any array.
        rate: The share, below 1.
        key: The key of the network's call; None in evaluation, which drops nothing.
        place: Tells one dropout of a network from another; None if the network draws nothing else
            with the key.

    Returns:
        An array of the same shape.
    """
    if key is None or rate == 0:
        return x
    own = key if place is None else jax.random.fold_in(key, _FIRST + place)
    kept = jax.random.bernoulli(own, 1 - rate, x.shape)
    return jnp.where(kept, x / (1 - rate), 0)

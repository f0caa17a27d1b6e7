"""Random augmentation of training examples, as `[training.augmentation]` configures it."""

from typing import Any

import jax
import jax.numpy as jnp

from experiments.config.training import Augmentation
from experiments.tasks.classification import shifted


def augmented(inputs: Any, options: Augmentation, key: jax.Array) -> Any:
    """A batch of images (N, H, W, C) or signals (N, L, C), each changed at random.

    Args:
        inputs: The batch; returned unchanged unless it is a single array of floats.
        options: The augmentations to apply.
        key: The random key. Poolings use the same key, folded with other numbers.

    Returns:
        A batch of the same shape.
    """
    if not (options.shift or options.flip) or not isinstance(inputs, jax.Array):
        return inputs
    shift_key, flip_key = jax.random.split(jax.random.fold_in(key, 2**31 - 1))
    if options.shift:
        inputs = shifted(inputs, options.shift, shift_key)
    if options.flip:
        mirrored = jax.random.bernoulli(flip_key, shape=(len(inputs),))
        mirrored = mirrored.reshape(-1, *[1] * (inputs.ndim - 1))
        inputs = jnp.where(mirrored, jnp.flip(inputs, -2), inputs)
    return inputs

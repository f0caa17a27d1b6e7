"""Flax NNX modules: every operator, learned poolings, and attention pooling.

The constructor of a module takes the operator's arguments after its arrays; the docstring of the
operator describes them and the errors. The module is called with the arrays, and with `where=` if
the operator has a mask. An int `window_shape` reads a 3-D array as (batch, length, channels);
`(2, 2)` pools one image. Most modules have neither parameters nor state:

    windowed    an operator with fixed arguments
    random      operators that draw random numbers in training
    learned     poolings with a learned power, temperature, mixture weight or gate
    attention   attention pooling of maps and sets
    sequence    pooling of padded sequences

Example:
    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> from jaxpool import nn
    >>> stem = nnx.Sequential(nn.MaxPool(3, strides=2, padding=1), nn.GlobalAvgPool())
    >>> stem(jnp.ones((8, 32, 32, 16))).shape
    (8, 16)
"""

from jaxpool.nn import windowed
from jaxpool.nn.attention import AttentionPool, LatentPool
from jaxpool.nn.learned import GatedPool, LearnedGemPool, LearnedLogSumExpPool, LearnedMixedPool
from jaxpool.nn.random import FractionalAvgPool, FractionalMaxPool, StochasticPool
from jaxpool.nn.sequence import SequenceAttentionPool, SequencePool, mask_from_lengths
from jaxpool.nn.windowed import *  # noqa: F403 - its __all__ is the list of modules without parameters

__all__ = [
    "AttentionPool",
    "FractionalAvgPool",
    "FractionalMaxPool",
    "GatedPool",
    "LatentPool",
    "LearnedGemPool",
    "LearnedLogSumExpPool",
    "LearnedMixedPool",
    "SequenceAttentionPool",
    "SequencePool",
    "StochasticPool",
    "mask_from_lengths",
]
__all__ += windowed.__all__

"""Flax NNX modules: of every operator, of some with learned parameters, of pooling by attention.

A module takes what its operator takes after `x`, and is called on an array (and on `where=`, if
the operator has a mask). Most have neither parameters nor state:

    windowed    an operator with its arguments filled in
    random      the same, of operators that draw random numbers in training
    learned     a power, a temperature, a mixture or a gate that is learned
    attention   a map or a set, by attention
    sequence    sequences of different lengths

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

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

from jaxpool.nn.attention import AttentionPool, LatentPool
from jaxpool.nn.learned import GatedPool, LearnedGemPool, LearnedLogSumExpPool, LearnedMixedPool
from jaxpool.nn.random import FractionalAvgPool, FractionalMaxPool, StochasticPool
from jaxpool.nn.sequence import SequenceAttentionPool, SequencePool, mask_from_lengths
from jaxpool.nn.windowed import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AdaptiveMaxPoolWithArgmax,
    AvgPool,
    BlurPool,
    GemPool,
    GlobalAvgPool,
    GlobalLpPool,
    GlobalMaxPool,
    GlobalMinPool,
    GlobalSumPool,
    LogSumExpPool,
    LpPool,
    MaxBlurPool,
    MaxPool,
    MaxPoolWithArgmax,
    MaxUnpool,
    MedianPool,
    MinPool,
    MixedPool,
    Pool,
    PsRoiAlign,
    PsRoiPool,
    RoiAlign,
    RoiPool,
    SoftPool,
    SpatialPyramidPool,
    SumPool,
)

__all__ = [
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "AdaptiveMaxPoolWithArgmax",
    "AttentionPool",
    "AvgPool",
    "BlurPool",
    "FractionalAvgPool",
    "FractionalMaxPool",
    "GatedPool",
    "GemPool",
    "GlobalAvgPool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "GlobalMinPool",
    "GlobalSumPool",
    "LatentPool",
    "LearnedGemPool",
    "LearnedLogSumExpPool",
    "LearnedMixedPool",
    "LogSumExpPool",
    "LpPool",
    "MaxBlurPool",
    "MaxPool",
    "MaxPoolWithArgmax",
    "MaxUnpool",
    "MedianPool",
    "MinPool",
    "MixedPool",
    "Pool",
    "PsRoiAlign",
    "PsRoiPool",
    "RoiAlign",
    "RoiPool",
    "SequenceAttentionPool",
    "SequencePool",
    "SoftPool",
    "SpatialPyramidPool",
    "StochasticPool",
    "SumPool",
    "mask_from_lengths",
]

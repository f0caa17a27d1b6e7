"""Flax NNX modules: each holds the arguments of one operator and applies it.

A module takes what its operator takes after `x`, checks it when it is built, and is called on an
array (and on `where=`, if the operator has a mask). Its options are static: pooling has no state.

Example:
    >>> import jax.numpy as jnp
    >>> from flax import nnx
    >>> from jaxpool import nn
    >>> stem = nnx.Sequential(nn.MaxPool(3, strides=2, padding=1), nn.GlobalAvgPool())
    >>> stem(jnp.ones((8, 32, 32, 16))).shape
    (8, 16)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import jax
from flax import nnx

from jaxpool import pooling

__all__ = [
    "AvgPool",
    "GlobalAvgPool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "GlobalMinPool",
    "GlobalSumPool",
    "LpPool",
    "MaxPool",
    "MinPool",
    "Pool",
    "SumPool",
]


class Pool(nnx.Module):
    """An operator with its arguments. Subclasses name the operator."""

    operator: ClassVar[Callable[..., jax.Array]]

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if "operator" in vars(cls):
            parameters = list(inspect.signature(cls.operator).parameters.values())
            cls.__signature__ = inspect.Signature(parameters[1:])

    def __init__(self, *args: Any, **options: Any):
        """Keep the arguments that follow `x`.

        Raises:
            TypeError: The operator does not take such arguments.
        """
        bound = inspect.signature(type(self)).bind(*args, **options)
        self.options = tuple((name, _frozen(value)) for name, value in bound.arguments.items())

    def __call__(self, x: Any, **arguments: Any) -> jax.Array:
        """Pool `x`; further arguments (`where=`) go to the operator."""
        return type(self).operator(x, **dict(self.options), **arguments)


def _frozen(value: Any) -> Any:
    """Lists as tuples: a module's static attributes must be hashable."""
    return tuple(_frozen(entry) for entry in value) if isinstance(value, list | tuple) else value


class MaxPool(Pool):
    """`jaxpool.max_pool` as a module."""

    operator = staticmethod(pooling.max_pool)


class MinPool(Pool):
    """`jaxpool.min_pool` as a module."""

    operator = staticmethod(pooling.min_pool)


class AvgPool(Pool):
    """`jaxpool.avg_pool` as a module."""

    operator = staticmethod(pooling.avg_pool)


class SumPool(Pool):
    """`jaxpool.sum_pool` as a module."""

    operator = staticmethod(pooling.sum_pool)


class LpPool(Pool):
    """`jaxpool.lp_pool` as a module."""

    operator = staticmethod(pooling.lp_pool)


class GlobalMaxPool(Pool):
    """`jaxpool.global_max_pool` as a module."""

    operator = staticmethod(pooling.global_max_pool)


class GlobalMinPool(Pool):
    """`jaxpool.global_min_pool` as a module."""

    operator = staticmethod(pooling.global_min_pool)


class GlobalAvgPool(Pool):
    """`jaxpool.global_avg_pool` as a module."""

    operator = staticmethod(pooling.global_avg_pool)


class GlobalSumPool(Pool):
    """`jaxpool.global_sum_pool` as a module."""

    operator = staticmethod(pooling.global_sum_pool)


class GlobalLpPool(Pool):
    """`jaxpool.global_lp_pool` as a module."""

    operator = staticmethod(pooling.global_lp_pool)

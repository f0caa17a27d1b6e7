"""Modules without parameters: each stores the arguments of one operator and applies it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import jax
import numpy as np
from flax import nnx
from jax.typing import ArrayLike

from jaxpool import pooling

__all__ = [
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "AdaptiveMaxPoolWithArgmax",
    "AvgPool",
    "BlurPool",
    "GemPool",
    "GlobalAvgPool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "GlobalMinPool",
    "GlobalSumPool",
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
    "SoftPool",
    "SpatialPyramidPool",
    "SumPool",
    "TopKPool",
]


class Pool(nnx.Module):
    """Base class of modules that apply one operator with stored arguments.

        module(*args, **options)(*arrays, **more) = operator(*arrays, *args, **options, **more)

    The operator checks the stored arguments when the module is called.

    Attributes:
        _operator: The operator. (Private, because `nnx.tabulate` treats every public function of a
            module's class as a method and calls it with the module.)
        _arrays: The number of leading arguments that are arrays and are passed to `__call__`.
    """

    _operator: ClassVar[Callable[..., Any]]
    _arrays: ClassVar[int] = 1

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if "_operator" in vars(cls):
            cls.__signature__ = inspect.Signature(list(cls._parameters()))

    @classmethod
    def _parameters(cls) -> Iterable[inspect.Parameter]:
        """The parameters of the constructor."""
        return list(inspect.signature(cls._operator).parameters.values())[cls._arrays :]

    def __init__(self, *args: object, **options: object):
        """Store the operator's arguments after the arrays.

        Args:
            *args: Positional arguments of the operator after its arrays.
            **options: Keyword arguments of the operator. Arrays, such as a mask or one temperature
                per channel, are given in the call.

        Raises:
            TypeError: The operator does not take these arguments, or one of them is an array.
        """
        bound = inspect.signature(type(self)).bind(*args, **options)
        self.options = tuple((name, _static(name, v)) for name, v in bound.arguments.items())

    def __call__(self, *arrays: ArrayLike, **arguments: ArrayLike | None) -> jax.Array:
        """Pool; further arguments (`where=`) are passed to the operator.

        Args:
            *arrays: The operator's arrays: `x`; `values, indices` of `MaxUnpool`; or
                `features, boxes` of the operators over boxes.
            **arguments: Further arguments of the operator that are arrays, by name: `where=`,
                `batch_indices=`, `temperature=`.

        Returns:
            The result of the operator.

        Raises:
            TypeError: As in the operator; or an argument was given to the constructor too.
            ValueError: As in the operator.
        """
        return type(self)._operator(*arrays, **dict(self.options), **arguments)


class PoolWithArgmax(Pool):
    """Base class of modules for operators that also return indices."""

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, *arrays: ArrayLike, **arguments: ArrayLike | None
    ) -> tuple[jax.Array, jax.Array]:
        """Pool; further arguments (`where=`) are passed to the operator."""
        return type(self)._operator(*arrays, **dict(self.options), **arguments)


def _static(name: str, value: Any) -> Any:
    """A hashable copy of a constructor argument: lists become tuples, arrays are refused."""
    if isinstance(value, jax.Array | np.ndarray):
        raise TypeError(
            f"{name} must not be an array of shape {value.shape} here; give it with the input, "
            "or take a module that learns it"
        )
    if isinstance(value, list | tuple):
        return tuple(_static(name, entry) for entry in value)
    return value


class MaxPool(Pool):
    """`jaxpool.max_pool` as a module."""

    _operator = staticmethod(pooling.max_pool)


class MinPool(Pool):
    """`jaxpool.min_pool` as a module."""

    _operator = staticmethod(pooling.min_pool)


class AvgPool(Pool):
    """`jaxpool.avg_pool` as a module."""

    _operator = staticmethod(pooling.avg_pool)


class SumPool(Pool):
    """`jaxpool.sum_pool` as a module."""

    _operator = staticmethod(pooling.sum_pool)


class LpPool(Pool):
    """`jaxpool.lp_pool` as a module."""

    _operator = staticmethod(pooling.lp_pool)


class SoftPool(Pool):
    """`jaxpool.soft_pool` as a module."""

    _operator = staticmethod(pooling.soft_pool)


class LogSumExpPool(Pool):
    """`jaxpool.logsumexp_pool` as a module."""

    _operator = staticmethod(pooling.logsumexp_pool)


class GemPool(Pool):
    """`jaxpool.gem_pool` as a module."""

    _operator = staticmethod(pooling.gem_pool)


class MedianPool(Pool):
    """`jaxpool.median_pool` as a module."""

    _operator = staticmethod(pooling.median_pool)


class TopKPool(Pool):
    """`jaxpool.top_k_pool` as a module."""

    _operator = staticmethod(pooling.top_k_pool)


class MixedPool(Pool):
    """`jaxpool.mixed_pool` as a module."""

    _operator = staticmethod(pooling.mixed_pool)


class BlurPool(Pool):
    """`jaxpool.blur_pool` as a module."""

    _operator = staticmethod(pooling.blur_pool)


class MaxBlurPool(Pool):
    """`jaxpool.max_blur_pool` as a module."""

    _operator = staticmethod(pooling.max_blur_pool)


class GlobalMaxPool(Pool):
    """`jaxpool.global_max_pool` as a module."""

    _operator = staticmethod(pooling.global_max_pool)


class GlobalMinPool(Pool):
    """`jaxpool.global_min_pool` as a module."""

    _operator = staticmethod(pooling.global_min_pool)


class GlobalAvgPool(Pool):
    """`jaxpool.global_avg_pool` as a module."""

    _operator = staticmethod(pooling.global_avg_pool)


class GlobalSumPool(Pool):
    """`jaxpool.global_sum_pool` as a module."""

    _operator = staticmethod(pooling.global_sum_pool)


class GlobalLpPool(Pool):
    """`jaxpool.global_lp_pool` as a module."""

    _operator = staticmethod(pooling.global_lp_pool)


class AdaptiveMaxPool(Pool):
    """`jaxpool.adaptive_max_pool` as a module."""

    _operator = staticmethod(pooling.adaptive_max_pool)


class AdaptiveAvgPool(Pool):
    """`jaxpool.adaptive_avg_pool` as a module."""

    _operator = staticmethod(pooling.adaptive_avg_pool)


class SpatialPyramidPool(Pool):
    """`jaxpool.spatial_pyramid_pool` as a module."""

    _operator = staticmethod(pooling.spatial_pyramid_pool)


class MaxPoolWithArgmax(PoolWithArgmax):
    """`jaxpool.max_pool_with_argmax` as a module."""

    _operator = staticmethod(pooling.max_pool_with_argmax)


class AdaptiveMaxPoolWithArgmax(PoolWithArgmax):
    """`jaxpool.adaptive_max_pool_with_argmax` as a module."""

    _operator = staticmethod(pooling.adaptive_max_pool_with_argmax)


class MaxUnpool(Pool):
    """`jaxpool.max_unpool` as a module, called with `(values, indices)`."""

    _operator = staticmethod(pooling.max_unpool)
    _arrays = 2


class RoiAlign(Pool):
    """`jaxpool.roi_align` as a module.

    It is called with `(features, boxes)`, and with `batch_indices=` for several images.
    """

    _operator = staticmethod(pooling.roi_align)
    _arrays = 2


class RoiPool(Pool):
    """`jaxpool.roi_pool` as a module.

    It is called with `(features, boxes)`, and with `batch_indices=` for several images.
    """

    _operator = staticmethod(pooling.roi_pool)
    _arrays = 2


class PsRoiAlign(Pool):
    """`jaxpool.ps_roi_align` as a module.

    It is called with `(features, boxes)`, and with `batch_indices=` for several images.
    """

    _operator = staticmethod(pooling.ps_roi_align)
    _arrays = 2


class PsRoiPool(Pool):
    """`jaxpool.ps_roi_pool` as a module.

    It is called with `(features, boxes)`, and with `batch_indices=` for several images.
    """

    _operator = staticmethod(pooling.ps_roi_pool)
    _arrays = 2

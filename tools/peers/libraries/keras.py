"""Keras on its JAX backend: `keras.ops`, and the layers that pool whole maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import keras
from keras import layers, ops

from experiments.records import RecordError
from tools.peers.libraries import on_jax
from tools.peers.library import Adapter, Library, named, per_axis

if keras.backend.backend() != "jax":
    raise RecordError(
        f"Keras is checked on its JAX backend; KERAS_BACKEND says {keras.backend.backend()}"
    )


def _geometry(x: jax.Array, window_shape: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Translates the arguments for Keras; arguments that it does not support stay unchanged."""
    window = per_axis(window_shape, x.ndim - 2)
    padding = options.get("padding", "VALID")
    if padding == "SAME" and options.get("count_include_pad") is False:
        options = {n: v for n, v in options.items() if n != "count_include_pad"}  # as Keras does
    return options | {
        "pool_size": window,
        "strides": options.get("strides", window),
        "padding": padding.lower() if isinstance(padding, str) else padding,
    }


def _sliding(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    def pool(x: jax.Array, window_shape: Any, **options: Any) -> jax.Array:
        geometry = _geometry(x, window_shape, options)
        return function(x, data_format="channels_last", **geometry)

    return pool


def _adaptive(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    def pool(x: jax.Array, output_shape: Any, **options: Any) -> jax.Array:
        return function(x, output_shape, data_format="channels_last", **options)

    return pool


def _whole(kind: str) -> Callable[..., jax.Array]:
    def pool(x: jax.Array, **options: Any) -> jax.Array:
        layer = named(layers, f"Global{kind}Pooling{x.ndim - 2}D")
        return layer(data_format="channels_last", dtype=str(x.dtype))(x, **options)

    return pool


def _positions(x: jax.Array) -> tuple[int, ...]:
    return tuple(range(1, x.ndim - 1))


def _masked(x: jax.Array, operator: str, *, where: Any, **options: Any) -> jax.Array:
    if "global" in operator:
        kind = "Max" if "max" in operator else "Average"
        return _whole(kind)(x, mask=where[..., 0], **options)
    function = ops.max_pool if "max" in operator else ops.average_pool
    return _sliding(function)(x, options.pop("window_shape"), where=where, **options)


LIBRARY = Library(
    name="keras",
    packages=("keras", "jax"),
    modules=("keras.layers", "keras.ops", "keras.ops.nn", "keras.ops.image", "keras.ops.numpy"),
    evaluate=on_jax.evaluate,
    adapters={
        "max_pool": Adapter(
            _sliding(ops.max_pool),
            ("keras.ops.max_pool",),
            ("keras.ops.nn.max_pool", "keras.layers.MaxPool?D", "keras.layers.MaxPooling?D"),
        ),
        "avg_pool": Adapter(
            _sliding(ops.average_pool),
            ("keras.ops.average_pool",),
            (
                "keras.ops.nn.average_pool",
                "keras.layers.AvgPool?D",
                "keras.layers.AveragePooling?D",
            ),
        ),
        "adaptive_max_pool": Adapter(
            _adaptive(ops.adaptive_max_pool),
            ("keras.ops.adaptive_max_pool",),
            ("keras.ops.nn.adaptive_max_pool", "keras.layers.AdaptiveMaxPooling?D"),
        ),
        "adaptive_avg_pool": Adapter(
            _adaptive(ops.adaptive_average_pool),
            ("keras.ops.adaptive_average_pool",),
            ("keras.ops.nn.adaptive_average_pool", "keras.layers.AdaptiveAveragePooling?D"),
        ),
        "global_max_pool": Adapter(
            _whole("Max"), ("keras.layers.GlobalMaxPooling?D",), ("keras.layers.GlobalMaxPool?D",)
        ),
        "global_avg_pool": Adapter(
            _whole("Average"),
            ("keras.layers.GlobalAveragePooling?D",),
            ("keras.layers.GlobalAvgPool?D",),
        ),
        "global_min_pool": Adapter(lambda x: ops.min(x, _positions(x)), ("keras.ops.min",)),
        "global_sum_pool": Adapter(lambda x: ops.sum(x, _positions(x)), ("keras.ops.sum",)),
        "global_lp_pool": Adapter(
            lambda x, p=None: ops.norm(x, p, _positions(x)), ("keras.ops.norm",)
        ),
        "masks": Adapter(
            _masked,
            (
                "keras.layers.GlobalMaxPooling?D",
                "keras.layers.GlobalAveragePooling?D",
                "keras.ops.max_pool",
                "keras.ops.average_pool",
            ),
        ),
    },
    extras={
        "reductions of segments": ("keras.ops.segment_*",),
    },
    aside={
        "a reduction of whole axes": (
            "keras.ops.*logsumexp",
            "keras.ops.*median",
        ),
        "a blur that does not pool": (
            "keras.ops.image.gaussian_blur",
            "keras.layers.RandomGaussianBlur",
        ),
    },
)

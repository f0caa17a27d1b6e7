"""Example calls of the operators on one map, with comparable amounts of work.

Windows, bins and boxes are chosen so that, as far as possible, every operator reads each element of
the map once and has as many outputs as max pooling.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax

import jaxpool
from catalogue.entry import Example, Make, Map

PS_BINS = 4
"""Bins per side of the position-sensitive poolings; each bin reads its own group of channels."""


def windowed(function: Callable[..., Any], *arguments: Any, note: str = "") -> Make:
    """A windowed call; `arguments` follow `window_shape`, `note` is shown in tables."""

    def make(on: Map, rng: np.random.Generator) -> Example:
        def call(x: jax.Array) -> Any:
            return function(x, on.window, *arguments, strides=on.strides)

        return Example(call, on.shape, f"k{on.window} s{on.strides}{note}")

    return make


def whole(function: Callable[..., Any]) -> Make:
    """A global pooling of the map."""
    return lambda on, rng: Example(function, on.shape, "the whole map")


def gated(on: Map, rng: np.random.Generator) -> Example:
    """Gated pooling, one filter per channel."""
    filters = rng.standard_normal((on.window, on.window, on.shape[-1]), np.float32)

    def call(x: jax.Array, filters: jax.Array) -> jax.Array:
        return jaxpool.gated_pool(x, on.window, filters, strides=on.strides)

    return Example(call, on.shape, f"k{on.window} s{on.strides}", (filters,))


def drawn(on: Map, rng: np.random.Generator) -> Example:
    """Stochastic pooling in training; the seed is an operand, to prevent constant folding."""
    seed = rng.integers(0, 2**32, 2, np.uint32)

    def call(x: jax.Array, seed: jax.Array) -> jax.Array:
        key = jax.random.wrap_key_data(seed)
        return jaxpool.stochastic_pool(x, on.window, key=key, strides=on.strides)

    return Example(call, on.shape, f"k{on.window} s{on.strides}, a draw", (seed,))


def product(on: Map, rng: np.random.Generator) -> Example:
    """The product of every window, by `reduce_window`."""
    window, strides = (1, on.window, on.window, 1), (1, on.strides, on.strides, 1)
    return Example(
        lambda x: jaxpool.reduce_window(x, 1.0, lax.mul, window, strides),
        on.shape,
        f"k{on.window} s{on.strides}, products",
    )


def blur(on: Map, rng: np.random.Generator) -> Example:
    """Blur pooling with a filter of the size of the window."""
    return Example(
        lambda x: jaxpool.blur_pool(x, on.window, on.strides),
        on.shape,
        f"filter {on.window} s{on.strides}",
    )


def max_blur(on: Map, rng: np.random.Generator) -> Example:
    """Max blur pooling with a filter of 3 taps."""
    return Example(
        lambda x: jaxpool.max_blur_pool(x, on.window, 3, on.strides),
        on.shape,
        f"k{on.window}, filter 3 s{on.strides}",
    )


def adaptive(function: Callable[..., Any]) -> Make:
    """An adaptive pooling with as many bins as the map has windows."""

    def make(on: Map, rng: np.random.Generator) -> Example:
        return Example(lambda x: function(x, on.outputs), on.shape, _to(on.outputs))

    return make


def fractional(function: Callable[..., Any]) -> Make:
    """PyTorch's form, with as many outputs as the map has windows."""

    def make(on: Map, rng: np.random.Generator) -> Example:
        # Multiples of 1/256, so that windows are the same in float32 and float64.
        batch, *_, channels = on.shape
        samples = rng.integers(0, 256, (batch, channels, 2)).astype(np.float32) / 256

        def call(x: jax.Array, samples: jax.Array) -> Any:
            return function(x, on.window, on.outputs, samples=samples)

        return Example(call, on.shape, f"k{on.window} {_to(on.outputs)}", (samples,))

    return make


def pyramid(on: Map, rng: np.random.Generator) -> Example:
    """Three levels of the whole map."""
    return Example(jaxpool.spatial_pyramid_pool, on.shape, "levels 1, 2, 4")


def unpool(on: Map, rng: np.random.Generator) -> Example:
    """Max unpooling of one value per window, to a random position in the window."""
    batch, height, width, channels = on.shape
    rows, columns = on.outputs
    shape = (batch, rows, columns, channels)
    top, left = np.ogrid[:rows, :columns]
    row = top[..., None] * on.strides + rng.integers(0, on.window, shape)
    column = left[..., None] * on.strides + rng.integers(0, on.window, shape)
    places = (row * width + column).astype(np.int32)

    def call(values: jax.Array, places: jax.Array) -> jax.Array:
        return jaxpool.max_unpool(values, places, (height, width))

    return Example(call, shape, _to((height, width)), (places,))


def boxes(function: Callable[..., Any], *, position_sensitive: bool = False) -> Make:
    """Four boxes per image that cover it, offset by a quarter of an element."""

    def make(on: Map, rng: np.random.Generator) -> Example:
        batch, height, width, _ = on.shape
        image = np.repeat(np.arange(batch, dtype=np.int32), 4)
        size = np.array([width, height], np.float32) / 2
        first = np.array([(0, 0), (1, 0), (0, 1), (1, 1)], np.float32) * size
        boxes = np.tile(np.concatenate([first, first + size], 1) + 0.25, (batch, 1))
        rows, columns = on.outputs
        bins = (PS_BINS, PS_BINS) if position_sensitive else (rows // 2, columns // 2)

        def call(x: jax.Array, boxes: jax.Array, image: jax.Array) -> jax.Array:
            return function(x, boxes, bins, batch_indices=image)

        words = f"{len(boxes)} boxes of {bins[0]}x{bins[1]} bins"
        return Example(call, on.shape, words, (boxes, image))

    return make


def _to(outputs: tuple[int, int]) -> str:
    return f"to {outputs[0]}x{outputs[1]}"

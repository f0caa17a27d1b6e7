"""How each public operator is called: on one map, for as much work as its nature allows.

Windows, bins and boxes are chosen so that, as nearly as may be, every operator reads each element
of the map once and gives as many outputs as max pooling does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax

import jaxpool
from experiments.bench.calls import draws
from experiments.bench.contenders import Operands
from experiments.bench.judging import Results, Verdict

PS_BINS = 4
"""Bins a side of the position-sensitive pools, which share out the channels among them."""


class Map(NamedTuple):
    """A map `(batch, height, width, channels)`, and the window that slides over it."""

    shape: tuple[int, ...]
    window: int
    strides: int

    @property
    def outputs(self) -> tuple[int, int]:
        """Windows along height and width."""
        _, height, width, _ = self.shape
        return (height - self.window) // self.strides + 1, (width - self.window) // self.strides + 1


@dataclass(frozen=True)
class Example:
    """One call.

    Attributes:
        function: Of x and `others`; gives y, or a tuple of y and further results.
        shape: The shape of x.
        words: What is special about the call.
        others: Further operands, which have no derivative.
        check: Checks the results where no answer can be known beforehand.
    """

    function: Callable[..., Any]
    shape: tuple[int, ...]
    words: str
    others: tuple[np.ndarray, ...] = ()
    check: Callable[[Operands, Results], Verdict] | None = None


Make = Callable[[Map, np.random.Generator], Example]


def _windowed(function: Callable[..., Any], *arguments: Any, note: str = "") -> Make:
    def make(on: Map, rng: np.random.Generator) -> Example:
        def call(x: jax.Array) -> Any:
            return function(x, on.window, *arguments, strides=on.strides)

        return Example(call, on.shape, f"k{on.window} s{on.strides}{note}")

    return make


def _whole(function: Callable[..., Any]) -> Make:
    return lambda on, rng: Example(function, on.shape, "the whole map")


def _gated(on: Map, rng: np.random.Generator) -> Example:
    filters = rng.standard_normal((on.window, on.window, on.shape[-1]), np.float32)

    def call(x: jax.Array, filters: jax.Array) -> jax.Array:
        return jaxpool.gated_pool(x, on.window, filters, strides=on.strides)

    return Example(call, on.shape, f"k{on.window} s{on.strides}", (filters,))


def _drawn(on: Map, rng: np.random.Generator) -> Example:
    """In training. The key is an operand, lest the compiler draw the numbers."""
    seed = rng.integers(0, 2**32, 2, np.uint32)

    def call(x: jax.Array, seed: jax.Array) -> jax.Array:
        key = jax.random.wrap_key_data(seed)
        return jaxpool.stochastic_pool(x, on.window, key=key, strides=on.strides)

    def check(operands: Operands, results: Results) -> Verdict:
        return draws.check(operands, results, on.window, on.strides)

    return Example(call, on.shape, f"k{on.window} s{on.strides}, a draw", (seed,), check)


def _product(on: Map, rng: np.random.Generator) -> Example:
    window, strides = (1, on.window, on.window, 1), (1, on.strides, on.strides, 1)
    return Example(
        lambda x: jaxpool.reduce_window(x, 1.0, lax.mul, window, strides),
        on.shape,
        f"k{on.window} s{on.strides}, products",
    )


def _blur(on: Map, rng: np.random.Generator) -> Example:
    return Example(
        lambda x: jaxpool.blur_pool(x, on.window, on.strides),
        on.shape,
        f"filter {on.window} s{on.strides}",
    )


def _max_blur(on: Map, rng: np.random.Generator) -> Example:
    return Example(
        lambda x: jaxpool.max_blur_pool(x, on.window, 3, on.strides),
        on.shape,
        f"k{on.window}, filter 3 s{on.strides}",
    )


def _adaptive(function: Callable[..., Any]) -> Make:
    def make(on: Map, rng: np.random.Generator) -> Example:
        return Example(lambda x: function(x, on.outputs), on.shape, _to(on.outputs))

    return make


def _fractional(function: Callable[..., Any]) -> Make:
    def make(on: Map, rng: np.random.Generator) -> Example:
        # In steps of 1/256, so that float32 and float64 put every window in the same place.
        batch, *_, channels = on.shape
        samples = rng.integers(0, 256, (batch, channels, 2)).astype(np.float32) / 256

        def call(x: jax.Array, samples: jax.Array) -> Any:
            return function(x, on.window, on.outputs, samples=samples)

        return Example(call, on.shape, f"k{on.window} {_to(on.outputs)}", (samples,))

    return make


def _pyramid(on: Map, rng: np.random.Generator) -> Example:
    return Example(jaxpool.spatial_pyramid_pool, on.shape, "levels 1, 2, 4")


def _unpool(on: Map, rng: np.random.Generator) -> Example:
    """From the map's windows back to the map, each value to a random place in its window."""
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


def _boxes(function: Callable[..., Any], *, position_sensitive: bool = False) -> Make:
    """Four boxes an image that share it out, a quarter of an element off its elements."""

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


EXAMPLES: dict[str, Make] = {
    "max_pool": _windowed(jaxpool.max_pool),
    "min_pool": _windowed(jaxpool.min_pool),
    "max_pool_with_argmax": _windowed(jaxpool.max_pool_with_argmax),
    "max_unpool": _unpool,
    "sum_pool": _windowed(jaxpool.sum_pool),
    "avg_pool": _windowed(jaxpool.avg_pool),
    "lp_pool": _windowed(jaxpool.lp_pool, note=" p2"),
    "gem_pool": _windowed(jaxpool.gem_pool, note=" p3"),
    "soft_pool": _windowed(jaxpool.soft_pool),
    "logsumexp_pool": _windowed(jaxpool.logsumexp_pool, note=" T1"),
    "mixed_pool": _windowed(jaxpool.mixed_pool),
    "gated_pool": _gated,
    "median_pool": _windowed(jaxpool.median_pool),
    "stochastic_pool": _drawn,
    "stochastic_pool.inference": _windowed(jaxpool.stochastic_pool, note=", the mean"),
    "reduce_window": _product,
    "blur_pool": _blur,
    "max_blur_pool": _max_blur,
    "global_max_pool": _whole(jaxpool.global_max_pool),
    "global_min_pool": _whole(jaxpool.global_min_pool),
    "global_sum_pool": _whole(jaxpool.global_sum_pool),
    "global_avg_pool": _whole(jaxpool.global_avg_pool),
    "global_lp_pool": _whole(jaxpool.global_lp_pool),
    "adaptive_max_pool": _adaptive(jaxpool.adaptive_max_pool),
    "adaptive_max_pool_with_argmax": _adaptive(jaxpool.adaptive_max_pool_with_argmax),
    "adaptive_avg_pool": _adaptive(jaxpool.adaptive_avg_pool),
    "fractional_max_pool": _fractional(jaxpool.fractional_max_pool),
    "fractional_max_pool_with_argmax": _fractional(jaxpool.fractional_max_pool_with_argmax),
    "fractional_avg_pool": _fractional(jaxpool.fractional_avg_pool),
    "spatial_pyramid_pool": _pyramid,
    "roi_align": _boxes(jaxpool.roi_align),
    "roi_pool": _boxes(jaxpool.roi_pool),
    "ps_roi_align": _boxes(jaxpool.ps_roi_align, position_sensitive=True),
    "ps_roi_pool": _boxes(jaxpool.ps_roi_pool, position_sensitive=True),
}
"""Every public operator by name; a second call of one has a word more, after a dot."""

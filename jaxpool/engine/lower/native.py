"""XLA's own windowed operations: `reduce_window`, `select_and_scatter`, convolution.

On TPU each windowed operation is one kernel, and so is each slice (gradient of max k3 s2 of
32x112x112x64 on v5e, XLA's estimate, slices -> native: 6.4 -> 1.6 ms). On CPU the windowed
operations are slow, and `reduce_window` loses NaN.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.extend.mlir import ir
from jax.extend.mlir.dialects import stablehlo
from jax.interpreters import mlir

from jaxpool.axis import Axis, Filtered, Uneven
from jaxpool.engine.lower.row_gather import along, pad, pad_pooled
from jaxpool.engine.plan import planner
from jaxpool.monoid import MAX, SUM, Monoid
from jaxpool.window import Window

Pairs = list[tuple[int, int]]


def reduce(
    x: jax.Array, monoid: Monoid, window: Window, dtype: np.dtype | None = None
) -> jax.Array:
    """The reduction of every window, accumulated in `dtype`; None means the array's dtype."""
    for part in planner.native_steps(window):
        x = _reduce(x, monoid, part, dtype or x.dtype)
    return x


def _reduce(x: jax.Array, monoid: Monoid, window: Window, dtype: np.dtype) -> jax.Array:
    if not window.is_even:
        return _reduce_bins(x, monoid, window, dtype)
    x, init = x.astype(dtype), monoid.identity(dtype)
    if all(axis.is_global for axis in window.even_axes):
        dimensions = [x.ndim + position for position in window.positions]
        return lax.expand_dims(lax.reduce(x, init, monoid.combine, dimensions), dimensions)
    x, padding = _cropped(x, window)
    return lax.reduce_window(
        x,
        init,
        monoid.combine,
        _along(x.ndim, window, "window"),
        _along(x.ndim, window, "stride"),
        padding,
        window_dilation=_along(x.ndim, window, "dilation"),
    )


def _reduce_bins(x: jax.Array, monoid: Monoid, window: Window, dtype: np.dtype) -> jax.Array:
    """Bins of uneven sizes, one after the other."""
    dimensions = [x.ndim + position for position in window.positions]

    def reduced(part: jax.Array, index: int) -> jax.Array:
        """Reduce the bins along the pooled axes from `index` on."""
        if index == len(dimensions):
            one = lax.reduce(part.astype(dtype), monoid.identity(dtype), monoid.combine, dimensions)
            return lax.expand_dims(one, dimensions)
        bins = _bins(part, window.only(index), dimensions[index])
        return lax.concatenate([reduced(each, index + 1) for each in bins], dimensions[index])

    return reduced(x, 0)


def _bins(x: jax.Array, window: Window, dimension: int) -> list[jax.Array]:
    return [
        lax.slice_in_dim(x, start, start + length, axis=dimension)
        for start, length in _starts_and_lengths(window)
    ]


def _starts_and_lengths(window: Window) -> list[tuple[int, int]]:
    (axis,) = window.axes
    assert isinstance(axis, Uneven)
    return list(zip(axis.starts, axis.lengths, strict=True))


def transpose_bins(y: jax.Array, window: Window) -> jax.Array:
    """The transpose of sums over uneven bins: for each input, the sum of the bins that hold it.

    JAX's own transpose would pad each bin to the whole axis and store it (gradient of the adaptive
    mean of 32x45x45x128 to 7x7, bfloat16, on TPU v5e, XLA's estimate: 232 -> 115 us).
    """
    for index, axis in enumerate(window.axes):
        part = window.only(index)
        shape = list(y.shape)
        shape[part.positions[0]] = axis.size
        if isinstance(axis, Uneven):
            y = _transpose_bins(y, part, shape)
        else:
            whole = jax.ShapeDtypeStruct(shape, y.dtype)
            total = functools.partial(reduce, monoid=SUM, window=part)
            (y,) = jax.linear_transpose(total, whole)(y)
    return y


def _transpose_bins(y: jax.Array, window: Window, shape: Sequence[Any]) -> jax.Array:
    dimension, terms = y.ndim + window.positions[0], []
    at = np.arange(window.axes[0].size)
    for number, (start, length) in enumerate(_starts_and_lengths(window)):
        one = lax.slice_in_dim(y, number, number + 1, axis=dimension)
        inside = along((at >= start) & (at < start + length), window.positions[0], y.ndim)
        terms.append(jnp.where(inside, jnp.broadcast_to(one, shape), np.zeros((), y.dtype)))
    return functools.reduce(lax.add, terms)


def filtered(x: jax.Array, window: Window, dtype: np.dtype) -> jax.Array:
    """The weighted sums of a filter, accumulated in `dtype`: a depthwise convolution."""
    axes = [axis for axis in window.axes if isinstance(axis, Filtered)]
    for position, axis in zip(window.positions, axes, strict=True):
        x = _with_ends(x, axis, x.ndim + position)
    weights = functools.reduce(np.multiply.outer, [np.array(axis.weights) for axis in axes])
    sizes = [(axis.window, axis.stride, 1, (0, 0)) for axis in axes]
    y = _depthwise(x, weights[..., None].astype(x.dtype), window.positions, sizes, dtype)
    limits = window.replaced(y.shape, window.output)
    return lax.slice(y, [0] * y.ndim, limits)


def convolve(x: jax.Array, w: jax.Array, window: Window) -> jax.Array:
    """The sum of the elements of every window, times factors `w`: (taps, ..., 1 or channels)."""
    sizes = [(axis.window, axis.stride, axis.dilation, axis.reach) for axis in window.even_axes]
    weights = w.reshape(*(size[0] for size in sizes), -1)
    return _depthwise(x, weights, window.positions, sizes, x.dtype)


def _depthwise(
    x: jax.Array,
    weights: Any,
    positions: Sequence[int],
    sizes: Sequence[tuple[int, int, int, tuple[int, int]]],
    dtype: np.dtype,
) -> jax.Array:
    """A depthwise convolution, the channels being the last axis that is not pooled.

    Args:
        x: The elements.
        weights: One factor per tap along each pooled axis, and per channel or 1.
        positions: The pooled axes, counted from the end.
        sizes: Of each pooled axis: window, stride, dilation and padding.
        dtype: Of the result.
    """
    pooled = [x.ndim + position for position in positions]
    others = [i for i in range(x.ndim) if i not in pooled]
    batch, channel = others[:-1], others[-1:]  # (one channel if all axes are pooled)
    order = [*batch, *pooled, *channel]
    outer, spatial, inner = ([x.shape[i] for i in axes] for axes in (batch, pooled, channel))
    channels = math.prod(inner)
    _, strides, dilation, padding = zip(*sizes, strict=True)
    letters = "DHW"[-len(pooled) :]
    y = lax.conv_general_dilated(
        x.transpose(order).reshape(math.prod(outer), *spatial, channels),
        jnp.broadcast_to(weights[..., None, :], (*weights.shape[:-1], 1, channels)),
        strides,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        feature_group_count=channels,
        precision=lax.Precision.HIGHEST,
        preferred_element_type=dtype,
    )
    y = y.reshape(*outer, *y.shape[1:-1], *inner)
    return y.transpose(np.argsort(order))


def _with_ends(x: jax.Array, axis: Filtered, dimension: int) -> jax.Array:
    """Pad an axis with the elements that the filter reads beyond its ends."""
    low = (axis.window - 1) // 2
    high = (axis.output - 1) * axis.stride + axis.window - low - axis.size
    before, after = np.arange(-low, 0), np.arange(axis.size, axis.size + max(high, 0))

    def read(places: np.ndarray) -> list[jax.Array]:
        numbers = map(int, axis.mirrored(places))
        return [lax.slice_in_dim(x, i, i + 1, axis=dimension) for i in numbers]

    return lax.concatenate([*read(before), x, *read(after)], dimension)


def scatter(
    y: jax.Array,
    x: jax.Array,
    monoid: Monoid,
    window: Window,
    extreme: Callable[..., jax.Array],
    *,
    divided: bool,
) -> jax.Array:
    """Add each output's value `y` to the first input `x` that holds the extreme of its window.

    `extreme(x, window=window)` computes the extremes. `divided`: whether XLA partitions programs.
    """
    steps = planner.native_steps(window, scatter=True)
    values = [x]
    for step in steps[:-1]:
        values.append(extreme(values[-1], window=step))
    for value, step in reversed(list(zip(values, steps, strict=True))):
        scatter_step = _select_and_scatter if step.is_even else _scatter_to_bins
        y = scatter_step(value, y, monoid, step, divided=divided)
    return y


def _scatter_to_bins(
    x: jax.Array, y: jax.Array, monoid: Monoid, window: Window, *, divided: bool
) -> jax.Array:
    dimension, terms = x.ndim + window.positions[0], []
    bins = zip(_starts_and_lengths(window), _bins(x, window, dimension), strict=True)
    for number, ((start, length), part) in enumerate(bins):
        row = lax.slice_in_dim(y, number, number + 1, axis=dimension)
        whole = Window(window.positions, (Axis(length, length),))
        ends = [(start, x.shape[dimension] - start - length, 0)]
        term = _select_and_scatter(part, row, monoid, whole, divided=divided)
        terms.append(pad_pooled(term, window, np.zeros((), y.dtype), ends))
    return functools.reduce(lax.add, terms)


def _select_and_scatter(
    x: jax.Array, y: jax.Array, monoid: Monoid, window: Window, *, divided: bool
) -> jax.Array:
    if divided:
        x = _without_nan(x, monoid)
    x, padding = _cropped(x, window)
    scattered = _select_and_scatter_p.bind(
        x,
        y,
        largest=monoid is MAX,
        keeps_nan=not divided,
        windows=_along(x.ndim, window, "window"),
        strides=_along(x.ndim, window, "stride"),
        padding=tuple(padding),
    )
    back = [(-low, -high, 0) for low, high in _crops(x.ndim, window)]
    return pad(scattered, np.zeros((), y.dtype), back)


def _without_nan(x: jax.Array, monoid: Monoid) -> jax.Array:
    """`x` with NaN replaced by infinity and infinity by the largest number, in the same order.

    XLA partitions only a `select_and_scatter` that selects by one comparison, which loses NaN. (If
    a window contains both infinity and the largest number, the first of them is selected.)
    """
    sign = 1 if monoid is MAX else -1
    largest = jnp.asarray(sign * jnp.finfo(x.dtype).max, x.dtype)
    infinity = jnp.asarray(sign * np.inf, x.dtype)
    return jnp.where(jnp.isnan(x), infinity, jnp.where(x == infinity, largest, x))


def _cropped(x: jax.Array, window: Window) -> tuple[jax.Array, Pairs]:
    """The array, with negative padding applied by slicing, and the padding that remains."""
    reaches = ((max(low, 0), max(high, 0)) for low, high in (a.reach for a in window.even_axes))
    config = [(low, high, 0) for low, high in _crops(x.ndim, window)]
    cropped = pad(x, np.zeros((), x.dtype), config)
    return cropped, window.replaced([(0, 0)] * x.ndim, reaches)


def _crops(ndim: int, window: Window) -> Pairs:
    """Negative padding of the low side, and of a high side where one more window would fit."""
    crops = []
    for axis in window.even_axes:
        low, high = axis.reach
        crops.append((min(low, 0), high if -high >= axis.stride else 0))
    return window.replaced([(0, 0)] * ndim, crops)


def _along(ndim: int, window: Window, name: str) -> tuple[int, ...]:
    """One number per axis of an array: the attribute of the pooled axes, and 1."""
    return tuple(window.replaced([1] * ndim, (getattr(axis, name) for axis in window.axes)))


def _lower(
    context: Any,
    x: Any,
    y: Any,
    *,
    largest: bool,
    keeps_nan: bool,
    windows: Sequence[int],
    strides: Sequence[int],
    padding: Pairs,
) -> list[Any]:
    """Select the first of equal elements, and the first NaN: `a` if `a >= b` or `a` is NaN."""
    dtype = context.avals_out[0].dtype
    pairs: Any = np.array(padding, np.int64)
    scalar = ir.RankedTensorType.get([], ir.RankedTensorType(x.type).element_type)
    operation = stablehlo.SelectAndScatterOp(
        x.type,
        x,
        y,
        mlir.ir_constant(np.zeros((), dtype)),
        window_dimensions=ir.DenseI64ArrayAttr.get(windows),
        window_strides=ir.DenseI64ArrayAttr.get(strides),
        padding=ir.DenseIntElementsAttr.get(pairs, shape=list(pairs.shape)),
    )
    select = operation.select.blocks.append(scalar, scalar)
    with ir.InsertionPoint(select):
        a, b = select.arguments
        kept = _compared(a, b, "GE" if largest else "LE")
        if keeps_nan:
            kept = stablehlo.or_(kept, _compared(a, a, "NE"))
        stablehlo.return_([kept])
    scatter = operation.scatter.blocks.append(scalar, scalar)
    with ir.InsertionPoint(scatter):
        stablehlo.return_([stablehlo.add(*scatter.arguments)])
    return [operation.result]


def _compared(a: Any, b: Any, direction: str) -> Any:
    return stablehlo.compare(a, b, stablehlo.ComparisonDirectionAttr.get(direction))


_select_and_scatter_p = Primitive("jaxpool_select_and_scatter")
mlir.register_lowering(_select_and_scatter_p, _lower)


@_select_and_scatter_p.def_abstract_eval
def _(x, y, **parameters):
    del parameters
    return ShapedArray(x.shape, y.dtype)

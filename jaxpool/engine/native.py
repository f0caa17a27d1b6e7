"""XLA's own windowed operations: `reduce_window`, `select_and_scatter`, convolution.

On TPU each of them is one kernel, where slices are one each (max of 32x112x112x64, k3 s2, as the
compiler estimates it for v5e: 2.4 ms by slices, 0.8; its gradient 6.4 and 1.6). On CPU they are
slow, and `reduce_window` loses NaN.
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
from jaxpool.engine import rows, taps
from jaxpool.monoid import MAX, SUM, Monoid
from jaxpool.window import Window

# Up to so many taps, one `select_and_scatter` beats one per axis. Wider ones compile slowly (max of
# 16x13x13x512, k13 s1, on TPU v5e: 94 s, per axis 2 s).
FEW = 64

# Windows of one or two axes, each of so many taps at most, are best one `reduce_window` (max of
# 4x256x256x16 on TPU v5e, as its compiler estimates it: k15 s1 91 us per axis, 45 us at once; k16
# s1 182 and 773).
WIDEST = 15

# Uneven bins are one slice each; so many are still quick to compile.
MOST_BINS = 64

Pairs = list[tuple[int, int]]


def serves(window: Window) -> bool:
    """Whether these windows take few operations: uneven bins take one each."""
    return all(not isinstance(axis, Uneven) or axis.output <= MOST_BINS for axis in window.axes)


def parts(window: Window, *, scatter: bool = False) -> list[Window]:
    """The windows, one after the other, the last axis first, that compose to one.

    Args:
        window: The windows.
        scatter: Whether `select_and_scatter` takes them; else `reduce_window` does.
    """
    narrow = len(window.axes) <= 2 and all(axis.window <= WIDEST for axis in window.axes)
    if window.is_even and (window.taps <= FEW or (narrow and not scatter)):
        return [window]
    return [window.only(index) for index in reversed(range(len(window.axes)))]


def reduce(
    x: jax.Array, monoid: Monoid, window: Window, dtype: np.dtype | None = None
) -> jax.Array:
    """The reduction of every window, in this precision; None means that of the array."""
    for part in parts(window):
        x = _reduce(x, monoid, part, dtype or x.dtype)
    return x


def _reduce(x: jax.Array, monoid: Monoid, window: Window, dtype: np.dtype) -> jax.Array:
    if not window.is_even:
        return _reduce_bins(x, monoid, window, dtype)
    x, init = x.astype(dtype), monoid.identity(dtype)
    if all(axis.is_global for axis in window.axes):
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
    """Bins of uneven sizes along one axis, one after the other."""
    (axis,), dimension = window.axes, x.ndim + window.positions[0]
    reduced = []
    for part in _bins(x, axis, dimension):
        one = part.astype(dtype)
        one = lax.reduce(one, monoid.identity(dtype), monoid.combine, [dimension])
        reduced.append(lax.expand_dims(one, [dimension]))
    return lax.concatenate(reduced, dimension)


def _bins(x: jax.Array, axis: Uneven, dimension: int) -> list[jax.Array]:
    return [
        lax.slice_in_dim(x, start, start + length, axis=dimension)
        for start, length in zip(axis.starts, axis.lengths, strict=True)
    ]


def spread(y: jax.Array, window: Window) -> jax.Array:
    """For each input, the sum of the windows that hold it: the adjoint of sums over uneven bins.

    Transposed by JAX, each bin is stored once for each of its inputs, and then padded to the whole
    axis (gradient of the adaptive mean of 32x45x45x128 to 7x7 in bfloat16, on TPU v5e as its
    compiler estimates it: 232 us, 115 by masks).

    Args:
        y: The values of the windows.
        window: The windows.
    """
    for index, axis in enumerate(window.axes):
        part = window.only(index)
        if isinstance(axis, Uneven):
            y = _spread_bins(y, axis, y.ndim + part.positions[0])
            continue
        shape = [*y.shape]
        shape[part.positions[0]] = axis.size
        whole = jax.ShapeDtypeStruct(shape, y.dtype)
        (y,) = jax.linear_transpose(functools.partial(reduce, monoid=SUM, window=part), whole)(y)
    return y


def _spread_bins(y: jax.Array, axis: Uneven, dimension: int) -> jax.Array:
    shape, at = [*y.shape], np.arange(axis.size)
    shape[dimension] = axis.size
    terms = []
    for i, (start, length) in enumerate(zip(axis.starts, axis.lengths, strict=True)):
        row = jnp.broadcast_to(lax.slice_in_dim(y, i, i + 1, axis=dimension), shape)
        held = rows.along((at >= start) & (at < start + length), dimension - y.ndim, y.ndim)
        terms.append(jnp.where(held, row, np.zeros((), y.dtype)))
    return functools.reduce(lax.add, terms)


def filtered(x: jax.Array, window: Window, dtype: np.dtype) -> jax.Array:
    """The weighted sums of a filter, in this precision: a convolution of each channel."""
    for position, axis in zip(window.positions, window.axes, strict=True):
        x = _with_ends(x, axis, x.ndim + position)
    pooled = [x.ndim + position for position in window.positions]
    others = [i for i in range(x.ndim) if i not in pooled]
    batch, channel = others[:-1], others[-1:]  # (one channel if all axes are pooled)
    order = [*batch, *pooled, *channel]
    outer, spatial, inner = ([x.shape[i] for i in axes] for axes in (batch, pooled, channel))
    channels = math.prod(inner)
    weights = functools.reduce(np.multiply.outer, [np.array(axis.weights) for axis in window.axes])
    letters = "DHW"[-len(pooled) :]
    y = lax.conv_general_dilated(
        x.transpose(order).reshape(math.prod(outer), *spatial, channels),
        jnp.broadcast_to(weights.astype(x.dtype)[..., None, None], (*weights.shape, 1, channels)),
        [axis.stride for axis in window.axes],
        "VALID",
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        feature_group_count=channels,
        precision=lax.Precision.HIGHEST,
        preferred_element_type=dtype,
    )
    y = y[(slice(None), *map(slice, window.output))]
    y = y.reshape(*outer, *window.output, *inner)
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


def distributes(window: Window) -> bool:
    """Whether `distribute` supports these windows: `select_and_scatter` has no dilation."""
    return serves(window) and all(axis.dilation == 1 for axis in window.axes)


def distribute(
    y: jax.Array,
    x: jax.Array,
    monoid: Monoid,
    window: Window,
    extreme: Callable[..., jax.Array],
    *,
    divided: bool,
) -> jax.Array:
    """Give each output's value to the first input that holds the extreme of its window.

    Args:
        y: The values.
        x: The inputs.
        monoid: The maximum or the minimum.
        window: The windows.
        extreme: `extreme(x, window=window)`, the extreme of each window.
        divided: Whether XLA divides the program among several devices.
    """
    steps = parts(window, scatter=True)
    values = [x]
    for step in steps[:-1]:
        values.append(extreme(values[-1], window=step))
    for value, step in reversed(list(zip(values, steps, strict=True))):
        scatter = _select_and_scatter if step.is_even else _scatter_to_bins
        y = scatter(value, y, monoid, step, divided=divided)
    return y


def _scatter_to_bins(
    x: jax.Array, y: jax.Array, monoid: Monoid, window: Window, *, divided: bool
) -> jax.Array:
    (axis,), (position,) = window.axes, window.positions
    config, terms = [(0, 0, 0)] * x.ndim, []
    for number, part in enumerate(_bins(x, axis, x.ndim + position)):
        start, length = axis.starts[number], axis.lengths[number]
        row = lax.slice_in_dim(y, number, number + 1, axis=x.ndim + position)
        whole = Window(window.positions, (Axis(length, length),))
        config[position] = (start, axis.size - start - length, 0)
        term = _select_and_scatter(part, row, monoid, whole, divided=divided)
        terms.append(taps.pad(term, np.zeros((), y.dtype), config))
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
    return taps.pad(scattered, np.zeros((), y.dtype), back)


def _without_nan(x: jax.Array, monoid: Monoid) -> jax.Array:
    """In the same order, but with infinity for NaN, and the largest number for infinity.

    XLA divides only a `select_and_scatter` whose choice is one comparison, which NaN would lose.
    (Where a window holds both infinity and the largest number, the first of them is chosen.)
    """
    sign = 1 if monoid is MAX else -1
    largest = jnp.asarray(sign * jnp.finfo(x.dtype).max, x.dtype)
    infinity = jnp.asarray(sign * np.inf, x.dtype)
    return jnp.where(jnp.isnan(x), infinity, jnp.where(x == infinity, largest, x))


def _cropped(x: jax.Array, window: Window) -> tuple[jax.Array, Pairs]:
    """Apply negative padding by slicing; the array, and what padding of its axes remains."""
    padding = [(0, 0)] * x.ndim
    for position, axis in zip(window.positions, window.axes, strict=True):
        low, high = axis.reach
        padding[position] = (max(low, 0), max(high, 0))
    config = [(low, high, 0) for low, high in _crops(x.ndim, window)]
    return taps.pad(x, np.zeros((), x.dtype), config), padding


def _crops(ndim: int, window: Window) -> Pairs:
    """Negative padding: on the low side, and on the high side where one more window would fit."""
    crops = [(0, 0)] * ndim
    for position, axis in zip(window.positions, window.axes, strict=True):
        low, high = axis.reach
        crops[position] = (min(low, 0), high if -high >= axis.stride else 0)
    return crops


def _along(ndim: int, window: Window, name: str) -> tuple[int, ...]:
    """One number for each axis of an array: the pooled axes', and 1."""
    numbers = [1] * ndim
    for position, axis in zip(window.positions, window.axes, strict=True):
        numbers[position] = getattr(axis, name)
    return tuple(numbers)


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
    """The first of equals stays, and NaN once it is met: `a` stays if `a >= b`, or if NaN."""
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

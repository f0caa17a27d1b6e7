"""Read windows tap by tap: strided slices; and their transpose: the readers of each input.

Output `o` and tap `t` of an axis meet at input `i = o * stride + t * dilation - low`.

- *Forward*, tap `t` of all outputs is one strided slice of the input.
- *Backward*, write `i + low = q * stride + r` with `r < stride`. Output `q - j` reads input `i`
  through the one tap `t` with `t * dilation = j * stride + r`. So a few shifts `j` cover every
  reader of every input without a scatter.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxpool.axis import NO_TAP, Axis, PooledAxis, Reader
from jaxpool.engine.lower import row_gather, tiles
from jaxpool.engine.lower.precision import widen
from jaxpool.engine.lower.row_gather import Numbers, pad_pooled
from jaxpool.engine.plan import tuning
from jaxpool.engine.plan.target import CPU, Target
from jaxpool.window import Window

Tap = tuple[int, ...]


def every_tap(window: Window) -> Iterator[Tap]:
    """The taps of a window in row-major order, one number per axis."""
    return itertools.product(*(range(axis.window) for axis in window.axes))


def read(x: jax.Array, window: Window, tap: Tap) -> jax.Array:
    """The elements that `tap` reads, for the outputs whose tap lies inside the image."""
    return row_gather.slice_inside(x, _numbers(window, tap))


def read_at(x: jax.Array, window: Window, tap: Any) -> jax.Array:
    """`read` from an array that has an element for every tap of every output.

    `tap` has one number per pooled axis: NumPy's, or traced ones in a loop over taps.
    """
    if isinstance(tap, np.ndarray):
        return read(x, window, tuple(map(int, tap)))
    starts = [tap[i] * axis.dilation for i, axis in enumerate(window.axes)]
    spans = [(axis.output - 1) * axis.stride + 1 for axis in window.even_axes]
    begin = window.replaced([np.int32(0)] * x.ndim, starts)
    part = lax.dynamic_slice(x, begin, window.replaced(x.shape, spans))
    strides = (axis.stride if axis.output > 1 else 1 for axis in window.even_axes)
    return lax.slice(part, [0] * x.ndim, part.shape, window.replaced([1] * x.ndim, strides))


def add_at(x: jax.Array, y: jax.Array, window: Window, tap: Any) -> jax.Array:
    """The transpose of `read_at`: add `y` to the elements of `x` that the tap reads."""
    y = interior_pad(y, window, np.zeros((), y.dtype))
    offsets = (tap[i] * axis.dilation for i, axis in enumerate(window.axes))
    starts = window.replaced([np.int32(0)] * x.ndim, offsets)
    return lax.dynamic_update_slice(x, lax.dynamic_slice(x, starts, y.shape) + y, starts)


def interior_pad(y: jax.Array, window: Window, fill: np.ndarray) -> jax.Array:
    """The outputs at the positions of their first taps: interior padding of stride - 1."""
    return pad_pooled(y, window, fill, ((0, 0, axis.stride - 1) for axis in window.even_axes))


def fold(step: Callable[..., Any], start: Any, window: Window) -> Any:
    """`step(carry, number, tap)` for every tap in row-major order.

    For a few taps the steps are unrolled, so XLA fuses them into one kernel. For many taps they are
    a loop, and XLA stores only its carry.
    """
    if window.taps > tuning.UNROLLED_TAPS:
        return loop(step, start, window)
    for number, tap in enumerate(every_tap(window)):
        start = step(start, np.int32(number), np.array(tap))
    return start


def loop(step: Callable[..., Any], start: Any, window: Window) -> Any:
    """`step(carry, number, tap)` for every tap in row-major order, as a `fori_loop`."""
    sizes = [axis.window for axis in window.axes]

    def turn(number: jax.Array, carry: Any) -> Any:
        number = jnp.asarray(number, np.int32)  # int64 if x64 is enabled
        tap, rest = [], number
        for size in reversed(sizes):
            tap.insert(0, rest % size)
            rest = rest // size
        return step(carry, number, tap)

    return lax.fori_loop(0, window.taps, turn, start, unroll=tuning.LOOP_UNROLL)


def elements(
    x: jax.Array,
    window: Window,
    fill: np.ndarray | None,
    only: Iterable[Tap] | None = None,
    *,
    target: Target,
    clamp: bool = False,
    by_copy: bool = False,
    wide: bool = False,
) -> list[jax.Array]:
    """The elements that taps read, for every output.

    Args:
        x: The input.
        window: The windows.
        fill: The value of out-of-bounds elements; None for any value.
        only: The taps; None for all of them, in row-major order.
        target: The target of the program.
        clamp: Whether out-of-bounds taps may read the nearest edge element instead of `fill`.
        by_copy: Whether to read beyond the last axis from a padded copy (see `row_gather.reader`).
        wide: Whether to widen the elements. Slices are widened after slicing, otherwise XLA would
            read a widened copy (mean k8 s8 of 16x112x112x64 in bfloat16: 3.4 -> 0.9 ms). Gathers
            are widened before gathering, because gathers of bfloat16 do not vectorise.

    Returns:
        One output-shaped array per tap.
    """
    taps = list(every_tap(window) if only is None else only)
    numbers = [_numbers(window, tap) for tap in taps]
    if target is not CPU and window.is_even:
        x = widen(x) if wide else x
        return [row_gather.take(x, every, fill, padded=True) for every in numbers]
    if wide and not all(row_gather.are_slices(every, x.shape) for every in numbers):
        x = widen(x)
    take = functools.partial(row_gather.take, x, divided=target.is_divided)
    if by_copy:
        take = row_gather.reader(x, numbers, fill, target=target)
    found = [take(every, fill, clamp=clamp) for every in numbers]
    if wide:
        found = list(map(widen, found))
    if window.is_even or fill is None or clamp:
        return found
    return [_filled(element, window, tap, fill) for element, tap in zip(found, taps, strict=True)]


def apply_weights(every: list[jax.Array], window: Window) -> list[jax.Array]:
    """The elements of all taps, times the weights of the axes that have weights."""
    for index, axis in enumerate(window.axes):
        if axis.weights is not None:
            factors = [axis.weights[tap[index]] for tap in every_tap(window)]
            every = [x * np.array(f, x.dtype) for x, f in zip(every, factors, strict=True)]
    return every


def apply_weights_of_readers(
    x: jax.Array, window: Window, readers: tuple[Reader, ...]
) -> jax.Array:
    """The elements read by these readers, times the weights of their taps."""
    for axis, position, reader in zip(window.axes, window.positions, readers, strict=True):
        if axis.weights is not None:
            factors = np.array(axis.weights, x.dtype)[reader.taps]  # (NO_TAP: unused)
            x *= jnp.asarray(row_gather.along(factors, position, x.ndim))
    return x


def _filled(x: jax.Array, window: Window, tap: Tap, fill: np.ndarray) -> jax.Array:
    there = exists(window, tap, x.ndim)
    return x if there is None else jnp.where(there, x, fill.astype(x.dtype))


def clamping_is_exact(window: Window) -> bool:
    """Whether every window that extends beyond an edge of the image contains the edge element.

    A maximum may then read the edge element again in place of out-of-bounds elements.
    """
    return all(map(_contains_its_edge, window.axes))


def _contains_its_edge(axis: PooledAxis) -> bool:
    if not isinstance(axis, Axis):
        return True  # a missing tap reads the element of another tap
    first, last = -axis.low, (axis.output - 1) * axis.stride - axis.low
    inside = first >= 0 and last + axis.extent <= axis.size
    gapless = axis.dilation <= axis.covers
    return inside or (gapless and first + axis.extent > 0 and last < axis.size)


def exists(window: Window, tap: Tap, ndim: int) -> jax.Array | None:
    """Mask of the outputs whose `tap` reads inside the image, to broadcast; None if all do."""
    every = [axis.exists(t) for axis, t in zip(window.axes, tap, strict=True)]
    return row_gather.all_along(every, window.positions, ndim)


def all_exist(window: Window) -> bool:
    """Whether every tap of every output reads inside the image."""
    return all(axis.exists(tap).all() for axis in window.axes for tap in range(axis.window))


def _numbers(window: Window, tap: Tap) -> dict[int, np.ndarray]:
    """The row indices that `tap` reads, one per output, for each pooled axis."""
    every = (axis.inputs(t) for axis, t in zip(window.axes, tap, strict=True))
    return dict(zip(window.positions, every, strict=True))


def fitted(window: Window) -> tuple[list[tuple[int, int]], Window]:
    """The padding (or cropping) after which the windows fit exactly, and the new windows."""
    axes = [
        Axis(axis.size + sum(axis.reach), axis.window, axis.stride, axis.dilation)
        for axis in window.even_axes
    ]
    return [axis.reach for axis in window.even_axes], Window(window.positions, tuple(axes))


def pad_to_fit(x: jax.Array, window: Window, fill: np.ndarray) -> tuple[jax.Array, Window]:
    """The input, padded so that the windows fit exactly, and the new windows."""
    padding, exact = fitted(window)
    return pad_pooled(x, window, fill, ((low, high, 0) for low, high in padding)), exact


def sum_over_readers(
    window: Window,
    term: Callable[..., jax.Array],
    *arrays: tuple[jax.Array, np.ndarray | None],
    target: Target,
    by_copy: bool = True,
    repeat: bool = False,
) -> jax.Array:
    """For every input, the sum over the outputs that read it, one reader at a time.

    Args:
        window: The windows.
        term: `term(readers, *values)`: one reader per axis, and each array at their outputs.
        arrays: Output-shaped arrays, each with the value to use where an output does not exist.
        target: The target of the program.
        by_copy: See `elements`.
        repeat: Whether to read even windows by `tiles.reader_of_outputs` on CPU, too.
    """
    every = [
        (readers, dict(zip(window.positions, (r.outputs for r in readers), strict=True)))
        for readers in itertools.product(*(axis.readers() for axis in window.axes))
    ]
    numbers = [rows for _, rows in every]
    take: list[Callable[[Numbers], jax.Array]] = [
        tiles.reader_of_outputs(x, window, numbers, fill, target=target)
        if window.is_even and (repeat or target is not CPU)
        else row_gather.reader(x, numbers, fill, target=target)
        if by_copy
        else functools.partial(row_gather.take, x, divided=target.is_divided)
        for x, fill in arrays
    ]
    terms = [term(readers, *(read(rows) for read in take)) for readers, rows in every]
    return functools.reduce(operator.add, terms)


def where_read(
    x: jax.Array, window: Window, readers: tuple[Reader, ...], fill: np.ndarray | int
) -> jax.Array:
    """`x` where the readers read an input, `fill` elsewhere."""
    every = [reader.taps != NO_TAP for reader in readers]
    there = row_gather.all_along(every, window.positions, x.ndim)
    return x if there is None else jnp.where(there, x, fill)

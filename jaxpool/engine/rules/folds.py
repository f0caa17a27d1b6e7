"""Windowed folds with any associative function, without an identity, differentiated by JAX.

The taps of a window are combined in row-major order, one axis after the other, the last axis
first. Only elements inside the image are combined, so neither the function nor its derivatives are
applied to padding.

A wide axis is folded by doubling. With F1 = x and F2w[i] = F(Fw[i], Fw[i + w]), any width is the
fold of the powers of two in it, the largest first: about 2 log2(k) combinations per output. The
parts never overlap, since F need not be idempotent.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import jax
from jax import lax

from jaxpool.axis import Axis
from jaxpool.engine.plan import tuning
from jaxpool.window import Window

Values = tuple[jax.Array, ...]
Combine = Callable[[Values, Values], Values]


def fold(values: Values, init: Values, combine: Combine, window: Window) -> Values:
    """Fold every window, starting with `init`.

    Args:
        values: Arrays of one shape.
        init: One scalar per array, of the same dtype.
        combine: Associative and elementwise function of two tuples of arrays of one shape.
        window: The geometry, resolved for the shape of `values`.

    Returns:
        `combine(init, combine(first element, ...))` for each window, and `init` for a window
        without an element.
    """
    placed = []
    for position, axis in reversed(list(zip(window.positions, window.even_axes, strict=True))):
        values, numbers = _along(values, combine, axis, position)
        placed.append((position, axis.output, numbers))
    values = combine(tuple(lax.broadcast(scalar, values[0].shape) for scalar in init), values)
    for position, output, numbers in placed:
        values = tuple(
            _place(x, fill, numbers, output, position) for x, fill in zip(values, init, strict=True)
        )
    return values


@dataclass(frozen=True)
class _Run:
    """Arrays with one element per position of a range, along one axis."""

    at: range
    values: Values

    def read(self, wanted: range, distance: int, position: int) -> _Run:
        """For each position in `wanted`, the element at `position + distance`, if it exists.

        Positions of `wanted`, shifted by `distance` and between the ends of this run, must be
        positions of this run.
        """
        if not self.at:
            return self.cut(self.at, wanted[:0], position)
        moved = wanted.start + distance
        first = max(0, -((moved - self.at.start) // wanted.step))
        last = min(len(wanted), (self.at[-1] - moved) // wanted.step + 1)
        found = wanted[first : max(first, last)]
        return self.cut(
            range(found.start + distance, found.stop + distance, found.step), found, position
        )

    def cut(self, places: range, names: range, position: int) -> _Run:
        """The elements at `places` of this run, relabelled with the positions `names`."""
        if places == self.at:
            return _Run(names, self.values)
        if not places:
            return _Run(names, _slice(self.values, 0, 0, 1, position))
        start = (places[0] - self.at.start) // self.at.step
        limit = (places[-1] - self.at.start) // self.at.step + 1
        stride = max(1, places.step // self.at.step)
        return _Run(names, _slice(self.values, start, limit, stride, position))


def _along(
    values: Values, combine: Combine, axis: Axis, position: int
) -> tuple[Values, list[range]]:
    """The folds along one axis, in runs of consecutive outputs."""
    image = _Run(range(axis.size), values)
    starts = _starts(axis)
    if _doubles(axis):
        pieces = _doubled(image, combine, axis, position)
    else:
        pieces = (image.read(starts, t * axis.dilation, position) for t in range(axis.window))
    runs = _join(pieces, combine, position)
    if not runs:
        return _slice(values, 0, 0, 1, position), []
    firsts = [starts.index(run.at[0]) for run in runs]
    numbers = [range(i, i + len(run.at)) for i, run in zip(firsts, runs, strict=True)]
    return _concatenated([run.values for run in runs], position), numbers


def _join(pieces: Iterable[_Run], combine: Combine, position: int) -> list[_Run]:
    """Combine pieces in the order of their taps; each starts at or before the previous one.

    Returns:
        Runs of consecutive positions, in ascending order.
    """
    runs: list[_Run] = []
    for new in pieces:
        if not new.at:
            continue
        if not runs or new.at.stop < runs[0].at.start:
            runs.insert(0, new)
            continue
        old, step = runs[0], new.at.step
        parts = []
        for begin, end, both in (
            (new.at.start, old.at.start, [new]),
            (old.at.start, new.at.stop, [old, new]),
            (new.at.stop, old.at.stop, [old]),
        ):
            if places := range(begin, end, step):
                every = [run.cut(places, places, position).values for run in both]
                parts.append(functools.reduce(combine, every))
        runs[0] = _Run(range(new.at.start, old.at.stop, step), _concatenated(parts, position))
    return runs


def _doubled(image: _Run, combine: Combine, axis: Axis, position: int) -> list[_Run]:
    """The folds for the powers of two in the window's width, each at the start of its part."""
    run, runs_by_width = image, {}
    for width, wanted in _levels(axis):
        half = width // 2 * axis.dilation
        halves = (run.read(wanted, distance, position) for distance in (0, half)[:width])
        runs = _join(halves, combine, position)
        run = runs[0] if runs else run.cut(range(0), wanted[:0], position)
        runs_by_width[width] = run
    pieces, offset = [], 0
    for width in reversed(runs_by_width):
        if axis.window & width:
            start = offset * axis.dilation
            pieces.append(runs_by_width[width].read(_starts(axis), start, position))
            offset += width
    return pieces


def _starts(axis: Axis) -> range:
    """The position of the first tap of every window."""
    return range(-axis.low, axis.output * axis.stride - axis.low, axis.stride)


def _levels(axis: Axis) -> list[tuple[int, range]]:
    """The powers of two up to the window's width, and the positions where each is needed.

    If a power of two divides the stride, fewer positions are needed: disjoint windows of 2**m taps
    are folded as a tree, where each level is half as long as the previous one.
    """
    starts, width = _starts(axis), 1 << (axis.window.bit_length() - 1)
    step = axis.stride if len(starts) > 1 else width * axis.dilation
    result = []
    while width:
        last = starts[-1] + (axis.window - width) * axis.dilation
        result.append((width, range(starts.start, last + 1, step)))
        width //= 2
        step = math.gcd(step, width * axis.dilation)
    return result[::-1]


def _doubles(axis: Axis) -> bool:
    """Whether doubling takes fewer combinations than folding tap by tap."""
    gaps = axis.dilation > axis.size  # windows without an element between windows with one
    if axis.window <= tuning.STEP_TAPS or axis.output == 0 or gaps:
        return False
    passes = sum(len(places) for _, places in _levels(axis)[1:])
    doubled = passes + (axis.window.bit_count() - 1) * axis.output
    return axis.window > tuning.WRITTEN_OUT or doubled < (axis.window - 1) * axis.output


def _slice(values: Values, start: int, limit: int, stride: int, position: int) -> Values:
    return tuple(lax.slice_in_dim(x, start, limit, stride, axis=position) for x in values)


def _concatenated(parts: list[Values], position: int) -> Values:
    if len(parts) == 1:
        return parts[0]
    dimension = parts[0][0].ndim + position
    return tuple(lax.concatenate(group, dimension) for group in zip(*parts, strict=True))


def _place(
    x: jax.Array, fill: jax.Array, runs: list[range], output: int, position: int
) -> jax.Array:
    """Write the runs at their positions along an axis of `output` elements; `fill` elsewhere."""
    if len(runs) == 1:
        config = [(0, 0, 0)] * x.ndim
        config[position] = (runs[0].start, output - runs[0].stop, 0)
        return lax.pad(x, fill, config) if config[position] != (0, 0, 0) else x
    parts, done, taken = [], 0, 0
    for run in (*runs, range(output, output)):
        shape = list(x.shape)
        shape[position] = run.start - done
        parts.append(lax.broadcast(fill, shape))
        parts.append(lax.slice_in_dim(x, taken, taken + len(run), axis=position))
        done, taken = run.stop, taken + len(run)
    return lax.concatenate(parts, x.ndim + position)

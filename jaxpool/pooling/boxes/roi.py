"""Pooling over boxes: RoI align and RoI pool."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from jaxpool import checks
from jaxpool.checks import Ints
from jaxpool.pooling import arguments
from jaxpool.pooling.bins.pyramid import REDUCTIONS
from jaxpool.pooling.boxes import _interpolation, _regions, _sampling, _search
from jaxpool.pooling.boxes._regions import Regions
from jaxpool.pooling.sharding import boxes_and_channels, explicit_sharding


@explicit_sharding(boxes_and_channels)
def roi_align(
    features: ArrayLike,
    boxes: ArrayLike,
    output_shape: Ints,
    *,
    batch_indices: ArrayLike | None = None,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    aligned: bool = True,
    reduce: str = "mean",
) -> jax.Array:
    """The mean (or maximum) of bilinear samples in every bin of every box.

        y[r, i, j] = mean over samples s in bin (i, j) of box r of x(position of s)

    A box, scaled and (if `aligned`) shifted by half an element, is cut into equal bins. In a bin of
    height b, the samples lie at `(s + 1/2) b / count` for `s < count`, and likewise along the
    width. A sample more than one element outside the map is 0; others are moved into the map and
    interpolated between four elements.

    A bin costs as much as its samples inside the map, also with `sampling_ratio=0` under `jit`.
    The derivative with respect to `boxes` is that of the positions, at a given number of samples.

    Args:
        features: Array `(height, width, channels)`, or `(images, height, width, channels)`, of a
            floating dtype.
        boxes: Array `(boxes, 4)` of corners `(x1, y1, x2, y2)`; there may be none.
        output_shape: Bins `(h, w)`; an int stands for both.
        batch_indices: For each box its image, `(boxes,)` integers; needed for several images.
            (Traced ones cannot be looked at, and are clamped to the images there are.)
        spatial_scale: What to multiply boxes with, to have them in elements of the map.
        sampling_ratio: Samples a bin along each axis; 0 for as many as elements that a bin has
            begun, `ceil(height / h)` and `ceil(width / w)`, box by box.
        aligned: Shift boxes by half an element, so that the middle of element 0 lies at 0. False:
            do not, and stretch boxes to a size of at least 1.
        reduce: `"mean"` of the samples, or `"max"` of their four weighted corners (as ONNX has it).

    Returns:
        Array `(boxes, h, w, channels)` of the dtype of `features`; computed in float32 if that is
        narrower. A bin without samples, of a box turned inside out, gives 0.

    Raises:
        TypeError: `features` is not of a floating dtype, `boxes` or `batch_indices` is no array, or
            `sampling_ratio` is no int.
        ValueError: `features` has not 3 or 4 axes, `boxes` is not `(boxes, 4)`, `batch_indices` is
            missing for several images or names one that is not there, a size or `spatial_scale` is
            not greater than 0, `sampling_ratio` is negative, or `reduce` is neither word.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import roi_align
        >>> x = jnp.arange(16.0).reshape(4, 4, 1)
        >>> roi_align(x, jnp.array([[0.0, 0.0, 4.0, 4.0]]), 2)[0, :, :, 0]
        Array([[ 2.5,  4.5],
               [10.5, 12.5]], dtype=float32)

    When to use:
        The features of boxes, for the heads of detectors and for masks. It rounds no coordinate,
        and has a derivative with respect to the boxes.

    Source:
        He, Gkioxari, Dollar and Girshick, "Mask R-CNN", 2017; torchvision's `roi_align`; ONNX's
        `RoiAlign`.
    """
    x = arguments.floating_array("features", features)
    ratio = checks.integer("sampling_ratio", sampling_ratio, 0)
    checks.flag("aligned", aligned)
    checks.choice("reduce", reduce, REDUCTIONS)
    found, output = _regions.checked(x, boxes, output_shape, batch_indices, spatial_scale)
    return align(found, output, ratio, aligned, reduce)


@explicit_sharding(boxes_and_channels)
def roi_pool(
    features: ArrayLike,
    boxes: ArrayLike,
    output_shape: Ints,
    *,
    batch_indices: ArrayLike | None = None,
    spatial_scale: float = 1.0,
) -> jax.Array:
    """The largest element of every bin of every box.

        y[r, i, j] = max of x[a[i], c[j]], ..., x[b[i] - 1, d[j] - 1]
        a[i] = y1 + floor(i n / h),  b[i] = y1 + ceil((i + 1) n / h),  n = max(y2 - y1 + 1, 1)

    (c, d likewise along the width), with corners rounded to elements, half away from zero, and
    bins cut off at the edges of the map. NaN, ties and derivatives are those of `max_pool`.

    Args:
        features: Array `(height, width, channels)`, or `(images, height, width, channels)`, of a
            floating, integer or bool dtype.
        boxes: Array `(boxes, 4)` of corners `(x1, y1, x2, y2)`; there may be none.
        output_shape: Bins `(h, w)`; an int stands for both.
        batch_indices: For each box its image; see `roi_align`.
        spatial_scale: What to multiply boxes with, to have them in elements of the map.

    Returns:
        Array `(boxes, h, w, channels)` of the dtype of `features`. A bin outside the map gives 0.

    Raises:
        TypeError: `features`, `boxes` or `batch_indices` is no array of real numbers.
        ValueError: `features` has not 3 or 4 axes, or another argument is refused as by
            `roi_align`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import roi_pool
        >>> x = jnp.arange(16.0).reshape(4, 4, 1)
        >>> roi_pool(x, jnp.array([[0.0, 0.0, 2.0, 2.0]]), 2)[0, :, :, 0]
        Array([[ 5.,  6.],
               [ 9., 10.]], dtype=float32)

    When to use:
        To run models that were trained with it, Fast R-CNN and its kin; new ones take `roi_align`.

    Source:
        Girshick, "Fast R-CNN", 2015; torchvision's `roi_pool`. (Bins are cut in integers; the
        rounding errors of torchvision's now and then add a row or a column.)
    """
    x = arguments.real_array("features", features)
    found, output = _regions.checked(x, boxes, output_shape, batch_indices, spatial_scale)
    return _pool(found, output)


@functools.partial(jax.jit, static_argnames=("output", "ratio", "aligned", "reduce"), inline=True)
def align(
    regions: Regions, output: tuple[int, int], ratio: int, aligned: bool, reduce: str
) -> jax.Array:
    """The reduced samples of all regions; see `roi_align`."""
    maps, image, boxes = regions
    sides = []
    for i in range(2):
        begin, end = boxes[:, 1 - i], boxes[:, 3 - i]
        length = end - begin if aligned else jnp.maximum(end - begin, 1)
        begin = begin - 0.5 if aligned else begin
        sides.append(_sampling.spread(begin, length, output[i], maps.shape[2 + i], ratio))
    limits = _sampling.limits(maps, ratio)
    wide = maps.astype(arguments.accumulator(maps))
    function = _interpolation.mean if reduce == "mean" else _search.largest_corner
    return function(wide, image, sides[0], sides[1], limits).astype(maps.dtype)


@functools.partial(jax.jit, static_argnames="output", inline=True)
def _pool(regions: Regions, output: tuple[int, int]) -> jax.Array:
    maps, image, boxes = regions
    rows, columns = (
        spans(boxes[:, 1 - i], boxes[:, 3 - i], output[i], maps.shape[2 + i], extra=1)
        for i in range(2)
    )
    return _search.largest_element(maps, image, rows, columns)


def spans(begin: jax.Array, end: jax.Array, bins: int, size: int, *, extra: int) -> _search.Spans:
    """Which elements the bins of each box hold: the first one, and how many.

    Args:
        begin: Where each box begins, to be rounded to an element.
        end: The element with which it ends (`extra=1`), or before which (`extra=0`). A box with
            a NaN has no elements.
        bins: How many bins there are.
        size: Elements of the axis, at whose ends bins are cut off.
        extra: See `end`.
    """
    known = ~(jnp.isnan(begin) | jnp.isnan(end))[:, None]
    begin, end = (
        jnp.clip(lax.round(a, lax.RoundingMethod.AWAY_FROM_ZERO), -(2.0**29), 2.0**29).astype(
            np.int32
        )[:, None]
        for a in (begin, end)
    )
    whole, part = jnp.divmod(jnp.maximum(end - begin + extra, 1), bins)
    number = np.arange(bins + 1, dtype=np.int32)[None, :]
    # length * number / bins, rounded down and up, with no product beyond 32 bits
    down = begin + whole * number + part * number // bins
    up = begin + whole * number - (-part * number // bins)
    first, last = jnp.clip(down[:, :-1], 0, size), jnp.clip(up[:, 1:], 0, size)
    return first, jnp.where(known, jnp.maximum(last - first, 0), 0)

"""RoI align and RoI pool."""

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

    A box is scaled, shifted by half an element if `aligned`, and divided into equal bins. In a bin
    of height b, the samples lie at `(s + 1/2) b / count` for `s < count`; the same holds along the
    width. A sample more than one element outside the map is 0. Other samples are clamped to the map
    and interpolated between four elements.

    The cost of a bin is proportional to its samples inside the map, also with `sampling_ratio=0`
    under `jit`. The derivative with respect to `boxes` is that of the sample positions, for a fixed
    number of samples.

    Args:
        features: Array `(height, width, channels)`, or `(images, height, width, channels)`, of a
            floating dtype.
        boxes: Array `(boxes, 4)` of corners `(x1, y1, x2, y2)`, floating or integer, in any unit
            (often pixels of the image), along the width (x) and the height (y); may be empty.
        output_shape: Bins `(h, w)`; an int applies to both.
        batch_indices: The image index of each box, `(boxes,)` integers; required if there are
            several images. (Traced indices cannot be checked; they are clamped to the valid range.)
        spatial_scale: Factor that converts box coordinates to elements of the map, for example 1/16
            for a map of stride 16.
        sampling_ratio: Samples per bin and axis; 0 means `ceil(height / h)` and `ceil(width / w)`
            samples, for the height and width of each box.
        aligned: True shifts boxes by half an element, so that coordinate 0 is the centre of element
            0. False does not shift, and enlarges boxes to a size of at least 1.
        reduce: `"mean"` of the samples, or `"max"` of their four weighted corners (as in ONNX).

    Returns:
        Array `(boxes, h, w, channels)` of the dtype of `features`, computed in float32 if that
        dtype is narrower. A bin without samples gives 0. (With `sampling_ratio=0` and `aligned`, a
        box with `x2 <= x1` or `y2 <= y1` has no samples.)

    Raises:
        TypeError: `features` is not of a floating dtype, `boxes` is not of a floating or integer
            dtype, `batch_indices` is not of an integer dtype, a size or `sampling_ratio` is not an
            int, `spatial_scale` is not a number, or `aligned` is not a bool.
        ValueError: `features` does not have 3 or 4 axes, or its height or width is 0 or symbolic;
            `boxes` is not `(boxes, 4)`; `batch_indices` is missing for several images, is given for
            3 axes, is not `(boxes,)` or has an index out of range; there are boxes but no images;
            `output_shape` has a size less than 1 or not two entries; `spatial_scale` is not finite
            or not greater than 0; `sampling_ratio` is negative; or `reduce` is neither `"mean"` nor
            `"max"`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import roi_align
        >>> x = jnp.arange(16.0).reshape(4, 4, 1)
        >>> roi_align(x, jnp.array([[0.0, 0.0, 4.0, 4.0]]), 2)[0, :, :, 0]
        Array([[ 2.5,  4.5],
               [10.5, 12.5]], dtype=float32)

    When to use:
        Features of boxes for detection and mask heads. Coordinates are not rounded, and the result
        is differentiable with respect to the boxes.

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

    with c, d defined like a, b along the width. Corners are rounded to elements, half away from
    zero, and bins are clipped to the map. NaN, ties and derivatives are handled as in `max_pool`.

    Args:
        features: Array `(height, width, channels)`, or `(images, height, width, channels)`, of a
            floating, integer or bool dtype.
        boxes: Array `(boxes, 4)` of corners `(x1, y1, x2, y2)`; see `roi_align`.
        output_shape: Bins `(h, w)`; an int applies to both.
        batch_indices: The image index of each box; see `roi_align`.
        spatial_scale: Factor that converts box coordinates to elements of the map.

    Returns:
        Array `(boxes, h, w, channels)` of the dtype of `features`. A bin outside the map, or of a
        box with a NaN coordinate, gives 0.

    Raises:
        TypeError: `features` is not an array of real numbers, or another argument has a type that
            `roi_align` refuses.
        ValueError: As in `roi_align`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import roi_pool
        >>> x = jnp.arange(16.0).reshape(4, 4, 1)
        >>> roi_pool(x, jnp.array([[0.0, 0.0, 2.0, 2.0]]), 2)[0, :, :, 0]
        Array([[ 5.,  6.],
               [ 9., 10.]], dtype=float32)

    When to use:
        To run existing models such as Fast R-CNN. For new models use `roi_align`.

    Source:
        Girshick, "Fast R-CNN", 2015; torchvision's `roi_pool`. (Bin boundaries are computed in
        integers; rounding errors in torchvision sometimes add a row or a column.)
    """
    x = arguments.real_array("features", features)
    found, output = _regions.checked(x, boxes, output_shape, batch_indices, spatial_scale)
    return _pool(found, output)


@functools.partial(jax.jit, static_argnames=("output", "ratio", "aligned", "reduce"), inline=True)
def align(
    regions: Regions, output: tuple[int, int], ratio: int, aligned: bool, reduce: str
) -> jax.Array:
    """`roi_align` for checked arguments."""
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
    """The first element and the number of elements of each bin of each box.

    Args:
        begin: The start of each box, which is rounded to an element.
        end: The last element of each box (`extra=1`), or the element after it (`extra=0`). A box
            with a NaN coordinate has no elements.
        bins: The number of bins per box.
        size: Elements of the axis; bins are clipped to it.
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
    # floor and ceil of length * number / bins, without overflow of 32 bits
    down = begin + whole * number + part * number // bins
    up = begin + whole * number - (-part * number // bins)
    first, last = jnp.clip(down[:, :-1], 0, size), jnp.clip(up[:, 1:], 0, size)
    return first, jnp.where(known, jnp.maximum(last - first, 0), 0)

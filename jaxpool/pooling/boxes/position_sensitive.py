"""Position-sensitive RoI pooling: every bin reads a separate group of channels."""

from __future__ import annotations

import functools

import jax
from jax.typing import ArrayLike

from jaxpool import checks
from jaxpool.checks import Ints
from jaxpool.pooling import arguments
from jaxpool.pooling.boxes import _interpolation, _regions, roi
from jaxpool.pooling.boxes._regions import Regions
from jaxpool.pooling.boxes._sampling import Limits, Samples
from jaxpool.pooling.sharding import boxes_and_channels, explicit_sharding


@explicit_sharding(boxes_and_channels)
def ps_roi_align(
    features: ArrayLike,
    boxes: ArrayLike,
    output_shape: Ints,
    *,
    batch_indices: ArrayLike | None = None,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
) -> jax.Array:
    """The mean of bilinear samples in every bin of every box, with separate channels per bin.

        y[r, i, j, c] = roi_align(x[..., (c * h + i) * w + j], ..., aligned=True)[r, i, j]

    Args:
        features: Array `(height, width, c * h * w)`, or `(images, height, width, c * h * w)`, of a
            floating dtype.
        boxes: Array `(boxes, 4)` of corners `(x1, y1, x2, y2)`; see `roi_align`.
        output_shape: Bins `(h, w)`; an int applies to both.
        batch_indices: The image index of each box; see `roi_align`, also for the arguments below.
        spatial_scale: Factor that converts box coordinates to elements of the map.
        sampling_ratio: Samples per bin and axis; 0 means `ceil(height / h)` and `ceil(width / w)`.

    Returns:
        Array `(boxes, h, w, c)` of the dtype of `features`, computed in float32 if that dtype is
        narrower. A bin without samples gives 0.

    Raises:
        TypeError: As in `roi_align`.
        ValueError: As in `roi_align`; or the number of channels is not a multiple of `h * w`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import ps_roi_align
        >>> x = jnp.ones((4, 4, 1)) * jnp.arange(4.0)
        >>> ps_roi_align(x, jnp.array([[0.0, 0.0, 4.0, 4.0]]), 2)[0, :, :, 0]
        Array([[0., 1.],
               [2., 3.]], dtype=float32)

    When to use:
        Detectors with little computation per box after pooling: each bin of a box reads its own
        score maps.

    Source:
        torchvision's `ps_roi_align`; Li et al., "Light-Head R-CNN", 2017.
    """
    x = arguments.floating_array("features", features)
    ratio = checks.integer("sampling_ratio", sampling_ratio, 0)
    found, output = _regions.checked(x, boxes, output_shape, batch_indices, spatial_scale)
    found = _regions.one_map_a_bin(found, output)
    return roi.align(found, output, ratio, aligned=True, reduce="mean")


@explicit_sharding(boxes_and_channels)
def ps_roi_pool(
    features: ArrayLike,
    boxes: ArrayLike,
    output_shape: Ints,
    *,
    batch_indices: ArrayLike | None = None,
    spatial_scale: float = 1.0,
) -> jax.Array:
    """The mean of every bin of every box, with separate channels per bin.

        y[r, i, j, c] = mean of x[a[i], e[j], k], ..., x[b[i] - 1, f[j] - 1, k]
        k = (c h + i) w + j
        a[i] = y1 + floor(i n / h),  b[i] = y1 + ceil((i + 1) n / h),  n = max(y2 - y1, 1)

    with e, f defined like a, b along the width. Corners are rounded to elements, half away from
    zero, and bins are clipped to the map.

    Args:
        features: Array `(height, width, c * h * w)`, or `(images, height, width, c * h * w)`, of a
            floating dtype.
        boxes: Array `(boxes, 4)` of corners `(x1, y1, x2, y2)`; see `roi_align`.
        output_shape: Bins `(h, w)`; an int applies to both.
        batch_indices: The image index of each box; see `roi_align`.
        spatial_scale: Factor that converts box coordinates to elements of the map.

    Returns:
        Array `(boxes, h, w, c)` of the dtype of `features`, accumulated in float32 if that dtype is
        narrower. A bin outside the map, or of a box with a NaN coordinate, gives 0.

    Raises:
        TypeError: As in `roi_align`.
        ValueError: As in `roi_align`; or the number of channels is not a multiple of `h * w`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import ps_roi_pool
        >>> x = jnp.ones((4, 4, 1)) * jnp.arange(4.0)
        >>> ps_roi_pool(x, jnp.array([[0.0, 0.0, 4.0, 4.0]]), 2)[0, :, :, 0]
        Array([[0., 1.],
               [2., 3.]], dtype=float32)

    When to use:
        To run existing models such as R-FCN. For new models use `ps_roi_align`.

    Source:
        Dai, Li, He and Sun, "R-FCN", 2016. (torchvision's `ps_roi_pool` does not read the last row
        and column of the map, although its derivative does.)
    """
    x = arguments.floating_array("features", features)
    found, output = _regions.checked(x, boxes, output_shape, batch_indices, spatial_scale)
    return _pool(_regions.one_map_a_bin(found, output), output)


@functools.partial(jax.jit, static_argnames="output", inline=True)
def _pool(regions: Regions, output: tuple[int, int]) -> jax.Array:
    """The mean of the elements of every bin, as the mean of one sample at each element."""
    maps, image, boxes = regions
    sides = []
    for i in range(2):
        first, count = roi.spans(
            boxes[:, 1 - i], boxes[:, 3 - i], output[i], maps.shape[2 + i], extra=0
        )
        origin, extent = first.astype(boxes.dtype) - 0.5, count.astype(boxes.dtype)
        sides.append(Samples(origin, extent, count, count, count * 0, count))
    limits = Limits(maps.shape[2], maps.shape[3], fixed=False)
    wide = maps.astype(arguments.accumulator(maps))
    return _interpolation.mean(wide, image, sides[0], sides[1], limits).astype(maps.dtype)

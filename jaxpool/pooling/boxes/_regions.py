"""The arguments shared by the operators over boxes, and their checks."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxpool.checks import Ints, per_axis_ints, static_size
from jaxpool.pooling import arguments


class Regions(NamedTuple):
    """Feature maps, and boxes in coordinates of their elements.

    Attributes:
        maps: `(images, groups, height, width, channels)`. There is one group, or one group per bin
            (position-sensitive pooling).
        image: The image index of each box.
        boxes: `(boxes, 4)`, corners `(x1, y1, x2, y2)`, of dtype float32 or float64.
    """

    maps: jax.Array
    image: jax.Array
    boxes: jax.Array


def checked(
    features: jax.Array,
    boxes: Any,
    output_shape: Ints,
    batch_indices: Any,
    spatial_scale: float,
) -> tuple[Regions, tuple[int, int]]:
    """Check the arguments of an operator over boxes; returns the regions and the bins per box."""
    if features.ndim not in (3, 4):
        raise ValueError(
            "features must have the axes (height, width, channels), or images before them, "
            f"got {features.ndim} axes"
        )
    if 0 in (static_size(features.shape[axis], axis, "features") for axis in (-3, -2)):
        raise ValueError(f"features must not be empty maps, got shape {features.shape}")
    array = arguments.real_array("boxes", boxes)
    if array.dtype == np.bool_:
        raise TypeError("boxes must be of a floating or integer dtype, got bool")
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"boxes must be (boxes, 4), each (x1, y1, x2, y2), got {array.shape}")
    height, width = per_axis_ints("output_shape", output_shape, 2)
    scale = arguments.number("spatial_scale", spatial_scale, above=0)
    image = _image(batch_indices, features, array.shape[0])
    if features.ndim == 4 and features.shape[0] == 0:  # no boxes either: add an image
        features = jnp.zeros((1, *features.shape[1:]), features.dtype)
    maps = features[None, None] if features.ndim == 3 else features[:, None]
    wide = array.astype(array.dtype if array.dtype == np.float64 else np.float32)
    return Regions(maps, image, wide * scale), (height, width)


def one_map_a_bin(regions: Regions, output: tuple[int, int]) -> Regions:
    """One group of channels per bin: channel `(c * h + i) * w + j` is `c` of bin `(i, j)`."""
    maps, bins = regions.maps[:, 0], output[0] * output[1]
    if maps.shape[-1] % bins:
        raise ValueError(
            f"features must have a multiple of {bins} channels, one per bin of output_shape "
            f"{output}, got {maps.shape[-1]}"
        )
    maps = maps.reshape(*maps.shape[:-1], maps.shape[-1] // bins, bins)
    return regions._replace(maps=jnp.moveaxis(maps, -1, 1))


def _image(batch_indices: Any, features: jax.Array, boxes: Any) -> jax.Array:
    images = features.shape[0] if features.ndim == 4 else 1
    if batch_indices is None:
        if images != 1 and not images == boxes == 0:
            raise ValueError(f"batch_indices must be given for features of {images} images")
        return jnp.zeros(boxes, np.int32)
    if features.ndim == 3:
        raise ValueError("batch_indices must be None for features without an axis of images")
    image = arguments.real_array("batch_indices", batch_indices)
    if not jnp.issubdtype(image.dtype, jnp.integer):
        raise TypeError(f"batch_indices must be of an integer dtype, got {image.dtype}")
    if image.shape != (boxes,):
        raise ValueError(f"batch_indices must be one per box, ({boxes},), got {image.shape}")
    numbers = arguments.known(batch_indices)
    if numbers is not None and isinstance(images, int):
        wrong = numbers[(numbers < 0) | (numbers >= images)]
        if wrong.size:
            raise ValueError(f"batch_indices must lie in [0, {images}), got {wrong[0]}")
    if isinstance(images, int) and images == 0 and boxes != 0:
        raise ValueError(f"boxes must be none for features of 0 images, got {boxes}")
    return jnp.clip(image.astype(np.int32), 0, jnp.maximum(images - 1, 0))

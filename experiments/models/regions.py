"""Heads of a region network: from a feature map and boxes to one vector per box.

A config selects one by `head = "roi_align"` or
`head = {pool = "roi_align", arguments = {reduce = "max"}}`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

import jaxpool

Bins = int | Sequence[int]


class RegionHead(nnx.Module):
    """A head module of a region network.

    Attributes:
        features: Length of the output vectors.
    """

    def __init__(self, function: Callable[..., jax.Array], features: int):
        self.function, self.features = function, features

    def __call__(self, x: jax.Array, boxes: jax.Array) -> jax.Array:
        """Pools each box to a vector.

        Args:
            x: Feature maps (N, H, W, C).
            boxes: Boxes (N, R, 4), in units of feature map elements.

        Returns:
            Vectors (N, R, features).
        """
        return self.function(x, boxes).reshape(*boxes.shape[:2], self.features)


def _over_boxes(operator: Callable[..., jax.Array], features: int, **arguments: Any) -> RegionHead:
    """The head that applies one of jaxpool's operators over boxes."""

    def pool(x: jax.Array, boxes: jax.Array) -> jax.Array:
        return operator(x, boxes.reshape(-1, 4), batch_indices=_image_of(boxes), **arguments)

    return RegionHead(pool, features)


def _image_of(boxes: jax.Array) -> jax.Array:
    """The image index (N * R,) of each of the boxes (N, R, 4)."""
    return jnp.repeat(jnp.arange(boxes.shape[0]), boxes.shape[1])


def _roi_pool(
    channels: int, spatial: Sequence[int], rngs: nnx.Rngs, output: Bins = (4, 4)
) -> RegionHead:
    """The largest element of every bin (Girshick, 2015)."""
    del spatial, rngs
    height, width = _bins(output)
    return _over_boxes(jaxpool.roi_pool, height * width * channels, output_shape=(height, width))


def _roi_align(
    channels: int,
    spatial: Sequence[int],
    rngs: nnx.Rngs,
    output: Bins = (4, 4),
    sampling_ratio: int = 2,
    reduce: str = "mean",
) -> RegionHead:
    """The mean or the maximum of bilinear samples in every bin (He et al., 2017)."""
    del spatial, rngs
    height, width = _bins(output)
    return _over_boxes(
        jaxpool.roi_align,
        height * width * channels,
        output_shape=(height, width),
        sampling_ratio=sampling_ratio,
        reduce=reduce,
    )


def _ps_roi_pool(
    channels: int, spatial: Sequence[int], rngs: nnx.Rngs, output: Bins = (4, 4)
) -> RegionHead:
    """The mean of every bin, each bin in its own channels (Dai, Li, He and Sun, 2016)."""
    del spatial, rngs
    return _over_boxes(jaxpool.ps_roi_pool, _dealt(channels, output), output_shape=_bins(output))


def _ps_roi_align(
    channels: int,
    spatial: Sequence[int],
    rngs: nnx.Rngs,
    output: Bins = (4, 4),
    sampling_ratio: int = 2,
) -> RegionHead:
    """The mean of bilinear samples in every bin, each bin in its own channels (Li et al., 2017)."""
    del spatial, rngs
    return _over_boxes(
        jaxpool.ps_roi_align,
        _dealt(channels, output),
        output_shape=_bins(output),
        sampling_ratio=sampling_ratio,
    )


def _spatial_pyramid(
    channels: int, spatial: Sequence[int], rngs: nnx.Rngs, levels: Sequence[int] = (1, 2, 4)
) -> RegionHead:
    """The region of the map, max-pooled to a pyramid of bins (He et al., SPP-net, 2014).

    The bins of one level are those of RoI pooling, which Girshick (2015) derived from SPP-net.
    """
    del spatial, rngs
    levels = tuple(levels)
    if not levels or any(not isinstance(level, int) or level < 1 for level in levels):
        raise ValueError(f"levels must be at least one positive integer, got {levels}")

    def pool(x: jax.Array, boxes: jax.Array) -> jax.Array:
        flat, image = boxes.reshape(-1, 4), _image_of(boxes)
        pooled = [jaxpool.roi_pool(x, flat, level, batch_indices=image) for level in levels]
        return jnp.concatenate([level.reshape(len(flat), -1) for level in pooled], -1)

    return RegionHead(pool, channels * sum(level**2 for level in levels))


def _global(
    channels: int, spatial: Sequence[int], rngs: nnx.Rngs, reduce: str = "max"
) -> RegionHead:
    """The whole map pooled to one vector, which is equal for all boxes."""
    del spatial, rngs
    pools = {"max": jaxpool.global_max_pool, "mean": jaxpool.global_avg_pool}
    if reduce not in pools:
        raise ValueError(f"reduce must be one of {', '.join(pools)}, got {reduce!r}")

    def pool(x: jax.Array, boxes: jax.Array) -> jax.Array:
        vector = pools[reduce](x)
        return jnp.broadcast_to(vector[:, None], (*boxes.shape[:2], channels))

    return RegionHead(pool, channels)


def _bins(output: Bins) -> tuple[int, int]:
    sizes = (output, output) if isinstance(output, int) else tuple(output)
    if len(sizes) != 2 or any(not isinstance(size, int) or size < 1 for size in sizes):
        raise ValueError(f"output must be one or two positive integers, got {output!r}")
    return sizes[0], sizes[1]


def _dealt(channels: int, output: Bins) -> int:
    """Number of features of a position-sensitive pooling, whose bins share the channels."""
    height, width = _bins(output)
    if channels % (height * width):
        raise ValueError(
            f"a position-sensitive pooling to {height}x{width} bins needs a multiple of "
            f"{height * width} channels"
        )
    return channels


REGION_HEADS: dict[str, Callable[..., RegionHead]] = {
    "roi_pool": _roi_pool,
    "roi_align": _roi_align,
    "ps_roi_pool": _ps_roi_pool,
    "ps_roi_align": _ps_roi_align,
    "spatial_pyramid": _spatial_pyramid,
    "global": _global,
}
"""The heads of a region network by name: functions of channels, spatial shape, rngs and the head's
arguments."""

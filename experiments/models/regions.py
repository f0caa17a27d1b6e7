"""The heads of a region network: from a feature map and boxes to one vector per box.

`head = "roi_align"` in a config, or `head = {pool = "roi_align", arguments = {reduce = "max"}}`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

import jaxpool

Bins = int | Sequence[int]


class RegionHead(nnx.Module):
    """A head that has been built.

    Attributes:
        features: The length of the vectors that it gives.
    """

    def __init__(self, function: Callable[..., jax.Array], features: int):
        self.function, self.features = function, features

    def __call__(self, x: jax.Array, boxes: jax.Array) -> jax.Array:
        """Pools.

        Args:
            x: Feature maps (N, H, W, C).
            boxes: Boxes (N, R, 4) in elements of the maps.

        Returns:
            Vectors (N, R, features).
        """
        return self.function(x, boxes).reshape(*boxes.shape[:2], self.features)


def _over_boxes(operator: Callable[..., jax.Array], features: int, **arguments: Any) -> RegionHead:
    """The head of one of jaxpool's poolings over boxes."""

    def pool(x: jax.Array, boxes: jax.Array) -> jax.Array:
        return operator(x, boxes.reshape(-1, 4), batch_indices=_image_of(boxes), **arguments)

    return RegionHead(pool, features)


def _image_of(boxes: jax.Array) -> jax.Array:
    """For each of the boxes (N, R, 4) its image (N * R,)."""
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
    """The mean of every bin in channels of its own (Dai, Li, He and Sun, 2016)."""
    del spatial, rngs
    return _over_boxes(jaxpool.ps_roi_pool, _dealt(channels, output), output_shape=_bins(output))


def _ps_roi_align(
    channels: int,
    spatial: Sequence[int],
    rngs: nnx.Rngs,
    output: Bins = (4, 4),
    sampling_ratio: int = 2,
) -> RegionHead:
    """The mean of bilinear samples in every bin, in channels of its own (Li et al., 2017)."""
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
    """The region's part of the map, max-pooled to a pyramid of bins (He et al., SPP-net, 2014).

    The bins of one level are those of RoI pooling, which Girshick (2015) derived from it.
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
    """The whole map, pooled to one vector, the same for every box."""
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
    """The features of a pooling whose bins share the channels out among themselves."""
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
"""The heads of a region network by name, each a function of channels, spatial shape and rngs, and
of its arguments."""

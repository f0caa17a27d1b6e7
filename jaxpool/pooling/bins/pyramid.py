"""Spatial pyramid pooling: a vector of fixed length from maps of any size."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxpool import checks
from jaxpool.checks import Ints
from jaxpool.monoid import MAX
from jaxpool.pooling import arguments, sizes
from jaxpool.pooling.bins import _layout, adaptive
from jaxpool.pooling.sharding import batch_axes, explicit_sharding

REDUCTIONS = ("max", "mean")


@explicit_sharding(batch_axes)
def spatial_pyramid_pool(
    x: ArrayLike,
    levels: Sequence[int] = (1, 2, 4),
    *,
    reduce: str = "max",
    axes: Ints | None = None,
    where: ArrayLike | None = None,
) -> jax.Array:
    """Adaptive pooling to several sizes, with all results concatenated into one vector.

    A 3-D `x` is read as (batch, length, channels); for one image, give `axes=(0, 1)`.

        y = concatenation over l in levels of flatten(adaptive pooling of x to l bins per axis)

    Args:
        x: Array `(batch, *spatial, channels)` of a floating, integer or bool dtype.
        levels: Bins per spatial axis, one int per level.
        reduce: `"max"` or `"mean"` over each bin; see `adaptive_max_pool`, `adaptive_avg_pool`.
        axes: Indices of the pooled axes, for any other layout; the last unpooled axis is the
            channel axis. None means all axes except the first and the last.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array `(*batch, bins * channels)`, where `bins` is the sum of `l ** d` over levels, for d
        spatial axes. The order is: levels, then bins in row-major order, then channels. The dtype
        and the result of a bin without an element are those of `adaptive_max_pool` or
        `adaptive_avg_pool`.

    Raises:
        TypeError: `x` is not an array of real numbers, `where` is not boolean, `levels` is not a
            sequence of ints, or `axes` are not ints.
        ValueError: `levels` is empty or has an entry less than 1, `reduce` is neither `"max"` nor
            `"mean"`, `x` has fewer than 3 axes and `axes` is None, `axes` has an index out of range
            or a duplicate or leaves no channel axis, `where` does not broadcast to `x`, or a pooled
            axis is empty or has a symbolic size.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import spatial_pyramid_pool
        >>> spatial_pyramid_pool(jnp.arange(8.0).reshape(1, 8, 1), (1, 2))
        Array([[7., 3., 7.]], dtype=float32)

    When to use:
        A vector of fixed length from maps of any size that, unlike global pooling, keeps coarse
        spatial information.

    Source:
        He, Zhang, Ren and Sun, "Spatial Pyramid Pooling in Deep Convolutional Networks for Visual
        Recognition", 2014.
    """
    x = arguments.real_array("x", x)
    each = checks.sequence("levels", levels, scalar=False)
    if not each:
        raise ValueError(f"levels must name at least one level, got {levels!r}")
    checks.choice("reduce", reduce, REDUCTIONS)
    mask = arguments.mask(where, x)
    vectors = []
    for level in each:
        if isinstance(level, Sequence | np.ndarray):
            raise TypeError(f"levels must be a sequence of ints, got {levels!r}")
        (outputs,) = sizes.given(x, axes, levels=level)
        if len(outputs) == x.ndim:
            raise ValueError(f"axes must leave an axis of channels, got {axes!r} of {x.ndim} axes")
        layout = adaptive.layout_of(x, outputs)
        pooled = (
            _layout.reduce(x, MAX, layout, mask)
            if reduce == "max"
            else _layout.mean(x, layout, mask)
        )
        vectors.append(_flatten(pooled, tuple(outputs)))
    return jnp.concatenate(vectors, -1)


def _flatten(y: jax.Array, positions: tuple[int, ...]) -> jax.Array:
    """Merge the pooled axes and the channel axis: `(*batch, bins * channels)`."""
    bins_first = jnp.swapaxes(sizes.gather_planes(y, positions), -1, -2)
    *batch, count, channels = bins_first.shape
    return bins_first.reshape(*batch, count * channels)

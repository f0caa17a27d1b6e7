"""Fractional pooling: windows at random places, to shrink a map by any factor."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from jax.typing import ArrayLike

from jaxpool.checks import Ints
from jaxpool.monoid import MAX
from jaxpool.pooling import arguments
from jaxpool.pooling.bins import _boundaries, _layout
from jaxpool.pooling.sharding import explicit_sharding

Samples = ArrayLike | Sequence[ArrayLike]


@explicit_sharding()
def fractional_max_pool(
    x: ArrayLike,
    window_shape: Ints | None,
    output_shape: Ints,
    *,
    key: jax.Array | None = None,
    samples: Samples | None = None,
    pseudo_random: bool = False,
    overlapping: bool = False,
    axes: Ints | None = None,
    where: ArrayLike | None = None,
) -> jax.Array:
    """The largest element of every window, where the windows lie at random places.

        y[i] = max of x[a[i]], ..., x[b[i] - 1], along each pooled axis of n elements and o windows

    PyTorch's form, windows of k elements, at other places in every plane, from one u an axis:

        a[i] = floor((i + u) alpha) - floor(u alpha),  alpha = (n - k) / (o - 1);  a[o - 1] = n - k
        b[i] = a[i] + k

    TensorFlow's form (`window_shape=None`), the same windows in all planes, between boundaries c
    in steps of K and K + 1, where K = floor(n / o):

        a[i] = c[i],  b[i] = c[i + 1], or min(c[i + 1] + 1, n) if overlapping

    NaN, ties and derivatives are those of `max_pool`.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        window_shape: Elements of a window per spatial axis, an int or one an axis; None for
            TensorFlow's form.
        output_shape: Windows per spatial axis. An int (here and in `window_shape`) stands for every
            spatial axis, which are then all but the first and the last; d ints pool the d axes
            before the last.
        key: A key of `jax.random`, from which to draw the samples.
        samples: The samples themselves, instead of a key; `fractional_samples` draws them. In
            PyTorch's form an array in [0, 1) that broadcasts to the axes of `x` that are not pooled
            and one more, the pooled axes in ascending order; but of two pooled axes the last comes
            first, as in PyTorch. In TensorFlow's form a tuple of the boundaries c, `(o + 1,)`
            integers per pooled axis.
        pseudo_random: In TensorFlow's form, draw evenly spread steps, floor((n i + r) / o) with one
            random r, rather than K and K + 1 in random order.
        overlapping: In TensorFlow's form, let a window end with the first element of the next.
        axes: The pooled axes by number, for any other layout.
        where: Boolean mask that broadcasts to `x`; elements where it is False do not exist.

    Returns:
        Array of the dtype of `x` and its shape, but for the pooled axes, which have the sizes of
        `output_shape`. A window without an element gives the identity: -inf, the smallest integer,
        or False.

    Raises:
        TypeError: `x` is no array of real numbers, `where` is not boolean, `key` is no key, or
            `samples` is no array or tuple of its form.
        ValueError: A size is less than 1; `n < o + k - 1` for one axis; not one of `key` and
            `samples` is given; `pseudo_random` or `overlapping` is given with `window_shape`; or
            samples lie outside their range. (Samples that are traced, as under `jit`, are not
            looked at.)

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxpool import fractional_max_pool
        >>> x = jnp.arange(7.0).reshape(1, 7, 1)
        >>> fractional_max_pool(x, 2, 4, samples=jnp.array([[[0.5]]]))[0, :, 0]
        Array([1., 3., 5., 6.], dtype=float32)
        >>> fractional_max_pool(x, None, 4, key=jax.random.key(0)).shape
        (1, 4, 1)

    When to use:
        To shrink maps by less than 2 at a time, so that a network can pool more often; the random
        windows are meant to regularise it as well.

    Source:
        Graham, "Fractional Max-Pooling", 2014; PyTorch's `FractionalMaxPool2d`; TensorFlow's
        `fractional_max_pool`.
    """
    x = arguments.real_array("x", x)
    layout, _ = _boundaries.windows(
        x, window_shape, output_shape, key, samples, pseudo_random, overlapping, axes
    )
    return _layout.reduce(x, MAX, layout, arguments.mask(where, x))


@explicit_sharding()
def fractional_max_pool_with_argmax(
    x: ArrayLike,
    window_shape: Ints | None,
    output_shape: Ints,
    *,
    key: jax.Array | None = None,
    samples: Samples | None = None,
    pseudo_random: bool = False,
    overlapping: bool = False,
    axes: Ints | None = None,
    where: ArrayLike | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The largest element of every window of fractional max pooling, and where it stands.

        y[i] = x[j[i]], the first of the largest elements of window i; see `fractional_max_pool`

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        window_shape: Elements of a window; see `fractional_max_pool`, also for all that follow.
        output_shape: Windows per spatial axis.
        key: A key of `jax.random`, from which to draw the samples.
        samples: The samples themselves, instead of a key.
        pseudo_random: In TensorFlow's form, draw evenly spread steps.
        overlapping: In TensorFlow's form, let a window end with the first element of the next.
        axes: The pooled axes by number, for any other layout.
        where: Boolean mask that broadcasts to `x`; elements where it is False do not exist.

    Returns:
        The values, of the dtype of `x`, and as many indices of dtype int32: the winner's place in
        the spatial plane of its image and channel, counted row by row (pooled axes in ascending
        order). A window without an element has index -1.

    Raises:
        TypeError: As in `fractional_max_pool`.
        ValueError: As in `fractional_max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import fractional_max_pool_with_argmax
        >>> x = jnp.arange(7.0).reshape(1, 7, 1)
        >>> _, indices = fractional_max_pool_with_argmax(x, 2, 4, samples=jnp.array([[[0.5]]]))
        >>> indices[0, :, 0]
        Array([1, 3, 5, 6], dtype=int32)

    When to use:
        As `fractional_max_pool`, where the places of the maxima are wanted, as for `max_unpool`.

    Source:
        PyTorch's `FractionalMaxPool2d(return_indices=True)`.
    """
    x = arguments.real_array("x", x)
    layout, _ = _boundaries.windows(
        x, window_shape, output_shape, key, samples, pseudo_random, overlapping, axes
    )
    return _layout.arg_reduce(x, MAX, layout, arguments.mask(where, x))


@explicit_sharding()
def fractional_avg_pool(
    x: ArrayLike,
    window_shape: Ints | None,
    output_shape: Ints,
    *,
    key: jax.Array | None = None,
    samples: Samples | None = None,
    pseudo_random: bool = False,
    overlapping: bool = False,
    axes: Ints | None = None,
    where: ArrayLike | None = None,
) -> jax.Array:
    """The mean of every window, where the windows lie at random places.

        y[i] = mean of x[a[i]], ..., x[b[i] - 1], with a and b as in `fractional_max_pool`

    Sums of float16 and bfloat16 are taken in float32.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        window_shape: Elements of a window; see `fractional_max_pool`, also for all that follow.
        output_shape: Windows per spatial axis.
        key: A key of `jax.random`, from which to draw the samples.
        samples: The samples themselves, instead of a key.
        pseudo_random: In TensorFlow's form, draw evenly spread steps.
        overlapping: In TensorFlow's form, let a window end with the first element of the next.
        axes: The pooled axes by number, for any other layout.
        where: Boolean mask that broadcasts to `x`; elements where it is False do not exist.

    Returns:
        Array of the dtype of `x` if that is floating, else float32. A window without an element
        gives 0.

    Raises:
        TypeError: As in `fractional_max_pool`.
        ValueError: As in `fractional_max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import fractional_avg_pool
        >>> x = jnp.arange(7.0).reshape(1, 7, 1)
        >>> fractional_avg_pool(x, None, 3, samples=(jnp.array([0, 2, 5, 7]),))[0, :, 0]
        Array([0.5, 3. , 5.5], dtype=float32)

    When to use:
        As `fractional_max_pool`, where every element should count alike.

    Source:
        TensorFlow's `fractional_avg_pool`; PyTorch has no average in its form.
    """
    x = arguments.real_array("x", x)
    layout, _ = _boundaries.windows(
        x, window_shape, output_shape, key, samples, pseudo_random, overlapping, axes
    )
    return _layout.mean(x, layout, arguments.mask(where, x))


def fractional_samples(
    x: ArrayLike,
    window_shape: Ints | None,
    output_shape: Ints,
    *,
    key: jax.Array,
    pseudo_random: bool = False,
    axes: Ints | None = None,
) -> jax.Array | tuple[jax.Array, ...]:
    """The samples that the fractional poolings draw from a key, to be given as `samples`.

    Args:
        x: The array that is to be pooled; only its shape counts.
        window_shape: Elements of a window; see `fractional_max_pool`, also for all that follow.
        output_shape: Windows per spatial axis.
        key: A key of `jax.random`.
        pseudo_random: In TensorFlow's form, draw evenly spread steps.
        axes: The pooled axes by number, for any other layout.

    Returns:
        In PyTorch's form an array of float32 in [0, 1); in TensorFlow's form a tuple of the
        boundaries, int32, one array per pooled axis.

    Raises:
        TypeError: `x` is no array of real numbers, or `key` is no key.
        ValueError: A size is less than 1, or `n < o + k - 1` for one axis.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxpool import fractional_max_pool, fractional_samples
        >>> x = jnp.arange(7.0).reshape(1, 7, 1)
        >>> (boundaries,) = fractional_samples(x, None, 4, key=jax.random.key(0))
        >>> int(boundaries[0]), int(boundaries[-1])
        (0, 7)
        >>> fractional_max_pool(x, None, 4, samples=(boundaries,)).shape
        (1, 4, 1)

    When to use:
        To pool two maps alike, to see where the windows lie, or to keep what a run has drawn.

    Source:
        The second and third results of TensorFlow's `fractional_max_pool`; PyTorch's
        `_random_samples`.
    """
    x = arguments.real_array("x", x)
    return _boundaries.windows(
        x, window_shape, output_shape, key, None, pseudo_random, False, axes
    )[1]

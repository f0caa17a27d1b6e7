"""Fractional pooling: random windows that shrink a map by any factor."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from jax.typing import ArrayLike

from jaxpool.checks import Ints
from jaxpool.monoid import MAX
from jaxpool.pooling import arguments
from jaxpool.pooling.bins import _layout
from jaxpool.pooling.bins._boundaries import FractionalWindows
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
    """The largest element of every window, with random window positions.

    Int `window_shape` and `output_shape` read a 3-D `x` as (batch, length, channels); two ints
    each, such as `(2, 2)`, pool one image.

        y[i] = max of x[a[i]], ..., x[b[i] - 1], along each pooled axis of n elements and o windows

    PyTorch's form has windows of k elements at different positions in every plane, computed from
    one random number u per plane and axis:

        a[i] = floor((i + u) alpha) - floor(u alpha),  alpha = (n - k) / (o - 1);  a[o - 1] = n - k
        b[i] = a[i] + k

    TensorFlow's form (`window_shape=None`) has the same windows in all planes, between boundaries c
    at distances of K and K + 1, where K = floor(n / o):

        a[i] = c[i],  b[i] = c[i + 1], or min(c[i + 1] + 1, n) if overlapping

    NaN, ties and derivatives are handled as in `max_pool`.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        window_shape: Window length per spatial axis, an int or one int per axis; None selects
            TensorFlow's form.
        output_shape: Windows per spatial axis. An int (here and in `window_shape`) applies to every
            axis except the first and the last (or to all of `axes`); d ints pool the d axes before
            the last one.
        key: One key of `jax.random`, from which the samples are drawn.
        samples: The samples, in place of a key, for example from `fractional_samples`. In PyTorch's
            form, an array with values u in [0, 1) that broadcasts to
            `(*unpooled axes of x, pooled axes)`. Its last axis lists the pooled axes in ascending
            order, but the last one first if there are two, as in PyTorch. In TensorFlow's form, a
            tuple with the boundaries c, `(o + 1,)` integers, per pooled axis.
        pseudo_random: In TensorFlow's form, draw evenly spread boundaries floor((n i + r) / o) with
            one random integer r, instead of steps of K and K + 1 in random order. It has no effect
            on given `samples`.
        overlapping: In TensorFlow's form, extend every window by the first element of the next one.
        axes: Indices of the pooled axes, for any other layout, in the order of `window_shape` and
            `output_shape`.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the dtype of `x`, with the shape of `x` except along the pooled axes, which have
        the sizes of `output_shape`. A window without an element gives the identity of max, as in
        `max_pool`.

    Raises:
        TypeError: `x` is not an array of real numbers, `where` is not boolean, `key` is not one
            key, `samples` is not a floating array (PyTorch's form) or has boundaries that are not
            integers (TensorFlow's form), a size or `axes` are not ints, or `pseudo_random` or
            `overlapping` is not a bool.
        ValueError: `x` has too few axes, or a pooled axis that is empty or has a symbolic size; a
            size is less than 1; `n < o + k - 1` for one axis (TensorFlow's form: `n < o`); a
            sequence does not have one entry per pooled axis; `axes` has an index out of range or a
            duplicate; `where` does not broadcast to `x`; neither or both of `key` and `samples` are
            given; `pseudo_random` or `overlapping` is True with a `window_shape`; or samples have
            another shape than above or lie outside their range. (The values of traced samples, for
            example under `jit`, are not checked.)

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
        To shrink maps by a factor below 2, so that a network can have more pooling layers. The
        random windows also act as regularization.

    Source:
        Graham, "Fractional Max-Pooling", 2014; PyTorch's `FractionalMaxPool2d`; TensorFlow's
        `fractional_max_pool`.
    """
    x = arguments.real_array("x", x)
    windows = FractionalWindows(
        window_shape, output_shape, key, samples, pseudo_random, overlapping, axes
    )
    layout, _ = windows.resolve(x)
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
    """The largest element of every window of fractional max pooling, and its index.

    Int `window_shape` and `output_shape` read a 3-D `x` as (batch, length, channels); two ints
    each, such as `(2, 2)`, pool one image.

        y[i] = x[j[i]], the first of the largest elements of window i; see `fractional_max_pool`

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        window_shape: Window length; see `fractional_max_pool`, also for the arguments below.
        output_shape: Windows per spatial axis.
        key: One key of `jax.random`, from which the samples are drawn.
        samples: The samples, in place of a key.
        pseudo_random: In TensorFlow's form, draw evenly spread boundaries.
        overlapping: In TensorFlow's form, extend every window by the first element of the next one.
        axes: Indices of the pooled axes, for any other layout.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        A pair of arrays of the shape that `fractional_max_pool` returns: the values, of the dtype
        of `x`, and the indices, of dtype int32. An index is the flat row-major position of the
        winner in the spatial plane of its image and channel (pooled axes in ascending order), or -1
        for a window without an element. Planes of more than 2^31 - 1 elements have int64 indices,
        which requires `jax_enable_x64`.

    Raises:
        TypeError: As in `fractional_max_pool`.
        ValueError: As in `fractional_max_pool`; or the plane has more than 2^31 - 1 elements, and
            `jax_enable_x64` is not set.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import fractional_max_pool_with_argmax
        >>> x = jnp.arange(7.0).reshape(1, 7, 1)
        >>> _, indices = fractional_max_pool_with_argmax(x, 2, 4, samples=jnp.array([[[0.5]]]))
        >>> indices[0, :, 0]
        Array([1, 3, 5, 6], dtype=int32)

    When to use:
        In place of `fractional_max_pool`, when the positions of the maxima are needed, for example
        for `max_unpool`.

    Source:
        PyTorch's `FractionalMaxPool2d(return_indices=True)`.
    """
    x = arguments.real_array("x", x)
    windows = FractionalWindows(
        window_shape, output_shape, key, samples, pseudo_random, overlapping, axes
    )
    layout, _ = windows.resolve(x)
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
    """The mean of every window, with random window positions.

    Int `window_shape` and `output_shape` read a 3-D `x` as (batch, length, channels); two ints
    each, such as `(2, 2)`, pool one image.

        y[i] = mean of x[a[i]], ..., x[b[i] - 1], with a and b as in `fractional_max_pool`

    Floats narrower than float32 are accumulated in float32.

    Args:
        x: Array `(*batch, *spatial, channels)` of a floating, integer or bool dtype.
        window_shape: Window length; see `fractional_max_pool`, also for the arguments below.
        output_shape: Windows per spatial axis.
        key: One key of `jax.random`, from which the samples are drawn.
        samples: The samples, in place of a key.
        pseudo_random: In TensorFlow's form, draw evenly spread boundaries.
        overlapping: In TensorFlow's form, extend every window by the first element of the next one.
        axes: Indices of the pooled axes, for any other layout.
        where: Boolean mask that broadcasts to `x`; False leaves an element out.

    Returns:
        Array of the shape that `fractional_max_pool` returns, of the dtype of `x` if it is
        floating, else of float32. A window without an element gives 0.

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
        In place of `fractional_max_pool`, when all elements should have equal weight.

    Source:
        TensorFlow's `fractional_avg_pool`. (PyTorch has no fractional average pooling.)
    """
    x = arguments.real_array("x", x)
    windows = FractionalWindows(
        window_shape, output_shape, key, samples, pseudo_random, overlapping, axes
    )
    layout, _ = windows.resolve(x)
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
    """The random samples that fractional pooling draws from a key, for its argument `samples`.

        PyTorch's form:     u ~ uniform[0, 1), independent for every plane and pooled axis
        TensorFlow's form:  0 = c[0] < ... < c[o] = n, in steps of K or K + 1, K = floor(n / o)

    Given these samples, `fractional_max_pool`, its version with indices and `fractional_avg_pool`
    pool as with the key itself.

    Args:
        x: The array to pool; only its shape is used.
        window_shape: Window length; see `fractional_max_pool`, also for the arguments below.
        output_shape: Windows per spatial axis.
        key: One key of `jax.random`.
        pseudo_random: In TensorFlow's form, draw evenly spread boundaries.
        axes: Indices of the pooled axes, for any other layout.

    Returns:
        In PyTorch's form, a float32 array `(*unpooled axes of x, pooled axes)` with values in
        [0, 1). In TensorFlow's form, a tuple with one int32 array `(o + 1,)` of boundaries per
        pooled axis, in ascending order of the axes.

    Raises:
        TypeError: `x` is not an array of real numbers, `key` is not one key, a size or `axes` are
            not ints, or `pseudo_random` is not a bool.
        ValueError: `x` or a size is not allowed in `fractional_max_pool`, or `pseudo_random` is
            True with a `window_shape`.

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
        To pool two maps with the same windows, to inspect the windows, or to record them.

    Source:
        The second and third results of TensorFlow's `fractional_max_pool`; PyTorch's
        `_random_samples`.
    """
    x = arguments.real_array("x", x)
    key = arguments.random_key("key", key)
    windows = FractionalWindows(
        window_shape, output_shape, key, pseudo_random=pseudo_random, axes=axes
    )
    return windows.resolve(x)[1]

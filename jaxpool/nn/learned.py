"""Poolings with a learned power, temperature, mixture weight or gate.

Parameters are float32, one for the layer or one per channel (`channels=`). The result has the dtype
of the input.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, TypedDict, Unpack

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import ArrayLike

from jaxpool import pooling
from jaxpool.checks import Ints, Padding, flag
from jaxpool.nn import checks
from jaxpool.pooling.arguments import number
from jaxpool.window import Window


class GeometryOptions(TypedDict, total=False):
    """The geometry of `LearnedPool` by name."""

    strides: Ints | None
    padding: Padding
    dilation: Ints
    ceil_mode: bool
    axes: Ints | None


class LearnedPool(nnx.Module):
    """Base class of windowed or global poolings with a learned parameter.

    Args:
        window_shape: Taps per spatial axis; an int reads a 3-D array as (batch, length, channels).
            None pools the whole map and removes its spatial axes.
        strides: Steps between windows; None means `window_shape`.
        padding: `"VALID"`, `"SAME"`, `"SAME_LOWER"` or elements to add.
        dilation: Distance between neighbouring taps.
        ceil_mode: Round the output size up.
        axes: Indices of the pooled axes, for any other layout.
    """

    def __init_subclass__(cls, **kwargs: Any):
        """Add the geometry arguments to the signature of the constructor."""
        super().__init_subclass__(**kwargs)
        own = list(inspect.signature(cls.__init__).parameters.values())[1:]
        geometry = inspect.signature(LearnedPool.__init__).parameters.values()
        shown = [p for p in own if p.kind is not p.VAR_KEYWORD]
        shown += [p for p in geometry if p.kind is p.KEYWORD_ONLY]
        cls.__signature__ = inspect.Signature(shown)

    def __init__(
        self,
        window_shape: Ints | None,
        *,
        strides: Ints | None = None,
        padding: Padding = "VALID",
        dilation: Ints = 1,
        ceil_mode: bool = False,
        axes: Ints | None = None,
    ):
        """Store the geometry.

        Raises:
            ValueError: A geometry argument is given with `window_shape=None`.
        """
        given = {
            "strides": (strides, None),
            "padding": (padding, "VALID"),
            "dilation": (dilation, 1),
            "ceil_mode": (ceil_mode, False),
        }
        for name, (value, default) in given.items():
            if window_shape is None and value != default:
                raise ValueError(
                    f"{name} must be left out where window_shape=None pools the whole map, "
                    f"got {value!r}"
                )
        self.window_shape = _hashable(window_shape)
        self.geometry = tuple((name, _hashable(value)) for name, (value, _) in given.items())
        self.axes = _hashable(axes)

    def _apply(self, operator: Callable[..., jax.Array], x: Any, *args: Any, where: Any, **options):
        if self.window_shape is not None:
            options |= {**dict(self.geometry), "axes": self.axes}
            return operator(x, self.window_shape, *args, where=where, **options)
        window = Window.over(jnp.shape(x), self.axes)
        sizes = [axis.size for axis in window.axes]
        y = operator(x, sizes, *args, axes=window.positions, where=where, **options)
        return jnp.squeeze(y, window.positions)


class LearnedGemPool(LearnedPool):
    """Generalised-mean pooling with a learned power, as in image retrieval networks.

        y[o] = (mean_t max(x_t, eps)^p)^(1/p), as in `jaxpool.gem_pool`, with the parameter p

    Args:
        window_shape: Taps per spatial axis; an int reads a 3-D array as (batch, length, channels).
            None pools the whole map and removes its spatial axes.
        p: Initial power, greater than 0. The power itself is the parameter, so training may make it
            negative; outside `jit`, the operator then raises an error.
        eps: Lower bound; smaller elements are replaced by `eps`.
        channels: Number of channels, each with its own power; None for one shared power.
        **geometry: `strides`, `padding`, `dilation`, `ceil_mode` and `axes`, as in `max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import nn
        >>> head = nn.LearnedGemPool(None, p=2.0, channels=8)
        >>> head(jnp.ones((4, 7, 7, 8))).shape
        (4, 8)

    Source:
        Radenović, Tolias and Chum, "Fine-tuning CNN image retrieval with no human annotation",
        2019.
    """

    def __init__(
        self,
        window_shape: Ints | None,
        p: float = 3.0,
        eps: float = 1e-6,
        *,
        channels: int | None = None,
        **geometry: Unpack[GeometryOptions],
    ):
        """Initialise the power.

        Raises:
            TypeError: `p` or `eps` is not a number, or `channels` is not an int.
            ValueError: `p` or `eps` is not finite or not greater than 0, `channels` is less than 1,
                or a geometry argument is given with `window_shape=None`.
        """
        super().__init__(window_shape, **geometry)
        self.p = _parameter(number("p", p, above=0), channels)
        self.eps = number("eps", eps, above=0)

    def __call__(self, x: ArrayLike, *, where: ArrayLike | None = None) -> jax.Array:
        """Pool `x`, an array of a floating dtype; False in `where` leaves an element out.

        Returns:
            Array of the dtype of `x`. A window without an element gives 0.
        """
        return self._apply(pooling.gem_pool, x, self.p[...], eps=self.eps, where=where)


class LearnedLogSumExpPool(LearnedPool):
    """Log-sum-exp pooling with a learned temperature, between average (0) and maximum (inf).

        y[o] = (1 / T) log mean_t exp(T x_t), as in `jaxpool.logsumexp_pool`, with the parameter T

    Args:
        window_shape: Taps per spatial axis; an int reads a 3-D array as (batch, length, channels).
            None pools the whole map and removes its spatial axes.
        temperature: Initial temperature.
        channels: Number of channels, each with its own temperature; None for one shared one.
        **geometry: `strides`, `padding`, `dilation`, `ceil_mode` and `axes`, as in `max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import nn
        >>> nn.LearnedLogSumExpPool(2, temperature=5.0)(jnp.ones((4, 8, 8, 3))).shape
        (4, 4, 4, 3)

    Source:
        Pinheiro and Collobert, "From image-level to pixel-level labeling with convolutional
        networks", 2015.
    """

    def __init__(
        self,
        window_shape: Ints | None,
        temperature: float = 1.0,
        *,
        channels: int | None = None,
        **geometry: Unpack[GeometryOptions],
    ):
        """Initialise the temperature.

        Raises:
            TypeError: `temperature` is not a number, or `channels` is not an int.
            ValueError: `temperature` is not finite, `channels` is less than 1, or a geometry
                argument is given with `window_shape=None`.
        """
        super().__init__(window_shape, **geometry)
        self.temperature = _parameter(number("temperature", temperature), channels)

    def __call__(self, x: ArrayLike, *, where: ArrayLike | None = None) -> jax.Array:
        """Pool `x`, an array of a floating dtype; False in `where` leaves an element out.

        Returns:
            Array of the dtype of `x`. A window without an element gives 0.
        """
        return self._apply(pooling.logsumexp_pool, x, self.temperature[...], where=where)


class LearnedMixedPool(LearnedPool):
    """A mixture of max and average pooling with a learned weight between 0 and 1.

        y[o] = alpha max_t x_t + (1 - alpha) mean_t x_t, as in `jaxpool.mixed_pool`

    The parameter is the logit of alpha, the weight of the maximum.

    Args:
        window_shape: Taps per spatial axis; an int reads a 3-D array as (batch, length, channels).
            None pools the whole map and removes its spatial axes.
        alpha: Initial weight of the maximum, greater than 0 and less than 1.
        channels: Number of channels, each with its own weight; None for one shared weight.
        count_include_pad: Whether padding counts as zeros in the average.
        **geometry: `strides`, `padding`, `dilation`, `ceil_mode` and `axes`, as in `max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import nn
        >>> pool = nn.LearnedMixedPool(2, alpha=0.25)
        >>> pool(jnp.array([1.0, 3.0]).reshape(1, 2, 1)).item()
        2.25

    Source:
        Lee, Gallagher and Tu, "Generalizing pooling functions in convolutional neural networks:
        mixed, gated, and tree", 2016.
    """

    def __init__(
        self,
        window_shape: Ints | None,
        alpha: float = 0.5,
        *,
        channels: int | None = None,
        count_include_pad: bool = True,
        **geometry: Unpack[GeometryOptions],
    ):
        """Initialise the weight.

        Raises:
            TypeError: `alpha` is not a number, `channels` is not an int, or `count_include_pad` is
                not a bool.
            ValueError: `alpha` is not between 0 and 1, `channels` is less than 1, or a geometry
                argument is given with `window_shape=None`.
        """
        super().__init__(window_shape, **geometry)
        self.count_include_pad = flag("count_include_pad", count_include_pad)
        share = number("alpha", alpha)
        if not 0 < share < 1:
            raise ValueError(f"alpha must be greater than 0 and less than 1, got {alpha!r}")
        self.logit = _parameter(math.log(share / (1 - share)), channels)

    def __call__(self, x: ArrayLike, *, where: ArrayLike | None = None) -> jax.Array:
        """Pool `x`, an array of a floating dtype; False in `where` leaves an element out.

        Returns:
            Array of the dtype of `x`. A window without an element gives 0.
        """
        share, include_pad = nnx.sigmoid(self.logit[...]), self.count_include_pad
        return self._apply(pooling.mixed_pool, x, share, where=where, count_include_pad=include_pad)


class GatedPool(LearnedPool):
    """A mixture of max and average pooling with a learned, data-dependent weight per window.

        y[o] = alpha[o] max_t x_t + (1 - alpha[o]) mean_t x_t, as in `jaxpool.gated_pool`
        alpha[o] = sigmoid(sum over taps t of filter[t] x[o * stride + t * dilation - low])

    Args:
        window_shape: Taps per spatial axis, a sequence; an int is allowed only with `axes`.
        channels: Number of channels, each with its own filter; None for one shared filter.
        count_include_pad: Whether padding counts as zeros in the average.
        kernel_init: Initializer of the filter, of shape `(*window_shape, channels or 1)`.
        rngs: Random streams for the initial filter.
        **geometry: `strides`, `padding`, `dilation`, `ceil_mode` and `axes`, as in `max_pool`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxpool import nn
        >>> pool = nn.GatedPool((3, 3), channels=8, strides=2, padding=1, rngs=nnx.Rngs(0))
        >>> pool(jnp.ones((4, 8, 8, 8))).shape
        (4, 4, 4, 8)

    Source:
        Lee, Gallagher and Tu, "Generalizing pooling functions in convolutional neural networks:
        mixed, gated, and tree", 2016.
    """

    def __init__(
        self,
        window_shape: Ints,
        *,
        channels: int | None = None,
        count_include_pad: bool = True,
        kernel_init: nnx.Initializer = nnx.initializers.lecun_normal(),  # noqa: B008 - a constant
        rngs: nnx.Rngs,
        **geometry: Unpack[GeometryOptions],
    ):
        """Initialise the filter.

        Raises:
            TypeError: `window_shape` is not a sequence of ints (an int is allowed with `axes`),
                `channels` is not an int, `count_include_pad` is not a bool, or `rngs` is not
                `nnx.Rngs`.
            ValueError: An entry of `window_shape` or `channels` is less than 1, or `rngs` has
                neither a stream `params` nor a default stream.
        """
        super().__init__(window_shape, **geometry)
        self.count_include_pad = flag("count_include_pad", count_include_pad)
        taps = checks.sizes("window_shape", window_shape, self.axes)
        shape = (*taps, 1 if channels is None else checks.size("channels", channels))
        self.filter = nnx.Param(kernel_init(checks.stream(rngs)(), shape, jnp.float32))

    def __call__(self, x: ArrayLike, *, where: ArrayLike | None = None) -> jax.Array:
        """Pool `x`, an array of a floating dtype; False in `where` leaves an element out.

        Returns:
            Array of the dtype of `x`. A window without an element gives 0.
        """
        include_pad = self.count_include_pad
        return self._apply(
            pooling.gated_pool, x, self.filter[...], where=where, count_include_pad=include_pad
        )


def _parameter(value: float, channels: int | None) -> nnx.Param:
    shape = () if channels is None else (checks.size("channels", channels),)
    return nnx.Param(jnp.full(shape, value, jnp.float32))


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value

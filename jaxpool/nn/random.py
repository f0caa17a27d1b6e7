"""Modules that draw random numbers in training and are deterministic in inference."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, ClassVar

import jax
import numpy as np
from flax import nnx
from flax.nnx.module import first_from
from jax.typing import ArrayLike

from jaxpool import pooling
from jaxpool.nn import checks
from jaxpool.nn.windowed import Pool
from jaxpool.pooling import sizes
from jaxpool.pooling.arguments import random_key, real_array

Rngs = nnx.Rngs | nnx.RngStream | jax.Array


class RandomPool(Pool):
    """Base class of modules for operators that take a random key; see `StochasticPool`."""

    withheld: ClassVar[frozenset[str]] = frozenset({"key"})

    @classmethod
    def _parameters(cls) -> Iterable[inspect.Parameter]:
        own = inspect.signature(RandomPool.__init__).parameters.values()
        yield from (p for p in super()._parameters() if p.name not in cls.withheld)
        yield from (p for p in own if p.kind is p.KEYWORD_ONLY)

    def __init__(
        self,
        *args: object,
        deterministic: bool | None = False,
        rng_collection: str = "pooling",
        rngs: nnx.Rngs | nnx.RngStream | None = None,
        **options: object,
    ):
        """Store the arguments, and fork a random stream for this module.

        Raises:
            TypeError: The operator does not take these arguments, or another argument has the wrong
                type.
            ValueError: `rngs` has neither the stream `rng_collection` nor a default stream.
        """
        super().__init__(*args, **options)
        if not isinstance(deterministic, bool | None):
            raise TypeError(f"deterministic must be a bool or None, got {deterministic!r}")
        if not isinstance(rng_collection, str):
            raise TypeError(f"rng_collection must be a str, got {rng_collection!r}")
        self.deterministic = deterministic
        self.rng_collection = rng_collection
        if not isinstance(rngs, nnx.Rngs | nnx.RngStream | None):
            raise TypeError(f"rngs must be nnx.Rngs, an nnx.RngStream or None, got {rngs!r}")
        stream = checks.stream(rngs, rng_collection) if isinstance(rngs, nnx.Rngs) else rngs
        self.rngs = nnx.data(None if stream is None else stream.fork())

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        *arrays: ArrayLike,
        deterministic: bool | None = None,
        rngs: Rngs | None = None,
        **arguments: ArrayLike | None,
    ) -> jax.Array:
        """Pool.

        Args:
            *arrays: The arrays to pool.
            deterministic: True in inference; None means the module's setting.
            rngs: A key, or random streams to take one from; None means the module's own stream.
            **arguments: Further arguments of the operator (`where=`).

        Returns:
            The result of the operator.

        Raises:
            TypeError: As in the operator; or `rngs` is neither one key nor random streams.
            ValueError: As in the operator; neither the constructor nor the call has
                `deterministic`, or, in training, `rngs`; or `rngs` has neither the stream
                `rng_collection` nor a default stream.
        """
        inference = first_from(
            deterministic,
            self.deterministic,
            error_msg=f"{type(self).__name__} needs deterministic= in its constructor or its call",
        )
        if inference:
            return self._infer(*arrays, **arguments)
        source = first_from(
            rngs,
            self.rngs,
            error_msg=f"{type(self).__name__} draws random numbers unless deterministic=True, and "
            "needs rngs= in its constructor or its call",
        )
        if isinstance(source, nnx.Rngs):
            source = checks.stream(source, self.rng_collection)
        key = source() if isinstance(source, nnx.RngStream) else random_key("rngs", source)
        return super().__call__(*arrays, key=key, **arguments)

    def _infer(self, *arrays: ArrayLike, **arguments: Any) -> jax.Array:
        """Pool without random numbers."""
        return super().__call__(*arrays, **arguments)


class StochasticPool(RandomPool):
    """`jaxpool.stochastic_pool` as a module: a random element, or its mean in inference.

    As with `nnx.Dropout`, `model.eval()` and `model.train()` switch `deterministic` on and off.

    Args:
        *args: Positional arguments of the operator after `x`.
        deterministic: True in inference; None means that every call passes it.
        rng_collection: The name of the stream of `rngs` to use; without it, the default stream.
        rngs: Random streams; None means that every call in training passes them.
        **options: Keyword arguments of the operator except `key`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxpool import nn
        >>> pool = nn.StochasticPool(2, rngs=nnx.Rngs(pooling=0))
        >>> pool(jnp.array([0.0, 6.0]).reshape(1, 2, 1), deterministic=True).item()
        6.0
    """

    _operator = staticmethod(pooling.stochastic_pool)


class FractionalPool(RandomPool):
    """Base class of fractional pooling; in inference, windows are evenly spaced."""

    withheld = frozenset({"key", "samples"})

    def _infer(self, *arrays: ArrayLike, **arguments: Any) -> jax.Array:
        (x,) = arrays
        options = dict(self.options)
        samples = np.full((1,), 0.5, np.float32)
        if options["window_shape"] is None:
            samples = _even_boundaries(x, options["output_shape"], options.get("axes"))
        return super()._infer(x, samples=samples, **arguments)


class FractionalMaxPool(FractionalPool):
    """`jaxpool.fractional_max_pool` as a module; in inference, windows are evenly spaced.

    The arguments are those of `StochasticPool`, except that `**options` may not contain `samples`.
    In inference, PyTorch's form uses the sample u = 1/2, and TensorFlow's form the boundaries
    `floor(i n / o)`.
    """

    _operator = staticmethod(pooling.fractional_max_pool)


class FractionalAvgPool(FractionalPool):
    """`jaxpool.fractional_avg_pool` as a module; in inference, windows are evenly spaced.

    The arguments are those of `StochasticPool`, except that `**options` may not contain `samples`.
    In inference, PyTorch's form uses the sample u = 1/2, and TensorFlow's form the boundaries
    `floor(i n / o)`.
    """

    _operator = staticmethod(pooling.fractional_avg_pool)


def _even_boundaries(x: Any, output_shape: Any, axes: Any) -> tuple[np.ndarray, ...]:
    """Evenly spaced boundaries per pooled axis; window lengths differ by at most one element."""
    x = real_array("x", x)
    (outputs,) = sizes.given(x, axes, output_shape=output_shape)
    return tuple(np.arange(count + 1) * x.shape[axis] // count for axis, count in outputs.items())

"""Pooling slots of a network, configured by `pool = "..."`.

A slot sets the stride of the convolution before it (`"strided"`), does nothing (`"none"`), or
applies an operator or a learned pooling of jaxpool to the output of the convolution.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jax
from flax import nnx

import jaxpool
from experiments import register
from jaxpool import nn, pooling

WITHOUT_OPERATOR = ("strided", "none")
"""The two values without a pooling operator: a strided convolution, or no change of resolution."""
LEARNED: dict[str, type[nnx.Module]] = {
    "gated_pool": nn.GatedPool,
    "learned_gem_pool": nn.LearnedGemPool,
    "learned_logsumexp_pool": nn.LearnedLogSumExpPool,
    "learned_mixed_pool": nn.LearnedMixedPool,
}
"""The poolings with parameters, which are modules built before the call."""


class ModelError(Exception):
    """A network cannot be built; the message names the config key and the reason."""


class SlotError(ModelError):
    """A pooling does not suit its feature map; the message names the config key and the reason."""


def operators() -> Mapping[str, Callable[..., Any]]:
    """Every pooling by name: jaxpool's operators and modules, and those of plug-ins."""
    return {**_of_jaxpool(), **register.poolings()}


@cache
def _of_jaxpool() -> Mapping[str, Callable[..., Any]]:
    """The operators of jaxpool that take one array `x`, and the learned poolings."""
    public = {name: getattr(jaxpool, name) for name in pooling.__all__}
    functions = {
        name: value
        for name, value in public.items()
        if inspect.isfunction(value) and next(iter(inspect.signature(value).parameters), "") == "x"
    }
    return functions | LEARNED


def names() -> tuple[str, ...]:
    """All values that `pool` may have in a config."""
    return (*WITHOUT_OPERATOR, *sorted(operators()))


def parameters(operator: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters of a pooling by name: those of a function, or of a class's `__init__`.

    Args:
        operator: One of `operators()`.
    """
    if inspect.isclass(operator) and not hasattr(operator, "__signature__"):
        # The metaclass of nnx.Module hides the parameters behind `*args, **kwargs`.
        _, *others = inspect.signature(operator.__init__).parameters.items()
        return dict(others)
    return inspect.signature(operator).parameters


@dataclass(frozen=True)
class Slot:
    """The pooling of one stage.

    Attributes:
        pool: One of `names()`.
        stride: The stride of the convolution before the slot: 1, unless `pool` is `"strided"`.
        arguments: The arguments of the operator, without the array.
        place: The config key that sets the pooling, for error messages.
        extra_convolutions: Convolutions before the slot, in addition to the network's own.
    """

    pool: str
    stride: int | tuple[int, ...] = 1
    arguments: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""
    extra_convolutions: int = 0

    def module(self, rngs: nnx.Rngs, spatial: int = 2) -> nnx.Module | None:
        """Builds the module of a learned pooling.

        Args:
            rngs: Random keys of the initial parameters.
            spatial: Number of spatial axes of the feature maps.

        Returns:
            The module, to pass to every call; None for a pooling without parameters.

        Raises:
            SlotError: The module does not accept its arguments.
        """
        operator, arguments = operators().get(self.pool), dict(self.arguments)
        if not inspect.isclass(operator):
            return None
        cls: Any = operator
        if isinstance(arguments.get("window_shape"), int):
            arguments["window_shape"] = (arguments["window_shape"],) * spatial
        if "rngs" in parameters(cls):
            arguments["rngs"] = rngs
        try:
            return cls(**arguments)
        except (TypeError, ValueError) as error:
            raise SlotError(f"{self._call()} cannot be built: {error}") from error

    def __call__(
        self, x: jax.Array, key: jax.Array | None = None, module: nnx.Module | None = None
    ) -> jax.Array:
        """Pools a batch of feature maps.

        Args:
            x: Feature maps (N, *spatial, C).
            key: Random key of random operators in training; None in evaluation.
            module: The module built by `module`, or None.

        Returns:
            Feature maps (N, *smaller, C').

        Raises:
            SlotError: The operator raises an error, or does not return feature maps.
        """
        if self.pool in WITHOUT_OPERATOR:
            return x
        operator = module or operators()[self.pool]
        arguments = {} if module else dict(self.arguments)
        if key is not None and "key" in inspect.signature(operator).parameters:
            arguments["key"] = key
        try:
            pooled = operator(x, **arguments)
        except (TypeError, ValueError) as error:
            raise self._error(x, str(error)) from error
        shape = getattr(pooled, "shape", None)
        if shape is None:
            raise self._error(x, f"returns {type(pooled).__name__}, not one array")
        if len(shape) != x.ndim or shape[0] != x.shape[0]:
            raise self._error(x, f"returns shape {shape}, not {x.ndim}-D feature maps of {len(x)}")
        if 0 in shape:
            raise self._error(x, "the output is empty: the window is larger than the feature map")
        return pooled

    def _call(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.place or 'pooling slot'}: {self.pool}({given})"

    def _error(self, x: jax.Array, complaint: str) -> SlotError:
        shape = "x".join(map(str, x.shape[1:]))
        return SlotError(
            f"{self._call()} cannot pool the feature map of {shape} that it meets: {complaint}"
        )

    def shape(self, x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        """The output's shape and dtype, from those of the feature maps.

        Raises:
            SlotError: The operator cannot pool feature maps of this shape.
        """

        def pool(x: jax.Array) -> jax.Array:
            return self(x, None, self.module(nnx.Rngs(0), x.ndim - 2))

        return jax.eval_shape(pool, x)

"""Heads: the last pooling of a network, from a feature map or a sequence to a vector per example.

A config selects one by `head = "max"` or `head = {pool = "k_max", arguments = {k = 3}}`. Heads take
any number of spatial axes and a mask of valid positions, so the padding of a sequence has no
effect.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

import jaxpool
from experiments.models.slot import ModelError
from jaxpool import nn


class HeadError(ModelError):
    """A head cannot pool its input; the message names the config key and the reason."""


class HeadModule(nnx.Module):
    """Base class of a head module.

    Attributes:
        features: Length of the output vectors.
    """

    features: int

    def __call__(self, x: jax.Array, where: jax.Array | None = None) -> jax.Array:
        """Pools feature maps to vectors.

        Args:
            x: Feature maps (N, *spatial, C).
            where: Mask (N, *spatial) of valid positions; None if all are valid.

        Returns:
            Vectors (N, features).
        """
        raise NotImplementedError


class _Plain(HeadModule):
    """A head without parameters."""

    def __init__(self, function: Any, features: int):
        self.function, self.features = function, features

    def __call__(self, x: jax.Array, where: jax.Array | None = None) -> jax.Array:
        if where is None:
            return self.function(x)
        return self.function(x, where=where[..., None])


class _Gem(HeadModule):
    """Generalised mean with a learned power (Radenovic, Tolias and Chum, 2018)."""

    def __init__(self, channels: int, spatial: Sequence[int]):
        self.pool, self.features = nn.LearnedGemPool(tuple(spatial)), channels

    def __call__(self, x: jax.Array, where: jax.Array | None = None) -> jax.Array:
        mask = {} if where is None else {"where": where[..., None]}
        return self.pool(x, **mask).reshape(len(x), self.features)


class _Attention(HeadModule):
    """The mean over positions, weighted by a learned score (Yang et al., 2016)."""

    def __init__(self, channels: int, rngs: nnx.Rngs):
        self.pool, self.features = nn.SequenceAttentionPool(channels, rngs=rngs), channels

    def __call__(self, x: jax.Array, where: jax.Array | None = None) -> jax.Array:
        flat = x.reshape(len(x), -1, x.shape[-1])
        mask = {} if where is None else {"where": where.reshape(len(x), -1, 1)}
        return self.pool(flat, **mask)


def _plain(function: Callable[..., jax.Array], times: int = 1) -> Callable[..., HeadModule]:
    def build(channels: int, spatial: Sequence[int], rngs: nnx.Rngs) -> HeadModule:
        del spatial, rngs
        return _Plain(function, times * channels)

    return build


def _average_and_max(x: jax.Array, where: jax.Array | None = None) -> jax.Array:
    both = jaxpool.global_avg_pool(x, where=where), jaxpool.global_max_pool(x, where=where)
    return jnp.concatenate(both, -1)


def _last(x: jax.Array, where: jax.Array | None = None) -> jax.Array:
    flat = x.reshape(len(x), -1, x.shape[-1])
    mask = None if where is None else where.reshape(len(x), -1, 1)
    return nn.SequencePool("last")(flat, where=mask)


def _k_max(channels: int, spatial: Sequence[int], rngs: nnx.Rngs, k: int = 3) -> HeadModule:
    """The k largest values of each channel, in the order of their positions."""
    del rngs
    positions = math.prod(spatial)
    if not 1 <= k <= positions:
        raise ValueError(f"k must lie between 1 and the {positions} positions, got {k}")

    def pool(x: jax.Array, where: jax.Array | None = None) -> jax.Array:
        flat = jnp.moveaxis(x.reshape(len(x), -1, channels), 1, 2)
        if where is not None:
            flat = jnp.where(where.reshape(len(x), 1, -1), flat, -jnp.inf)
        _, places = jax.lax.top_k(flat, k)
        values = jnp.take_along_axis(flat, jnp.sort(places, -1), -1)
        return jnp.where(jnp.isneginf(values), 0, values).reshape(len(x), -1)

    return _Plain(pool, k * channels)


def _lp(channels: int, spatial: Sequence[int], rngs: nnx.Rngs, p: float = 2.0) -> HeadModule:
    del spatial, rngs
    return _Plain(lambda x, where=None: jaxpool.global_lp_pool(x, p=p, where=where), channels)


def _pyramid(
    channels: int,
    spatial: Sequence[int],
    rngs: nnx.Rngs,
    levels: Sequence[int] = (1, 2, 4),
    reduce: str = "max",
) -> HeadModule:
    del rngs
    levels = tuple(levels)
    features = channels * sum(level ** len(spatial) for level in levels)

    def pool(x: jax.Array, where: jax.Array | None = None) -> jax.Array:
        return jaxpool.spatial_pyramid_pool(x, levels, reduce=reduce, where=where)

    return _Plain(pool, features)


def _flatten(channels: int, spatial: Sequence[int], rngs: nnx.Rngs) -> HeadModule:
    del rngs

    def pool(x: jax.Array, where: jax.Array | None = None) -> jax.Array:
        return (x if where is None else jnp.where(where[..., None], x, 0)).reshape(len(x), -1)

    return _Plain(pool, math.prod(spatial) * channels)


HEADS: dict[str, Callable[..., HeadModule]] = {
    "average": _plain(jaxpool.global_avg_pool),
    "max": _plain(jaxpool.global_max_pool),
    "average_and_max": _plain(_average_and_max, 2),
    "lp": _lp,
    "gem": lambda channels, spatial, rngs: _Gem(channels, spatial),
    "attention": lambda channels, spatial, rngs: _Attention(channels, rngs),
    "pyramid": _pyramid,
    "k_max": _k_max,
    "last": _plain(_last),
    "flatten": _flatten,
}
"""The heads by name: functions of channels, spatial shape, rngs and the head's arguments."""


def head_arguments(builder: Callable[..., Any]) -> tuple[str, ...]:
    """The arguments that a config may pass to a head of a table of heads."""
    parameters = inspect.signature(builder).parameters
    return tuple(name for name in parameters if name not in ("channels", "spatial", "rngs"))


@dataclass(frozen=True)
class Head:
    """A head as configured.

    Attributes:
        pool: A name in `HEADS`, or in another table of the network's heads.
        arguments: Arguments of the head.
        place: The config key that sets the head, for error messages.
    """

    pool: str = "average"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""

    def build(
        self,
        channels: int,
        spatial: Sequence[int],
        rngs: nnx.Rngs,
        table: Mapping[str, Callable[..., Any]] = HEADS,
    ) -> Any:
        """Builds the head for feature maps of a given shape.

        Args:
            channels: Channels of the feature maps.
            spatial: Spatial shape of the feature maps.
            rngs: Random keys of the initial parameters.
            table: The functions that build heads, by name.

        Returns:
            The module; a `HeadModule` for `HEADS`.

        Raises:
            HeadError: The head cannot pool feature maps of this shape.
        """
        try:
            return table[self.pool](channels, tuple(spatial), rngs, **self.arguments)
        except (TypeError, ValueError) as error:
            shape = "x".join(map(str, (*spatial, channels)))
            raise HeadError(
                f"{self.place or 'head'}: {self.pool} cannot pool the feature map of {shape} that "
                f"it meets: {error}"
            ) from error

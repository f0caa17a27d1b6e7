"""Pooling by multi-head attention: queries weight the elements."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike

from jaxpool import pooling
from jaxpool.nn import checks
from jaxpool.pooling import arguments


class MultiHeadAttention(nnx.Module):
    """Multi-head attention with float32 parameters, computed in the dtype of the elements.

    Args:
        features: Features of queries and elements, a multiple of `num_heads`.
        num_heads: Number of heads.
        out_features: Features of the result; None means `features`.
        rngs: Random streams for the initial parameters.
    """

    def __init__(
        self, features: int, num_heads: int, *, out_features: int | None = None, rngs: nnx.Rngs
    ):
        """Initialise the four projections."""
        features = checks.size("features", features)
        self.num_heads = checks.size("num_heads", num_heads)
        if features % num_heads:
            raise ValueError(f"num_heads must divide features={features}, got {num_heads}")
        out = features if out_features is None else checks.size("out_features", out_features)
        checks.stream(rngs)
        self.query = linear(features, features, rngs)
        self.key = linear(features, features, rngs)
        self.value = linear(features, features, rngs)
        self.out = linear(features, out, rngs)

    def __call__(
        self, queries: jax.Array, elements: jax.Array, where: jax.Array | None
    ) -> jax.Array:
        """Attend.

        Args:
            queries: Array `(..., queries, features)`.
            elements: Array `(..., elements, features)`.
            where: Boolean mask `(..., elements)`; False leaves an element out.

        Returns:
            Array `(..., queries, out_features)`. Without elements, the result is the output
            projection of zeros.
        """
        query, key, value = (
            projected.reshape(*projected.shape[:-1], self.num_heads, -1)
            for projected in (self.query(queries), self.key(elements), self.value(elements))
        )
        wide = arguments.accumulator(value)
        einsum = functools.partial(jnp.einsum, preferred_element_type=wide)
        logits = einsum("...qhd,...khd->...hqk", query, key) / math.sqrt(query.shape[-1])
        weights = masked_softmax(logits, None if where is None else where[..., None, None, :])
        mixed = einsum("...hqk,...khd->...qhd", weights.astype(value.dtype), value)
        return self.out(mixed.reshape(*mixed.shape[:-2], -1).astype(value.dtype))


class AttentionPool(nnx.Module):
    """Attention pooling with the mean of the map as the query, as in the image encoder of CLIP.

        y = attention(query = m + p[0], elements = (m + p[0], x[1] + p[1], ..., x[n] + p[n]))

    where m is the mean of the elements x and p are learned position embeddings.

    Args:
        features: Number of channels of the map, a multiple of `num_heads`.
        spatial_shape: Spatial size of the map, one int per axis.
        num_heads: Heads of the attention.
        out_features: Features of the result; None means `features`.
        rngs: Random streams for the initial parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxpool import nn
        >>> head = nn.AttentionPool(64, (7, 7), num_heads=8, out_features=32, rngs=nnx.Rngs(0))
        >>> head(jnp.ones((4, 7, 7, 64))).shape
        (4, 32)

    Source:
        Radford et al., "Learning transferable visual models from natural language supervision",
        2021 (`AttentionPool2d` of its ResNets).
    """

    def __init__(
        self,
        features: int,
        spatial_shape: Sequence[int],
        *,
        num_heads: int,
        out_features: int | None = None,
        rngs: nnx.Rngs,
    ):
        """Initialise the parameters.

        Raises:
            TypeError: A size is not an integer, or `rngs` is not `nnx.Rngs`.
            ValueError: A size is less than 1, `num_heads` does not divide `features`, or `rngs` has
                neither a stream `params` nor a default stream.
        """
        self.spatial_shape = checks.sizes("spatial_shape", spatial_shape)
        self.features = checks.size("features", features)
        self.attention = MultiHeadAttention(
            features, num_heads, out_features=out_features, rngs=rngs
        )
        shape = (1 + math.prod(self.spatial_shape), features)
        scale = features**-0.5
        self.positions = nnx.Param(scale * jax.random.normal(rngs.params(), shape, jnp.float32))

    def __call__(self, x: ArrayLike, *, where: ArrayLike | None = None) -> jax.Array:
        """Pool the map.

        Args:
            x: Array `(*batch, *spatial_shape, features)` of a floating dtype.
            where: Boolean mask that broadcasts to `(*batch, *spatial_shape, 1)`; False leaves an
                element out.

        Returns:
            Array `(*batch, out_features)` of the dtype of `x`; 0 for a map without an element.

        Raises:
            TypeError: `x` is not of a floating dtype, or `where` is not boolean.
            ValueError: `x` has another shape, or `where` does not broadcast or varies along the
                features.
        """
        expected = (*self.spatial_shape, self.features)
        x = arguments.floating_array("x", x)
        if x.shape[-len(expected) :] != expected:
            raise ValueError(f"x must have the shape (*batch, {str(expected)[1:]}, got {x.shape}")
        x, where = flat_elements(x, where, len(self.spatial_shape))
        mask = None if where is None else where[..., None]
        mean = pooling.global_avg_pool(x, axes=-2, keepdims=True, where=mask)
        if where is not None:
            some = jnp.any(where, axis=-1, keepdims=True)
            where = jnp.concatenate([some, where], axis=-1)
        elements = jnp.concatenate([mean, x], axis=-2)
        elements += jnp.asarray(self.positions[...], x.dtype)
        y = self.attention(elements[..., :1, :], elements, where)[..., 0, :]
        return y if where is None else jnp.where(where[..., :1], y, 0)


class LatentPool(nnx.Module):
    """Attention pooling with learned queries, for sets of any order and size.

        h = norm(s + attention(query = s, elements = x)),    y = norm(h + feed_forward(h))

    with learned queries s (latents).

    Args:
        features: Features of the elements, a multiple of `num_heads`.
        num_latents: Number of queries, which is the number of outputs.
        num_heads: Heads of the attention.
        hidden_features: Width of the feed-forward layer; None means `features`.
        rngs: Random streams for the initial parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxpool import nn
        >>> pool = nn.LatentPool(64, num_latents=4, num_heads=8, rngs=nnx.Rngs(0))
        >>> pool(jnp.ones((2, 14, 14, 64))).shape
        (2, 4, 64)

    Source:
        Lee et al., "Set Transformer", 2019 (pooling by multihead attention, without its
        feed-forward layer on the elements).
    """

    def __init__(
        self,
        features: int,
        *,
        num_latents: int = 1,
        num_heads: int = 1,
        hidden_features: int | None = None,
        rngs: nnx.Rngs,
    ):
        """Initialise the parameters.

        Raises:
            TypeError: A size is not an integer, or `rngs` is not `nnx.Rngs`.
            ValueError: A size is less than 1, `num_heads` does not divide `features`, or `rngs` has
                neither a stream `params` nor a default stream.
        """
        self.features = checks.size("features", features)
        shape = (checks.size("num_latents", num_latents), features)
        hidden = features
        if hidden_features is not None:
            hidden = checks.size("hidden_features", hidden_features)
        self.attention = MultiHeadAttention(features, num_heads, rngs=rngs)
        initial = nnx.initializers.xavier_uniform()
        self.latents = nnx.Param(initial(rngs.params(), shape, jnp.float32))
        self.first_norm = nnx.LayerNorm(features, promote_dtype=_as_first, rngs=rngs)
        self.last_norm = nnx.LayerNorm(features, promote_dtype=_as_first, rngs=rngs)
        self.widen = linear(features, hidden, rngs)
        self.narrow = linear(hidden, features, rngs)

    def __call__(self, x: ArrayLike, *, where: ArrayLike | None = None) -> jax.Array:
        """Pool the elements.

        Args:
            x: Array `(batch, *spatial, features)`, or `(elements, features)`, of a floating dtype.
            where: Boolean mask that broadcasts to `(batch, *spatial, 1)`; False leaves an element
                out.

        Returns:
            Array `(batch, num_latents, features)`, or `(num_latents, features)` for one set, of the
            dtype of `x`; 0 for a set without an element.

        Raises:
            TypeError: `x` is not of a floating dtype, or `where` is not boolean.
            ValueError: `x` has another number of features or no element, or `where` does not
                broadcast or varies along the features.
        """
        x = arguments.floating_array("x", x)
        if x.ndim < 2 or x.shape[-1] != self.features:
            raise ValueError(
                f"x must have the shape (batch, *spatial, {self.features}), got {x.shape}"
            )
        x, where = flat_elements(x, where, max(x.ndim - 2, 1))
        latents = jnp.broadcast_to(
            self.latents[...].astype(x.dtype), (*x.shape[:-2], *self.latents.shape)
        )
        h = self.first_norm(latents + self.attention(latents, x, where))
        y = self.last_norm(h + self.narrow(nnx.relu(self.widen(h))))
        return y if where is None else jnp.where(jnp.any(where, -1)[..., None, None], y, 0)


def linear(features: int, out_features: int, rngs: nnx.Rngs) -> nnx.Linear:
    """A linear layer that computes in the dtype of its input."""
    return nnx.Linear(features, out_features, promote_dtype=_as_first, rngs=rngs)


def _as_first(args: Any, /, **_: Any) -> Any:
    """Convert all arrays to the dtype of the first one, the input."""
    return tuple(a if a is None else jnp.asarray(a, args[0].dtype) for a in args)


def masked_softmax(logits: jax.Array, where: jax.Array | None) -> jax.Array:
    """The softmax over the unmasked elements of the last axis; 0 if all are masked."""
    if where is None:
        return jax.nn.softmax(logits, axis=-1)
    some = jnp.any(where, axis=-1, keepdims=True)
    weights = jax.nn.softmax(jnp.where(where | ~some, logits, -jnp.inf), axis=-1)
    return jnp.where(where, weights, 0)


def flat_elements(x: jax.Array, where: Any, spatial: int) -> tuple[jax.Array, jax.Array | None]:
    """A map as `(*batch, elements, features)` with masked elements set to 0, and its mask.

    Args:
        x: Array `(*batch, *spatial, features)`.
        where: Boolean mask that broadcasts to `x`, of size 1 along the features.
        spatial: The number of spatial axes.

    Raises:
        ValueError: There is no element, or the mask varies along the features or does not
            broadcast.
    """
    first = x.ndim - 1 - spatial
    if 0 in x.shape[first:-1]:
        raise ValueError(f"x must have at least one element to pool, got shape {x.shape}")
    if where is not None and np.shape(where)[-1:] not in ((), (1,)):
        raise ValueError(
            f"where must have size 1 along the last axis, the features, got shape {np.shape(where)}"
        )
    flat = jax.lax.collapse(x, first, x.ndim - 1)
    mask = arguments.mask(where, x[..., :1])
    if mask is None:
        return flat, None
    flags = jax.lax.collapse(mask[..., 0], first, x.ndim - 1)
    return jnp.where(flags[..., None], flat, jnp.zeros((), x.dtype)), flags

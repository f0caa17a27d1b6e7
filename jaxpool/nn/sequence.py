"""Pooling of padded sequences of different lengths."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike

from jaxpool import pooling
from jaxpool.nn import checks
from jaxpool.nn.attention import flat_elements, linear, masked_softmax
from jaxpool.pooling import arguments

KINDS = ("first", "last", "mean", "max", "sum")


def mask_from_lengths(lengths: ArrayLike, max_length: int) -> jax.Array:
    """The mask of padded sequences, for the argument `where=`.

    Args:
        lengths: Integers of any shape `(*batch,)`: the number of tokens of each sequence.
        max_length: The number of tokens with padding.

    Returns:
        Boolean array `(*batch, max_length, 1)`, True for the tokens before the padding:
        `mask[b, i, 0] = i < lengths[b]`.

    Raises:
        TypeError: `lengths` or `max_length` is not of an integer type.
        ValueError: `max_length` is less than 1, or a length is negative or greater than
            `max_length` (unless it is traced).

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import global_avg_pool, nn
        >>> x = jnp.arange(8.0).reshape(2, 4, 1)
        >>> global_avg_pool(x, where=nn.mask_from_lengths(jnp.array([1, 3]), 4))
        Array([[0.], [5.]], dtype=float32)
    """
    max_length = checks.size("max_length", max_length)
    array = arguments.real_array("lengths", lengths)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"lengths must be of an integer dtype, got {array.dtype}")
    numbers = arguments.known(lengths)
    if numbers is not None and not np.all((numbers >= 0) & (numbers <= max_length)):
        raise ValueError(f"lengths must lie in [0, max_length={max_length}], got {numbers}")
    return (jnp.arange(max_length) < array[..., None])[..., None]


class SequencePool(nnx.Module):
    """One vector per sequence: its first or last token, or the mean, maximum or sum of its tokens.

    Args:
        kind: `"first"`, `"last"`, `"mean"`, `"max"` or `"sum"`.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxpool import nn
        >>> x = jnp.arange(8.0).reshape(2, 4, 1)
        >>> where = nn.mask_from_lengths(jnp.array([2, 4]), 4)
        >>> nn.SequencePool("last")(x, where=where)
        Array([[1.], [7.]], dtype=float32)

    Source:
        The read-outs of sentence encoders: BERT's first token, GPT's last one, SBERT's mean.
    """

    def __init__(self, kind: str):
        """Store the kind.

        Raises:
            ValueError: `kind` is none of the above.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
        self.kind = kind

    def __call__(self, x: ArrayLike, *, where: ArrayLike | None = None) -> jax.Array:
        """Pool the tokens.

        Args:
            x: Array `(*batch, tokens, features)` of a floating, integer or bool dtype.
            where: Boolean mask that broadcasts to `x`; see `mask_from_lengths`. Padding may be
                anywhere in the sequence. For `"first"` and `"last"` the mask has size 1 along the
                features.

        Returns:
            Array `(*batch, features)` of the dtype of `x`, except that the mean of integers is
            float32 and the sum of bool is int32. A sequence without a token gives 0, and the
            identity of max (-inf for floats) for `"max"`.

        Raises:
            TypeError: `x` is not an array of real numbers, or `where` is not boolean.
            ValueError: `x` has fewer than two axes or no token, or `where` does not broadcast, or
                varies along the features for `"first"` or `"last"`.
        """
        operators = {
            "mean": pooling.global_avg_pool,
            "max": pooling.global_max_pool,
            "sum": pooling.global_sum_pool,
        }
        if self.kind in operators:
            return operators[self.kind](_sequence(x), axes=-2, where=where)
        return _token(_sequence(x), where, last=self.kind == "last")


class SequenceAttentionPool(nnx.Module):
    """The mean of the tokens, weighted by the softmax of learned scores.

        y = sum_i softmax_i(v . tanh(W x_i + b)) x_i

    Args:
        features: Features of a token.
        hidden_features: Width of the score's hidden layer; None means `features`.
        rngs: Random streams for the initial parameters.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxpool import nn
        >>> nn.SequenceAttentionPool(16, rngs=nnx.Rngs(0))(jnp.ones((2, 9, 16))).shape
        (2, 16)

    Source:
        Yang et al., "Hierarchical attention networks for document classification", 2016.
    """

    def __init__(self, features: int, hidden_features: int | None = None, *, rngs: nnx.Rngs):
        """Initialise the parameters.

        Raises:
            TypeError: A size is not an integer, or `rngs` is not `nnx.Rngs`.
            ValueError: A size is less than 1, or `rngs` has neither a stream `params` nor a default
                stream.
        """
        self.features = checks.size("features", features)
        hidden = features
        if hidden_features is not None:
            hidden = checks.size("hidden_features", hidden_features)
        checks.stream(rngs)
        self.hidden = linear(features, hidden, rngs)
        self.score = linear(hidden, 1, rngs)

    def __call__(self, x: ArrayLike, *, where: ArrayLike | None = None) -> jax.Array:
        """Pool the tokens.

        Args:
            x: Array `(*batch, tokens, features)` of a floating dtype.
            where: Boolean mask that broadcasts to `(*batch, tokens, 1)`; False leaves a token out.

        Returns:
            Array `(*batch, features)` of the dtype of `x`. A sequence without a token gives 0.

        Raises:
            TypeError: `x` is not of a floating dtype, or `where` is not boolean.
            ValueError: `x` has fewer than two axes, no token or another number of features, or
                `where` does not broadcast or varies along the features.
        """
        x = _sequence(arguments.floating_array("x", x))
        if x.shape[-1] != self.features:
            raise ValueError(f"x must have {self.features} features, got shape {x.shape}")
        x, where = flat_elements(x, where, 1)
        wide = arguments.accumulator(x)
        scores = self.score(nnx.tanh(self.hidden(x)))[..., 0].astype(wide)
        weights = masked_softmax(scores, where).astype(x.dtype)
        y = jnp.einsum("...t,...tf->...f", weights, x, preferred_element_type=wide)
        return y.astype(x.dtype)


def _sequence(x: Any) -> jax.Array:
    x = arguments.real_array("x", x)
    if x.ndim < 2:
        raise ValueError(f"x must have at least the axes (tokens, features), got shape {x.shape}")
    return x


def _token(x: jax.Array, where: Any, *, last: bool) -> jax.Array:
    x, flags = flat_elements(x, where, 1)
    if flags is None:
        return x[..., -1 if last else 0, :]
    numbers = jnp.arange(x.shape[-2])
    place = jnp.max(jnp.where(flags, numbers, 0), -1) if last else jnp.argmax(flags, -1)
    return jnp.take_along_axis(x, place[..., None, None], axis=-2)[..., 0, :]

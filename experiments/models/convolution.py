"""A 2-D convolution whose derivatives XLA can run fast on a CPU inside a loop.

XLA:CPU brings a convolution into the form of its fast kernel only in a program's entry computation.
The derivatives that `lax` writes are not in that form, so inside a `lax.scan` over training steps
they fall to a naive loop: the kernel's derivative of a 14x14x32 to 64 layer at batch 128 took
1,817 ms there and 44 ms outside. Written in channels-last form from the start they are fast in both
places; and the kernel's derivative, summed over a few examples at a time, stays in the cache (a
28x28x32 to 64 layer at batch 128: 47 ms instead of 266). Other backends have kernels for what `lax`
writes, and get that.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

_CHANNELS_LAST = ("NHWC", "HWIO", "NHWC")
_CACHED_EXAMPLES, _CACHED_ELEMENTS = 16, 200_000
"""How many examples, and elements of them, the kernel's derivative takes at a time on a CPU."""


class Convolution(nnx.Module):
    """A convolution with SAME padding on channels-last images."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        kernel: int,
        stride: int | tuple[int, ...] = 1,
        bias: bool,
        rngs: nnx.Rngs,
    ):
        shape = (kernel, kernel, channels_in, channels_out)
        self.kernel = nnx.Param(nnx.initializers.he_normal()(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros(channels_out)) if bias else None
        self.stride = (stride, stride) if isinstance(stride, int) else stride

    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolves images (N, H, W, C)."""
        y = convolve(x, self.kernel[...], self.stride)
        return y if self.bias is None else y + self.bias[...]


def _convolve(x: jax.Array, kernel: jax.Array, stride: tuple[int, int]) -> jax.Array:
    """Convolves images with SAME padding.

    Args:
        x: Images (N, H, W, C).
        kernel: Weights (h, w, C, O).
        stride: Steps along H and W.

    Returns:
        Images (N, ceil(H / stride), ceil(W / stride), O).
    """
    return lax.conv_general_dilated(x, kernel, stride, "SAME", dimension_numbers=_CHANNELS_LAST)


def _forward(x: jax.Array, kernel: jax.Array, stride: tuple[int, int]) -> tuple[jax.Array, Any]:
    return _convolve(x, kernel, stride), (x, kernel)


def _backward(
    stride: tuple[int, int], residuals: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    return lax.platform_dependent(
        *residuals,
        dy,
        cpu=functools.partial(_canonical_gradients, stride),
        default=functools.partial(_lax_gradients, stride),
    )


convolve = jax.custom_vjp(_convolve, nondiff_argnums=(2,))
convolve.defvjp(_forward, _backward)


def _lax_gradients(
    stride: tuple[int, int], x: jax.Array, kernel: jax.Array, dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    convolution = functools.partial(
        lax.conv_general_dilated,
        window_strides=stride,
        padding="SAME",
        dimension_numbers=_CHANNELS_LAST,
    )
    return jax.vjp(convolution, x, kernel)[1](dy)


def _canonical_gradients(
    stride: tuple[int, int], x: jax.Array, kernel: jax.Array, dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The same derivatives, each as a channels-last convolution.

    That of `x` convolves `dy`, spread out by the stride, with the kernel turned around. That of
    the kernel convolves `x` with `dy`, the examples playing the channels.
    """
    sizes, taps, outputs = x.shape[1:3], kernel.shape[:2], dy.shape[1:3]
    # Per axis: the padding in front, and how far the windows reach.
    lows = [
        max((o - 1) * s + k - n, 0) // 2
        for n, k, s, o in zip(sizes, taps, stride, outputs, strict=True)
    ]
    reach = [(o - 1) * s + 1 for s, o in zip(stride, outputs, strict=True)]
    axes = list(zip(sizes, taps, lows, reach, strict=True))

    def of_kernel(part: tuple[jax.Array, jax.Array]) -> jax.Array:
        x, dy = part
        return lax.conv_general_dilated(
            x.transpose(3, 1, 2, 0),
            dy.transpose(1, 2, 0, 3),
            (1, 1),
            [(low, r + k - 1 - n - low) for n, k, low, r in axes],
            rhs_dilation=stride,
            dimension_numbers=_CHANNELS_LAST,
        )

    dx = lax.conv_general_dilated(
        dy,
        kernel[::-1, ::-1].transpose(0, 1, 3, 2),
        (1, 1),
        [(k - 1 - low, n + low - r) for n, k, low, r in axes],
        lhs_dilation=stride,
        dimension_numbers=_CHANNELS_LAST,
    )
    size = min(_CACHED_EXAMPLES, max(_CACHED_ELEMENTS // math.prod(x.shape[1:]), 1))
    dkernel = lax.map(of_kernel, (_chunks(x, size), _chunks(dy, size))).sum(0)
    return dx, dkernel.transpose(1, 2, 0, 3)


def _chunks(x: jax.Array, size: int) -> jax.Array:
    """Examples in chunks of one size, the last one filled up with zeros."""
    x = jnp.pad(x, ((0, -len(x) % size), (0, 0), (0, 0), (0, 0)))
    return x.reshape(-1, size, *x.shape[1:])

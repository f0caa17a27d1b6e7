"""Compares values, indices and gradients with PyTorch, over random geometries."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxpool
from jaxpool.axis import Axis
from tests import quick

torch = pytest.importorskip("torch")

# Geometries per operator and number of dimensions, and per compiled program.
POOLINGS, GROUP = 36, 12
MAX = [
    torch.nn.functional.max_pool1d,
    torch.nn.functional.max_pool2d,
    torch.nn.functional.max_pool3d,
]
AVERAGE = [
    torch.nn.functional.avg_pool1d,
    torch.nn.functional.avg_pool2d,
    torch.nn.functional.avg_pool3d,
]


@dataclasses.dataclass(frozen=True)
class Pooling:
    """Arguments for both libraries. PyTorch pads at most half a window, equally on both sides."""

    sizes: tuple[int, ...]
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil_mode: bool
    last: bool  # channels-last for jaxpool; else PyTorch's layout, and `axes=` is given

    @classmethod
    def random(cls, rng, dimensions, *, dilated):
        largest = {1: 40, 2: 12, 3: 6}[dimensions]

        def each(low, high):
            return tuple(int(n) for n in rng.integers(low, high + 1, dimensions))

        while True:
            sizes, window = each(1, largest), each(1, {1: 11, 2: 5, 3: 3}[dimensions])
            pooling = cls(
                sizes,
                window,
                each(1, max(window) + 1),
                tuple(int(rng.integers(0, k // 2 + 1)) for k in window),
                each(1, 3) if dilated and rng.random() < 0.5 else (1,) * dimensions,
                bool(rng.integers(2)),
                bool(rng.integers(2)),
            )
            if pooling.allowed():
                return pooling

    def allowed(self):
        """PyTorch refuses empty outputs, and does not define windows that lie in padding.

        In 3-D, it also refuses windows that are larger than the image without its padding.
        """
        axes = [
            Axis(n, k, s, d, p, p, self.ceil_mode)
            for n, k, s, d, p in zip(
                self.sizes, self.kernel_size, self.stride, self.dilation, self.padding, strict=True
            )
        ]
        if len(axes) == 3 and any(axis.extent > axis.size for axis in axes):
            return False
        return all(min(axis.counts(include_pad=False), default=0) > 0 for axis in axes)

    def ours(self, function, x, **options):
        """Applies one of our functions to an array in PyTorch's layout."""
        dimensions = len(self.sizes)
        if self.last:
            x = jnp.moveaxis(x, 1, -1)
        else:
            options["axes"] = tuple(range(2, 2 + dimensions))
        results = function(
            x,
            self.kernel_size,
            strides=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
            **options,
        )
        return jax.tree.map(lambda y: jnp.moveaxis(y, -1, 1), results) if self.last else results

    def theirs(self, functions, x, **options):
        return functions[len(self.sizes) - 1](
            x, self.kernel_size, self.stride, self.padding, ceil_mode=self.ceil_mode, **options
        )


def cotangent(shape):
    """A cotangent of distinct entries."""
    return np.cos(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)


def inputs(rng, pooling):
    """Random elements; half of the arrays have many ties."""
    shape = (2, 2, *pooling.sizes)
    if rng.integers(2):
        return rng.integers(-2, 3, shape).astype(np.float32)
    return rng.normal(size=shape).astype(np.float32)


def drawn(kind, dimensions, group):
    rng = np.random.default_rng([len(kind), dimensions, group])
    poolings = [Pooling.random(rng, dimensions, dilated=kind == "max") for _ in range(GROUP)]
    return rng, poolings, [inputs(rng, pooling) for pooling in poolings]


groups = pytest.mark.parametrize("group", range(POOLINGS // GROUP))
dimensions = pytest.mark.parametrize("dimensions", [1, 2, 3])


@groups
@dimensions
def test_max_pool(dimensions, group, record_property):
    record_property("cases", GROUP)
    _, poolings, arrays = drawn("max", dimensions, group)

    @quick.jit
    def every(arrays):
        results = []
        for pooling, x in zip(poolings, arrays, strict=True):

            def loss(x, pooling=pooling):
                values, indices = pooling.ours(jaxpool.max_pool_with_argmax, x)
                return (cotangent(values.shape) * values).sum(), (values, indices)

            gradient, (values, indices) = jax.grad(loss, has_aux=True)(x)
            results.append((values, indices, gradient))
        return results

    for pooling, x, result in zip(poolings, arrays, every(arrays), strict=True):
        given = torch.tensor(x, requires_grad=True)
        values, indices = pooling.theirs(MAX, given, dilation=pooling.dilation, return_indices=True)
        values.backward(torch.tensor(cotangent(values.shape)))
        np.testing.assert_array_equal(result[0], values.detach(), err_msg=str(pooling))
        np.testing.assert_array_equal(result[1], indices, err_msg=str(pooling))
        np.testing.assert_allclose(result[2], given.grad, atol=1e-5, err_msg=str(pooling))


@groups
@dimensions
def test_avg_pool(dimensions, group, record_property):
    record_property("cases", GROUP)
    rng, poolings, arrays = drawn("average", dimensions, group)
    options = [{"count_include_pad": bool(rng.integers(2))} for _ in poolings]
    if dimensions > 1:  # PyTorch has no 1-D form
        for option in options:
            option["divisor_override"] = [None, int(rng.integers(1, 9))][rng.integers(2)]

    @quick.jit
    def every(arrays):
        results = []
        for pooling, x, option in zip(poolings, arrays, options, strict=True):

            def loss(x, pooling=pooling, option=option):
                values = pooling.ours(jaxpool.avg_pool, x, **option)
                return (cotangent(values.shape) * values).sum(), values

            gradient, values = jax.grad(loss, has_aux=True)(x)
            results.append((values, gradient))
        return results

    for pooling, x, option, result in zip(poolings, arrays, options, every(arrays), strict=True):
        given = torch.tensor(x, requires_grad=True)
        values = pooling.theirs(AVERAGE, given, **option)
        values.backward(torch.tensor(cotangent(values.shape)))
        message = f"{pooling} {option}"
        np.testing.assert_allclose(
            result[0], values.detach(), rtol=1e-5, atol=1e-6, err_msg=message
        )
        np.testing.assert_allclose(result[1], given.grad, rtol=1e-5, atol=1e-6, err_msg=message)

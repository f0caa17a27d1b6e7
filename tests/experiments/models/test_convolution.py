import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments.models.convolution import Convolution, convolve


def by_lax(x, kernel, stride):
    return jax.lax.conv_general_dilated(
        x, kernel, stride, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize(
    ("kernel", "stride", "size"),
    [
        (1, (1, 1), (5, 4)),
        (1, (2, 3), (7, 6)),
        (2, (1, 2), (4, 5)),
        (3, (1, 1), (8, 5)),
        (3, (2, 2), (8, 7)),
        (3, (2, 1), (1, 2)),
        (4, (3, 2), (7, 8)),
        (5, (2, 4), (2, 9)),
    ],
)
def test_value_and_derivatives_are_those_of_lax(kernel, stride, size):
    random = np.random.default_rng(0)
    examples = 3
    x = random.normal(size=(examples, *size, 3)).astype(np.float32)
    weights = random.normal(size=(kernel, kernel, 3, 4)).astype(np.float32)
    strided = [-(-n // s) for n, s in zip(size, stride, strict=True)]
    dy = random.normal(size=(examples, *strided, 4)).astype(np.float32)

    @jax.jit
    def both(x, weights, dy):
        expected, pull = jax.vjp(lambda x, w: by_lax(x, w, stride), x, weights)
        found, found_pull = jax.vjp(lambda x, w: convolve(x, w, stride), x, weights)
        return (found, *found_pull(dy)), (expected, *pull(dy))

    for ours, theirs in zip(*both(x, weights, dy), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)


def test_derivatives_map_over_seeds():
    random = np.random.default_rng(0)
    xs = random.normal(size=(3, 2, 6, 6, 2)).astype(np.float32)
    kernels = random.normal(size=(3, 3, 3, 2, 4)).astype(np.float32)

    def loss(x, kernel):
        return jnp.sum(jnp.sin(convolve(x, kernel, (2, 2))))

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
    together = jax.jit(jax.vmap(gradient))(xs, kernels)
    for number, (x, kernel) in enumerate(zip(xs, kernels, strict=True)):
        for one, every in zip(gradient(x, kernel), together, strict=True):
            np.testing.assert_allclose(every[number], one, rtol=1e-5, atol=1e-5)


def test_a_bias_is_added_where_asked_for():
    x = jnp.zeros((1, 4, 4, 2))
    layer = Convolution(2, 3, kernel=(3, 3), bias=True, rngs=nnx.Rngs(0))
    layer.bias[...] = jnp.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(layer(x)[0, 0, 0], [1, 2, 3])
    assert Convolution(2, 3, kernel=(3, 3), bias=False, rngs=nnx.Rngs(0)).bias is None

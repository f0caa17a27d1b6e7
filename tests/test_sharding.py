"""Programs that XLA partitions: the result of one device, and no exchange beyond halos."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxpool

SHAPE = (8, 40, 40, 8)

OPERATORS = {
    "max, stride 1": lambda x: jaxpool.max_pool(x, 3, strides=1, padding="SAME"),
    "max, stride 2": lambda x: jaxpool.max_pool(x, 3, strides=2, padding=1),
    "max, tiles": lambda x: jaxpool.max_pool(x, 2),
    "max, wider than a shard": lambda x: jaxpool.max_pool(x, 17, strides=1, padding="SAME"),
    "max, dilated": lambda x: jaxpool.max_pool(x, 3, strides=1, dilation=2),
    "mean, stride 1": lambda x: jaxpool.avg_pool(x, 3, strides=1, padding="SAME"),
    "mean, uneven": lambda x: jaxpool.avg_pool(x, 4, strides=3, padding=1, ceil_mode=True),
    "global max": jaxpool.global_max_pool,
    "global mean": jaxpool.global_avg_pool,
    "adaptive max": lambda x: jaxpool.adaptive_max_pool(x, 7),
    "adaptive mean": lambda x: jaxpool.adaptive_avg_pool(x, 7),
    "pyramid": lambda x: jaxpool.spatial_pyramid_pool(x, (1, 2, 3)),
    "blur": jaxpool.blur_pool,
    "soft": lambda x: jaxpool.soft_pool(x, 3, strides=2, padding=1),
    "norm": lambda x: jaxpool.lp_pool(x, 3, strides=2),
    "median": lambda x: jaxpool.median_pool(x, 3, strides=2),
    "top k": lambda x: jaxpool.top_k_pool(x, 3, 2, strides=2),
}

SPECS = {
    "height": P(None, "b"),
    "height and width": P(None, "a", "b"),
    "batch and height": P("a", "b"),
    "batch and channels": P("a", None, None, "b"),
}


@pytest.mark.usefixtures("compile_quickly")
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("name", OPERATORS)
def test_only_halos_are_exchanged(name, spec):
    function = OPERATORS[name]
    mesh = jax.make_mesh((2, 4), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
    sharding = NamedSharding(mesh, SPECS[spec])
    x = jnp.asarray(np.random.default_rng(0).normal(size=SHAPE).astype(np.float32))
    x = x.at[3, 5, 7].set(np.nan).at[4, 39, 39].set(-np.inf)

    def value_and_gradient(x):
        y, pull_back = jax.vjp(function, x)
        return y, pull_back(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))[0]

    program = jax.jit(value_and_gradient, in_shardings=sharding, out_shardings=(None, sharding))
    compiled = program.lower(x).compile()
    # A local shape has the whole height and width only if these axes were gathered.
    gathered = re.findall(r"= f32\[(\d+),40,40,\d+\]\S* all-gather", compiled.as_text())
    assert not gathered
    result = compiled(jax.device_put(x, sharding))
    for ours, expected in zip(result, jax.jit(value_and_gradient)(x), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


def test_a_slice_of_one_element_is_lowered_without_a_stride():
    """XLA partitions a strided slice of one element wrongly: it returns another element."""
    x = jax.ShapeDtypeStruct((1, 64, 4), np.float32)
    text = jax.jit(jaxpool.global_max_pool).trace(x).lower(lowering_platforms=("cuda",)).as_text()
    single = re.findall(r"stablehlo.slice .*\[(.*)\] .*-> tensor<1x1x4xf32>", text)
    assert single
    assert not any(re.search(r":\d+:\d+", part) for part in single)

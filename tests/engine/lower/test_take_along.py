import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxpool
from jaxpool.engine.lower.take_along import compares, take_along
from jaxpool.engine.plan import tuning
from jaxpool.engine.plan.target import CPU, GPU, TPU, TPUS, Target
from tests import geometry, quick


@pytest.mark.parametrize("axis", [-1, -2, -3])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "int8", "uint32", "bool"])
def test_every_target_reads_the_same_elements(dtype, axis):
    rng = np.random.default_rng(0)
    x = np.array(jnp.asarray(geometry.awkward(rng, (3, 4, 5))).astype(dtype))
    x.flat[0] = -0.0
    shape = list(x.shape)
    shape[axis] = 7
    numbers = rng.integers(0, x.shape[axis], shape).astype(np.int32)
    expected = np.take_along_axis(x, numbers, axis)
    for target in Target:
        y = quick.jit(lambda x, n, t=target: take_along(x, n, axis, t))(x, numbers)
        assert y.dtype == x.dtype
        # As bytes, so that -0 and NaN count too.
        assert np.asarray(y).tobytes() == expected.tobytes(), target


@pytest.mark.parametrize("target", [CPU, TPU])
def test_numbers_broadcast_along_other_axes(target):
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
    numbers = np.array([5, 0, 3], np.int32)[None, :, None]
    np.testing.assert_array_equal(take_along(x, numbers, -2, target), x[:, [5, 0, 3]])


def test_only_short_axes_of_tpu_programs_are_compared():
    most = tuning.COMPARED
    assert compares(most, TPU)
    assert compares(most, TPUS)
    assert not compares(most + 1, TPU)
    assert not compares(most, GPU)
    assert not compares(most, CPU)
    with jaxpool.portable():
        assert not compares(most, TPU)


def test_tpu_programs_write_and_read_computed_places_without_gather_or_scatter():
    indices = jax.ShapeDtypeStruct((1, 2, 2, 3), np.int32)
    values = jax.ShapeDtypeStruct(indices.shape, np.float32)

    def gradient(values, indices):
        return jax.value_and_grad(lambda v: jaxpool.max_unpool(v, indices, (4, 4)).sum())(values)

    text = jax.jit(gradient).trace(values, indices).lower(lowering_platforms=("tpu",)).as_text()
    assert "gather" not in text
    assert "scatter" not in text

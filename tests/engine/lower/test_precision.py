"""Rounding by integer arithmetic, against NumPy's conversion."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpool.engine.lower import precision
from jaxpool.engine.plan.target import CPU, GPU


@pytest.mark.parametrize("target", [CPU, GPU])
def test_float32_is_rounded_to_the_nearest_bfloat16(target):
    # Every bfloat16 plus 0, little, half or almost all of the distance to the next bfloat16.
    upper = np.arange(1 << 16, dtype=np.uint32) << 16
    lower = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    x = (upper[:, None] | lower).view(np.float32)
    if target is not CPU:  # (XLA:CPU's conversion flushes subnormal numbers to 0)
        x = np.where(np.abs(x) < np.finfo(np.float32).tiny, np.float32(0), x)
    narrow = functools.partial(precision.narrow, dtype=jnp.bfloat16, target=target)
    rounded = np.asarray(jax.jit(narrow)(x))
    with np.errstate(over="ignore", invalid="ignore"):
        expected = x.astype(jnp.bfloat16)
    nan = np.isnan(x)
    assert rounded.dtype == jnp.bfloat16
    assert np.isnan(rounded[nan].astype(np.float32)).all()
    np.testing.assert_array_equal(rounded[~nan].view(np.uint16), expected[~nan].view(np.uint16))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_other_dtypes_are_converted_with_astype(dtype):
    x = jnp.array([1.0, 1 + 2**-12, 70000.0, np.nan], np.float32)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(precision.narrow(x, dtype, target=CPU), x.astype(dtype))

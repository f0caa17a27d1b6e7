import jax
import jax.numpy as jnp
import numpy as np

import jaxpool
from jaxpool.engine.plan import tuning


def test_row_numbers_too_many_for_a_constant_are_computed(monkeypatch):
    x = np.random.default_rng(0).normal(size=(2, 3, 11)).astype(np.float32)

    def gradient():
        return jax.jit(
            jax.grad(lambda x: jnp.sin(jaxpool.adaptive_max_pool(x, 4, axes=(-1,))).sum())
        )

    expected = gradient()(x)
    monkeypatch.setattr(tuning, "ROW_NUMBERS", 1)
    computed = gradient()
    assert "iota" in computed.lower(x).as_text()
    np.testing.assert_array_equal(computed(x), expected)

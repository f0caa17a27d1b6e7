"""The effect that a mask must have on every module."""

import jax
import jax.numpy as jnp
import numpy as np


def leak_free(module, x, mask):
    """Checks that masked elements affect neither values nor gradients; returns the results.

    Returns:
        The result without the mask, the result with it, and the gradient of the latter with respect
        to the module, for a cotangent of distinct entries.
    """

    def loss(module, x):
        y = module(x, where=mask)
        return jnp.sum(jnp.cos(jnp.arange(y.size)).reshape(y.shape) * y), y

    @jax.jit
    def every(module, x, spoilt):
        gradients = jax.value_and_grad(loss, (0, 1), has_aux=True)
        return module(x), gradients(module, x), gradients(module, spoilt)

    plain, clean, hidden = every(module, x, np.where(mask, x, np.nan))
    jax.tree.map(np.testing.assert_array_equal, clean, hidden)
    (_, masked), (of_module, of_x) = clean
    assert not np.any(of_x[~np.broadcast_to(mask, x.shape)])
    return plain, masked, of_module

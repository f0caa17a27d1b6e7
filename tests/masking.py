"""What a mask must do to any module that pools."""

import jax
import jax.numpy as jnp
import numpy as np


def leak_free(module, x, mask):
    """The results without a mask and with one; nothing that is masked leaks, into no gradient.

    Returns:
        The result without the mask, that with it, and the gradient of the latter in the module,
        for a different cotangent for every output.
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

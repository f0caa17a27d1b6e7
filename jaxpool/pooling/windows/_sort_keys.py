"""Order-preserving maps from elements to unsigned integers, for searches by rank."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def sort_keys(x: jax.Array) -> jax.Array:
    """Unsigned integers in the order of the elements; 0 == -0; NaN is smallest or largest."""
    if x.dtype == np.bool_:
        return x.astype(np.uint8)
    if jnp.issubdtype(x.dtype, jnp.integer) and jnp.iinfo(x.dtype).bits < 8:
        x = x.astype(np.int8 if jnp.issubdtype(x.dtype, jnp.signedinteger) else np.uint8)
    bits = 8 * x.dtype.itemsize
    unsigned = np.dtype(f"uint{bits}")
    sign = np.array(1 << (bits - 1), unsigned)
    if jnp.issubdtype(x.dtype, jnp.unsignedinteger):
        return x
    if jnp.issubdtype(x.dtype, jnp.integer):
        return lax.bitcast_convert_type(x, unsigned) ^ sign
    pattern = lax.bitcast_convert_type(jnp.where(x == 0, jnp.zeros((), x.dtype), x), unsigned)
    return jnp.where(pattern & sign != 0, ~pattern, pattern | sign)

"""`jax.lax.reduce_window`, differentiable for any associative function.

Replace `from jax import lax` by

    from jaxpool.compat import lax
    lax.reduce_window(...)

See `jaxpool.reduce_window` for what it computes and where `jax.lax` differs: on CPU that loses a
NaN on large arrays, ignores `base_dilation` there, and combines an `init_value` that is not an
identity several times in wide windows; on every device it lacks the derivatives of a dilated max,
of other functions than max, min and add, and with respect to `init_value`.
"""

from jaxpool.pooling import reduce_window

__all__ = ["reduce_window"]

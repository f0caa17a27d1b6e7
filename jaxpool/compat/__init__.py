"""Drop-in replacements with the names and signatures of another library.

`jaxpool.compat.flax` replaces the pooling functions of Flax, `jaxpool.compat.lax` replaces
`jax.lax.reduce_window`. Import them by name: `from jaxpool.compat import flax`.
"""

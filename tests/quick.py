"""Compile fast: for sweeps over hundreds of tiny programs that each run once.

The program is the same, derivative rules and all; what is left out is work on its speed. Without
fusion emitters and in one piece, the derivatives of a pooling compile in 0.6 s rather than the 1.2
that the first two options leave of 2.2.
"""

import functools

import jax

OPTIONS = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}


def known(option):
    """Whether this jaxlib has the option: they come and go."""
    try:
        jax.jit(lambda: 0, compiler_options=dict([option]))()
    except jax.errors.JaxRuntimeError as error:
        if "No such compile option" not in str(error):
            raise
        return False
    return True


@functools.cache
def options():
    return dict(filter(known, OPTIONS.items()))


def jit(function, **kwargs):
    """`jax.jit`, compiling fast when called with arrays; JAX allows no options inside a trace."""
    fast = jax.jit(function, compiler_options=options(), **kwargs)
    traced = jax.jit(function, **kwargs)

    @functools.wraps(function)
    def call(*args, **kwargs):
        leaves = jax.tree.leaves((args, kwargs))
        inside = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
        return (traced if inside else fast)(*args, **kwargs)

    return call

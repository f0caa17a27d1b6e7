"""Fast compilation, for tests that run hundreds of tiny programs once each.

The program and its derivative rules are the same; XLA only optimises less. The derivatives of a
pooling compile in 2.2 s by default, 1.2 s with the first two options and 0.6 s with all four.
"""

import functools
from contextlib import contextmanager
from unittest import mock

import jax
from jax._src import compiler  # JAX has no public setting for the options of all programs

OPTIONS = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}


def known(option):
    """Whether this jaxlib has the option; versions add and remove options."""
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


def flags():
    """The options as the environment variable XLA_FLAGS, for child processes."""
    return " ".join(f"--{name}={value}".lower() for name, value in options().items())


def jit(function, **kwargs):
    """`jax.jit` with fast compilation; inside a trace without it, where JAX allows no options."""
    fast = jax.jit(function, compiler_options=options(), **kwargs)
    traced = jax.jit(function, **kwargs)

    @functools.wraps(function)
    def call(*args, **kwargs):
        leaves = jax.tree.leaves((args, kwargs))
        inside = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
        return (traced if inside else fast)(*args, **kwargs)

    return call


@contextmanager
def everywhere():
    """Compiles every program fast inside this context, those of single operations included."""
    chosen, plain = list(options().items()), compiler.get_compile_options

    def with_options(*args, **kwargs):
        made = plain(*args, **kwargs)
        made.env_option_overrides = [*chosen, *made.env_option_overrides]  # the last of a name wins
        return made

    with mock.patch.object(compiler, "get_compile_options", with_options):
        yield

"""Compiling networks, with the options that suit them on the backend in use."""

import functools
from typing import Literal

import jax
from jax.stages import Compiled, Lowered

__all__ = ["compile_network"]

_LIBRARY = "xla_cpu_experimental_ynn_fusion_type"
_CPU_OPTIONS = {
    "training": {_LIBRARY: "LIBRARY_FUSION_TYPE_REDUCE"},
    "inference": {_LIBRARY: ""},
}
"""What jaxlib 0.10.2 hands to a library of its own on a CPU. By default that is convolutions, too,
which the library runs on one thread; without it they get all. Its reductions are faster than XLA's,
so training, with batch norm, keeps them. But they draw in what they reduce, and for the last mean
of a network without pooling that is every convolution before it, on one thread again."""


def compile_network(lowered: Lowered, purpose: Literal["training", "inference"]) -> Compiled:
    """Compiles a network's program.

    Args:
        lowered: The program, `jax.jit(f).lower(...)`.
        purpose: `"training"` for a program with derivatives, `"inference"` for one without.

    Returns:
        The executable.
    """
    options = _CPU_OPTIONS[purpose] if jax.default_backend() == "cpu" else {}
    return lowered.compile(compiler_options={k: v for k, v in options.items() if _known(k, v)})


@functools.cache
def _known(option: str, value: str) -> bool:
    """Whether this jaxlib knows an option."""
    trivial = jax.jit(lambda x: x).lower(0.0)
    try:
        trivial.compile(compiler_options={option: value})
    except jax.errors.JaxRuntimeError as error:
        if option not in str(error):
            raise
        return False
    return True

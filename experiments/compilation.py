"""Compiling networks, with the options that suit them, and keeping the compiled programs."""

import functools
import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import filelock
import jax
import platformdirs
from jax.experimental.compilation_cache import compilation_cache
from jax.stages import Compiled, Lowered

from experiments.environment import device_name

__all__ = ["compile_network", "no_cache", "use_cache"]

_CACHE_BYTES = 1_000_000_000
"""The size of our cache; beyond it JAX removes the programs that were not used for longest."""

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


def use_cache() -> None:
    """Keeps compiled programs in the user's cache folder, for the next process.

    JAX's own settings come first: the environment variable JAX_COMPILATION_CACHE_DIR names another
    folder, and JAX_ENABLE_COMPILATION_CACHE=false turns the cache off. A folder that cannot be
    written changes nothing but the time. Every device has a folder of its own, since XLA:CPU
    compiles for one model of processor and one number of threads.
    """
    settings = jax.config.values
    if settings["jax_compilation_cache_dir"] or not settings["jax_enable_compilation_cache"]:
        return
    device = hashlib.sha256(device_name().encode()).hexdigest()[:16]
    folder = platformdirs.user_cache_path("jaxpool") / "programs" / device
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lockfile", timeout=10):  # the one that JAX takes
            for program in folder.glob("*-cache"):
                # Of a process that was killed while it wrote; JAX 0.10 fails at every later one.
                if not program.with_name(f"{program.name.removesuffix('cache')}atime").exists():
                    program.unlink()
    except OSError:
        return
    warnings.filterwarnings("ignore", message="Error writing persistent compilation cache entry")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", _CACHE_BYTES)


@contextmanager
def no_cache() -> Iterator[None]:
    """Compiles for real, whatever cache is in use."""
    before = jax.config.values["jax_enable_compilation_cache"]
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # JAX reads the setting once
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
        compilation_cache.reset_cache()


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

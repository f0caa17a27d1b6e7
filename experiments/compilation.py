"""Compilation of networks with suitable XLA options, and the cache of compiled programs."""

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
"""Maximum size of the cache. Beyond it, JAX removes the least recently used programs."""

_YNN_OPTION = "xla_cpu_experimental_ynn_fusion_type"
_CPU_OPTIONS = {
    "training": {_YNN_OPTION: "LIBRARY_FUSION_TYPE_REDUCE"},
    "inference": {_YNN_OPTION: ""},
}
"""Operations that XLA:CPU of jaxlib 0.10.2 hands to its library YNN.

By default YNN also runs convolutions, on one thread; without YNN, convolutions use all threads.
Training keeps YNN's reductions, which are faster than XLA's, for batch norm. YNN fuses the
producers of a reduction. In inference of a network without pooling, the last mean would fuse every
convolution before it and run on one thread, so inference uses no YNN.
"""


def compile_network(lowered: Lowered, purpose: Literal["training", "inference"]) -> Compiled:
    """Compiles a network's program.

    Args:
        lowered: The program, `jax.jit(f).lower(...)`.
        purpose: `"training"` for a program with derivatives, `"inference"` for one without.

    Returns:
        The executable.
    """
    options = _CPU_OPTIONS[purpose] if jax.default_backend() == "cpu" else {}
    return lowered.compile(compiler_options={k: v for k, v in options.items() if _is_option(k, v)})


def use_cache() -> None:
    """Stores compiled programs in the user's cache folder, for later processes.

    JAX's own settings have priority: the environment variable JAX_COMPILATION_CACHE_DIR names
    another folder, and JAX_ENABLE_COMPILATION_CACHE=false turns the cache off. If the folder cannot
    be written, programs are compiled again in each process. Every device has its own folder, since
    XLA:CPU compiles for one processor model and one number of threads.
    """
    settings = jax.config.values
    if settings["jax_compilation_cache_dir"] or not settings["jax_enable_compilation_cache"]:
        return
    device = hashlib.sha256(device_name().encode()).hexdigest()[:16]
    folder = platformdirs.user_cache_path("jaxpool") / "programs" / device
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lockfile", timeout=10):  # the same lock file as JAX
            for program in folder.glob("*-cache"):
                # A process killed during a write leaves no "-atime" file; JAX 0.10 then fails on
                # every use.
                if not program.with_name(f"{program.name.removesuffix('cache')}atime").exists():
                    program.unlink()
    except OSError:
        return
    warnings.filterwarnings("ignore", message="Error writing persistent compilation cache entry")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", _CACHE_BYTES)


@contextmanager
def no_cache() -> Iterator[None]:
    """Disables every compilation cache inside this context, so that all programs are compiled."""
    before = jax.config.values["jax_enable_compilation_cache"]
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # JAX reads the setting once
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
        compilation_cache.reset_cache()


@functools.cache
def _is_option(option: str, value: str) -> bool:
    """Whether this jaxlib accepts a compiler option."""
    trivial = jax.jit(lambda x: x).lower(0.0)
    try:
        trivial.compile(compiler_options={option: value})
    except jax.errors.JaxRuntimeError as error:
        if option not in str(error):
            raise
        return False
    return True

"""Setting of glibc's allocator that keeps freed memory in the process and so avoids page faults.

By default glibc returns a large freed block to the kernel. The next allocation then gets new pages,
and the kernel clears each page at its first use. On CPU these page faults cost more time than many
poolings.
"""

import ctypes
import os
import sys

# Option numbers of glibc's malloc.h and their values: one arena, since other arenas hold at most 64
# MB; no block allocated by mmap; no memory returned to the kernel.
_OPTIONS = {"ARENA_MAX": (-8, 1), "MMAP_MAX": (-4, 0), "TRIM_THRESHOLD": (-1, 2**31 - 1)}

_kept: dict[str, str] = {}


def keep_freed_memory() -> bool:
    """Makes glibc keep freed memory in this process from now on.

    Returns:
        True if the setting took effect. False without Linux or glibc, or if the environment already
        configures the allocator.
    """
    chosen = any(name.startswith("MALLOC_") for name in os.environ)
    if chosen or "GLIBC_TUNABLES" in os.environ or not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or not all(mallopt(*option) for option in _OPTIONS.values()):
        return False
    _kept.update({f"mallopt {name}": str(value) for name, (_, value) in _OPTIONS.items()})
    return True


def kept() -> dict[str, str]:
    """The settings made by `keep_freed_memory`; empty if it was not called or had no effect."""
    return dict(_kept)

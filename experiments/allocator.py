"""Freed memory that stays with the process: on CPU, page faults cost more than many a pooling.

By default glibc gives a large block back to the kernel when it is freed, and every new one comes in
fresh pages, each of which is cleared at its first use.
"""

import ctypes
import os
import sys

# Numbers of glibc's malloc.h, and what they are set to: one arena, since others hold 64 MB at most;
# no block in pages of its own; nothing given back.
_OPTIONS = {"ARENA_MAX": (-8, 1), "MMAP_MAX": (-4, 0), "TRIM_THRESHOLD": (-1, 2**31 - 1)}

_kept: dict[str, str] = {}


def keep_freed_memory() -> bool:
    """Tells glibc to keep freed memory, from now on, for this process.

    Returns:
        Whether it does: on Linux with glibc, unless the environment sets the allocator already.
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
    """What `keep_freed_memory` has set; nothing if it was not called, or could not."""
    return dict(_kept)

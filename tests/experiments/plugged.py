"""Restores the registers of this process after a test."""

import sys
from contextlib import contextmanager

from experiments import plugins, register


@contextmanager
def fresh_registry():
    """Removes everything that a test registered or loaded as a plug-in."""
    kept = [register._datasets, register._models, register._poolings, register._plugins]
    kept.append(plugins._loaded)
    before, modules = [dict(entries) for entries in kept], set(sys.modules)
    try:
        yield
    finally:
        for entries, old in zip(kept, before, strict=True):
            entries.clear()
            entries.update(old)
        for name in set(sys.modules) - modules:
            if name.startswith("plugin_"):
                del sys.modules[name]

"""Registers of this process, put back after a test."""

import sys
from contextlib import contextmanager

from experiments import plugins, register


@contextmanager
def fresh_registry():
    """What is registered or loaded as a plug-in is forgotten at the end, as by a new process."""
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

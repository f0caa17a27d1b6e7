"""The process keeps freed memory, and records the setting."""

import os
import subprocess
import sys

import pytest

CODE = """
import resource
from experiments import environment
from experiments.allocator import keep_freed_memory

kept = keep_freed_memory()
import numpy as np

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def fill():
    np.full(2**24, 1.0)  # 128 MB, freed at once

fill()
before = faults()
for _ in range(4):
    fill()
print(kept, faults() - before, environment.allocator())
"""


def run(**variables):
    clean = {n: v for n, v in os.environ.items() if not n.startswith(("MALLOC_", "GLIBC_"))}
    ended = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**clean, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, faults, settings = ended.stdout.split(maxsplit=2)
    return kept == "True", int(faults), settings


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_freed_memory_is_reused_without_page_faults():
    kept, faults, settings = run()
    assert kept
    assert faults < 1000  # of 131,072 pages in all
    assert "mallopt ARENA_MAX" in settings


def test_allocator_settings_of_the_environment_are_kept():
    kept, _, settings = run(MALLOC_ARENA_MAX="2")
    assert not kept
    assert "mallopt" not in settings

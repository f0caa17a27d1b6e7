"""A worker process of a benchmark, and the environment variables that it gets."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from experiments.bench.config import ALLOCATORS, Allocator
from experiments.records import Record

CHECKOUT = Path(__file__).parents[2]


def work(
    module: str,
    job: Record,
    timeout_s: float,
    *,
    python: str = sys.executable,
    environment: Mapping[str, str],
) -> str | None:
    """Runs a module as a process that reads its job as JSON from standard input.

    Args:
        module: The name of the module.
        job: The job.
        timeout_s: Seconds after which the process is killed.
        python: The interpreter.
        environment: The environment variables, of `worker_environment`.

    Returns:
        None if the process succeeded, else the reason of its failure.
    """
    try:
        ended = subprocess.run(
            [python, "-m", module],
            input=job.model_dump_json(),
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return f"not finished after {timeout_s:.0f} s"
    if ended.returncode == 0:
        return None
    last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
    return f"its process ended with status {ended.returncode}: {last}"


def worker_environment(allocator: Allocator) -> dict[str, str]:
    """The environment variables of a worker: allocator settings, no compilation cache."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MALLOC_") and name != "GLIBC_TUNABLES"
    }
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    return {
        **kept,
        **ALLOCATORS[allocator],
        "PYTHONPATH": path,
        "JAX_ENABLE_COMPILATION_CACHE": "false",
    }

"""Where a study runs: versions, device, and the settings that change how fast it is."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from experiments.allocator import kept
from experiments.records import Environment, Origin, RecordError
from jaxpool.version import __version__ as jaxpool_version

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


def capture(plugins: Mapping[str, str] | None = None, *, divided: bool = False) -> Environment:
    """Describes this process, its machine and its checkout, as of now.

    Args:
        plugins: Hashes of the plug-ins in use; see `experiments.plugins.load`.
        divided: Whether training divides each batch among all devices.
    """
    commit = _git("rev-parse", "HEAD")
    status = _git("status", "--porcelain", "--untracked-files=no")
    return Environment(
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={
            "python": platform.python_version(),
            "jaxpool": jaxpool_version,
            **{name: metadata.version(name) for name in _PACKAGES},
        },
        platform=platform.platform(),
        device=device_name(),
        device_kind=jax.local_devices()[0].device_kind,
        devices=jax.device_count(),
        cpu_model=cpu_model(),
        cores=cores(),
        xla_flags=os.environ.get("XLA_FLAGS", ""),
        allocator=allocator(),
        git_commit=commit,
        git_dirty=None if status is None else bool(status),
        plugins=dict(plugins or {}),
        mesh=mesh() if divided else "",
    )


def refuse_other_origin(path: Path, origin: Origin | None, here: Origin, remove: Path) -> None:
    """Checks that a record of an unfinished study was made in this environment.

    Args:
        path: The record.
        origin: What made it; None if that is not known.
        here: This environment.
        remove: What to remove so that it is made again, for the message.

    Raises:
        RecordError: It was made in another one; the message says what differs.
    """
    if origin is None:
        return
    before, now = _facts(origin), _facts(here)
    changes = [
        f"\n  {key} was {before.get(key)!r}, is {now.get(key)!r}"
        for key in dict.fromkeys([*before, *now])
        if before.get(key) != now.get(key)
    ]
    if changes:
        raise RecordError(
            f"{path}: was made in another environment, and one results folder has one. Give --out "
            f"another folder, or remove {remove} to train it again.{''.join(changes)}"
        )


def _facts(origin: Origin) -> dict[str, Any]:
    """What is compared of an origin, each plug-in by itself."""
    facts = origin.model_dump()
    plugins = facts.pop("plugins")
    return facts | {f"plug-in {name}": digest for name, digest in plugins.items()}


def device_name() -> str:
    """The default device in words, for example ``cpu: AMD EPYC 7B13, 2 cores``."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return f"cpu: {cpu_model()}, {cores()} cores"
    return f"{device.platform}: {device.device_kind}"


def mesh() -> str:
    """The devices of all processes in words, for example ``"8 devices of 2 processes"``."""
    devices, processes = jax.device_count(), jax.process_count()
    return (
        f"{devices} device{'s' if devices > 1 else ''} of "
        f"{processes} process{'es' if processes > 1 else ''}"
    )


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> int:
    """Bytes of memory of the default device: of a CPU, those of the machine."""
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    return limit or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def cpu_model() -> str:
    """The processor's name, as the operating system gives it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def allocator() -> dict[str, str]:
    """The settings of the memory allocator, which decide much of a CPU's speed.

    Of preloaded libraries only the file names are kept: they say which allocator, not whose disk.
    """
    names = sorted(n for n in os.environ if n.startswith("MALLOC_") or n == "GLIBC_TUNABLES")
    settings = {name: os.environ[name] for name in names}
    settings |= kept()
    if preloaded := os.environ.get("LD_PRELOAD", "").replace(":", " ").split():
        settings["LD_PRELOAD"] = " ".join(Path(library).name for library in preloaded)
    return settings


def versions_in(python: str, packages: Sequence[str]) -> dict[str, str]:
    """The versions of those packages that another Python interpreter has installed.

    Args:
        python: The path of the interpreter.
        packages: Names of distributions.
    """
    asked = subprocess.run(
        [python, "-c", _VERSIONS, *packages], capture_output=True, text=True, check=True
    )
    return json.loads(asked.stdout)


_VERSIONS = """
import json, sys
from importlib import metadata

found = {}
for package in sys.argv[1:]:
    try:
        found[package] = metadata.version(package)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def _git(*arguments: str) -> str | None:
    """Git's answer about the checkout that holds this file; None without git or a checkout."""
    try:
        answer = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()

"""The environment of a benchmark: that of a study, and the versions of what it compares."""

import hashlib
from importlib import metadata
from pathlib import Path

import jaxpool
from experiments import environment
from experiments.records import Environment

_PEERS = ("torch", "onnxruntime", "equinox", "dm-haiku")


def describe(interpreter: Path | None = None, before: Path | None = None) -> Environment:
    """The environment, with the peers' versions and a digest of the library's own code.

    Args:
        interpreter: Another Python interpreter, for the versions of packages that this one lacks.
        before: A checkout with another jaxpool, which is recorded by a digest as well.
    """
    here = environment.capture()
    versions = dict(here.versions)
    elsewhere = {} if interpreter is None else environment.versions_in(str(interpreter), _PEERS)
    for package in _PEERS:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = elsewhere.get(package, "not installed")
    versions["jaxpool code"] = _digest(Path(jaxpool.__file__).parent)
    if before is not None:
        versions["jaxpool before"] = _digest(before / "jaxpool")
    return here.model_copy(update={"versions": versions})


def _digest(package: Path) -> str:
    """The first twelve digits of a hash of the source files of a package."""
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(f"{file.relative_to(package)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]

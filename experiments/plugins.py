"""Plug-ins: Python files of a user, imported by the command-line option `--plugin`.

A config never names code. The fingerprint of a run includes the hash of the source of each plug-in
that the run uses.
"""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments import register
from experiments.register import RegisterError

_loaded: dict[str, str] = {}
"""SHA-256 digest of each imported plug-in, by module name."""


def load(names: Sequence[str]) -> dict[str, str]:
    """Imports plug-ins.

    Args:
        names: Paths of Python files, or names of modules that can be imported.

    Returns:
        The SHA-256 of each plug-in's source, by the name of its file.

    Raises:
        RegisterError: A plug-in cannot be found or imported.
    """
    return dict(_load(name) for name in names)


def _load(name: str) -> tuple[str, str]:
    path = Path(name)
    if path.suffix == ".py" or "/" in name:
        # The prefix keeps a plug-in file called random.py from replacing the module random.
        module, source = f"plugin_{path.stem}", path
        spec = importlib.util.spec_from_file_location(module, path)
    else:
        module = name
        try:
            spec = importlib.util.find_spec(name)
        except ImportError as error:
            raise RegisterError(f"--plugin {name}: cannot be imported: {error}") from error
        source = Path(spec.origin) if spec and spec.origin else path
    if spec is None or spec.loader is None or not source.is_file():
        raise RegisterError(
            f"--plugin {name}: not found; it must be a Python file or a module that can be imported"
        )
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    if _loaded.get(module) == digest:
        return source.name, digest
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded
    try:
        with register.loading(digest):
            spec.loader.exec_module(loaded)
    except Exception as error:
        del sys.modules[module]
        raise RegisterError(f"--plugin {name}: {type(error).__name__}: {error}") from error
    _loaded[module] = digest
    return source.name, digest

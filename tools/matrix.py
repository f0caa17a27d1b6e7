"""Runs `make test` on the oldest supported Python of this machine, and every test on the newest.

    python3 tools/matrix.py [--everything] [arguments of pytest]

Tests marked `thorough` run on the newest Python only, unless `--everything` is given: they are
further cases of tables whose kinds `make test` covers, and take three quarters of the time.

The oldest Python installs the oldest supported JAX series, because newer series do not support it.
The newest Python installs the newest JAX. Interpreters are searched on PATH, in pyenv and in uv.
Each has its own virtual environment: `.venv` if that was made with it, else `.venv-X.Y`.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUPPORTED = [(3, 11), (3, 12), (3, 13)]


def interpreters() -> dict[tuple[int, int], str]:
    """Finds the supported interpreters of this machine, by version."""
    found = {}
    for version in SUPPORTED:
        name = "python{}.{}".format(*version)
        on_path = shutil.which(name)
        for candidate in [*([on_path] if on_path else []), *_pyenv(name), *_uv(version)]:
            if _version(candidate) == version:
                found[version] = candidate
                break
    found.setdefault(sys.version_info[:2], sys.executable)
    return {version: found[version] for version in SUPPORTED if version in found}


def _version(path: str) -> tuple[int, int] | None:
    """The version of an interpreter; None if it does not run, as a pyenv shim may not."""
    code = "import sys, venv; print(*sys.version_info[:2])"
    answer = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        return None
    major, minor = map(int, answer.stdout.split())
    return major, minor


def _pyenv(name: str) -> list[str]:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return sorted(map(str, root.glob(f"versions/*/bin/{name}")), reverse=True)


def _uv(version: tuple[int, int]) -> list[str]:
    if not shutil.which("uv"):
        return []
    command = ["uv", "python", "find", "--no-python-downloads", "{}.{}".format(*version)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.split() if answer.returncode == 0 else []


def environment(version: tuple[int, int]) -> str:
    """The folder of the virtual environment for a version."""
    made_with = ROOT / ".venv" / "pyvenv.cfg"
    if made_with.is_file():
        found = re.search(r"^version = (\d+)\.(\d+)", made_with.read_text(), re.MULTILINE)
        if found and (int(found[1]), int(found[2])) == version:
            return ".venv"
    return ".venv-{}.{}".format(*version)


def main() -> int:
    """Runs the suites one after the other; returns the number of suites that failed."""
    found = interpreters()
    versions = sorted({min(found), max(found)})
    if len(versions) == 1:
        print("only Python {}.{} was found: the tests run on it alone".format(*versions[0]))
    failed = 0
    arguments = sys.argv[1:]
    everywhere = "--everything" in arguments
    if everywhere:
        arguments.remove("--everything")
    for version in versions:
        python, venv = found[version], environment(version)
        print("--- Python {}.{} in {}".format(*version, venv), flush=True)
        thorough = ["-m", ""] if everywhere or version == versions[-1] else []
        command = ["make", "test", f"PYTHON={python}", f"VENV={venv}"]
        command.append(f"ARGS={shlex.join([*thorough, *arguments])}")
        failed += subprocess.run(command, cwd=ROOT, check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())

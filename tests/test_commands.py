"""The README's two commands, one after the other, in a separate checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
VENV = Path(sys.prefix)
# Marked as installed, or make would install this checkout's package over the one under test.
INSTALLED = [f"--old-file={VENV}/{name}" for name in (".installed-experiments", ".installed-test")]


def run(command, folder):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "JAX_"))}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Copies the files that git tracks or would add."""
    files = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], ROOT)
    if files.returncode != 0 or shutil.which("make") is None:
        pytest.skip("needs git's checkout, and make")
    folder = tmp_path_factory.mktemp("checkout")
    for name in files.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.com"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "all"]):
        assert run(["git", *command], folder).returncode == 0
    return folder


def make(target, arguments, folder):
    command = ["make", *INSTALLED, target, f"VENV={VENV}", f"ARGS={arguments}"]
    result = run(command, folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.thorough
def test_quickstart_then_test_leave_the_checkout_clean(checkout):
    """With one seed and one epoch, and only the tests that read the records."""
    table = make(
        "quickstart",
        "--set training.epochs=1 --set training.seeds=[0] --set measurement.seconds=1",
        checkout,
    )
    assert "results: runs/quickstart" in table
    assert "strided" in table
    passed = make("test", "tests/test_documents.py -k every_document", checkout)
    assert "passed" in passed
    status = run(["git", "status", "--porcelain"], checkout)
    assert status.returncode == 0
    assert status.stdout == ""

"""The wheel, used from an empty folder without Flax, and the sdist."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import jaxpool

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

ROOT = Path(__file__).parents[1]
USE = """
import sys
sys.modules["flax"] = None  # importing it fails
import jax, jax.numpy as jnp
import jaxpool
from jaxpool.compat import flax, lax
assert jaxpool.__file__.startswith(sys.argv[1]), jaxpool.__file__
assert "flax" not in [name for name, module in sys.modules.items() if module is not None]
x = jnp.arange(16.0).reshape(1, 4, 4, 1)
assert jaxpool.max_pool(x, 2)[0, :, :, 0].tolist() == [[5.0, 7.0], [13.0, 15.0]]
assert jax.grad(lambda x: jaxpool.avg_pool(x, 2).sum())(x).sum() == 4
print(jaxpool.__version__)
"""


def run(*command, **options):
    process = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, check=False, **options
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the wheel and the sdist of this checkout."""
    folder = tmp_path_factory.mktemp("built")
    run("-m", "hatchling", "build", "-d", folder, cwd=ROOT)
    return folder


def test_the_wheel_works_from_an_empty_folder_without_flax(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {
        "jaxpool",
        f"jaxpool-{jaxpool.__version__}.dist-info",
    }
    assert "jaxpool/py.typed" in names
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    run("-m", "pip", "install", "--quiet", "--no-deps", "--target", installed, wheel)
    said = run("-c", USE, installed, cwd=empty, env={"PYTHONPATH": str(installed)})
    assert said.strip() == jaxpool.__version__


def test_the_sdist_has_what_its_tests_need(built, tmp_path):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    arguments = ["tests/pooling/windows/test_maximum.py", "tests/test_documents.py"]
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, cwd=folder)

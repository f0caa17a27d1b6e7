"""The cache of computed arrays: what is damaged is computed again."""

import numpy as np
import pytest

from experiments.data.cache import cached

ARRAYS = {"mean": np.arange(3, dtype=np.float32)}


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"\x00\xff garbage",
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(
            b"\x01\x02-\x03-\x00\x00\x00\x00", b"\x01\x02-\x03-\x00\x00\x00\x77"
        ),
    ],
    ids=["empty", "garbage", "half", "an unknown compression"],
)
def test_a_damaged_file_is_computed_and_written_again(damage, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def compute():
        calls.append(1)
        return ARRAYS

    assert cached("folder", "key", compute) is ARRAYS
    np.testing.assert_array_equal(cached("folder", "key", compute)["mean"], ARRAYS["mean"])
    assert len(calls) == 1
    (path,) = tmp_path.rglob("*.npz")
    content = path.read_bytes()
    assert damage(content) != content
    path.write_bytes(damage(content))
    assert cached("folder", "key", compute) is ARRAYS
    assert path.read_bytes() == content

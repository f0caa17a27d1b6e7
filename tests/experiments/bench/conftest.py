"""Records of a benchmark that never ran."""

import pytest

from experiments.bench import timing
from experiments.bench.config import Bench
from experiments.bench.records import COPY, BenchRecord


@pytest.fixture(autouse=True)
def _no_collection_of_garbage(monkeypatch):
    """Benchmarks collect garbage before they time; after thousands of tests, it takes seconds."""
    monkeypatch.setattr(timing.gc, "collect", lambda: None)


@pytest.fixture
def bench():
    """A benchmark of two small cases."""
    return Bench.model_validate(
        {
            "name": "made-up",
            "title": "Two poolings",
            "contenders": ["jaxpool", "jaxpool:*", "torch", "lax", "flax"],
            "cases": [
                {
                    "name": name,
                    "operator": "max",
                    "shape": [2, 16, 16, 4],
                    "window": window,
                    "padding": "SAME",
                }
                for name, window in (("narrow", 3), ("wide", 9))
            ],
        }
    )


@pytest.fixture
def record():
    """Makes a record of `seconds` with a relative `spread`, or with another outcome."""

    def make(contender="jaxpool", seconds=None, *, spread=0.01, count=9, **changes):
        values = {
            "case": "narrow",
            "description": "max 2x16x16x4 k3 s1 SAME",
            "dtype": "float32",
            "mode": "forward",
            "contender": contender,
            "allocator": "default",
            "group": "g",
            "outcome": "timed",
            "input_bytes": 8192,
            "traffic_bytes": 16384,
        }
        if seconds is not None:
            steps = [0.0] if count == 1 else [2 * i / (count - 1) - 1 for i in range(count)]
            values["timing"] = timing.timing([seconds * (1 + spread * s) for s in steps], 1)
        return BenchRecord(**{**values, **changes})

    return make


@pytest.fixture
def records(record):
    """Two cases forward and backward; we need 1 ms, PyTorch 2, lax and Flax 4, the copy 0.5."""
    made = []
    for case, window, slower in (("narrow", 3, 1), ("wide", 9, 3)):
        for mode in ("forward", "gradient"):
            here = {
                "case": case,
                "mode": mode,
                "description": f"max 2x16x16x4 k{window} s1 SAME",
            }
            ours = {"compile_s": 0.3, "temp_bytes": 4096}
            made += [
                record("jaxpool", 0.001 * slower, **ours, **here),
                record("jaxpool:itself", 0.00102 * slower, **here),
                record("jaxpool:direct", outcome="same", same_as="jaxpool", **here),
                record("torch", 0.002, **here),
                record("lax", 0.004 * slower, compile_s=0.1, **here),
                record("flax", outcome="same", same_as="lax", **here),
                record(COPY, 0.0005, **here),
            ]
    return made

"""The way from a call to XLA is short: docs/architecture.md draws each frame of it."""

import traceback
from pathlib import Path

import jax
import numpy as np
from jax import lax

import jaxpool

FOLDER = Path(jaxpool.__file__).parent
NOT_DRAWN = ("sharding.py", "primitives.py")  # the operators' decorator, and `bind`


def ours(stack):
    """The functions of jaxpool on a stack, without comprehensions and wrappers."""
    frames = [f for f in stack if Path(f.filename).is_relative_to(FOLDER)]
    return [f.name for f in frames if Path(f.filename).name not in NOT_DRAWN and f.name[0] != "<"]


def test_ten_frames_from_max_pool_to_xla(monkeypatch):
    lowered, gather = [], lax.gather

    def record(*args, **options):
        lowered.append(ours(traceback.extract_stack()))
        return gather(*args, **options)

    monkeypatch.setattr(lax, "gather", record)
    x = jax.ShapeDtypeStruct((1, 32, 32, 64), np.float32)
    traced = jax.jit(lambda x: jaxpool.max_pool(x, 3, strides=2, padding=1)).trace(x)
    traced.lower(lowering_platforms=("cpu",))
    assert lowered
    when_traced, lowering = 2, 1  # max_pool and reduce; then primitives.lowering
    longest = max(lowered, key=len)
    assert longest[0] == "extreme"
    assert longest[-1] == "_gather"
    assert when_traced + lowering + len(longest) <= 10, longest

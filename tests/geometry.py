"""Random geometries, and random arrays with ties, NaN and infinities."""

import math
import os
from dataclasses import dataclass

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from jaxpool.window import Window
from tests import oracle


def examples(count):
    """Settings of hypothesis: `count` examples, the same in every run.

    With JAXPOOL_EXAMPLES=20, there are 20 times as many, and new ones in every run.
    """
    factor = int(os.environ.get("JAXPOOL_EXAMPLES", "0"))
    return settings(max_examples=count * (factor or 1), derandomize=not factor, deadline=None)


@dataclass(frozen=True)
class Pooling:
    """Geometric arguments with one entry per pooled axis, for jaxpool and for the oracle."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    ceil_mode: bool = False

    @property
    def options(self):
        names = ("axes", "strides", "padding", "dilation", "ceil_mode")
        return {name: getattr(self, name) for name in names} | {"window_shape": self.window}

    def apply(self, function, x, *args, **options):
        options = self.options | options
        return function(x, options.pop("window_shape"), *args, **options)

    def resolved(self):
        return Window.resolve(self.shape, **self.options)

    def judge(self, x, function, where=None):
        geometry = {name: value for name, value in vars(self).items() if name != "shape"}
        return oracle.pool(x, function, where=where, **geometry)


@st.composite
def poolings(draw, taps=9):
    """Geometries of one to three axes, with a limit on the number of taps.

    They include gaps, overlaps, padding wider than the window or the image, windows wider than the
    image, and outputs without windows.
    """
    count = draw(st.sampled_from([1, 1, 2, 2, 2, 3]))
    window, left = [], taps
    for _ in range(count):
        window.append(draw(st.integers(1, min(left, 9))))
        left = max(left // window[-1], 1)
    ndim = count + draw(st.integers(0, 2))
    axes = draw(st.permutations(range(ndim)))[:count]
    shape = [draw(st.integers(1, 2)) for _ in range(ndim)]
    for axis in axes:
        shape[axis] = draw(st.integers(1, {1: 14, 2: 7, 3: 4}[count]))
    side = st.integers(0, 4)

    def each(entries):
        return tuple(draw(entries) for _ in range(count))

    return Pooling(
        tuple(shape),
        tuple(sorted(axes)),
        tuple(window),
        each(st.integers(1, 4)),
        each(st.tuples(side, side)),
        each(st.sampled_from([1, 1, 2, 3])),
        draw(st.booleans()),
    )


def ties(rng, shape):
    """Few distinct numbers, so that most windows contain ties."""
    return rng.integers(-2, 3, shape).astype(np.float32)


def awkward(rng, shape):
    """Ties, NaN and infinities."""
    x = ties(rng, shape)
    hard = np.float32([np.nan, -np.inf, -np.inf, np.inf])
    return np.where(rng.random(shape) < 0.3, rng.choice(hard, shape), x)


def distinct(rng, shape):
    """Distinct, well-separated elements: maxima are smooth in a neighbourhood."""
    size = math.prod(shape)
    return (rng.permutation(size).reshape(shape) - size / 2 + 0.25).astype(np.float32) / 4

"""The fields of a catalogue entry and of an example call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class Map(NamedTuple):
    """A map `(batch, height, width, channels)`, and the window that slides over it."""

    shape: tuple[int, ...]
    window: int
    strides: int

    @property
    def outputs(self) -> tuple[int, int]:
        """Windows along height and width."""
        _, height, width, _ = self.shape
        return (height - self.window) // self.strides + 1, (width - self.window) // self.strides + 1


@dataclass(frozen=True)
class Example:
    """One example call.

    Attributes:
        function: Function of x and `others` that returns y, or a tuple of y and other results.
        shape: The shape of x.
        words: A description of the call's arguments.
        others: Other operands, which are not differentiated.
    """

    function: Callable[..., Any]
    shape: tuple[int, ...]
    words: str
    others: tuple[np.ndarray, ...] = ()


Make = Callable[[Map, np.random.Generator], Example]
"""Builds the example for a map; the generator draws the operator's other operands."""


@dataclass(frozen=True)
class Entry:
    """One public operator.

    The docstring of the operator contains its definition, its use and its source.

    Attributes:
        operator: The function.
        calls: The calls of the benchmark by variant; the first key is `""`.
        windows: The windows of `configs/bench/operators.toml` for its measurements.
        picture: The panels of the gallery beside the photograph `x`, as a dict from an expression
            of `x` and public operators to a note. If empty, a function with the operator's name in
            `tools/gallery/pictures/` draws the panels.
        is_windowed: Whether the operator takes `window_shape`, strides, padding, dilation and a
            mask.
        after_window: The arguments after `window_shape` in a typical call.
        is_exact: Whether the derivative only copies numbers, so that results agree bit for bit.
    """

    operator: Callable[..., Any]
    calls: Mapping[str, Make]
    windows: tuple[int, ...] = (2, 3)
    picture: Mapping[str, str] = field(default_factory=dict)
    is_windowed: bool = False
    after_window: tuple[Any, ...] = ()
    is_exact: bool = False

    @property
    def name(self) -> str:
        """The operator's name."""
        return self.operator.__name__

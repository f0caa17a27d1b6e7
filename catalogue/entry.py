"""What an entry of the catalogue holds, and one example call."""

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
    """One call.

    Attributes:
        function: Of x and `others`; gives y, or a tuple of y and further results.
        shape: The shape of x.
        words: What is special about the call.
        others: Further operands, which have no derivative.
    """

    function: Callable[..., Any]
    shape: tuple[int, ...]
    words: str
    others: tuple[np.ndarray, ...] = ()


Make = Callable[[Map, np.random.Generator], Example]
"""Builds the example for a map; the generator draws what else the operator takes."""


@dataclass(frozen=True)
class Entry:
    """One public operator.

    Its definition, when to use it and its source are in its docstring.

    Attributes:
        operator: The function.
        calls: How the benchmark calls it; the first key is `""`, further ones name variants.
        windows: The windows of `configs/bench/operators.toml` with which it is timed.
        picture: The panels that the gallery shows beside the photograph `x`: an expression of `x`
            and public operators, and a note to it. Empty: a function of the operator's name in
            `tools/gallery/pictures/` draws them.
        is_windowed: Whether it takes `window_shape`, strides, padding, dilation and a mask.
        after_window: The arguments that follow `window_shape` in a typical call.
        is_exact: Whether the derivative only moves numbers, so that results agree bit for bit.
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

"""Inputs and outputs of a contender: operands, problems and programs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from experiments.bench.case import Case, Dtype, Mode
from experiments.targets import ProgramEstimate, Target

MODES: tuple[Mode, ...] = get_args(Mode)


class LeftOut(Exception):  # noqa: N818 - not an error
    """A contender cannot take part; the message says why."""


@dataclass(frozen=True)
class Operands:
    """The mode and the arrays of a computation.

    Attributes:
        mode: `forward`: x to y, compiled if the library compiles. `eager`: the same, without
            compilation. `gradient`: x and dy to y and dx. `jvp`: x and t to y and its tangent.
        x: The input, channels-last.
        dy: The cotangent of the output.
        t: The tangent of the input.
        others: Further operands of the function, which have no derivative.
        target: An absent device to compile for; None for the present one.
    """

    mode: Mode
    x: np.ndarray
    dy: np.ndarray
    t: np.ndarray
    others: tuple[np.ndarray, ...] = ()
    target: Target | None = None

    @property
    def has_derivative(self) -> bool:
        """Whether the second result is a derivative."""
        return self.mode in ("gradient", "jvp")


@dataclass(frozen=True, kw_only=True)
class Problem(Operands):
    """One case in one dtype and mode, with the arrays that all contenders get.

    Attributes:
        case: The pooling.
        dtype: The dtype of all three arrays.
        interpreter: Another Python, for contenders whose library is not installed in this one.
    """

    case: Case
    dtype: Dtype
    interpreter: str | None = None


@dataclass(frozen=True)
class Program:
    """A contender's program for a problem, which can be called repeatedly.

    Attributes:
        run: Runs the whole computation once and returns when it is finished.
        fetch: Converts the result of `run` to channels-last NumPy arrays.
        detail: Layout and threads, if the contender selected them.
        compile_s: Seconds to trace and compile, if the library compiles.
        temp_bytes: Temporary memory of the compiled program, if known.
        text: The program's text, if there is one; equal texts are equal programs.
        estimate: The compiler's estimate for an absent device.
    """

    run: Callable[[], Any]
    fetch: Callable[[Any], tuple[np.ndarray, ...]]
    detail: str = ""
    compile_s: float | None = None
    temp_bytes: int | None = None
    text: str | None = None
    estimate: ProgramEstimate | None = None

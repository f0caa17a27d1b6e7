"""A call with random operands: the program to compile, and the check of its results."""

from dataclasses import dataclass

import numpy as np

from catalogue import Example
from experiments.bench.calls import answer
from experiments.bench.calls.config import Call
from experiments.bench.calls.examples import CHECKS
from experiments.bench.contenders import Mode, Operands, Program, compiled
from experiments.bench.judging import Results, Verdict
from experiments.targets import Target


@dataclass(frozen=True)
class Trial:
    """A call, its example, and the operands of one mode."""

    call: Call
    example: Example
    operands: Operands

    @classmethod
    def draw(cls, call: Call, mode: Mode, seed: int, target: Target | None = None) -> "Trial":
        """Draws normal elements, cotangents and tangents; for this device or for `target`."""
        rng = np.random.default_rng(seed)
        x, (y, *_) = call.shapes(call.dtypes[0])
        arrays = (rng.standard_normal(a.shape, np.float32) for a in (x, y, x))
        example = call.example()
        return cls(call, example, Operands(mode, *arrays, others=example.others, target=target))

    def prepare(self) -> Program:
        """Compiles the call."""
        return compiled.prepare(self.operands, self.example.function)

    def check(self, results: Results) -> Verdict:
        """Checks the program's results."""
        call = self.call
        if check := CHECKS.get(call.operator):
            return check(self.operands, results, call.window, call.strides)
        return answer.check(self.example, self.operands, results)


def prepare(call: Call, mode: Mode, seed: int, target: Target | None = None) -> Program:
    """Draws the operands of a call and compiles it."""
    return Trial.draw(call, mode, seed, target).prepare()

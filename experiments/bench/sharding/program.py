"""A program whose input is divided among devices: its figures, and its time beside another one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from experiments.bench import timing
from experiments.bench.calls.answer import close
from experiments.bench.config import Budget
from experiments.bench.contenders import Operands, compiled
from experiments.bench.contenders.compiled import Function
from experiments.bench.records import Timing
from experiments.bench.sharding.collectives import traffic
from experiments.clock import Stopwatch


@dataclass(frozen=True)
class DividedProgram:
    """A compiled program and its operands.

    Attributes:
        program: The compiled program.
        computation: What it computes, as a function.
        arrays: Its operands, on the host.
        compile_s: Compilation time in seconds.
    """

    program: jax.stages.Compiled
    computation: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    compile_s: float

    def figures(self, devices: int) -> dict[str, Any]:
        """Fields of a `ShardingRecord` that do not depend on a run.

        Args:
            devices: The number of devices.

        Raises:
            UnreadableProgramError: The text of the program cannot be parsed.
        """
        found = traffic(self.program.as_text(), devices)
        memory = self.program.memory_analysis()
        return {
            "counts": found.counts,
            "received_bytes": found.received,
            "at_least": found.at_least,
            "temp_bytes": None if memory is None else memory.temp_size_in_bytes,
            "compile_s": self.compile_s,
        }

    def complaint(self, results: tuple[np.ndarray, ...]) -> str:
        """How results of the program differ from those on one device; empty if they do not."""
        alone = tuple(map(np.asarray, jax.jit(self.computation)(*self.arrays)))
        return close(results, alone).complaint

    def placed(self) -> Callable[[], Any]:
        """A function that runs the program once, with operands that are on the devices before."""
        shardings, _ = self.program.input_shardings
        arrays = jax.block_until_ready(jax.device_put(self.arrays, tuple(shardings)))
        return lambda: jax.block_until_ready(self.program(*arrays))


def divide(function: Function, operands: Operands, axis: int, devices: int) -> DividedProgram:
    """Compiles a function whose input is divided along one axis.

    The derivative and other operands of the input's shape are sharded like the input. Other
    operands are replicated. XLA chooses the sharding of the result and its cotangent; a result that
    does not divide evenly is replicated.

    Args:
        function: Of x and further operands.
        operands: The operands.
        axis: The axis of x to divide.
        devices: The number of devices.

    Returns:
        The program.
    """
    mesh = jax.make_mesh((devices,), ("shard",), axis_types=(AxisType.Auto,))
    divided = NamedSharding(mesh, PartitionSpec(*[None] * axis, "shard"))
    everywhere = NamedSharding(mesh, PartitionSpec())
    computation, arrays = compiled.whole(operands, function)
    with_derivative = operands.has_derivative
    others = [divided if o.shape == operands.x.shape else everywhere for o in operands.others]
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in arrays]
    results = jax.eval_shape(computation, *shapes)
    jitted: Callable[..., Any] = jax.jit(
        computation,
        in_shardings=(divided, *([None] * with_derivative), *others),
        out_shardings=tuple(
            divided if with_derivative and i == 1 else None for i in range(len(results))
        ),
    )
    with Stopwatch() as compilation:
        program = jitted.lower(*shapes).compile()
    return DividedProgram(program, computation, arrays, compilation.seconds)


def race(programs: Mapping[str, DividedProgram], budget: Budget) -> dict[str, Timing]:
    """Times programs of the same computation in turns.

    Args:
        programs: The programs by name.
        budget: The time limit.

    Returns:
        The timings by name.

    Raises:
        WrongResultError: The results of two programs differ by more than rounding.
    """
    runs = {name: program.placed() for name, program in programs.items()}
    results, firsts = {}, {}
    for name, run in runs.items():
        with Stopwatch() as first:
            results[name] = tuple(map(np.asarray, run()))
        firsts[name] = first.seconds
    reference, *rest = results
    for other in rest:
        if complaint := close(results[reference], results[other]).complaint:
            wrong = [name for name in programs if programs[name].complaint(results[name])]
            raise WrongResultError(
                wrong or [reference], f"{reference} differs from {other}: {complaint}"
            )
    return timing.interleave(runs, firsts, budget, seed=0)


class WrongResultError(Exception):
    """Two programs of one computation give different results.

    Attributes:
        contenders: Those whose result changes when the input is divided; else the first.
    """

    def __init__(self, contenders: Sequence[str], message: str):
        super().__init__(message)
        self.contenders = contenders

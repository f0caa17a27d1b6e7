"""Compiles one case for every axis: `python -m experiments.bench.sharding.worker`.

A separate process, because the number of virtual devices must be set before JAX is initialised. The
worker reads the job as JSON from standard input, and writes all records at once to the file that
the job names.
"""

import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from experiments.bench.calls import Call
from experiments.bench.case import Case, Dtype
from experiments.bench.contenders import LeftOut, Operands, compiled, jaxpool, lax
from experiments.bench.contenders.compiled import Function
from experiments.bench.sharding import plain
from experiments.bench.sharding.collectives import traffic
from experiments.bench.sharding.records import ShardingRecord
from experiments.records import Record, append_lines

_NO_DERIVATIVE = "does not support reverse-mode autodiff"  # suffix of a ValueError of JAX
_SPATIAL = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


class ShardingJob(Record):
    """The job of one process.

    Attributes:
        problem: The case or call.
        dtype: The dtype of the arrays.
        modes: The programs to compile: `forward`, `gradient`.
        contenders: The implementations to compile: `jaxpool`, `lax`.
        devices: The number of virtual devices.
        group: The name of this process in the records.
        output: The file for the records.
    """

    problem: Case | Call
    dtype: Dtype
    modes: tuple[str, ...]
    contenders: tuple[str, ...]
    devices: int
    group: str
    output: Path

    def record(self, mode: str, axis: int, contender: str, **found: Any) -> ShardingRecord:
        """The record of one program."""
        names = axes(self.problem)
        return ShardingRecord.model_validate(
            {
                "case": self.problem.name,
                "description": self.problem.describe(),
                "dtype": self.dtype,
                "mode": mode,
                "axis": names[axis],
                "size": input_shape(self.problem)[axis],
                "devices": self.devices,
                "contender": contender,
                "group": self.group,
                "input_bytes": int(
                    np.prod(input_shape(self.problem)) * np.dtype(self.dtype).itemsize
                ),
                **found,
            }
        )


def input_shape(problem: Case | Call) -> tuple[int, ...]:
    """The shape of the operator's input."""
    return problem.shape if isinstance(problem, Case) else problem.example().shape


def axes(problem: Case | Call) -> tuple[str, ...]:
    """The names of the axes of the input."""
    return ("batch", *_SPATIAL[len(input_shape(problem)) - 2], "channels")


def run(job: ShardingJob) -> list[ShardingRecord]:
    """Compiles a case for every mode, divided axis and contender."""
    return [
        job.record(mode, axis, contender, **_found(job, mode, axis, contender))
        for mode in job.modes
        for axis in range(len(axes(job.problem)))
        for contender in job.contenders
    ]


def _found(job: ShardingJob, mode: str, axis: int, contender: str) -> dict[str, Any]:
    """The result of one program, as fields of its record."""
    shape = input_shape(job.problem)
    if shape[axis] % job.devices:
        reason = f"{shape[axis]} elements do not divide evenly among {job.devices} devices"
        return {"outcome": "left_out", "reason": reason}
    try:
        function, operands = _function(job, mode, contender)
        return {"outcome": "compiled", **measure(function, operands, axis, job.devices)}
    except LeftOut as reason:
        return {"outcome": "left_out", "reason": str(reason)}
    except Exception as error:  # A compiler error is recorded as a result.
        if isinstance(error, NotImplementedError) or _NO_DERIVATIVE in str(error):
            return {"outcome": "left_out", "reason": "JAX has no such derivative"}
        traceback.print_exc()
        return {"outcome": "failed", "reason": f"{type(error).__name__}: {error}"[:500]}


def _function(job: ShardingJob, mode: Any, contender: str) -> tuple[Function, Operands]:
    """The implementation of the operator by a contender, and the shapes of its operands."""

    def shaped(shape: tuple[int, ...]) -> Any:
        return np.broadcast_to(np.zeros((), jax.numpy.dtype(job.dtype)), shape)

    match job.problem:
        case Case() as case:
            ours = contender == "jaxpool"
            function = (lambda x: jaxpool.pool(case, x)) if ours else lax.function(case)
            x, y, others = shaped(case.shape), shaped(case.output_shape), ()
        case Call() as call:
            example = call.example()
            function = example.function if contender == "jaxpool" else plain.of(call)
            if function is None:
                raise LeftOut("lax has no form of it in one or a few operations")
            results = call.shapes(job.dtype)[1]
            x, y = shaped(example.shape), shaped(results[0].shape)
            others = example.others if contender == "jaxpool" else ()
    return function, Operands(mode, x, y, x, others=others)


def measure(function: Function, operands: Operands, axis: int, devices: int) -> dict[str, Any]:
    """Compiles a function whose input is divided along one axis, and parses the program.

    The derivative and other operands of the input's shape are sharded like the input. Other
    operands are replicated. XLA chooses the sharding of the result and its cotangent; a result that
    does not divide evenly is replicated.

    Args:
        function: Of x and further operands.
        operands: The shapes of the operands; no element is read.
        axis: The axis of x to divide.
        devices: The number of devices.

    Returns:
        Fields of a `ShardingRecord`.

    Raises:
        UnreadableProgramError: The text of the program cannot be parsed.
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
    started = time.perf_counter()
    program = jitted.lower(*shapes).compile()
    seconds = time.perf_counter() - started
    found = traffic(program.as_text(), devices)
    memory = program.memory_analysis()
    return {
        "counts": found.counts,
        "received_bytes": found.received,
        "at_least": found.at_least,
        "temp_bytes": None if memory is None else memory.temp_size_in_bytes,
        "compile_s": seconds,
    }


if __name__ == "__main__":
    job = ShardingJob.model_validate_json(sys.stdin.read())
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", job.devices)
    append_lines(job.output, run(job))

"""Compiles one case for every axis: `python -m experiments.bench.sharding.worker`.

A process of its own, because the number of virtual devices must be set before any is used. The job
comes as JSON on standard input; the records go, all at once, to the file that it names.
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

_NO_DERIVATIVE = "does not support reverse-mode autodiff"  # the end of a ValueError of JAX
_SPATIAL = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


class ShardingJob(Record):
    """What one process does.

    Attributes:
        problem: The case or call.
        dtype: Of the arrays.
        modes: What to compile of it: `forward`, `gradient`.
        contenders: Who takes part: `jaxpool`, `lax`.
        devices: The number of virtual devices.
        group: The name of this process in the records.
        output: Where the records go.
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
    """The shape of what the operator is given."""
    return problem.shape if isinstance(problem, Case) else problem.example().shape


def axes(problem: Case | Call) -> tuple[str, ...]:
    """What the axes of the input are called."""
    return ("batch", *_SPATIAL[len(input_shape(problem)) - 2], "channels")


def run(job: ShardingJob) -> list[ShardingRecord]:
    """Compiles a case in every mode, divided along every axis, by every contender."""
    return [
        job.record(mode, axis, contender, **_found(job, mode, axis, contender))
        for mode in job.modes
        for axis in range(len(axes(job.problem)))
        for contender in job.contenders
    ]


def _found(job: ShardingJob, mode: str, axis: int, contender: str) -> dict[str, Any]:
    """What became of one program: some fields of its record, by name."""
    shape = input_shape(job.problem)
    if shape[axis] % job.devices:
        reason = f"{shape[axis]} elements do not divide evenly among {job.devices} devices"
        return {"outcome": "left_out", "reason": reason}
    try:
        function, operands = _function(job, mode, contender)
        return {"outcome": "compiled", **measure(function, operands, axis, job.devices)}
    except LeftOut as reason:
        return {"outcome": "left_out", "reason": str(reason)}
    except Exception as error:  # A compiler's fault is a result, recorded and shown, not our end.
        if isinstance(error, NotImplementedError) or _NO_DERIVATIVE in str(error):
            return {"outcome": "left_out", "reason": "JAX has no such derivative"}
        traceback.print_exc()
        return {"outcome": "failed", "reason": f"{type(error).__name__}: {error}"[:500]}


def _function(job: ShardingJob, mode: Any, contender: str) -> tuple[Function, Operands]:
    """The operator as a contender computes it, and the shapes of its operands."""

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
    """Compiles a function whose input is divided along one axis, and reads the program.

    The derivative is divided as the input is, and so are further operands of the input's shape;
    others are on every device. How the result and its cotangent are divided is XLA's choice. Where
    the result does not divide evenly, every device has all of it.

    Args:
        function: Of x and further operands.
        operands: Their shapes; no element is read.
        axis: Which axis of x is divided.
        devices: Among how many devices.

    Returns:
        Fields of a `ShardingRecord`.

    Raises:
        UnreadableProgramError: The program's text is not understood.
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

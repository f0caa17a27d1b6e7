"""Compiles one case for every axis: `python -m experiments.bench.sharding.worker`.

Where jaxpool and lax are both compiled, both also run, in turns. The worker is a separate process,
because the number of virtual devices must be set before JAX is initialised. It reads the job as
JSON from standard input, and writes all records at once to the file that the job names.
"""

import functools
import sys
import traceback
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.bench.calls import Call
from experiments.bench.case import Case, Dtype
from experiments.bench.config import Budget
from experiments.bench.contenders import LeftOut, Operands, jaxpool, lax
from experiments.bench.contenders.compiled import Function
from experiments.bench.sharding import plain
from experiments.bench.sharding.program import DividedProgram, WrongResultError, divide, race
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
        budget: The time limit of each pair of programs.
        group: The name of this process in the records.
        output: The file for the records.
    """

    problem: Case | Call
    dtype: Dtype
    modes: tuple[str, ...]
    contenders: tuple[str, ...]
    devices: int
    budget: Budget
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
    """Compiles a case for every mode, divided axis and contender, and times it beside lax."""
    return [
        job.record(mode, axis, contender, **fields)
        for mode in job.modes
        for axis in range(len(axes(job.problem)))
        for contender, fields in _contest(job, mode, axis).items()
    ]


def _contest(job: ShardingJob, mode: str, axis: int) -> dict[str, dict[str, Any]]:
    """The fields of the records of all contenders in one mode with one divided axis."""
    fields: dict[str, dict[str, Any]] = {}
    programs: dict[str, DividedProgram] = {}
    for name in job.contenders:
        try:
            programs[name] = _divided(job, mode, axis, name)
            fields[name] = {"outcome": "compiled", **programs[name].figures(job.devices)}
        except LeftOut as reason:
            fields[name] = {"outcome": "left_out", "reason": str(reason)}
        except Exception as error:  # A compiler error is recorded as a result.
            fields[name] = _failed(error)
    if len(fields) > 1 and all(each["outcome"] == "compiled" for each in fields.values()):
        try:
            for name, timing in race(programs, job.budget).items():
                fields[name]["timing"] = timing
        except WrongResultError as error:  # So is a wrong result,
            fields.update(dict.fromkeys(error.contenders, _failed(error)))
        except Exception as error:  # and an error at run time.
            fields["jaxpool"] = _failed(error)
    return fields


def _failed(error: Exception) -> dict[str, Any]:
    """The fields of the record of a program that could not be compiled, parsed or run."""
    if isinstance(error, NotImplementedError) or _NO_DERIVATIVE in str(error):
        return {"outcome": "left_out", "reason": "JAX has no such derivative"}
    traceback.print_exception(error)
    return {"outcome": "failed", "reason": f"{type(error).__name__}: {error}"[:500]}


def _divided(job: ShardingJob, mode: str, axis: int, contender: str) -> DividedProgram:
    """The program of one contender."""
    size = input_shape(job.problem)[axis]
    if size % job.devices:
        raise LeftOut(f"{size} elements do not divide evenly among {job.devices} devices")
    function, operands = _function(job, mode, contender)
    return divide(function, operands, axis, job.devices)


def _function(job: ShardingJob, mode: Any, contender: str) -> tuple[Function, Operands]:
    """The implementation of the operator by a contender, and its operands."""
    match job.problem:
        case Case() as case:
            ours = contender == "jaxpool"
            function = (lambda x: jaxpool.pool(case, x)) if ours else lax.function(case)
            shapes, others = (case.shape, case.output_shape), ()
        case Call() as call:
            example = call.example()
            function = example.function if contender == "jaxpool" else plain.of(call)
            if function is None:
                raise LeftOut("lax has no form of it in one or a few operations")
            shapes = (example.shape, call.shapes(job.dtype)[1][0].shape)
            others = example.others if contender == "jaxpool" else ()
    x, y = (_normal(shape, job.dtype, seed) for seed, shape in enumerate(shapes))
    return function, Operands(mode, x, y, x, others=others)


@functools.cache
def _normal(shape: tuple[int, ...], dtype: Dtype, seed: int) -> np.ndarray:
    """Normal elements, equal for all contenders."""
    drawn = np.random.default_rng(seed).standard_normal(shape, np.float32)
    return drawn.astype(jax.numpy.dtype(dtype))


if __name__ == "__main__":
    job = ShardingJob.model_validate_json(sys.stdin.read())
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", job.devices)
    append_lines(job.output, run(job))

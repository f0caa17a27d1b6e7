"""One case in one dtype, in a process of its own: `python -m experiments.operators.worker`.

A fresh process, because the memory allocator takes its settings from the environment at its start,
and because nothing that one case leaves behind may help or hinder the next. The job comes as JSON
on standard input; the records go, all at once, to the file that it names.
"""

import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.operators import contenders, contest, network
from experiments.operators.case import ITEM_BYTES, Case, Dtype
from experiments.operators.config import Allocator, Budget
from experiments.operators.contenders import Mode, Problem, Program
from experiments.operators.contest import Results, Verdict
from experiments.operators.network import Network, Training
from experiments.operators.network.problem import FirstStep
from experiments.operators.records import COPY, BenchRecord
from experiments.operators.reference import Expected, Reference
from experiments.records import Record, append_lines

TRAIN_STEP = "train_step"


class Job(Record):
    """What one process does.

    Attributes:
        problem: The case or network.
        dtype: Of the arrays.
        modes: What to time of a case; a network has its training step.
        contenders: Who takes part.
        allocator: The allocator's setting, already in force.
        group: The name of this process in the records.
        budget: How long each mode takes.
        busy_cores: Cores that other processes kept busy just before.
        output: Where the records go.
    """

    problem: Case | Network
    dtype: Dtype
    modes: tuple[Mode, ...]
    contenders: tuple[str, ...]
    allocator: Allocator
    group: str
    budget: Budget
    busy_cores: float | None
    output: Path

    @property
    def seed(self) -> int:
        """A number of the problem and its dtype, the same in every run."""
        return zlib.crc32(f"{self.problem.name} {self.dtype}".encode())

    def records(self, mode: str, fields: dict[str, dict[str, Any]]) -> list[BenchRecord]:
        """The records of one contest."""
        problem = self.problem
        if isinstance(problem, Case):
            sizes = problem.input_bytes(self.dtype), problem.traffic_bytes(self.dtype, mode)
        else:
            sizes = problem.batch * int(np.prod(problem.image)) * ITEM_BYTES[self.dtype], 0
        return [
            BenchRecord(
                case=problem.name,
                description=problem.describe(),
                dtype=self.dtype,
                mode=mode,
                contender=name,
                allocator=self.allocator,
                group=self.group,
                busy_cores=self.busy_cores,
                input_bytes=sizes[0],
                traffic_bytes=2 * sizes[0] if name == COPY else sizes[1],
                **given,
            )
            for name, given in fields.items()
        ]


def run(job: Job) -> list[BenchRecord]:
    """Does a job in this process."""
    _warm_up()
    problem = job.problem
    contests = _pooling(job, problem) if isinstance(problem, Case) else _training(job, problem)
    return [record for mode, fields in contests for record in job.records(mode, fields)]


def _pooling(job: Job, case: Case) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    rng = np.random.default_rng(job.seed)
    dtype = np.dtype(jnp.dtype(job.dtype))
    shapes = (case.shape, case.output_shape, case.shape)
    x, dy, t = (rng.standard_normal(shape, np.float32).astype(dtype) for shape in shapes)
    reference = Reference(case, x)
    on_device = jnp.asarray(x)
    copy = jax.jit(lambda array: array + 1).lower(on_device).compile()
    for mode in job.modes:
        problem = Problem(case, job.dtype, mode, x, dy, t)
        expected = _expected(reference, problem)

        def prepare(name: str, problem: Problem = problem) -> Program:
            if reason := case.leave_out.get(name):
                raise contenders.LeftOut(reason)
            return contenders.prepare(name, problem)

        def check(results: Results, expected: Sequence[Expected] = expected) -> Verdict:
            return judge(results, expected, dtype)

        extra = {COPY: lambda: jax.block_until_ready(copy(on_device))}
        yield mode, contest.hold(job.contenders, prepare, check, job.budget, job.seed, extra)


def _expected(reference: Reference, problem: Problem) -> tuple[Expected, ...]:
    match problem.mode:
        case "gradient":
            return reference.forward(), reference.gradient(problem.dy)
        case "jvp":
            return reference.forward(), reference.tangent(problem.t)
        case _:
            return (reference.forward(),)


def judge(results: Results, expected: Sequence[Expected], dtype: np.dtype) -> Verdict:
    """Checks a pooling's results, all of them: dtype, shape, and every element.

    Args:
        results: What a contender gave.
        expected: What it should have given.
        dtype: The dtype that all of it must have.

    Returns:
        The largest error, and the first thing that is wrong.
    """
    if len(results) != len(expected):
        return Verdict(0.0, f"gave {len(results)} results, not {len(expected)}")
    worst = 0.0
    names = ("the value", "the derivative")[: len(results)]
    for name, result, wanted in zip(names, results, expected, strict=True):
        if result.dtype != dtype:
            return Verdict(worst, f"{name} is {result.dtype}, not {dtype}")
        if result.shape != wanted.value.shape:
            return Verdict(worst, f"{name} has shape {result.shape}, not {wanted.value.shape}")
        error = wanted.error(result)
        worst = max(worst, error)
        allowed = wanted.tolerance(float(jnp.finfo(dtype).eps))
        if error > allowed:
            return Verdict(
                worst, f"{name} is off by {error:.2g} of its terms; allowed {allowed:.2g}"
            )
    return Verdict(worst)


def _training(job: Job, net: Network) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    training = Training.draw(net, job.seed)
    first = FirstStep.of(training)

    def check(results: Results) -> Verdict:
        error = first.error(results)
        off = f"off by {error:.2g} of the first step; allowed {first.tolerance:.2g}"
        return Verdict(error, off if error > first.tolerance else "")

    def prepare(name: str) -> Program:
        return network.prepare(name, training)

    yield TRAIN_STEP, contest.hold(job.contenders, prepare, check, job.budget, job.seed, extra={})


def _warm_up() -> None:
    """Lets JAX do what it does once a process, so that no contender's compilation pays for it."""
    jax.block_until_ready(jax.jit(jax.grad(lambda x: jnp.sin(x).sum()))(jnp.ones((8, 8))))


if __name__ == "__main__":
    job = Job.model_validate_json(sys.stdin.read())
    append_lines(job.output, run(job))

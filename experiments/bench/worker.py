"""Worker process of one round in one dtype: `python -m experiments.bench.worker`.

Each round gets a new process, because the memory allocator reads its settings from the environment
at the start, and so that no round affects the next one. The job is read as JSON from standard
input; all records are written at once to the file that the job names.
"""

import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bench import contenders, contest, network
from experiments.bench.calls import Call, Trial, trial
from experiments.bench.case import Case, Dtype
from experiments.bench.config import Allocator, Budget, Subject
from experiments.bench.contenders import (
    BEFORE,
    YARDSTICK,
    Mode,
    Operands,
    Problem,
    Program,
    compiled,
    elsewhere,
)
from experiments.bench.judging import Results, Verdict, judge
from experiments.bench.network import TRAIN_STEP, Network, TrainingProblem
from experiments.bench.network.problem import FirstStep
from experiments.bench.records import COPY, BenchRecord
from experiments.bench.reference import Expected, Reference
from experiments.bench.results import OURS
from experiments.bench.timing import Run
from experiments.records import Record, append_lines
from experiments.targets import Target

Contests = Iterator[tuple[str, dict[str, contest.Standing]]]


class Job(Record):
    """The job of one worker process.

    Attributes:
        problems: The cases, calls or networks of the round.
        dtype: Dtype of the arrays.
        modes: The modes to time of a case; a network has its training step instead.
        contenders: Names of the contenders.
        allocator: Name of the allocator's setting, which is already active.
        group: The name of this process in the records.
        budget: The time limit of each problem and mode.
        busy_cores: Number of cores used by other processes just before the timing.
        output: The file for the records.
        target: An absent device to compile for instead of timing.
        interpreter: Another Python, for contenders whose library is not installed in this one.
        before: A checkout with the jaxpool of the contender `BEFORE`.
    """

    problems: tuple[Subject, ...]
    dtype: Dtype
    modes: tuple[Mode, ...]
    contenders: tuple[str, ...]
    allocator: Allocator
    group: str
    budget: Budget
    busy_cores: float | None
    output: Path
    target: Target | None = None
    interpreter: str | None = None
    before: Path | None = None

    def separates(self, name: str) -> bool:
        """Whether the contender runs in a process of its own: both jaxpools, if there are two.

        Page faults depend on what else a process has allocated.
        """
        return self.before is not None and name in (OURS, BEFORE)

    def seed(self, problem: Subject) -> int:
        """A random seed derived from the problem and its dtype, equal in every run."""
        return zlib.crc32(f"{problem.name} {self.dtype}".encode())

    def records(
        self, problem: Subject, mode: str, fields: dict[str, dict[str, Any]]
    ) -> list[BenchRecord]:
        """The records of one contest."""
        input_bytes = problem.input_bytes(self.dtype)
        traffic_bytes = problem.traffic_bytes(self.dtype, mode)
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
                input_bytes=input_bytes,
                traffic_bytes=2 * input_bytes if name == COPY else traffic_bytes,
                **given,
            )
            for name, given in fields.items()
        ]


def run(job: Job) -> list[BenchRecord]:
    """Runs a job in this process: for each mode, the contests of all problems together."""
    if job.target is not None:
        return [
            record
            for problem in job.problems
            for mode in job.modes
            for record in job.records(problem, mode, _estimates(job, problem, mode, job.target))
        ]
    compiled.warm_up()
    records: list[BenchRecord] = []
    for stage in zip(*(_contests(job, problem) for problem in job.problems), strict=True):
        contest.race([entered for _, entered in stage], job.budget, job.seed(job.problems[0]))
        for problem, (mode, entered) in zip(job.problems, stage, strict=True):
            fields = {name: standing.fields for name, standing in entered.items()}
            records += job.records(problem, mode, fields)
    return records


def _estimates(job: Job, problem: Subject, mode: Mode, target: Target) -> dict[str, dict]:
    """Fields of the records of one case in one mode, by contender, from compilers' estimates."""
    dtype = np.dtype(jnp.dtype(job.dtype))

    def zeros(shape: Sequence[int]) -> np.ndarray:
        return np.broadcast_to(np.zeros((), dtype), tuple(shape))

    match problem:
        case Case() as case:
            x, y = zeros(case.shape), zeros(case.output_shape)
            asked = Problem(mode, x, y, x, case=case, dtype=job.dtype, target=target)
            makers = {name: partial(contenders.prepare, name, asked) for name in job.contenders}
            ours = partial(contenders.prepare, OURS, asked)
        case Call() as call:
            seed, calls = job.seed(call), {OURS: call, YARDSTICK: call.yardstick}
            makers = {
                name: partial(trial.prepare, each, mode, seed, target)
                for name, each in calls.items()
                if name in job.contenders
            }
            ours = partial(trial.prepare, call, mode, seed, target)
            x = zeros(call.shape)
        case Network():
            return {}
    copy = Operands("forward", x, x, x, target=target)
    makers[COPY] = partial(compiled.prepare, copy, lambda x: x + 1)
    if BEFORE in job.contenders:
        makers[BEFORE] = partial(_apart, job, BEFORE, ours)
    return {name: contest.estimate(make) for name, make in makers.items()}


def _contests(job: Job, problem: Subject) -> Contests:
    match problem:
        case Case() as case:
            return _pooling(job, case)
        case Call() as call:
            return _calling(job, call)
        case Network() as network:
            return _training(job, network)


def _pooling(job: Job, case: Case) -> Contests:
    rng = np.random.default_rng(job.seed(case))
    dtype = np.dtype(jnp.dtype(job.dtype))
    shapes = (case.shape, case.output_shape, case.shape)
    x, dy, t = (rng.standard_normal(shape, np.float32).astype(dtype) for shape in shapes)
    reference, extra = Reference(case, x), {COPY: _copy(x)}
    for mode in job.modes:
        interpreter = job.interpreter
        problem = Problem(mode, x, dy, t, case=case, dtype=job.dtype, interpreter=interpreter)
        expected = _expected(reference, problem)

        def prepare(name: str, problem: Problem = problem) -> Program:
            if reason := case.leave_out.get(name):
                raise contenders.LeftOut(reason)
            if job.separates(name):
                return _apart(job, name, partial(contenders.prepare, OURS, problem))
            return contenders.prepare(name, problem)

        def check(_: str, results: Results, expected: Sequence[Expected] = expected) -> Verdict:
            return judge(results, expected, dtype)

        yield mode, contest.enter(job.contenders, prepare, check, extra)


def _expected(reference: Reference, problem: Problem) -> tuple[Expected, ...]:
    match problem.mode:
        case "gradient":
            return reference.forward(), reference.gradient(problem.dy)
        case "jvp":
            return reference.forward(), reference.tangent(problem.t)
        case _:
            return (reference.forward(),)


def _calling(job: Job, call: Call) -> Contests:
    """The contests of a call, as the contender `jaxpool`, beside its yardstick."""
    seed = job.seed(call)
    rng = np.random.default_rng(seed)
    extra = {COPY: _copy(rng.standard_normal(call.shape, np.float32))}
    for mode in job.modes:
        trials = {
            name: Trial.draw(each, mode, seed)
            for name, each in ((OURS, call), (YARDSTICK, call.yardstick))
        }

        def prepare(name: str, mode: Mode = mode, trials: dict[str, Trial] = trials) -> Program:
            if job.separates(name):
                return _apart(job, name, partial(trial.prepare, call, mode, seed))
            if name not in trials:
                raise contenders.LeftOut("is no operator of jaxpool")
            return trials[name].prepare()

        def check(name: str, results: Results, trials: dict[str, Trial] = trials) -> Verdict:
            return trials[OURS if name == BEFORE else name].check(results)

        yield mode, contest.enter(job.contenders, prepare, check, extra)


def _apart(job: Job, name: str, make: Callable[[], Program]) -> Program:
    """The program that `make` creates with this jaxpool or, for `BEFORE`, with the other one."""
    return elsewhere.prepare(make, checkout=job.before if name == BEFORE else None)


def _copy(x: np.ndarray) -> Run:
    on_device = jnp.asarray(x)
    copy = jax.jit(lambda array: array + 1).lower(on_device).compile()
    return lambda: jax.block_until_ready(copy(on_device))


def _training(job: Job, net: Network) -> Contests:
    training = TrainingProblem.draw(net, job.seed(net))
    first = FirstStep.of(training)

    def check(_: str, results: Results) -> Verdict:
        error = first.error(results)
        off = f"off by {error:.2g} of the first step; allowed {first.tolerance:.2g}"
        return Verdict(error, off if error > first.tolerance else "")

    def prepare(name: str) -> Program:
        if job.separates(name):
            return _apart(job, name, partial(network.prepare, OURS, training))
        return network.prepare(name, training, job.interpreter)

    yield TRAIN_STEP, contest.enter(job.contenders, prepare, check, extra={})


if __name__ == "__main__":
    job = Job.model_validate_json(sys.stdin.read())
    append_lines(job.output, run(job))

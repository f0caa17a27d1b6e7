"""A benchmark of sharding: one process per case and dtype; resumable."""

import tempfile
import uuid
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from rich.console import Console

from experiments.bench.calls import Call
from experiments.bench.case import Case, Dtype
from experiments.bench.config import Bench
from experiments.bench.environment import describe
from experiments.bench.folder import Folder
from experiments.bench.process import work, worker_environment
from experiments.bench.runner import say
from experiments.bench.sharding import table, worker
from experiments.bench.sharding.records import ShardingRecord, read
from experiments.bench.sharding.worker import ShardingJob
from experiments.config import ConfigError, differences, dump
from experiments.records import Environment, RecordError, append_lines, write, write_atomically
from experiments.records import read as read_record
from experiments.section import hint

CONTENDERS = ("jaxpool", "lax")


class ShardingFolder(Folder):
    """The paths inside the results folder."""

    records_name = "collectives.jsonl"

    def __init__(self, path: Path):
        super().__init__(path)
        self.csv = path / "collectives.csv"


def run(
    bench: Bench,
    out: Path,
    console: Console,
    *,
    devices: int,
    cases: str = "*",
    contenders: Sequence[str] = (),
    fresh: bool = False,
) -> bool:
    """Compiles and times the unfinished cases, divided among virtual devices; writes the tables.

    Args:
        bench: The benchmark; its modes forward and gradient are used, and its budget for each pair
            of programs.
        out: The folder that holds all results folders; this one is `bench-sharding`.
        console: The console for progress.
        devices: The number of virtual devices.
        cases: Compile only those whose name matches this shell-style pattern.
        contenders: `jaxpool`, `lax`; empty means both.
        fresh: Remove earlier results and start again.

    Returns:
        Whether every program was compiled and parsed, except those left out with a reason.

    Raises:
        ConfigError: No case matches, a contender is unknown, or no mode can be compiled.
        RecordError: The folder has results of another config, library or number of devices.
    """
    for name in contenders:
        if name not in CONTENDERS:
            raise ConfigError(f"--contenders: unknown contender {name!r}{hint(name, CONTENDERS)}")
    modes = tuple(mode for mode in ("forward", "gradient") if mode in bench.modes)
    if not modes:
        raise ConfigError(f"--devices: compiles forward and gradient; modes is {list(bench.modes)}")
    names = tuple(name for name in CONTENDERS if name in (contenders or CONTENDERS))
    problems = _problems(bench, cases)
    folder = ShardingFolder(out / "bench-sharding")
    if fresh:
        folder.clear()
    _refuse_other_work(bench, devices, folder)
    write_atomically(folder.config, dump(bench))
    for number, (problem, dtype) in enumerate(problems, start=1):
        place = f"[{number}/{len(problems)}] {problem.name} {dtype}"
        before = [r for r in read(folder.records) if (r.case, r.dtype) == (problem.name, dtype)]
        wanted = tuple(dict.fromkeys([*names, *(r.contender for r in before)]))
        if _complete(before, modes, wanted):
            say(console, f"{place}: done before")
            continue
        group = uuid.uuid4().hex[:12]
        found = _in_its_own_process(
            ShardingJob(
                problem=problem,
                dtype=dtype,
                modes=modes,
                contenders=wanted,
                devices=devices,
                budget=bench.budget,
                group=group,
                output=Path(),
            ),
            bench.budget.timeout_s,
        )
        append_lines(folder.records, found)
        failed = sum(record.outcome == "failed" for record in found)
        say(console, f"{place}: {len(found)} programs{f', {failed} failed' if failed else ''}")
    records = read(folder.records)
    environment = read_record(folder.environment, Environment)
    write_atomically(folder.csv, table.to_csv(records))
    write_atomically(folder.summary, table.summary(bench.title, environment, records))
    write_atomically(folder.headline, table.headline(environment, records))
    lost = [record for record in records if record.outcome == "failed"]
    for r in lost:
        place = f"{r.contender} in {r.case} {r.dtype} {r.mode}, divided along {r.axis}"
        say(console, f"FAILED: {place}: {r.reason}", style="red")
    say(console, f"results: {folder.path}")
    return not lost


def _problems(bench: Bench, pattern: str) -> list[tuple[Case | Call, Dtype]]:
    subjects = [p for p in bench.problems if isinstance(p, Case | Call)]
    chosen = [problem for problem in subjects if fnmatch(problem.name, pattern)]
    if not chosen:
        known = ", ".join(problem.name for problem in subjects) or "none"
        raise ConfigError(f"--cases: no case or call is called {pattern!r}; known: {known}")
    return [(problem, dtype) for problem in chosen for dtype in problem.dtypes]


def _complete(
    records: Sequence[ShardingRecord], modes: Sequence[str], contenders: Sequence[str]
) -> bool:
    """Whether all records exist and none has failed."""
    present = {(record.mode, record.contender) for record in records}
    failed = any(record.outcome == "failed" for record in records)
    return not failed and present >= {(mode, name) for mode in modes for name in contenders}


def _refuse_other_work(bench: Bench, devices: int, folder: ShardingFolder) -> None:
    """Raises an error if existing records have another config, version or number of devices."""
    here = describe()
    records = read(folder.records)
    if not records:
        write(folder.environment, here)
        return
    changes = differences(folder.config.read_text(), dump(bench)) if folder.config.exists() else []
    before = read_record(folder.environment, Environment).versions
    for package in ("jax", "jaxlib", "jaxpool code"):
        if before.get(package) != here.versions.get(package):
            changes.append(f"{package} was {before.get(package)}, is {here.versions.get(package)}")
    if records[0].devices != devices:
        changes.append(f"--devices was {records[0].devices}, is {devices}")
    if changes:
        raise RecordError(
            f"{folder.path} holds programs that cannot be compared with new ones: "
            f"{'; '.join(changes)}. Begin anew with --fresh, or write elsewhere with --out"
        )


def _in_its_own_process(job: ShardingJob, timeout_s: float) -> list[ShardingRecord]:
    with tempfile.TemporaryDirectory() as scratch:
        job = job.model_copy(update={"output": Path(scratch) / "records.jsonl"})
        environment = worker_environment("default")
        reason = work(worker.__name__, job, timeout_s, environment=environment)
        return read(job.output) if reason is None else _failed(job, reason)


def _failed(job: ShardingJob, reason: str) -> list[ShardingRecord]:
    return [
        job.record(mode, axis, contender, outcome="failed", reason=reason[:500])
        for mode in job.modes
        for axis in range(len(worker.axes(job.problem)))
        for contender in job.contenders
    ]

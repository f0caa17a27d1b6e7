"""A whole benchmark: one process per round and dtype; resumable; writes a summary."""

import sys
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from experiments import targets
from experiments.bench import machine, page, plot, summary, table
from experiments.bench.case import Dtype, Mode
from experiments.bench.config import Allocator, Bench, Subject
from experiments.bench.contenders import BEFORE, ITSELF, NAMES, YARDSTICK, named
from experiments.bench.environment import describe
from experiments.bench.folder import Folder
from experiments.bench.process import CHECKOUT, work, worker_environment
from experiments.bench.records import COPY, BenchRecord, read
from experiments.bench.results import OURS, entries
from experiments.bench.worker import Job
from experiments.config import ConfigError, differences, dump
from experiments.records import Environment, RecordError, append_lines, write, write_atomically
from experiments.records import read as read_record
from experiments.section import hint
from experiments.targets import Target


@dataclass(frozen=True)
class WorkerTask:
    """The measurements of one process."""

    problems: tuple[Subject, ...]
    dtype: Dtype
    allocator: Allocator

    def __str__(self) -> str:
        names = ", ".join(problem.name for problem in self.problems)
        return f"{names} {self.dtype} ({self.allocator} allocator)"

    def missing(
        self, records: Sequence[BenchRecord], asked: tuple[Mode, ...], contenders: Sequence[str]
    ) -> bool:
        """Whether the records lack a problem, a mode or a contender, or have a failure."""
        if any(record.outcome == "failed" for record in records):
            return True
        present = {(record.case, record.mode, record.contender) for record in records}
        return not all(
            (problem.name, mode, contender) in present
            for problem in self.problems
            for mode in problem.modes(asked)
            for contender in contenders
        )


def run(
    bench: Bench,
    out: Path,
    console: Console,
    *,
    cases: str = "*",
    contenders: Sequence[str] = (),
    fresh: bool = False,
    target: Target | None = None,
    interpreter: Path | None = None,
    before: Path | None = None,
) -> bool:
    """Runs the unfinished part of a benchmark, and writes its table and plot.

    Args:
        bench: The benchmark.
        out: The folder that holds all results folders.
        console: The console for progress and the summary.
        cases: Run only those whose name matches this shell-style pattern.
        contenders: Run only these; empty means all contenders of the benchmark.
        fresh: Remove earlier results and start again.
        target: An absent device: compile for it, and record the estimates of its compiler.
        interpreter: Another Python interpreter, for libraries that are not installed in this one.
        before: Another checkout of this repository, whose jaxpool is a contender as well.

    Returns:
        Whether every measured program succeeded with a correct result.

    Raises:
        ConfigError: No case matches, or a contender is unknown.
        RecordError: The folder has results of another config, library or machine.
    """
    folder = Folder(
        out / (f"bench-{bench.name}" if target is None else f"bench-{bench.name}-{target}")
    )
    python = sys.executable
    if target is not None:
        python, bench = targets.python(CHECKOUT), _to_estimate(bench)
    if fresh:
        folder.clear()
    names = _chosen(contenders or bench.contenders, before)
    tasks = _tasks(bench, cases)
    here = describe(interpreter, before)
    if target is not None:
        here = targets.describe(target, python, here)
    _refuse_other_work(bench, here, folder)
    write_atomically(folder.config, dump(bench))
    if not folder.environment.exists():
        write(folder.environment, here)
    for number, task in enumerate(tasks, start=1):
        place = f"[{number}/{len(tasks)}] {task}"
        mine = [r for r in read(folder.records) if _belongs(r, task)]
        if not task.missing(mine, bench.modes, names):
            say(console, f"{place}: done before")
            continue
        say(console, f"{place} ...")
        busy = machine.busy_cores() if target is None else None
        if busy is not None and busy > machine.BUSY:
            say(console, f"    others keep {busy:.1f} cores busy: expect noise", style="yellow")
        # All earlier contenders are timed again, because only times of one run are comparable.
        everyone = tuple(dict.fromkeys([*names, *(r.contender for r in mine)]))
        asked = tuple(n for n in everyone if n != COPY)
        found = _in_its_own_process(bench, task, asked, busy, python, target, interpreter, before)
        append_lines(folder.records, found)
        for line in summary.progress(entries(found)):
            say(console, line)
    return _sum_up(bench, folder, console)


def targeted(names: Sequence[str]) -> Sequence[Target | None]:
    """The targets with these names; [None], the local device, without names.

    Raises:
        ConfigError: A name is not that of a device.
    """
    for name in names:
        if name not in targets.TITLES:
            known = ", ".join(targets.TITLES)
            raise ConfigError(f"--target: there is no device {name!r}; known: {known}")
    return [known for known in targets.TITLES if known in names] or [None]


def _to_estimate(bench: Bench) -> Bench:
    """The part of a benchmark that compilers can estimate: XLA programs, forward and gradient."""
    modes = tuple(mode for mode in bench.modes if mode in ("forward", "gradient"))
    names = ("jaxpool", YARDSTICK) if bench.calls else ("jaxpool", "lax")
    update = {"modes": modes, "contenders": names, "allocators": ("default",), "networks": ()}
    return bench.model_copy(update=update)


def _chosen(patterns: Sequence[str], before: Path | None) -> tuple[str, ...]:
    for pattern in patterns:
        if not named([pattern]):
            raise ConfigError(f"--contenders: unknown contender {pattern!r}{hint(pattern, NAMES)}")
    names = named(patterns if before is None else [*patterns, BEFORE])
    if before is None and BEFORE in names:
        raise ConfigError(f"--contenders: {BEFORE!r} needs --before, a checkout to compare with")
    if before is not None and not (before / "jaxpool" / "__init__.py").is_file():
        raise ConfigError(f"--before: {before} is no checkout with a folder jaxpool")
    if ITSELF in names and OURS not in names:
        raise ConfigError(f"--contenders: {ITSELF!r} needs {OURS!r} beside it")
    return names


def _tasks(bench: Bench, pattern: str) -> list[WorkerTask]:
    named = [(problem.name, problem) for problem in bench.problems]
    chosen = [problem for name, problem in named if fnmatch(name, pattern)]
    if not chosen:
        known = ", ".join(name for name, _ in named)
        raise ConfigError(f"--cases: no case is called {pattern!r}; known: {known}")
    return [
        WorkerTask(problems, dtype, allocator)
        for allocator in bench.allocators
        for problems, dtype in bench.rounds(chosen)
    ]


def _refuse_other_work(bench: Bench, here: Environment, folder: Folder) -> None:
    """Raises an error if existing records have another config, machine or library version."""
    if not folder.records.exists():
        folder.environment.unlink(missing_ok=True)
        return
    changes = differences(folder.config.read_text(), dump(bench)) if folder.config.exists() else []
    before = read_record(folder.environment, Environment)
    old, new = (_conditions(each) for each in (before, here))
    changes += [
        f"{k} was {old.get(k)}, is {new.get(k)}"
        for k in dict.fromkeys([*new, *old])
        if old.get(k) != new.get(k)
    ]
    if changes:
        raise RecordError(
            f"{folder.path} holds times that cannot be compared with new ones: {'; '.join(changes)}"
            ". Begin anew with --fresh, or write elsewhere with --out"
        )


def _conditions(of: Environment) -> dict[str, str]:
    return {**of.versions, "device": of.device, "XLA_FLAGS": of.xla_flags}


def _belongs(record: BenchRecord, task: WorkerTask) -> bool:
    known = any(record.case == problem.name for problem in task.problems)
    return known and (record.dtype, record.allocator) == (task.dtype, task.allocator)


def _in_its_own_process(
    bench: Bench,
    task: WorkerTask,
    names: tuple[str, ...],
    busy_cores: float | None,
    python: str,
    target: Target | None,
    interpreter: Path | None,
    before: Path | None,
) -> list[BenchRecord]:
    with tempfile.TemporaryDirectory() as scratch:
        job = Job(
            problems=task.problems,
            dtype=task.dtype,
            modes=bench.modes,
            contenders=names,
            allocator=task.allocator,
            group=uuid.uuid4().hex[:12],
            budget=bench.budget,
            busy_cores=busy_cores,
            output=Path(scratch) / "records.jsonl",
            target=target,
            interpreter=interpreter and str(interpreter),
            before=before,
        )
        reason = work(
            "experiments.bench.worker",
            job,
            bench.budget.timeout_s * len(task.problems),
            python=python,
            environment=worker_environment(task.allocator)
            | (targets.ENVIRONMENT if target else {}),
        )
        return read(job.output) if reason is None else _failed(job, reason)


def _failed(job: Job, reason: str) -> list[BenchRecord]:
    source = "measured" if job.target is None else "estimated"
    fields = {"outcome": "failed", "reason": reason[:500], "device_source": source}
    lost = dict.fromkeys(job.contenders, fields)
    return [
        record
        for problem in job.problems
        for mode in problem.modes(job.modes)
        for record in job.records(problem, mode, lost)
    ]


def _sum_up(bench: Bench, folder: Folder, console: Console) -> bool:
    records = read(folder.records)
    where = read_record(folder.environment, Environment)
    write_atomically(folder.table, table.table(bench, where, records))
    write_atomically(folder.summary, table.digest(bench, where, records))
    write_atomically(folder.headline, table.headline(where, records))
    if all(record.device_source == "measured" for record in records):
        write_atomically(folder.plot, plot.draw(bench, where, records))
    write_atomically(folder.page, page.page(bench.title, where, records))
    for allocator in dict.fromkeys(record.allocator for record in records):
        say(console, f"\n{allocator} allocator")
        for part in summary.summary(bench, [r for r in records if r.allocator == allocator]):
            console.print(Markdown(part)) if console.is_terminal else say(console, part)
    wrong = [r for r in records if r.outcome in ("failed", "disagrees")]
    for r in wrong:
        place = f"{r.contender} in {r.case} {r.dtype} {r.mode}"
        say(console, f"{r.outcome.upper()}: {place}: {r.reason}", style="bold red")
    say(console, f"results: {folder.path}")
    return not any(r.outcome == "failed" or r.contender.startswith(OURS) for r in wrong)


def say(console: Console, text: str, style: str = "") -> None:
    """Prints a line as it is: without markup, highlighting or line breaks of its own."""
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)

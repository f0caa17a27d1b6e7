"""Contenders in another process: of another Python interpreter, or of another checkout of jaxpool.

The child process compiles the program, calls it on request and measures the time of its calls, so
the times exclude communication between the processes. It runs this module as a script; it reads
pickled requests from standard input and writes pickled replies to standard output.
"""

import os
import pickle
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from experiments.bench.contenders.contender import LeftOut, Program
from experiments.clock import Stopwatch

_START = (
    "import runpy, sys; sys.path.insert(0, sys.argv[1]); import jaxpool; del sys.path[0]; "
    f"runpy.run_module({__name__!r}, run_name='__main__')"
)
"""Runs this module with the jaxpool of a given folder; all else is as without it."""


@dataclass(frozen=True, eq=False)
class Turns:
    """Calls of a program in the child process."""

    ask: Any

    def __call__(self) -> None:
        """Calls the program once."""
        self.elapsed(1)

    def elapsed(self, calls: int) -> float:
        """Calls the program `calls` times, and returns the seconds per call."""
        return self.ask("elapsed", calls)


def prepare(
    make: Callable[[], Program], interpreter: str = sys.executable, checkout: Path | None = None
) -> Program:
    """Prepares a contender in a child process.

    Args:
        make: Creates the contender's program; a function that can be pickled. The child calls it.
        interpreter: The path of a Python that has the contender's library.
        checkout: A folder with another jaxpool for the child.

    Raises:
        LeftOut: `make` raises it: that interpreter lacks the library too, or the library does not
            support the problem.
    """
    start = ["-m", __name__] if checkout is None else ["-c", _START, str(checkout)]
    complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `_end`
    process = subprocess.Popen(
        [interpreter, *start], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints
    )
    questions, answers = process.stdin, process.stdout
    if questions is None or answers is None:
        raise OSError(f"{interpreter} could not be started")

    def ask(*question: Any) -> Any:
        try:
            _send(questions, question)
            answer = pickle.load(answers)
        except (BrokenPipeError, EOFError) as error:
            complaints.seek(0)
            last = (complaints.read().decode().strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"its own process ended: {last}") from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    turns = Turns(ask)
    weakref.finalize(turns, _end, process, complaints)
    known = ask("prepare", make)
    return Program(turns, lambda _: ask("fetch"), **known)


def _end(process: subprocess.Popen, complaints: IO[bytes]) -> None:
    """Ends the child process by closing its standard input."""
    process.communicate()
    complaints.close()


def answer(questions: IO[bytes], answers: IO[bytes]) -> None:
    """The child's main loop: replies to requests until its input ends."""
    from experiments.bench.contenders import compiled
    from experiments.bench.machine import settle

    compiled.warm_up()
    program, output = None, None

    def elapsed(calls: int) -> float:
        nonlocal output
        assert program is not None
        with Stopwatch() as watch:
            for _ in range(calls):
                output = program.run()
        settle()  # so that the child's threads do not spin while other contenders run
        return watch.seconds / calls

    while True:
        try:
            what, *arguments = pickle.load(questions)
        except EOFError:
            return
        try:
            if what == "prepare":
                (make,) = arguments
                program = make()
                names = ("detail", "compile_s", "temp_bytes", "text", "estimate")
                _send(answers, {name: getattr(program, name) for name in names})
            elif what == "elapsed":
                _send(answers, elapsed(*arguments))
            else:
                assert program is not None
                _send(answers, program.fetch(output))
        except LeftOut as reason:
            _send(answers, reason)
        except Exception as error:  # The parent process records the error.
            _send(answers, RuntimeError(f"{type(error).__name__}: {error}"))


def _send(stream: IO[bytes], message: Any) -> None:
    pickle.dump(message, stream)
    stream.flush()


if __name__ == "__main__":
    stdout = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # keeps libraries' output out of the replies
    answer(sys.stdin.buffer, stdout)

"""Contenders whose library is installed only in another Python interpreter.

That interpreter runs in a child process, which compiles the program, calls it on request and
measures the time of its calls, so the times exclude communication between the processes. The child
runs this module with `python -m`; it reads pickled requests from standard input and writes pickled
replies to standard output.
"""

import os
import pickle
import subprocess
import sys
import weakref
from dataclasses import dataclass, replace
from typing import IO, Any

from experiments.bench.contenders.contender import LeftOut, Problem, Program
from experiments.clock import Stopwatch


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


def prepare(interpreter: str, name: str, problem: Problem) -> Program:
    """Prepares a contender in a child process of another interpreter.

    Args:
        interpreter: The path of a Python that has the library.
        name: The contender.
        problem: The problem.

    Raises:
        LeftOut: That interpreter lacks the library too, or the library does not support the
            problem.
    """
    process = subprocess.Popen(
        [interpreter, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    questions, answers = process.stdin, process.stdout
    if questions is None or answers is None:
        raise OSError(f"{interpreter} could not be started")

    def ask(*question: Any) -> Any:
        _send(questions, question)
        answer = pickle.load(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    turns = Turns(ask)
    weakref.finalize(turns, _end, process)
    known = ask("prepare", name, replace(problem, interpreter=None))
    return Program(turns, lambda _: ask("fetch"), **known)


def _end(process: subprocess.Popen) -> None:
    """Ends the child process by closing its standard input."""
    process.communicate()


def answer(questions: IO[bytes], answers: IO[bytes]) -> None:
    """The child's main loop: replies to requests until its input ends."""
    from experiments.bench import contenders
    from experiments.bench.timing import settle

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
                program = contenders.prepare(*arguments)
                names = ("detail", "compile_s", "temp_bytes", "text")
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

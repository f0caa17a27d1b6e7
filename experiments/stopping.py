"""Ctrl-C and SIGTERM: the process ends at once, with one line and a status of its own.

Python turns Ctrl-C into an exception in the main thread. An exception that arrives inside an import
or a callback of a C++ library may be printed and dropped, or become an ImportError; while XLA
compiles or runs a program, it waits. Here a thread waits for the signal instead and ends the
process. Nothing needs to be unwound: every file is replaced atomically, so a process may be killed
at any moment. Worker processes end by themselves when their parent is gone.

This module imports nothing heavy: it is the first that the command line imports.
"""

import os
import signal
import sys
import threading
import time

STATUS: dict[int, int] = {signal.SIGINT: 130, signal.SIGTERM: 143}
"""The exit status by signal: 128 plus its number, as shells have it."""
MESSAGE = "stopped; the same command goes on from here"

_SHOW_CURSOR = b"\x1b[?25h\n"


def stop_at_signals() -> None:
    """Makes SIGINT and SIGTERM end this process at once, from now on.

    A signal that the parent process has told this one to ignore (as `nohup` does) stays ignored.
    """
    heard = [number for number in STATUS if signal.getsignal(number) is not signal.SIG_IGN]
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in heard:
        signal.signal(number, _nothing)  # the number goes to the pipe even while C++ code runs
    threading.Thread(target=_wait, args=(read,), daemon=True, name="signals").start()


def _nothing(number: int, frame: object) -> None:
    """A handler in Python must exist for the number to be written to the pipe."""


def _wait(read: int) -> None:
    status = None
    while status is None:  # other signals that have a handler in Python are written as well
        status = next((STATUS[n] for n in os.read(read, 64) if n in STATUS), None)
    if sys.__stdout__ is not None and os.isatty(1):
        os.write(1, _SHOW_CURSOR)  # progress bars hide it
    os.write(2, f"{MESSAGE}\n".encode())
    os._exit(status)


def end_with_parent(parent: int) -> None:
    """Makes this process end with its parent, whatever ends that: Ctrl-C or `kill -9`.

    Args:
        parent: The parent's process ID.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent").start()

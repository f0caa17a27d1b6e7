"""Handling of Ctrl-C and SIGTERM: the process ends at once, with one message and an exit status.

Python turns Ctrl-C into an exception in the main thread. An exception that arrives inside an import
or inside a callback of a C++ library may be printed and dropped, or become an ImportError; while
XLA compiles or runs a program, the exception waits. Here a separate thread waits for the signal and
ends the process. No cleanup is needed: every file is replaced atomically, so a process may be
killed at any moment. Worker processes end by themselves when their parent has ended.

The command line imports this module first, so this module imports nothing that is slow to load.
"""

import os
import signal
import sys
import threading
import time

STATUS: dict[int, int] = {signal.SIGINT: 130, signal.SIGTERM: 143}
"""Exit status by signal: 128 plus the signal's number, as in shells."""
MESSAGE = "stopped; the same command goes on from here"

_SHOW_CURSOR = b"\x1b[?25h\n"


def stop_at_signals() -> None:
    """Makes SIGINT and SIGTERM end this process at once, from now on.

    A signal that the parent process made this process ignore (as `nohup` does) stays ignored.
    """
    heard = [number for number in STATUS if signal.getsignal(number) is not signal.SIG_IGN]
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in heard:
        signal.signal(number, _ignore)  # its number reaches the pipe even while C++ code runs
    threading.Thread(target=_wait, args=(read,), daemon=True, name="signals").start()


def _ignore(number: int, frame: object) -> None:
    """A Python handler that does nothing; without a handler, Python would not write to the pipe."""


def _wait(read: int) -> None:
    status = None
    while status is None:  # other signals with a Python handler write to the pipe as well
        status = next((STATUS[n] for n in os.read(read, 64) if n in STATUS), None)
    if sys.__stdout__ is not None and os.isatty(1):
        os.write(1, _SHOW_CURSOR)  # progress bars hide the cursor
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

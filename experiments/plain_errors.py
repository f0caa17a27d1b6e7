"""Reports errors that a user can fix, as one line on stderr and an exit status."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer


@contextmanager
def plain_errors() -> Iterator[None]:
    """A context that turns errors that a user can fix into one message and an exit status."""
    import jax

    from experiments.config import ConfigError
    from experiments.data import DataError
    from experiments.records import RecordError
    from experiments.register import RegisterError

    try:
        yield
    except (ConfigError, DataError, RecordError, RegisterError) as error:
        _fail(str(error), error)
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader closed the pipe
            raise
        place = error.filename or "the output"
        _fail(f"{place}: {error.strerror}; correct that and run the same command again", error)
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            first = (str(error) or "no more").splitlines()[0]
            _fail(f"not enough memory ({first}); make the network or the batch smaller", error)
        raise


def _fail(message: str, error: Exception) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(2) from error

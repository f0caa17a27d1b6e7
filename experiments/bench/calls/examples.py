"""The catalogue's example calls by name, and which of them are timed with which window."""

from catalogue import CATALOGUE, Make
from experiments.bench.calls import draws

EXAMPLES: dict[str, Make] = {
    ".".join(filter(None, (name, variant))): make
    for name, entry in CATALOGUE.items()
    for variant, make in entry.calls.items()
}
"""Every public operator by name; a second call of one has a word more, after a dot."""

CHECKS = {"stochastic_pool": draws.check}
"""Checks of results where no answer can be known beforehand."""


def timed_with(window: int) -> tuple[str, ...]:
    """The examples that the benchmark of all operators times with this window."""
    return tuple(n for n in EXAMPLES if window in CATALOGUE[n.partition(".")[0]].windows)

"""Checks peers, and writes a record per peer: results/peers/PEER.json."""

from __future__ import annotations

import importlib
import platform
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import jax
from rich.console import Console

from experiments import records
from experiments.records import RecordError
from jaxpool.version import __version__ as jaxpool_version
from tools.peers import table
from tools.peers.cases import ROWS
from tools.peers.judge import judge
from tools.peers.library import Library, is_installed, load
from tools.peers.records import PeerRecord
from tools.peers.search import PATTERNS, search


def run(names: Iterable[str], folder: Path, console: Console) -> None:
    """Checks peers, and renders the table from their new records and the existing ones of others.

    Args:
        names: The peers; if empty, all installed ones.
        folder: The folder of the records and tables.
        console: Where to print the verdicts.

    Raises:
        RecordError: A peer is unknown or not installed, it has a pooling that no row lists, or the
            record of another peer is missing or out of date.
    """
    for name in (chosen := tuple(names) or tuple(filter(is_installed, table.PEERS))):
        if name not in table.PEERS:
            raise RecordError(f"{name!r} is no peer; they are {', '.join(table.PEERS)}")
        if not is_installed(name):
            raise RecordError(f"{name} is not installed")
    if jax.default_backend() != "cpu":
        raise RecordError("peers are checked on the CPU; set JAX_PLATFORMS=cpu")
    for name in chosen:
        record = check(load(name))
        records.write(folder / f"{name}.json", record)
        verdicts = Counter(row.verdict for row in record.rows)
        console.print(f"{name}: " + ", ".join(f"{v} {n}" for v, n in sorted(verdicts.items())))
    table.write(folder)


def check(library: Library) -> PeerRecord:
    """Searches a peer for poolings, and judges every row of the table that the peer has."""
    found = search(library)
    versions = {name: importlib.import_module(name).__version__ for name in library.packages}
    return PeerRecord(
        peer=library.name,
        date=datetime.now(UTC).date().isoformat(),
        versions=versions | {"jaxpool": jaxpool_version, "python": platform.python_version()},
        modules=library.modules,
        patterns=PATTERNS,
        rows=tuple(judge(row, library) for name, row in ROWS.items() if name in library.adapters),
        claimed=found.claimed,
        extras=found.extras,
        aside=found.aside,
    )

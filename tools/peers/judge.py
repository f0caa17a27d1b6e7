"""Runs every case of every row with a peer, and records the verdicts."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.peers.case import Answer, PeerCase, difference
from tools.peers.cases import Row
from tools.peers.libraries import on_jax
from tools.peers.library import Adapter, Library, Refused
from tools.peers.records import Disagreement, RowRecord
from tools.peers.search import signature

_HERE = Path(__file__).parent
_MISTAKES = (AttributeError, ImportError, KeyError, NameError)
"""Errors that mean a mistake in an adapter if the adapter itself raised them."""


def judge(row: Row, library: Library) -> RowRecord:
    """The verdict on one operator of a peer."""
    adapter = library.adapters.get(row.name)
    if adapter is None:
        return RowRecord(operator=row.name)
    if not row.cases:
        raise ValueError(f"{library.name} has a {row.name}, of which there are no cases")
    differences = []
    for case in row.cases:
        words = _asked(row, case, library)
        if words is not None:
            differences.append(words)
    return RowRecord(
        operator=row.name,
        calls=tuple(signature(call, library.modules) for call in adapter.calls),
        cases=len(row.cases),
        differences=tuple(differences),
    )


def _asked(row: Row, case: PeerCase, library: Library) -> Disagreement | None:
    adapter, call = library.adapters[row.name], case.call(row.name)
    try:
        theirs = library.evaluate(adapter.function, case)
    except Exception as error:
        if _is_own_fault(error, adapter):
            raise
        topic = case.needs or case.topic
        return Disagreement(topic=topic, call=call, kind="refuses", words=_message(error))
    if case.draws:
        samples = theirs.results[-len(case.args[1]) :]
        theirs = dataclasses.replace(theirs, results=theirs.results[: -len(samples)])
        case = dataclasses.replace(case, options=case.options | {"samples": samples})
    ours = expected(row.function, case)
    words = difference(case, ours, theirs)
    if words is None:
        return None
    return Disagreement(topic=case.topic, call=call, kind="differs", words=words)


@functools.cache
def expected(function: Callable[..., Any], case: PeerCase) -> Answer:
    """The results of jaxpool, computed once for all peers."""
    return on_jax.evaluate(function, case)


def _is_own_fault(error: Exception, adapter: Adapter) -> bool:
    """Whether the adapter failed, not the peer; decided by the file that raised the error."""
    place = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    ours = place.is_relative_to(_HERE) or place == Path(inspect.getfile(adapter.function))
    return ours and isinstance(error, _MISTAKES)


def _message(error: Exception) -> str:
    """The type of the error and the first line of its message."""
    if isinstance(error, Refused):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = re.sub(r"\{\{.*?\}\} *", "", lines[0] if lines else "")
    return f"{type(error).__name__}: {first}"[:200]

"""A contest: prepare every contender, check its answer, then time those that are right."""

import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.bench import timing
from experiments.bench.config import Budget
from experiments.bench.contenders import ITSELF, LeftOut, Program
from experiments.bench.judging import Results, Verdict
from experiments.bench.records import Timing
from experiments.bench.timing import Run


@dataclass
class Standing:
    """How a contender fared.

    Attributes:
        fields: Some of the fields of its record, by name.
        run: What is to be timed; None if nothing.
        first_s: Seconds that the first run took.
        text: The program's text, by which equal programs are known.
    """

    fields: dict[str, Any]
    run: Run | None = None
    first_s: float = 0.0
    text: str | None = None


def enter(
    names: Iterable[str],
    prepare: Callable[[str], Program],
    judge: Callable[[str, Results], Verdict],
    extra: dict[str, Run],
) -> dict[str, Standing]:
    """Prepares and checks the contenders.

    Args:
        names: The contenders, in the order of the table.
        prepare: Makes a contender's program, or raises LeftOut.
        judge: Checks its results, given its name.
        extra: Further things to time, not checked.

    Returns:
        By name, how each fares so far.
    """
    standings: dict[str, Standing] = {}
    for name in names:
        if name != ITSELF:
            standings[name] = _enter(name, prepare, judge, standings)
    if ITSELF in names:
        standings[ITSELF] = _double(standings["jaxpool"])
    for name, run in extra.items():
        _, seconds = _timed(run)
        standings[name] = Standing({"outcome": "timed"}, run, seconds)
    return standings


def estimate(prepare: Callable[[], Program]) -> dict[str, Any]:
    """Some of the fields of the record of a contender that is compiled for an absent device."""
    try:
        program = prepare()
    except LeftOut as reason:
        return {"outcome": "left_out", "reason": str(reason), "device_source": "estimated"}
    except Exception as error:  # A compiler's fault is a result, recorded and shown, not our end.
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"[:500]
        return {"outcome": "failed", "reason": reason, "device_source": "estimated"}
    if program.estimate is None:
        reason = "is not compiled by XLA"
        return {"outcome": "left_out", "reason": reason, "device_source": "estimated"}
    seconds = program.estimate.seconds
    return {
        "outcome": "timed",
        "device_source": "estimated",
        "bytes_moved": program.estimate.bytes_moved,
        "kernels": program.estimate.kernels,
        "compile_s": program.compile_s,
        "temp_bytes": program.temp_bytes,
        "timing": Timing(
            median_s=seconds, low_s=None, high_s=None, min_s=seconds, calls=1, samples_s=(seconds,)
        ),
    }


def race(contests: Sequence[dict[str, Standing]], budget: Budget, seed: int) -> None:
    """Times all who are ready, of all contests in turns, and notes their times.

    Args:
        contests: By name, who has entered each.
        budget: How long to time one contest.
        seed: Decides the order of the samples.
    """
    ready = {
        (number, name): (standing.run, standing.first_s)
        for number, standings in enumerate(contests)
        for name, standing in standings.items()
        if standing.run is not None
    }
    runs = {who: run for who, (run, _) in ready.items()}
    firsts = {who: first_s for who, (_, first_s) in ready.items()}
    shared = budget.model_copy(update={"seconds": budget.seconds * len(contests)})
    for (number, name), measured in timing.interleave(runs, firsts, shared, seed).items():
        contests[number][name].fields["timing"] = measured


def _enter(
    name: str,
    prepare: Callable[[str], Program],
    judge: Callable[[str, Results], Verdict],
    others: dict[str, Standing],
) -> Standing:
    try:
        program = prepare(name)
        known = {
            "detail": program.detail,
            "compile_s": program.compile_s,
            "temp_bytes": program.temp_bytes,
        }
        for other, standing in others.items():
            if program.text is not None and program.text == standing.text:
                return Standing({**known, "outcome": "same", "same_as": other})
        output, seconds = _timed(program.run)
        verdict = judge(name, program.fetch(output))
    except LeftOut as reason:
        return Standing({"outcome": "left_out", "reason": str(reason)})
    except Exception as error:  # A peer's fault is a result, recorded and shown, not our end.
        traceback.print_exc()
        return Standing({"outcome": "failed", "reason": f"{type(error).__name__}: {error}"[:500]})
    known["error"] = verdict.error if np.isfinite(verdict.error) else None
    if verdict.complaint:
        return Standing({**known, "outcome": "disagrees", "reason": verdict.complaint})
    return Standing({**known, "outcome": "timed"}, program.run, seconds, program.text)


def _double(original: Standing) -> Standing:
    """A second entry of the same program."""
    if original.run is not None:
        return Standing({"outcome": "timed"}, original.run, original.first_s)
    return Standing({"outcome": "left_out", "reason": "jaxpool itself is not timed"})


def _timed(run: Run) -> tuple[Any, float]:
    started = time.perf_counter()
    output = run()
    return output, time.perf_counter() - started

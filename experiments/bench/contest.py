"""Contests: preparation of all contenders, check of their results, timing of the correct ones."""

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
from experiments.clock import Stopwatch


@dataclass
class Standing:
    """The state of a contender in a contest.

    Attributes:
        fields: Fields of the contender's record, by name.
        run: The function to time; None if the contender is not timed.
        first_s: Seconds of the first run.
        text: The program's text, by which equal programs are detected.
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
        prepare: Creates a contender's program, or raises LeftOut.
        judge: Checks the results of the contender with the given name.
        extra: Further functions to time without a check.

    Returns:
        The state of each contender, by name.
    """
    standings: dict[str, Standing] = {}
    for name in names:
        if name != ITSELF:
            standings[name] = _enter(name, prepare, judge, standings)
    if ITSELF in names:
        standings[ITSELF] = _second_entry(standings["jaxpool"])
    for name, run in extra.items():
        with Stopwatch() as first:
            run()
        standings[name] = Standing({"outcome": "timed"}, run, first.seconds)
    return standings


def estimate(prepare: Callable[[], Program]) -> dict[str, Any]:
    """Fields of the record of a contender that is compiled for an absent device."""
    try:
        program = prepare()
    except LeftOut as reason:
        return {"outcome": "left_out", "reason": str(reason), "device_source": "estimated"}
    except Exception as error:  # A compiler error is recorded as a result; the benchmark goes on.
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
    """Times all ready contenders of all contests in interleaved order, and stores their times.

    Args:
        contests: Contests, each a mapping from contender to state.
        budget: The time limit of one contest.
        seed: Random seed of the order of the samples.
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
        with Stopwatch() as first:
            output = program.run()
        verdict = judge(name, program.fetch(output))
    except LeftOut as reason:
        return Standing({"outcome": "left_out", "reason": str(reason)})
    except Exception as error:  # A peer's error is recorded as a result; the benchmark goes on.
        traceback.print_exc()
        return Standing({"outcome": "failed", "reason": f"{type(error).__name__}: {error}"[:500]})
    known["error"] = verdict.error if np.isfinite(verdict.error) else None
    if verdict.complaint:
        return Standing({**known, "outcome": "disagrees", "reason": verdict.complaint})
    return Standing({**known, "outcome": "timed"}, program.run, first.seconds, program.text)


def _second_entry(original: Standing) -> Standing:
    """A second entry of the same program, which shows the noise."""
    if original.run is not None:
        return Standing({"outcome": "timed"}, original.run, original.first_s)
    return Standing({"outcome": "left_out", "reason": "jaxpool itself is not timed"})

"""Choice of a candidate by trials: all candidates with one budget, or successive halving."""

import hashlib
import json
import math
from collections.abc import Sequence
from statistics import fmean

from experiments.choices import Chosen, RungRecord, Score, TrialRecord
from experiments.records import Origin
from experiments.tuning.trials import Candidate, Rung, Trials


def rungs(candidates: int, factor: int, seeds: tuple[int, ...]) -> list[Rung]:
    """The rungs of successive halving (Jamieson and Talwalkar, 2016).

    Every rung keeps one in `factor` of the candidates of the rung before it, and trains each with
    `factor` times as many steps; the last rung has the steps of the final runs and all seeds. Every
    rung trains from the beginning: the learning rate decays over the length of a trial, so a trial
    resumed from a shorter one would have another schedule than the final runs.

    Args:
        candidates: The number of candidates.
        factor: The factor, at least 2.
        seeds: The seeds of the last rung; earlier rungs use the first ones.

    Returns:
        The rungs, the shortest trials first.

    Example:
        >>> for rung in rungs(27, 3, (7, 8, 9)):
        ...     print(f"{rung.share:.3f} {rung.seeds}")
        0.111 (7,)
        0.333 (7, 8)
        1.000 (7, 8, 9)
    """
    count, left = 1, candidates
    while (left := math.ceil(left / factor)) > 1:
        count += 1
    return [
        Rung(factor ** (number - count), seeds[: math.ceil(len(seeds) * number / count)])
        for number in range(1, count + 1)
    ]


def choose(
    candidates: Sequence[Candidate],
    rungs: Sequence[Rung],
    factor: int,
    trials: Trials,
    origin: Origin,
) -> Chosen:
    """Chooses the candidate with the highest mean validation accuracy on the last rung.

    Candidates with fewer diverged seeds rank higher, whatever their accuracy. Among equal
    candidates the first is chosen.

    Args:
        candidates: The candidates.
        rungs: The budgets, in order; one in `factor` candidates reaches the next rung.
        factor: The factor.
        trials: Runs the trials.
        origin: Environment and code to record as the origin of the trials.

    Returns:
        The choice.
    """
    left, done, run = list(candidates), [], {}
    for rung in rungs:
        found = trials.run(left, rung)
        for one in left:
            for trial in found[one.name]:
                run[one.name, rung.steps(one), trial.seed] = (rung.steps(one), trial)
        scores = {name: _score(of_one) for name, of_one in found.items()}
        done.append(RungRecord(steps=rung.steps(left[0]), seeds=rung.seeds, scores=scores))
        # The sort is stable: equal candidates keep their order.
        left.sort(key=lambda one: _rank(scores[one.name]), reverse=True)
        left = left[: math.ceil(len(left) / factor)] if rung is not rungs[-1] else left[:1]
    return Chosen(
        fingerprint=fingerprint(candidates, rungs),
        candidate=left[0].name,
        choice=left[0].choice,
        validation_accuracy=done[-1].scores[left[0].name].validation_accuracy,
        rungs=tuple(done),
        run_steps=sum(steps for steps, _ in run.values()),
        run_seconds=sum(trial.train_seconds for _, trial in run.values()),
        origin=origin,
    )


def fingerprint(candidates: Sequence[Candidate], rungs: Sequence[Rung]) -> str:
    """SHA-256 of all inputs of a choice."""
    decisive = {
        "candidates": {one.name: one.study.fingerprint(one.variant) for one in candidates},
        "rungs": [(rung.share, rung.seeds) for rung in rungs],
    }
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()


def _score(trials: Sequence[TrialRecord]) -> Score:
    return Score(
        validation_accuracy=fmean(trial.validation_accuracy for trial in trials),
        diverged=sum(trial.diverged for trial in trials),
    )


def _rank(score: Score) -> tuple[int, float]:
    return -score.diverged, score.validation_accuracy

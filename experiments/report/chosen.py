"""Sentences on choices that were made on the validation split before the final runs."""

from collections.abc import Sequence
from typing import Any

from experiments import statistics
from experiments.choices import Chosen, SearchRecord, TuningRecord
from experiments.folder import StudyFolder
from experiments.records import read
from experiments.report import words
from experiments.report.plan import Plan
from experiments.report.rows import SummaryRow
from experiments.statistics import SIGNIFICANT

_METHODS = {"grid": "a grid", "random": "random draws", "halving": "successive halving"}


def settings(folder: StudyFolder) -> dict[str, dict[str, dict[str, Any]]]:
    """The chosen settings, by cell and variant; empty if the study is not tuned."""
    if not folder.tuning.exists():
        return {}
    found = read(folder.tuning, TuningRecord).cells
    return {
        cell: {variant: chosen.choice for variant, chosen in made.items()}
        for cell, made in found.items()
    }


def sentences(folder: StudyFolder, plan: Plan, rows: Sequence[SummaryRow]) -> list[str]:
    """Sentences on what was chosen and how, and, for a search, on the result of the final runs.

    Args:
        folder: The study's results folder.
        plan: The study's plan.
        rows: The rows of its final runs.

    Returns:
        The sentences; empty if nothing was chosen.
    """
    measured = [row for row in rows if row.device_source == "measured"]
    if plan.tuning and folder.tuning.exists():
        return _tuned(read(folder.tuning, TuningRecord), plan, measured)
    if plan.poolings and folder.search.exists():
        return _searched(read(folder.search, SearchRecord), plan, measured)
    return []


def _tuned(found: TuningRecord, plan: Plan, rows: Sequence[SummaryRow]) -> list[str]:
    every = [chosen for made in found.cells.values() for chosen in made.values()]
    first = every[0]
    keys = words.listed([key.rpartition(".")[2] for key in plan.tuning["space"]])
    how = _METHODS.get(plan.tuning["method"], plan.tuning["method"])
    said = [
        f"Each variant was tuned by itself for {keys}, by {how} of "
        f"{len(first.rungs[0].scores)} combinations and by its accuracy on the validation split. "
        f"Each had {first.run_steps:,} training steps for that; all together took "
        f"{_seconds(sum(chosen.run_seconds for chosen in every))} of training, compilation aside. "
        "The test split was scored only then, with other seeds."
    ]
    if left := dict.fromkeys(row.variant for row in rows if row.tuned == {}):
        names = words.listed([words.name(variant) for variant in left])
        were = "was not tuned and has" if len(left) == 1 else "were not tuned and have"
        said.append(f"{names} {were} the settings of the config.")
    if edges := _edges(found, plan):
        said.append(
            f"The best value was the last of those tried for {words.listed(edges)}; one beyond it "
            "may be better."
        )
    return said


def _edges(found: TuningRecord, plan: Plan) -> list[str]:
    """Choices that are the smallest or largest of three or more numbers tried, except 0."""
    edges = {}
    for made in found.cells.values():
        for variant, chosen in made.items():
            for key, value in chosen.choice.items():
                tried = plan.tuning["space"].get(key)
                numbers = isinstance(tried, list) and all(type(v) in (int, float) for v in tried)
                if numbers and len(tried) > 2 and value and value in (min(tried), max(tried)):
                    name = key.rpartition(".")[2]
                    edges[f"{words.name(variant)} ({name} {words.setting(value)})"] = None
    return list(edges)


def _searched(found: SearchRecord, plan: Plan, rows: Sequence[SummaryRow]) -> list[str]:
    mixed, uniform = found.mixed, found.uniform
    poolings = words.listed([words.name(pooling) for pooling in plan.poolings])
    every = sum(len(one.rungs[0].scores) for one in (mixed, uniform))
    seeds = len(mixed.rungs[-1].seeds)
    return [
        f"Of the {len(mixed.rungs[0].scores)} networks that mix {poolings} over the stages, "
        f"successive halving chose {_candidate(mixed)}; of those that pool alike at every stage, "
        f"{_candidate(uniform)}.",
        _verdict(found, rows),
        f"The search took {_seconds(found.run_seconds)} of training, compilation aside; all "
        f"{every} networks with all steps and {seeds} {'seed' if seeds == 1 else 'seeds'} each "
        f"would have taken about {_seconds(found.full_run_seconds)} "
        f"({found.full_run_steps / found.run_steps:.1f} times as many steps).",
    ]


def _candidate(chosen: Chosen) -> str:
    accuracy = words.percent(chosen.validation_accuracy)
    return f"{words.name(chosen.candidate)} ({accuracy} % on the validation split)"


def _verdict(found: SearchRecord, rows: Sequence[SummaryRow]) -> str:
    """Whether the mixed network is more accurate than the uniform one on the test split."""
    mixed, uniform = words.name(found.mixed.candidate), words.name(found.uniform.candidate)
    by_name = {row.variant: row.accuracies for row in rows}
    d = statistics.paired_difference(
        by_name[found.mixed.candidate], by_name[found.uniform.candidate]
    )
    gap = f"{words.points(d.mean or 0)} points"
    if d.p is None:
        return f"On the test split {mixed} is at {gap} of {uniform}; one seed allows no test."
    ends = d.interval()
    interval = f"95% CI {words.points_range(*ends)}, " if ends else ""
    said = f"{gap} over {d.n} seeds, paired; {interval}{words.p_value(d.p)}"
    if d.p >= SIGNIFICANT:
        return f"On the test split nothing shows that {mixed} beats {uniform} ({said})."
    if (d.mean or 0) > 0:
        return f"On the test split {mixed} beats {uniform} ({said})."
    return f"On the test split {mixed} does not beat {uniform}, but is worse ({said})."


def _seconds(seconds: float) -> str:
    return f"{seconds:,.0f} seconds" if seconds >= 10 else f"{seconds:.1f} seconds"

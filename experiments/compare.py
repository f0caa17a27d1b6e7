"""Comparison of several studies, or of one study on several machines.

Two questions decide which results of a pair of studies are compared:

- Accuracy: were both scored on the same test set? Then they are compared seed by seed. A variant
  that occurs in several studies is compared with itself in the first of them, unless both studies
  hold the same runs. Within a study, every variant is compared with a baseline. Holm's correction
  covers all of these comparisons together and counts each one once.
- Speed: were both measured under the same `Conditions`? If not, their speeds are never ranked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.contrasts import Contrast, judge
from experiments.merge import together
from experiments.records import RecordError
from experiments.results import Conditions, Result, StudyResults, TestSet, differences, read


@dataclass(frozen=True)
class Comparison:
    """All comparisons that the studies allow.

    Attributes:
        entries: All variants of all studies, in the order given.
        groups: Entries by their measuring conditions, in order of appearance. The speeds of a group
            are given relative to its first entry.
        contrasts: Differences of accuracy, first minus second; names are the entries' labels.
        notes: Sentences on omitted comparisons, with the reason, and on other differences between
            the studies.
    """

    entries: tuple[Result, ...]
    groups: dict[Conditions, tuple[Result, ...]]
    contrasts: tuple[Contrast, ...]
    notes: tuple[str, ...]


def compare(folders: Sequence[Path], baseline: str | None = None) -> Comparison:
    """Reads results folders and compares them.

    Args:
        folders: One or more results folders.
        baseline: The variant that the others are compared with, inside each study that has it; None
            selects each study's first variant.

    Returns:
        The comparison.

    Raises:
        RecordError: A folder is not a finished study, is given twice, or no study has the baseline.
    """
    studies, joined = together(read(folders))
    entries = tuple(Result(study, row) for study in studies for row in study.rows)
    trained = [entry for entry in entries if entry.row.device_source == "measured"] or entries
    variants = list(dict.fromkeys(entry.row.variant for entry in entries))
    if baseline is not None and baseline not in variants:
        raise RecordError(f"baseline {baseline!r} is in no study; variants are {_join(variants)}")
    groups: dict[Conditions, tuple[Result, ...]] = {}
    for entry in entries:
        group = groups.get(entry.conditions, ())
        first = entry.row.variant == baseline and group
        groups[entry.conditions] = (entry, *group) if first else (*group, entry)
    pairs, same = _distinct([*_across(trained), *_within(studies, trained, baseline)])
    return Comparison(
        entries=entries,
        groups=groups,
        contrasts=tuple(judge([(one.sample, other.sample) for one, other in pairs])),
        notes=(*joined, *_duplicate_notes(same), *_notes(studies, entries, groups)),
    )


def _across(entries: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Each variant against itself in the first study with the same test set."""
    first: dict[tuple[str, str, TestSet], Result] = {}
    pairs = []
    for entry in entries:
        reference = first.setdefault((entry.row.variant, entry.row.cell, entry.test_set), entry)
        if reference is not entry:
            pairs.append((entry, reference))
    return pairs


def _within(
    studies: Sequence[StudyResults], entries: Sequence[Result], baseline: str | None
) -> list[tuple[Result, Result]]:
    """Each variant against the baseline of its own study, or else of one with the same test set."""
    pairs = []
    for study in studies:
        name = baseline or study.rows[0].variant
        for entry in (entry for entry in entries if entry.study is study):
            candidates = [
                other
                for other in entries
                if (other.row.variant, other.row.cell) == (name, entry.row.cell)
                and other.test_set == entry.test_set
            ]
            candidates.sort(key=lambda other: other.study is not study)
            if candidates and entry.row.variant != name:
                pairs.append((entry, candidates[0]))
    return pairs


def _distinct(
    pairs: Sequence[tuple[Result, Result]],
) -> tuple[list[tuple[Result, Result]], list[tuple[Result, Result]]]:
    """Removes repeated contrasts, and separates pairs whose two sides hold the same runs.

    A contrast repeats if its sides are swapped, or if it is between copies of the same runs. Of two
    equal contrasts, the one with more common seeds is kept.
    """
    distinct: list[tuple[Result, Result]] = []
    same = []
    for pair in pairs:
        if pair[0].same_results(pair[1]):
            same.append(pair)
            continue
        index = next((i for i, other in enumerate(distinct) if _equal(pair, other)), None)
        if index is None:
            distinct.append(pair)
        elif _shared_seeds(pair) > _shared_seeds(distinct[index]):
            distinct[index] = pair
    return distinct, same


def _equal(one: tuple[Result, Result], other: tuple[Result, Result]) -> bool:
    return any(
        one[0].same_results(first) and one[1].same_results(second)
        for first, second in (other, other[::-1])
    )


def _shared_seeds(pair: tuple[Result, Result]) -> int:
    one, other = (entry.row.test_correct_by_seed.keys() for entry in pair)
    return len(one & other)


def _duplicate_notes(pairs: Sequence[tuple[Result, Result]]) -> list[str]:
    found: dict[tuple[str, str], list[str]] = {}
    for one, other in pairs:
        found.setdefault((one.study.label, other.study.label), []).append(one.row.key)
    return [
        f"{one} and {other} hold the same results of {_join(variants)}, which count once."
        for (one, other), variants in found.items()
    ]


def _notes(
    studies: Sequence[StudyResults],
    entries: Sequence[Result],
    groups: dict[Conditions, tuple[Result, ...]],
) -> list[str]:
    notes = []
    if len(groups) > 1:
        notes.append(
            f"Speeds were measured under {len(groups)} different conditions: they are related "
            "inside a group only, and never ranked across groups."
        )
    if any(len({entry.study.label for entry in group}) > 1 for group in groups.values()):
        notes.append(
            "Speeds of different studies come from separate runs even inside a group: between "
            "them, a small difference may be the machine's and not the pooling's."
        )
    test_sets = list(dict.fromkeys(str(entry.test_set) for entry in entries))
    if len(test_sets) > 1:
        notes.append(
            "Accuracies on different test sets are neither compared nor averaged: "
            f"{_join(test_sets)}."
        )
    for study in studies[1:]:
        notes += _differing_settings(studies[0], study)
    parameters = [entry.row.parameters for entry in entries]
    if min(parameters) != max(parameters):
        notes.append(
            f"Parameters range from {min(parameters):,} to {max(parameters):,}: part of a "
            "difference in accuracy may be size rather than pooling."
        )
    return notes


def _differing_settings(one: StudyResults, other: StudyResults) -> list[str]:
    if one.plan.dataset != other.plan.dataset:
        return []
    notes = []
    settings = differences(one.plan.settings, other.plan.settings)
    shared = one.plan.definitions.keys() & other.plan.definitions.keys()
    settings += differences(
        {variant: one.plan.definitions[variant] for variant in shared},
        {variant: other.plan.definitions[variant] for variant in shared},
    )
    if settings:
        notes.append(
            f"{one.label} and {other.label} were trained with different settings, which may "
            f"explain differences between them: {'; '.join(settings)}."
        )
    if versions := differences(one.environment.versions, other.environment.versions):
        notes.append(f"{one.label} and {other.label} ran on other versions: {'; '.join(versions)}.")
    return notes


def _join(names: Sequence[str]) -> str:
    return ", ".join(names)

"""A comparison of studies as text for the terminal, as Markdown and as CSV."""

import csv
import io
from collections.abc import Sequence
from string import ascii_uppercase

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments import markdown
from experiments.compare import Comparison
from experiments.contrasts import Contrast
from experiments.report import verdict, words
from experiments.report.terminal import widen
from experiments.results import Conditions, Result

_HEAD = (
    "group",
    "study",
    "variant",
    "accuracy %",
    "train/s",
    "infer/s",
    "x",
    "p99 ms",
    "params",
    "FLOPs",
    "MB",
)
_DIFFERENCES_HEAD = ("first", "minus", "points", "95% CI", "p", "d_z", "seeds", "verdict")
_TEXT_COLUMNS = {"group", "study", "variant", "first", "minus", "verdict"}
_LEGEND = (
    "train/s and infer/s: examples per second. p99: of the latency of one example. x: inference "
    "speed relative to the group's entry marked 1; ~ where the intervals of the two overlap."
)
_LEGEND_OF_DIFFERENCES = (
    f"p: of the paired t-test after Holm's correction. {verdict.LEGEND} d_z: the mean difference "
    "over the standard deviation of the differences, with Hedges' correction for few seeds."
)


def show(comparison: Comparison, console: Console) -> None:
    """Prints the comparison.

    Args:
        comparison: The comparison.
        console: The console.
    """
    widen(console)
    table = _drawn(_HEAD)
    for group in _groups(comparison):
        for cells in group:
            table.add_row(*(Text(cell) for cell in cells))
        table.add_section()
    console.print(table)
    if comparison.contrasts:
        console.print(Text("Differences of test accuracy, paired by seed", "bold"))
        differences = _drawn(_DIFFERENCES_HEAD)
        for contrast in comparison.contrasts:
            differences.add_row(*(Text(cell) for cell in _difference(contrast)))
        console.print(differences)
    for sentence in conclusions(comparison):
        console.print(Text(sentence, "bold"))
    for note in _all_notes(comparison):
        console.print(Text(note, "dim"))


def to_markdown(comparison: Comparison) -> str:
    """The comparison as Markdown; all text is escaped."""
    rows = [cells for group in _groups(comparison) for cells in group]
    lines = ["# Comparison", "", _markdown_table(_HEAD, rows), ""]
    if comparison.contrasts:
        differences = [_difference(contrast) for contrast in comparison.contrasts]
        lines += ["## Differences of test accuracy, paired by seed", ""]
        lines += [_markdown_table(_DIFFERENCES_HEAD, differences), ""]
    lines += [f"{markdown.escape(sentence)}\n" for sentence in conclusions(comparison)]
    lines += [f"- {markdown.escape(note)}" for note in _all_notes(comparison)]
    return "\n".join(lines) + "\n"


def to_csv(comparison: Comparison) -> str:
    """The differences of accuracy as CSV, as shares; empty where there is no value.

    `ci95_*` is the 95% interval of a single difference; `holm_ci_*` is the interval that agrees
    with `p_holm`.
    """
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(
        (
            *("first", "second", "seeds", "difference", "ci95_low", "ci95_high", "p", "p_holm"),
            *("holm_ci_level", "holm_ci_low", "holm_ci_high", "d_z"),
        )
    )
    for contrast in comparison.contrasts:
        d = contrast.difference
        interval = contrast.interval
        numbers = (
            *(d.mean, *(d.interval() or (None, None)), d.p, contrast.adjusted_p),
            *(contrast.confidence if interval else None, *(interval or (None, None)), d.effect),
        )
        cells = ("" if number is None else f"{number:.6g}" for number in numbers)
        writer.writerow((contrast.first, contrast.second, d.n, *cells))
    return output.getvalue()


def conclusions(comparison: Comparison) -> list[str]:
    """The conclusions on accuracy, or a sentence that there are none."""
    if not comparison.contrasts:
        return ["Nothing can be concluded about accuracy: no two entries share a test set."]
    if all(contrast.adjusted_p is None for contrast in comparison.contrasts):
        return ["Nothing can be concluded about accuracy: no two entries share 2 seeds or more."]
    tested = sum(contrast.adjusted_p is not None for contrast in comparison.contrasts)
    found = [contrast.upward() for contrast in comparison.contrasts if contrast.significant]
    count = f"{tested} comparison{'s' if tested > 1 else ''}"
    if not found:
        return [f"Nothing can be concluded about accuracy: no difference holds among {count}."]
    claims = [f"{verdict.more_accurate([claim])}." for claim in found]
    rest = "" if tested == len(found) else " The other differences may be chance."
    return [*claims, f"Holm's correction is for {count}.{rest}"]


def _groups(comparison: Comparison) -> list[list[tuple[str, ...]]]:
    """The cells of the table, by group."""
    return [
        [_cells(_letter(index), entry, entries[0]) for entry in entries]
        for index, entries in enumerate(comparison.groups.values())
    ]


def _cells(group: str, entry: Result, reference: Result) -> tuple[str, ...]:
    row = entry.row
    interval = row.test_accuracy_ci95_low, row.test_accuracy_ci95_high
    return (
        group,
        entry.study.label,
        row.variant,
        words.accuracy(row.test_accuracy_mean, *interval, row.seeds),
        words.si(row.train_examples_per_s),
        words.si(row.infer_examples_per_s),
        _relative_speed(entry, reference),
        f"{row.latency_ms_p99:.3g}",
        f"{row.parameters:,}",
        words.si(row.flops_per_example),
        f"{row.peak_memory_mb:.3g}",
    )


def _letter(index: int) -> str:
    return ascii_uppercase[index] if index < len(ascii_uppercase) else str(index + 1)


def _all_notes(comparison: Comparison) -> list[str]:
    conditions = [
        f"Group {_letter(index)}: {_described(conditions)}."
        for index, conditions in enumerate(comparison.groups)
    ]
    legends = [_LEGEND, _LEGEND_OF_DIFFERENCES] if comparison.contrasts else [_LEGEND]
    return [*legends, *conditions, *comparison.notes]


def _described(conditions: Conditions) -> str:
    allocator = ", ".join(f"{name}={value}" for name, value in conditions.allocator)
    return (
        f"{conditions.dataset}, {conditions.device_source} on {conditions.device}, "
        f"XLA_FLAGS {conditions.xla_flags or 'unset'}, allocator {allocator or 'as it comes'}, "
        f"batches of {conditions.batch_size}"
    )


def _drawn(head: Sequence[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="")
    for heading in head:
        if heading in _TEXT_COLUMNS:
            table.add_column(heading, overflow="fold")
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    return table


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = [number for number, heading in enumerate(head) if heading in _TEXT_COLUMNS]
    return markdown.table(
        head, [[markdown.escape(cell) for cell in row] for row in rows], left=text
    )


def _relative_speed(entry: Result, reference: Result) -> str:
    """Inference speed relative to the reference, with "~" if their intervals overlap."""
    if entry is reference:
        return "1"
    mine, other = entry.row, reference.row
    ratio = mine.infer_examples_per_s / other.infer_examples_per_s
    overlap = (
        mine.infer_examples_per_s_ci95_low <= other.infer_examples_per_s_ci95_high
        and other.infer_examples_per_s_ci95_low <= mine.infer_examples_per_s_ci95_high
    )
    return f"{'~' if overlap else ''}{ratio:.2f}"


def _difference(contrast: Contrast) -> tuple[str, ...]:
    d = contrast.difference
    interval = contrast.interval
    return (
        contrast.first,
        contrast.second,
        "" if d.mean is None else words.points(d.mean),
        "" if interval is None else words.points_range(*interval),
        "" if contrast.adjusted_p is None else f"{contrast.adjusted_p:.2g}",
        "" if d.effect is None else f"{d.effect:+.2f}",
        str(d.n),
        verdict.verdict(contrast),
    )

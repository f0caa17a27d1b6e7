"""Summary of a benchmark's records: means over its cases, and the worst cases."""

from collections.abc import Sequence

from experiments import markdown
from experiments.bench.config import Bench
from experiments.bench.records import BenchRecord
from experiments.bench.results import (
    OURS,
    CaseRecords,
    Statistic,
    entries,
    geometric_mean,
    median,
    minimum,
)
from experiments.bench.words import LABELS, MODES, duration

COMPILED = {"lax": "lax's time", "before": "the time before"}
"""Contenders with whose compile time ours is compared, and what their time is called."""

_ORDER = ("before", "max_pool", "torch", "lax", "flax", "onnxruntime", "equinox", "haiku")


def summary(bench: Bench, records: Sequence[BenchRecord], *, minima: bool = True) -> list[str]:
    """The summary of one allocator's records.

    Args:
        bench: The benchmark.
        records: The benchmark's records with one allocator.
        minima: Whether to add the means of minima.

    Returns:
        Markdown: a table of means of medians, one of minima, and lists of further notable results.
    """
    found = entries(records)
    parts = [
        _summary_table(found, median, "by medians"),
        _summary_table(found, minimum, "by minima") if minima else "",
        "\n".join(_lines(found)),
        "\n".join(_widest_against_narrowest(bench, found)),
    ]
    return [part for part in parts if part]


def progress(found: Sequence[CaseRecords]) -> list[str]:
    """The results of one case, one line per mode, for progress output."""
    lines = []
    for entry in found:
        timing = entry.timing(OURS)
        ratios = [
            f"{ratio:.2f}x {LABELS[peer]}"
            for peer in peers([entry])
            if (ratio := entry.ratio(peer)) is not None
        ]
        own = "not timed" if timing is None else duration(timing.median_s)
        lines.append(f"    {MODES[entry.any.mode]}: {', '.join([own, *ratios])}")
    return lines


def _summary_table(found: Sequence[CaseRecords], statistic: Statistic, title: str) -> str:
    columns = peers(found)
    if not columns:
        return ""
    rows = []
    for mode, mode_title in MODES.items():
        of_mode = [entry for entry in found if entry.any.mode == mode]
        for dtype in dict.fromkeys(entry.any.dtype for entry in of_mode):
            chosen = [entry for entry in of_mode if entry.any.dtype == dtype]
            cells = [mean_and_lowest(chosen, peer, statistic) for peer in columns]
            rows.append([mode_title, dtype, str(len(chosen)), *cells])
    heads = [f"against {LABELS[peer]}" for peer in columns]
    return markdown.table([title, "dtype", "cases", *heads], rows)


def mean_and_lowest(found: Sequence[CaseRecords], peer: str, statistic: Statistic) -> str:
    """The peer's time over ours: the geometric mean, and the lowest case."""
    ratios = {e.any.case: r for e in found if (r := e.ratio(peer, statistic)) is not None}
    if not ratios:
        return ""
    mean = geometric_mean(list(ratios.values()))
    lowest = min(ratios, key=lambda case: ratios[case])
    few = "" if len(ratios) == len(found) else f" over {len(ratios)}"
    return f"{mean:.2f}x{few}, lowest {ratios[lowest]:.2f}x ({lowest})"


def _lines(found: Sequence[CaseRecords]) -> list[str]:
    lines = []
    for mode, title in MODES.items():
        of_mode = [entry for entry in found if entry.any.mode == mode]
        facts = [_shares(of_mode), _temporaries(of_mode), _compilation(of_mode)]
        if text := "; ".join(fact for fact in facts if fact):
            lines.append(f"- {title}: {text}.")
    return lines


def _widest_against_narrowest(bench: Bench, found: Sequence[CaseRecords]) -> list[str]:
    """The cost of the widest window over the narrowest, for cases timed together."""
    lines = []
    for series in window_series(bench, found):
        (narrow, first), *_, (wide, last) = series if len(series) > 1 else [*series, *series]
        costs = []
        for contender in (OURS, *peers([first, last])):
            before, after = first.timing(contender), last.timing(contender)
            if before is not None and after is not None:
                times = after.median_s / before.median_s
                costs.append(f"{LABELS[contender]} {times:.1f}x")
        if wide > narrow and costs and first.any.group == last.any.group:
            what = f"{MODES[first.any.mode]}, {first.any.description.split()[0]}, {first.any.dtype}"
            lines.append(f"- {what}: window {wide} against window {narrow}: {', '.join(costs)}.")
    return lines


def window_series(
    bench: Bench, found: Sequence[CaseRecords]
) -> list[list[tuple[int, CaseRecords]]]:
    """The entries of a benchmark over windows, by operator, shape, dtype and mode.

    Args:
        bench: The benchmark; if its x axis is not the window, there are no series.
        found: The benchmark's entries.
        The series, lists of (window, entry) with ascending window.

    Returns:
        The series, each of (window, entry) with the window ascending.
    """
    if bench.x_axis != "window":
        return []
    cases = {case.name: case for case in bench.cases}
    series: dict[tuple, list[tuple[int, CaseRecords]]] = {}
    for entry in found:
        case = cases.get(entry.any.case)
        if case is not None:
            key = (entry.any.mode, case.operator, case.shape, entry.any.dtype)
            series.setdefault(key, []).append((max(case.windows), entry))
    return [sorted(each, key=lambda pair: pair[0]) for each in series.values()]


def _shares(found: Sequence[CaseRecords]) -> str:
    shares = [share for entry in found if (share := entry.share()) is not None]
    if not shares:
        return ""
    mean = sum(shares) / len(shares)
    return f"share of copy {mean:.0%} in the mean ({geometric_mean(shares):.0%} geometric)"


def _temporaries(found: Sequence[CaseRecords]) -> str:
    sizes = {_name(e): t for e in found if (t := e.temporaries) is not None}
    if not sizes:
        return ""
    most = max(sizes, key=lambda name: sizes[name])
    return f"temporaries at most {sizes[most]:.2f} inputs ({most})"


def _compilation(found: Sequence[CaseRecords]) -> str:
    seconds = {_name(e): s for e in found if (s := e.compile_s) is not None}
    if not seconds:
        return ""
    slowest = max(seconds, key=lambda name: seconds[name])
    text = f"compiled in {seconds[slowest]:.2f} s at most ({slowest})"
    for peer, theirs in COMPILED.items():
        ratios = {_name(e): r for e in found if (r := e.compile_ratio(peer)) is not None}
        if ratios:
            worst = max(ratios, key=lambda name: ratios[name])
            mean = geometric_mean(list(ratios.values()))
            text += f", {mean:.1f}x {theirs} in the mean, {ratios[worst]:.1f}x at most ({worst})"
    return text


def peers(found: Sequence[CaseRecords]) -> list[str]:
    """The other libraries that took part, in display order."""
    return [peer for peer in _ORDER if any(peer in entry.records for entry in found)]


def _name(entry: CaseRecords) -> str:
    return f"{entry.any.case} {entry.any.dtype}"

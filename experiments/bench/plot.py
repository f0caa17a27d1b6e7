"""plot.png: the times of a benchmark."""

import io
import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from experiments.bench.config import Bench
from experiments.bench.contenders import BEFORE, YARDSTICK
from experiments.bench.records import COPY, BenchRecord
from experiments.bench.results import OURS, CaseRecords, entries
from experiments.bench.summary import peers, window_series
from experiments.bench.words import LABELS, MODES, duration
from experiments.records import Environment
from experiments.report.plots import COLOURS, MARKERS

_GREY = "#888888"
_NAMES = (OURS, "torch", "lax", "flax", "onnxruntime", "equinox", "haiku")
_STYLES = {
    name: (COLOURS[i % len(COLOURS)], MARKERS[i]) for i, name in enumerate((*_NAMES, BEFORE))
}
_STYLES[YARDSTICK] = _STYLES["torch"]  # the two are never in one plot
_SIZES = {OURS: 9, "lax": 8, "flax": 4}  # lax and Flax are often one program, so points coincide


_CROWDED = 3e3
"""Ratio of the largest to the smallest time above which only powers of ten get a label."""


def draw(bench: Bench, environment: Environment, records: Sequence[BenchRecord]) -> bytes:
    """Plots the records of the benchmark's first allocator.

    Args:
        bench: The benchmark.
        environment: Environment of the benchmark.
        records: The benchmark's records.

    Returns:
        A PNG.
    """
    allocator = records[0].allocator
    found = entries(record for record in records if record.allocator == allocator)
    figure = _over_windows(bench, found) if bench.x_axis == "window" else _over_cases(found)
    title = f"{bench.title}. {environment.device}, {allocator} allocator"
    figure.suptitle(textwrap.fill(title, int(11 * figure.get_figwidth())), fontsize=11)
    handles = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=8, frameon=False
    )
    image = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()


def _over_cases(found: Sequence[CaseRecords]) -> Figure:
    """One panel per mode, one row per case; x is the time relative to a copy of the input."""
    modes = [mode for mode in MODES if any(entry.any.mode == mode for entry in found)]
    rows = list(dict.fromkeys(_row(entry) for entry in found))
    figure = Figure(
        figsize=(3 + 3.6 * len(modes), 1.9 + 0.32 * len(rows)), dpi=130, layout="constrained"
    )
    panels = figure.subplots(1, len(modes), sharey=True, squeeze=False)[0]
    for axes, mode in zip(panels, modes, strict=True):
        of_mode = [entry for entry in found if entry.any.mode == mode]
        copies = all(entry.timing(COPY) is not None for entry in of_mode)
        for entry in of_mode:
            _draw_row(axes, entry, rows.index(_row(entry)), copies)
        axes.set_title(MODES[mode], fontsize=10)
        if copies:
            axes.set_xlabel("time, in copies of the input (log; left is faster)", fontsize=9)
            axes.set_xscale("log")
            low, high = axes.get_xlim()
            crowded = high / low > _CROWDED
            axes.xaxis.set_major_locator(LogLocator(subs=(1,) if crowded else (1, 2, 5)))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        else:
            axes.set_xlabel("time (left is faster)", fontsize=9)
            axes.set_xlim(0, 1.08 * axes.get_xlim()[1])
            axes.xaxis.set_major_formatter(
                FuncFormatter(lambda value, _: duration(value) if value > 0 else "0")
            )
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_yticks(range(len(rows)), rows, fontsize=9)
        _style(axes)
    return figure


def _row(entry: CaseRecords) -> str:
    return entry.any.case if entry.any.dtype == "float32" else f"{entry.any.case} {entry.any.dtype}"


def _draw_row(axes: Axes, entry: CaseRecords, row: int, copies: bool) -> None:
    copy = entry.timing(COPY)
    unit = copy.median_s if copies and copy is not None else 1.0
    if copies:
        floor = entry.any.traffic_bytes / entry.records[COPY].traffic_bytes
        axes.plot(floor, row, "|", color=_GREY, markersize=11, label="least traffic")
    for peer in [*peers([entry]), OURS]:
        timing = entry.timing(peer)
        if timing is None:
            continue
        colour, marker = _STYLES[peer]
        axes.plot(
            timing.median_s / unit,
            row,
            marker,
            color=colour,
            markersize=_SIZES.get(peer, 6),
            markerfacecolor=colour if peer in (OURS, "torch", YARDSTICK) else "white",
            markeredgewidth=1.4,
            label=LABELS[peer],
            zorder=4 if peer == OURS else 3,
        )


def _over_windows(bench: Bench, found: Sequence[CaseRecords]) -> Figure:
    """One panel per mode and operator: times against the window."""
    series = window_series(bench, found)
    columns = max(1, len({each[0][1].any.mode for each in series}))
    lines = -(-len(series) // columns)
    figure = Figure(figsize=(1 + 3.6 * columns, 1.4 + 3 * lines), dpi=130, layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, squeeze=False)
    operators = list(dict.fromkeys(_operator(each) for each in series))
    ordered = sorted(series, key=lambda each: operators.index(_operator(each)))
    for axes, each in zip(panels.flat, ordered, strict=False):
        _draw_series(axes, each)
    for axes in panels[-1]:
        axes.set_xlabel("window, an axis", fontsize=9)
    for axes in panels.flat:
        axes.set_visible(axes.has_data())
    return figure


def _operator(series: Sequence[tuple[int, CaseRecords]]) -> str:
    return series[0][1].any.description.split()[0]


def _draw_series(axes: Axes, series: Sequence[tuple[int, CaseRecords]]) -> None:
    first = series[0][1].any
    axes.set_title(f"{_operator(series)}, {MODES[first.mode]}, {first.dtype}", fontsize=10)
    for peer in [*peers([entry for _, entry in series]), OURS]:
        points = [(window, entry.timing(peer)) for window, entry in series]
        timed = [(window, timing) for window, timing in points if timing is not None]
        colour, marker = _STYLES[peer]
        axes.plot(
            [window for window, _ in timed],
            [timing.median_s for _, timing in timed],
            marker=marker,
            color=colour,
            linewidth=2.4 if peer == OURS else 1.2,
            label=LABELS[peer],
            zorder=4 if peer == OURS else 3,
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks([window for window, _ in series], [str(window) for window, _ in series])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
    axes.yaxis.set_minor_locator(NullLocator())
    _style(axes)


def _style(axes: Axes) -> None:
    axes.grid(color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)

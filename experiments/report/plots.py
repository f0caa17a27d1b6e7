"""pareto.png: accuracy against speed, and drawing functions shared with the other plots."""

import io
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from experiments.report import labels, words
from experiments.report.rows import SummaryRow

# Okabe and Ito's colours, distinguishable with every common colour blindness, without yellow, which
# is too pale for text on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES = ("-", "--", ":", "-.")
_GREY = "#888888"
_MOST_LABELS = 12
_LEAST_PADDING = 0.3  # percentage points; otherwise the noise of a single variant fills the plot


def pareto_front(rows: Sequence[SummaryRow]) -> list[SummaryRow]:
    """The variants that no other variant beats significantly in both accuracy and inference speed.

    A variant is beaten if both 95% intervals of another variant lie above its own; overlapping
    intervals decide nothing.

    Args:
        rows: The variants.

    Returns:
        The variants on the front, slowest first.
    """

    def dominated(row: SummaryRow) -> bool:
        return any(
            accuracy_ends(other)[0] > accuracy_ends(row)[1]
            and other.infer_examples_per_s_ci95_low > row.infer_examples_per_s_ci95_high
            for other in rows
        )

    front = [row for row in rows if not dominated(row)]
    return sorted(front, key=lambda row: row.infer_examples_per_s)


def best_means(rows: Sequence[SummaryRow]) -> list[SummaryRow]:
    """The variants whose mean accuracy no variant of the same or a higher speed exceeds.

    Args:
        rows: The variants.

    Returns:
        These variants, slowest first; their accuracies decrease.
    """
    fastest_first = sorted(
        rows, key=lambda row: (-row.infer_examples_per_s, -row.test_accuracy_mean)
    )
    found: list[SummaryRow] = []
    for row in fastest_first:
        if not found or row.test_accuracy_mean > found[-1].test_accuracy_mean:
            found.append(row)
    return found[::-1]


def pareto(title: str, rows: Sequence[SummaryRow]) -> bytes:
    """Draws test accuracy against inference throughput.

    Args:
        title: The heading: dataset, device, seeds.
        rows: The variants, measured on one device.

    Returns:
        A PNG.
    """
    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    front = pareto_front(rows)
    variants = list(dict.fromkeys(row.variant for row in rows))
    indices = [variants.index(row.variant) for row in rows]
    for index, row in zip(indices, rows, strict=True):
        _draw_point(axes, row, COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)], front)
    joined = best_means(rows)
    axes.step(
        [row.infer_examples_per_s for row in joined],
        [100 * row.test_accuracy_mean for row in joined],
        where="pre",
        color=_GREY,
        linewidth=1,
        linestyle="--",
        zorder=1,
    )
    _set_axes(axes, rows)
    figure.suptitle(textwrap.fill(title, 90), fontsize=11)
    axes.set_title(
        "hollow: another is faster and more accurate beyond both bars (95%); line: the best means",
        fontsize=9,
        color="#555555",
    )
    canvas.draw()  # computes the layout, which the labels depend on
    labelled = list(range(len(rows)))
    if len(rows) > _MOST_LABELS:  # one label per variant, at its most accurate point
        labelled = [
            max(
                (i for i, row in enumerate(rows) if row.variant == variant),
                key=lambda i: rows[i].test_accuracy_mean,
            )
            for variant in variants
        ]
    labels.place(
        axes,
        canvas,
        [rows[i].key if len(rows) <= _MOST_LABELS else rows[i].variant for i in labelled],
        [(rows[i].infer_examples_per_s, 100 * rows[i].test_accuracy_mean) for i in labelled],
        [box for row in rows for box in _boxes(axes, row)],
        [_darker(COLOURS[indices[i] % len(COLOURS)]) for i in labelled],
    )
    image = io.BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()


def _draw_point(
    axes: Axes, row: SummaryRow, colour: str, marker: str, front: Sequence[SummaryRow]
) -> None:
    low, high = accuracy_ends(row)
    accuracy, speed = 100 * row.test_accuracy_mean, row.infer_examples_per_s
    axes.errorbar(
        speed,
        accuracy,
        xerr=[
            [max(0.0, speed - row.infer_examples_per_s_ci95_low)],
            [max(0.0, row.infer_examples_per_s_ci95_high - speed)],
        ],
        yerr=[[accuracy - low], [high - accuracy]],
        color=colour,
        marker=marker,
        markersize=8,
        markeredgewidth=1.5,
        markerfacecolor=colour if row in front else "white",
        elinewidth=1.3,
        capsize=3,
        zorder=3,
    )


def accuracy_ends(row: SummaryRow) -> tuple[float, float]:
    """The ends of a row's accuracy interval in percent; both are the mean without an interval."""
    mean = row.test_accuracy_mean
    low = mean if row.test_accuracy_ci95_low is None else row.test_accuracy_ci95_low
    high = mean if row.test_accuracy_ci95_high is None else row.test_accuracy_ci95_high
    return 100 * min(low, mean), 100 * max(high, mean)


def curve(
    axes: Axes,
    index: int,
    x: Sequence[float],
    rows: Sequence[SummaryRow],
    at: str = "",
    style: int = 0,
) -> None:
    """Draws the accuracies of one variant as a line with their intervals.

    Args:
        axes: The axes to draw on.
        index: The index of the variant, which selects colour and marker.
        x: The x coordinate of each row.
        rows: The variant's rows.
        at: The settings that tell this line from others of the variant; empty if it has one line.
        style: The index of these settings, which selects the dashes of the line.
    """
    means = [100 * row.test_accuracy_mean for row in rows]
    ends = [accuracy_ends(row) for row in rows]
    axes.errorbar(
        x,
        means,
        yerr=[
            [mean - low for mean, (low, _) in zip(means, ends, strict=True)],
            [high - mean for mean, (_, high) in zip(means, ends, strict=True)],
        ],
        label=f"{rows[0].variant}, {at}" if at else rows[0].variant,
        linestyle=_DASHES[style % len(_DASHES)],
        color=COLOURS[index % len(COLOURS)],
        marker=MARKERS[index % len(MARKERS)],
        markersize=5,
        linewidth=1.3,
        capsize=3,
    )


def _set_axes(axes: Axes, rows: Sequence[SummaryRow]) -> None:
    slow = min(row.infer_examples_per_s_ci95_low for row in rows)
    fast = max(row.infer_examples_per_s_ci95_high for row in rows)
    margin = max((fast / slow) ** 0.12, 1.08)
    axes.set_xscale("log")
    axes.set_xlim(slow / margin, fast * margin)
    axes.xaxis.set_major_locator(FixedLocator(log_ticks(slow / margin, fast * margin)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.short_si(value)))
    bottom = min(accuracy_ends(row)[0] for row in rows)
    top = max(accuracy_ends(row)[1] for row in rows)
    padding = max(0.15 * (top - bottom), _LEAST_PADDING)
    axes.set_ylim(bottom - padding, top + padding)
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:g}" if value <= 100 else "")
    )
    batches = words.listed([f"{batch:,}" for batch in sorted({row.batch_size for row in rows})])
    axes.set_xlabel(f"inference, examples/s in batches of {batches} (log scale; right is faster)")
    axes.set_ylabel("test accuracy, % (up is better)")
    axes.grid(color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _darker(colour: str) -> tuple[float, float, float]:
    """The same hue, dark enough for text on a white background."""
    red, green, blue = to_rgb(colour)
    return 0.75 * red, 0.75 * green, 0.75 * blue


def log_ticks(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: 1, 2, 5 per decade, or evenly spaced ones in a narrow range.

    Args:
        low: The lower limit of the axis.
        high: The upper limit.

    Returns:
        Round numbers between the limits, ascending.
    """
    decades = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    ticks = [m * 10**d for d in decades for m in (1, 2, 5) if low <= m * 10**d <= high]
    if len(ticks) >= 3:
        return ticks
    return [tick for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]


def _boxes(axes: Axes, row: SummaryRow) -> list[Bbox]:
    """The rectangles that a point covers, in pixels: its marker and its two error bars."""
    low, high = accuracy_ends(row)
    accuracy, speed = 100 * row.test_accuracy_mean, row.infer_examples_per_s
    ends = axes.transData.transform(
        [
            (speed, accuracy),
            (row.infer_examples_per_s_ci95_low, accuracy),
            (row.infer_examples_per_s_ci95_high, accuracy),
            (speed, low),
            (speed, high),
        ]
    )
    centre, left, right, bottom, top = ends
    return [
        Bbox([centre - 9, centre + 9]),
        Bbox([left - 4, right + 4]),
        Bbox([bottom - 4, top + 4]),
    ]

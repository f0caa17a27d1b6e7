"""sweep.png: accuracy against the first swept key."""

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from experiments.report import words
from experiments.report.plots import curve
from experiments.report.rows import SummaryRow


def plot(title: str, rows: Sequence[SummaryRow]) -> bytes:
    """Draws test accuracy against the first swept key, one curve per variant.

    If further keys are swept, each combination of their values gets a panel.

    Args:
        title: The heading.
        rows: The rows of a study with a sweep.

    Returns:
        A PNG.
    """
    key, *others = rows[0].swept
    panels: dict[str, list[SummaryRow]] = {}
    for row in rows:
        panels.setdefault(row.at(others), []).append(row)
    figure = Figure(figsize=(max(7, 4.2 * len(panels)), 4.8), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (panel, shown) in zip(every, panels.items(), strict=True):
        _panel(axes, key, shown)
        axes.set_title(panel, fontsize=9)
    every[0].set_ylabel("test accuracy, % (up is better)")
    every[-1].legend(frameon=False, fontsize=9)
    figure.suptitle(f"{title}. Bars: 95% intervals over seeds", fontsize=10)
    image = io.BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()


def _panel(axes: Axes, key: str, rows: Sequence[SummaryRow]) -> None:
    values = list(dict.fromkeys(_label(row.swept[key]) for row in rows))
    numbers = [row.swept[key] for row in rows]
    numeric = all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers)
    for index, variant in enumerate(dict.fromkeys(row.variant for row in rows)):
        own = [row for row in rows if row.variant == variant]
        x = [row.swept[key] if numeric else values.index(_label(row.swept[key])) for row in own]
        curve(axes, index, x, own)
    if numeric and min(numbers) > 0 and max(numbers) >= 10 * min(numbers):
        axes.set_xscale("log")
    ticks = sorted(set(numbers)) if numeric else range(len(values))
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(list(ticks), labels=[words.short_si(t) for t in ticks] if numeric else values)
    axes.set_xlabel(key)
    axes.grid(color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _label(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

"""frontier.png: accuracy against cost, one curve per variant."""

import io
import textwrap
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from experiments import frontier
from experiments.report import words
from experiments.report.plots import curve, log_ticks
from experiments.report.rows import SummaryRow

Cost = Callable[[SummaryRow], float]


def plot(title: str, rows: Sequence[SummaryRow]) -> bytes | None:
    """Draws a curve per variant: test accuracy against throughput, and against latency.

    If several keys that change the cost are swept, each combination of the values of all but the
    first has a curve of its own. Each combination of values of the keys that do not change the
    cost, such as the size of the training set, has a row of panels.

    Args:
        title: The heading.
        rows: The rows of one device.

    Returns:
        A PNG, or None if no swept key changes the cost.
    """
    panels = frontier.panels(rows)
    if not panels:
        return None
    figure = Figure(figsize=(11, 0.6 + 4.4 * len(panels)), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    every = figure.subplots(len(panels), 2, sharey="row", squeeze=False)
    for (left, right), (panel, shown) in zip(every, panels.items(), strict=True):
        _panel(left, shown, lambda row: row.infer_examples_per_s)
        _panel(right, shown, lambda row: row.latency_ms_p50)
        left.set_title(panel, fontsize=9)
        left.set_ylabel("test accuracy, % (up is better)")
        batches = words.listed([f"{batch:,}" for batch in sorted({r.batch_size for r in shown})])
        left.set_xlabel(f"inference, examples/s in batches of {batches} (right is faster)")
        right.set_xlabel("latency of one example, ms, median (left is faster)")
        for speed in frontier.common_costs(frontier.curves(shown)):
            left.axvline(speed, color="#BBBBBB", linewidth=1, linestyle=":", zorder=0)
    every[0][0].legend(frameon=False, fontsize=9)
    along, *others = frontier.cost_keys(rows)
    each = f"variant, {words.listed(others)}" if others else "variant"
    said = f"{title}. One curve per {each} over {along}. Bars: 95% intervals over seeds"
    figure.suptitle(textwrap.fill(said, 110), fontsize=10)
    image = io.BytesIO()
    figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()


def _panel(axes: Axes, rows: Sequence[SummaryRow], cost: Cost) -> None:
    found = frontier.lines(rows)
    variants, others = (list(dict.fromkeys(names)) for names in zip(*found, strict=True))
    for (variant, at), joined in found.items():
        own = sorted(joined, key=cost)
        x = [cost(row) for row in own]
        curve(axes, variants.index(variant), x, own, at, others.index(at))
    costs = [cost(row) for row in rows]
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 1.15, max(costs) * 1.15)
    axes.xaxis.set_major_locator(FixedLocator(log_ticks(*axes.get_xlim())))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.short_si(value)))
    axes.grid(color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)

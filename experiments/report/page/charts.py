"""Vega-Lite charts of accuracy against cost and against swept keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from experiments.frontier import line_key, lines, panels
from experiments.report import words
from experiments.report.page.looks import Look, scales
from experiments.report.page.vega import ZOOM, Chart, Option, Spec, axis, frame, zoomed
from experiments.report.rows import SummaryRow


@dataclass(frozen=True)
class CostAxis:
    """A cost on the x axis of a chart of accuracy."""

    field: str
    title: str
    faster: Literal["left", "right"]


_COSTS = (
    CostAxis("infer_examples_per_s", "inference, examples/s", "right"),
    CostAxis("train_examples_per_s", "training, examples/s", "right"),
    CostAxis("latency_ms_p50", "latency of one example, ms, p50", "left"),
    CostAxis("latency_ms_p95", "latency of one example, ms, p95", "left"),
    CostAxis("latency_ms_p99", "latency of one example, ms, p99", "left"),
)
_DASHES: Spec = {"field": "line", "type": "nominal", "legend": {"title": None, "orient": "top"}}
"""The encoding that tells lines of one variant apart."""
_ESTIMATED_COSTS = (
    *_COSTS[:2],
    CostAxis("latency_ms_p50", "latency of one example, ms", "left"),
)


def frontier(place: str, rows: Sequence[SummaryRow], found: Sequence[Look]) -> Chart:
    """Accuracy against each cost for the rows of one device; of a sweep, one curve per variant.

    A sweep of several keys has a drawing for each combination of values of the keys that do not
    change the cost. In a drawing, a curve joins cells that differ in `frontier.line_key` only.

    Args:
        place: The chart's id in the page.
        rows: The rows, all measured or all estimated for one device.
        found: The looks of the variants.
    """
    first = rows[0]
    estimated = first.device_source == "estimated"
    batches = words.listed([f"{batch:,}" for batch in sorted({row.batch_size for row in rows})])
    caption = (
        f"{first.device_source.capitalize()} on {first.device}; throughput in batches of "
        f"{batches}. Bars: 95% intervals, of accuracy over seeds"
        + ("." if estimated else ", of throughput over repetitions.")
    )
    if first.swept:
        along = f" that differ only in `{line_key(rows)}`" if len(first.swept) > 1 else ""
        caption += f" A line joins the cells of one variant{along}, in the order of the sweep."
    else:
        caption += (
            " Dashed line: the best means. Overlapping bars do not show which variant is better."
        )
    return Chart(
        id=place,
        title=f"{first.device_source.capitalize()} on {first.device}",
        caption=f"{caption} {ZOOM}",
        options=[
            Option(
                f"{cost.title}, at {panel}" if panel else cost.title,
                _frontier(cost, shown, found),
                "x",
                "log",
            )
            for panel, shown in (panels(rows) or {"": rows}).items()
            for cost in (_ESTIMATED_COSTS if estimated else _COSTS)
        ],
        choice="against",
    )


def sweep(rows: Sequence[SummaryRow], found: Sequence[Look]) -> list[Chart]:
    """Accuracy against each swept key, for each combination of the values of the others.

    Args:
        rows: The measured rows of a study with a sweep.
        found: The looks of the variants.
    """
    charts = []
    for index, key in enumerate(rows[0].swept):
        groups: dict[str, list[SummaryRow]] = {}
        others = [other for other in rows[0].swept if other != key]
        for row in rows:
            groups.setdefault(row.at(others) or key, []).append(row)
        charts.append(
            Chart(
                id=f"sweep-{index}",
                title=f"Accuracy against {key}",
                caption=f"Bars: 95% intervals over seeds. {ZOOM}",
                options=[_against(label, key, group, found) for label, group in groups.items()],
                choice="at",
            )
        )
    return charts


def ends(row: SummaryRow) -> dict[str, float]:
    """Mean accuracy in percent and the ends of its interval; without one, both are the mean."""
    mean = row.test_accuracy_mean
    low, high = row.test_accuracy_ci95_low, row.test_accuracy_ci95_high
    return {
        "accuracy": round(100 * mean, 3),
        "least": round(100 * (mean if low is None else low), 3),
        "most": round(100 * (mean if high is None else high), 3),
    }


def _frontier(cost: CostAxis, rows: Sequence[SummaryRow], found: Sequence[Look]) -> Spec:
    front = set() if rows[0].swept else {row.key for row in _front(rows, cost)}
    curves = lines(rows) if rows[0].swept else {}
    others = {row.key: at for (_, at), own in curves.items() for row in own}
    data = []
    for index, row in enumerate(rows):
        value = getattr(row, cost.field)
        data.append(
            {
                "variant": row.variant,
                "cost": value,
                "low": getattr(row, f"{cost.field}_ci95_low", value),
                "high": getattr(row, f"{cost.field}_ci95_high", value),
                **ends(row),
                **_said(row),
                "shown": f"{words.si(value)}",
                "index": index,
                "line": others.get(row.key, ""),
                "front": row.key in front,
            }
        )
    looks = scales(found)
    title = f"{cost.title} ({cost.faster} is faster)"
    x, y = axis("cost", title, "~s"), axis("accuracy", "test accuracy, %")
    colour = {"color": looks["color"]}
    line = {"x": x, "y": y, "order": {"field": "index"}}
    dashes = {"strokeDash": _DASHES} if any(others.values()) else {}
    joined = (
        {"mark": {"type": "line", "opacity": 0.6}, "encoding": {**line, **colour, **dashes}}
        if rows[0].swept
        else {
            "mark": {
                "type": "line",
                "interpolate": "step-after" if cost.faster == "left" else "step-before",
                "strokeDash": [5, 4],
                "color": "#888888",
            },
            "transform": [{"filter": "datum.front"}],
            "encoding": {**line, "order": {"field": "cost"}},
        }
    )
    tooltip = [
        {"field": "variant"},
        *([{"field": "where", "title": "at"}] if rows[0].swept else []),
        {"field": "said", "title": "test accuracy, %"},
        {"field": "shown", "title": cost.title},
        {"field": "parameters"},
        {"field": "seeds"},
    ]
    layers = [
        joined,
        {
            "mark": "rule",
            "encoding": {"x": axis("low", title), "x2": {"field": "high"}, "y": y, **colour},
        },
        _whisker(x, colour),
        zoomed(_points({"x": x, "y": y, **looks}, tooltip)),
    ]
    return frame(
        layers, data, f"Test accuracy against {cost.title}, one point per row of the table"
    )


def _whisker(x: Spec, colour: Spec) -> Spec:
    """The error bar of an accuracy."""
    y = axis("least", "test accuracy, %")
    return {"mark": "rule", "encoding": {"x": x, "y": y, "y2": {"field": "most"}, **colour}}


def _points(encoding: Spec, tooltip: Sequence[Spec]) -> Spec:
    return {
        "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
        "encoding": {**encoding, "tooltip": list(tooltip)},
    }


def _said(row: SummaryRow) -> dict[str, str]:
    """The texts in a point's tooltip."""
    interval = row.test_accuracy_ci95_low, row.test_accuracy_ci95_high
    said = words.accuracy(row.test_accuracy_mean, *interval, row.seeds)
    diverged = f", {row.diverged} diverged" if row.diverged else ""
    return {
        "said": said,
        "parameters": f"{row.parameters:,}",
        "seeds": f"{row.seeds}{diverged}",
        "where": words.cell(row.cell),
    }


def _front(rows: Sequence[SummaryRow], cost: CostAxis) -> list[SummaryRow]:
    """The Pareto-optimal rows in mean accuracy and this cost."""
    sign = 1 if cost.faster == "right" else -1

    def merit(row: SummaryRow) -> tuple[float, float]:
        return row.test_accuracy_mean, sign * getattr(row, cost.field)

    merits = [merit(row) for row in rows]
    return [
        row
        for row, (good, fast) in zip(rows, merits, strict=True)
        if not any(a >= good and b >= fast and (a, b) != (good, fast) for a, b in merits)
    ]


def _against(label: str, key: str, rows: Sequence[SummaryRow], found: Sequence[Look]) -> Option:
    values = [row.swept[key] for row in rows]
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    numbers = sorted(set(values)) if numeric else []
    wide = bool(numbers) and numbers[0] > 0 and numbers[-1] >= 10 * numbers[0]
    data = [
        {
            "variant": row.variant,
            "value": value if numeric else words.plain(value),
            **ends(row),
            **_said(row),
        }
        for row, value in zip(rows, values, strict=True)
    ]
    if numeric:
        form = "~s" if numbers[-1] >= 1000 else "~g"
        x: Spec = axis("value", key, form, values=numbers)
    else:
        order = list(dict.fromkeys(words.plain(value) for value in values))
        x = {
            "field": "value",
            "type": "ordinal",
            "title": key,
            "sort": order,
            "axis": {"labelAngle": 0},
        }
        x["scale"] = {"type": "point", "padding": 0.5}
    looks, y = scales(found), axis("accuracy", "test accuracy, %")
    colour = {"color": looks["color"]}
    tooltip = [
        {"field": "variant"},
        {"field": "where", "title": "at"},
        {"field": "said", "title": "test accuracy, %"},
        {"field": "seeds"},
    ]
    layers = [
        {"mark": {"type": "line"}, "encoding": {"x": x, "y": y, **colour}},
        _whisker(x, colour),
        zoomed(_points({"x": x, "y": y, **looks}, tooltip), ("x", "y") if numeric else ("y",)),
    ]
    spec = frame(layers, data, f"Test accuracy against {key}, one curve per variant")
    possible = bool(numbers) and numbers[0] > 0
    return Option(label, spec, "x" if possible else "", "log" if wide else "linear")

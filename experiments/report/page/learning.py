"""Learning curves from the metrics.jsonl of each run, if the folder contains runs."""

import math
from collections.abc import Sequence

from experiments.folder import StudyFolder
from experiments.records import EpochMetrics, read_metrics
from experiments.report import words
from experiments.report.page.looks import Look, scales
from experiments.report.page.vega import ZOOM, Chart, Option, Spec, axis, frame, zoomed
from experiments.report.plan import Plan

MOST_POINTS = 120
_QUANTITIES = {
    "validation_accuracy": ("validation accuracy, %", 100.0),
    "validation_loss": ("validation loss", 1.0),
    "train_loss": ("training loss", 1.0),
}


def chart(study: StudyFolder, plan: Plan, found: Sequence[Look]) -> Chart | None:
    """The learning curves of a study, or None without runs.

    Args:
        study: The study's folder.
        plan: The study's plan.
        found: The looks of the variants.
    """
    steps = "training.steps" in plan.settings
    options = []
    for cell in plan.cells:
        runs = {
            variant: [
                metrics
                for seed in plan.seeds
                if (metrics := read_metrics(study.of_cell(cell).metrics(variant, seed)))
            ]
            for variant in plan.variants
        }
        for name, (title, scale) in _QUANTITIES.items():
            data = [
                point
                for variant, seeds in runs.items()
                for point in _curve(variant, seeds, name, scale, steps)
            ]
            if data:
                label = f"{title}, at {words.cell(cell)}" if cell else title
                options.append(_option(label, title, data, found, steps))
    if not options:
        return None
    return Chart(
        id="learning",
        title="Learning curves",
        caption=(
            "Line: mean over the seeds that reached the point. Band: their minimum and maximum. "
            f"Long runs are drawn with {MOST_POINTS} points. {ZOOM}"
        ),
        options=options,
        choice="show",
    )


def _curve(
    variant: str, seeds: Sequence[Sequence[EpochMetrics]], name: str, scale: float, steps: bool
) -> list[dict[str, object]]:
    by_epoch: dict[int, list[float]] = {}
    for metrics in seeds:
        for one in metrics:
            value = getattr(one, name)
            if value is not None and math.isfinite(value):
                by_epoch.setdefault(one.step if steps else one.epoch, []).append(scale * value)
    places = sorted(by_epoch)
    stride = math.ceil(len(places) / MOST_POINTS)
    kept = sorted({*places[::stride], *places[-1:]}) if places else []
    marked = max(1, len(kept) // 8)
    return [
        {
            "variant": variant,
            "place": place,
            "mean": float(f"{sum(values) / len(values):.5g}"),
            "low": float(f"{min(values):.5g}"),
            "high": float(f"{max(values):.5g}"),
            "marked": index % marked == 0 or index == len(kept) - 1,
        }
        for index, place in enumerate(kept)
        for values in [by_epoch[place]]
    ]


def _option(
    label: str, title: str, data: list[dict[str, object]], found: Sequence[Look], steps: bool
) -> Option:
    looks = scales(found)
    x = axis("place", "step" if steps else "epoch", "~s", tickMinStep=1)
    y = axis("mean", title)
    colour = {"color": looks["color"]}
    shown: Spec = {"condition": {"test": "datum.marked", "value": 1}, "value": 0}
    layers: list[Spec] = [
        {
            "mark": {"type": "area", "opacity": 0.15},
            "encoding": {"x": x, "y": axis("low", title), "y2": {"field": "high"}, **colour},
        },
        {"mark": {"type": "line", "strokeWidth": 1.6}, "encoding": {"x": x, "y": y, **colour}},
        zoomed(
            {
                "mark": {"type": "point", "filled": True, "size": 55},
                "encoding": {
                    "x": x,
                    "y": y,
                    **looks,
                    "opacity": shown,
                    "tooltip": [
                        {"field": "variant"},
                        {"field": "place", "title": "step" if steps else "epoch"},
                        {"field": "mean", "title": title, "format": ".4~g"},
                        {"field": "low", "title": "least", "format": ".4~g"},
                        {"field": "high", "title": "greatest", "format": ".4~g"},
                    ],
                },
            }
        ),
    ]
    lowest = min(point["low"] for point in data if isinstance(point["low"], float))
    spec = frame(layers, data, f"{title} in the course of training, one curve per variant")
    return Option(label, spec, "y" if lowest > 0 else "", "linear")

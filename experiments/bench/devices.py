"""The README's table of devices: jaxpool against lax on each device, measured or estimated."""

from pathlib import Path

from experiments import markdown, records
from experiments.bench.records import BenchRecord, read
from experiments.bench.results import entries, median
from experiments.bench.summary import mean_and_lowest
from experiments.records import Environment
from experiments.targets import TITLES

_RESULTS = Path(__file__).parents[2] / "results"
_NAME = "bench-core"
_OLDEST = "oldest"
"""The folder in `results` of the same benchmark with the oldest supported jaxlib."""


def table() -> str:
    """One row per device with published records of the poolings of well-known networks."""
    rows = [_row("CPU", "measured", folder / _NAME) for folder in (_RESULTS, _RESULTS / _OLDEST)]
    rows += [
        _row(title, "estimated", folder)
        for target, title in TITLES.items()
        if (folder := _RESULTS / f"{_NAME}-{target}").is_dir()
    ]
    return markdown.table(["float32, time of lax over ours", "", "forward", "with gradient"], rows)


def _row(title: str, how: str, folder: Path) -> list[str]:
    environment = records.read(folder / "environment.json", Environment)
    found = [one for one in read(folder / "records.jsonl") if one.dtype == "float32"]
    cells = [_cell(found, mode) for mode in ("forward", "gradient")]
    return [title, f"{how}, jax {environment.versions['jax']}", *cells]


def _cell(found: list[BenchRecord], mode: str) -> str:
    of_mode = [entry for entry in entries(found) if entry.any.mode == mode]
    return mean_and_lowest(of_mode, "lax", median)

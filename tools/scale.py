"""Computes the examples of docs/scale.md: speed-ups by many devices, from a published study.

N devices can train one run per device, or one run whose batch is divided among all devices. The
formulas are lower bounds of the time. Nothing was measured on more than one machine.
"""

import math
from pathlib import Path

from experiments import markdown
from experiments.bench.words import duration
from experiments.report.rows import SummaryRow
from experiments.report.summary_csv import read_csv

STUDY = Path(__file__).parents[1] / "results" / "fashion_mnist" / "summary.csv"
DEVICES = 1000
HOP_S = 5e-6
"""Assumed time to start one exchange with a neighbour."""
LINKS = {
    "Ethernet of 25 Gbit/s": 25e9 / 8,
    "InfiniBand of 400 Gbit/s": 400e9 / 8,
    "an accelerator's own links, 100 GB/s": 100e9,
}
"""Assumed bandwidth of each device's link in one direction, in bytes per second."""
RESNET_50 = 25_557_032
"""Parameters of ResNet-50 for ImageNet, a network of common size to compare with."""
ITEM_BYTES = 4
TRAINING_EXAMPLES = 54_000
"""Of Fashion-MNIST, without the tenth for validation that configs/fashion_mnist.toml sets apart."""


def all_reduce_s(size: float, devices: int, bandwidth: float, hop_s: float = HOP_S) -> float:
    """Seconds of a ring all-reduce: 2 (N - 1) hops and 2 (N - 1) / N of the bytes per link.

    Args:
        size: Bytes that each device contributes.
        devices: N.
        bandwidth: Bandwidth of each link, in bytes per second.
        hop_s: Seconds to start an exchange.

    Returns:
        Seconds.

    Example:
        >>> all_reduce_s(100e6, devices=2, bandwidth=1e9, hop_s=0)
        0.1
    """
    return 2 * (devices - 1) * (hop_s + size / devices / bandwidth)


def tree_s(size: float, devices: int, bandwidth: float, hop_s: float = HOP_S) -> float:
    """Seconds of a tree all-reduce: fewer hops, with all bytes in each hop.

    Example:
        >>> tree_s(1e9, devices=1024, bandwidth=1e9, hop_s=0)
        20.0
    """
    return 2 * math.ceil(math.log2(devices)) * (hop_s + size / bandwidth)


def study_s(run_s: list[float], devices: int) -> float:
    """Seconds of a study whose runs are assigned to devices, the longest run first.

    Each run is assigned to the first free device.

    Args:
        run_s: Seconds of each run.
        devices: Number of devices.

    Returns:
        Seconds until the last run ends.

    Example:
        >>> study_s([3.0, 1.0, 1.0, 1.0], devices=2)
        3.0
    """
    busy = [0.0] * min(devices, len(run_s))
    for seconds in sorted(run_s, reverse=True):
        busy[busy.index(min(busy))] += seconds
    return max(busy)


def example() -> str:
    """The worked example, for docs/scale.md."""
    rows = [row for row in read_csv(STUDY) if row.device_source == "measured"]
    return "\n\n".join([_runs(rows), _one_run(rows[0])])


def _runs(rows: list[SummaryRow]) -> str:
    """The training time of a study with one run per device."""
    runs = [row.train_seconds_mean or 0.0 for row in rows for _ in range(row.seeds)]
    cells = []
    for devices in (1, 4, len(runs), DEVICES):
        seconds = study_s(runs, devices)
        cells.append([f"{devices:,}", f"{seconds:,.0f}", f"{sum(runs) / seconds:.1f}"])
    lines = [
        f"{len(rows)} variants with {rows[0].seeds} seeds each are {len(runs)} runs, "
        f"{sum(runs):,.0f} s of training in total on {rows[0].device}; the longest run takes "
        f"{max(runs):,.0f} s.",
        "",
        markdown.table(["devices as fast as that machine", "training, s", "speed-up"], cells),
    ]
    return "\n".join(lines)


def _one_run(row: SummaryRow) -> str:
    """The batch size and the all-reduce time of one run whose batch is divided."""
    batch = row.batch_size
    step_s = batch / row.train_examples_per_s
    lines = [
        f"One run on {DEVICES:,} devices with {batch} examples each has a global batch of "
        f"{DEVICES * batch:,}, and Fashion-MNIST has {TRAINING_EXAMPLES:,} training examples. The "
        f"study cannot use {DEVICES:,} devices in this way. With one example per device, an "
        f"epoch has {TRAINING_EXAMPLES // DEVICES} steps instead of {TRAINING_EXAMPLES // batch}.",
        "",
        f"A step of `{row.variant}` takes {duration(step_s)} on that machine for {batch} examples. "
        f"Its {row.parameters:,} parameters are {row.parameters * ITEM_BYTES / 1e6:.3g} MB of "
        f"gradients, those of ResNet-50 {RESNET_50 * ITEM_BYTES / 1e6:.3g} MB. Time of one "
        f"all-reduce among {DEVICES:,} devices, with {duration(HOP_S)} per hop:",
        "",
    ]
    heads = ["link of each device", "this network, ring", "tree", "ResNet-50, ring", "tree"]
    cells = []
    for name, bandwidth in LINKS.items():
        times = [
            duration(of(size * ITEM_BYTES, DEVICES, bandwidth))
            for size in (row.parameters, RESNET_50)
            for of in (all_reduce_s, tree_s)
        ]
        cells.append([name, *times])
    return "\n".join([*lines, markdown.table(heads, cells)])

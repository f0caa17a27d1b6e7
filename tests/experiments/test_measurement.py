import numpy as np
import pytest

from experiments.measurement import measure
from experiments.records import Origin
from tests.experiments.tiny import tiny_study

ORIGIN = Origin(
    device="cpu: Test Processor", versions={}, xla_flags="", git_commit=None, plugins={}
)


def test_variants_are_measured_side_by_side(tmp_path):
    study = tiny_study(tmp_path, "variants.none.pool=none", "measurement.rounds=7")
    told = []
    measured = measure({"": study}, lambda study: study.dataset.limited(), ORIGIN, told.append)
    assert list(measured) == [("", "max"), ("", "strided"), ("", "none")]
    found = {variant: one for (_, variant), one in measured.items()}
    assert told[-1] == "measuring for up to 0.1 s"
    for one in found.values():
        assert one.batch_size == 16
        assert (one.cell, one.origin) == ("", ORIGIN)
        assert one.fingerprint == study.cost_fingerprint(one.variant)
        assert one.device_source == "measured"
        # Kernel, scale and bias of the stage, and the classifier.
        assert one.parameters == 9 * 4 + 2 * 4 + 4 * 10 + 10
        assert one.compile_s > 0
        assert one.latency_ms.samples >= 100
        assert one.latency_ms.p50 <= one.latency_ms.p95 <= one.latency_ms.p99
        for throughput in (one.train_examples_per_s, one.infer_examples_per_s):
            assert 6 <= len(throughput.samples) <= 7
            assert throughput.median == np.median(throughput.samples)
            assert throughput.low <= throughput.median <= throughput.high
    # The strided convolution does a quarter of the work; without pooling only the pooling is saved.
    flops = {name: one.flops_per_example for name, one in found.items()}
    assert flops["strided"] < flops["none"] / 2
    # Of 8x8 outputs the 36 inner ones read 9 pixels, the 24 at sides 6, the 4 corners 4.
    assert flops["none"] > 2 * 4 * (36 * 9 + 24 * 6 + 4 * 4)
    memory = {name: one.peak_memory_mb for name, one in found.items()}
    # Input, state and activations: the none variant keeps at least 16 full feature maps.
    assert memory["strided"] < memory["none"]
    assert memory["none"] > 16 * 8 * 8 * 4 * 4 / 1e6


@pytest.mark.thorough
def test_cells_that_cost_the_same_share_one_measurement(tmp_path):
    study = tiny_study(
        tmp_path, 'sweep={"dataset.train_limit"=[64, 96], "model.widths"=[[2], [4]]}'
    )
    told = []
    found = measure(study.cells(), lambda cell: cell.dataset.limited(), ORIGIN, told.append)
    assert told.count("compiling max for measurement") == 2
    assert len(found) == 4 * 2
    for variant in ("max", "strided"):
        small, large = (
            {cell: one for (cell, name), one in found.items() if name == variant and width in cell}
            for width in ("model.widths=2", "model.widths=4")
        )
        assert [len(small), len(large)] == [2, 2]
        assert len({one.compile_s for one in small.values()}) == 1
        assert {one.parameters for one in small.values()} == {9 * 2 + 2 * 2 + 2 * 10 + 10}
        assert {one.cell for one in large.values()} == set(large)

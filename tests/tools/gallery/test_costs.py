"""The costs of the gallery are those of the records."""

import pytest

from experiments import records
from experiments.bench import timing
from experiments.bench.records import BenchRecord
from experiments.environment import capture
from tools.gallery.costs import Costs

CONFIG = """
title = "x"
contenders = ["jaxpool", "max_pool"]

[[calls]]
name = "k2"
shape = [1, 8, 8, 16]
window = 2
strides = 2
operators = ["avg_pool", "stochastic_pool", "stochastic_pool.inference", "roi_align"]
"""


def record(case, contender, seconds):
    return BenchRecord(
        case=case,
        description="",
        dtype="float32",
        mode="forward",
        contender=contender,
        allocator="default",
        group="g",
        outcome="timed",
        input_bytes=1,
        traffic_bytes=1,
        timing=timing.timing([seconds * (1 + 0.001 * i) for i in range(9)], 1),
    )


@pytest.fixture
def costs(tmp_path):
    config = tmp_path / "x.toml"
    config.write_text(CONFIG)
    records.write(tmp_path / "environment.json", capture())
    records.append_lines(
        tmp_path / "records.jsonl",
        [
            record("avg_pool-k2", "jaxpool", 0.002),
            record("avg_pool-k2", "max_pool", 0.001),
            record("stochastic_pool-k2", "jaxpool", 0.0123),
            record("stochastic_pool-k2", "max_pool", 0.001),
            record("stochastic_pool.inference-k2", "jaxpool", 0.001002),
            record("stochastic_pool.inference-k2", "max_pool", 0.001),
        ],
    )
    return Costs.read(config, tmp_path)


def test_a_cost_is_the_operator_s_time_divided_by_that_of_max_pooling(costs):
    assert [(call.operator, costs.text(call, "forward")) for call in costs.calls] == [
        ("avg_pool", "2.00"),
        ("stochastic_pool", "12"),
        ("stochastic_pool.inference", "≈ 1.00"),
        ("roi_align", "not measured"),
    ]
    assert costs.text(costs.calls[0], "gradient") == "not measured"
    assert [call.operator for call in costs.of("stochastic_pool")] == [
        "stochastic_pool",
        "stochastic_pool.inference",
    ]

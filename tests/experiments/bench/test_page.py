"""The page of a benchmark."""

import json
import re

import pytest

from experiments.bench.page import means, page
from experiments.bench.records import COPY
from experiments.bench.results import entries
from tests.experiments.browser import Elements, shown
from tests.experiments.conftest import environment

HOSTILE = "<script>window.hacked=1</script>"


@pytest.fixture
def lines(records, record):
    """Records of two cases, and of two contenders that were left out."""
    where = {"case": "wide", "description": "max 2x16x16x4 k9 s1 SAME"}
    return [
        *records,
        record("equinox", outcome="left_out", reason=HOSTILE, **where),
        record("haiku", outcome="disagrees", reason="off by 1", **where),
    ]


def points_of(text):
    options = json.loads(Elements.of(text).by_id["charts"])["ratios"]
    return {option["label"]: option["spec"]["data"]["values"] for option in options}


def test_ratios_stand_in_the_table_and_in_the_chart(lines):
    text = page("Two poolings", environment(), lines)
    assert shown(text).startswith(
        "Two poolings Two poolings cpu: Test Processor, 2 cores, measured"
    )
    assert len(text.encode()) < 6_000_000
    cells = re.findall(r'data-order="([\d.]+)" class="(best|slower)">([\d.]+x)', text)
    assert ("2.0", "best", "2.00x") in [(order[:3], look, ratio) for order, look, ratio in cells]
    assert "0.67x" in [ratio for _, look, ratio in cells if look == "slower"]
    points = points_of(text)
    assert list(points) == ["forward, float32", "forward + backward, float32"]
    first = points["forward, float32"][0]
    assert (first["case"], first["label"], first["ratio"]) == ("narrow", "PyTorch", 2.0)
    assert first["low"] < 2 < first["high"]
    assert (first["ours"], first["theirs"]) == ("1 ms", "2 ms")
    assert {point["variant"] for point in points["forward, float32"]} == {"torch", "lax", "flax"}


def test_contenders_that_did_not_run_are_named_with_the_reason(lines):
    text = page(HOSTILE, environment(device=HOSTILE), lines)
    said = shown(text)
    assert f"equinox left out: {HOSTILE} (wide float32 forward)" in said
    assert "haiku disagrees : off by 1" in said.replace("disagrees:", "disagrees :")
    assert len(Elements.of(text).named("script")) == 4


def test_estimates_say_so_and_have_no_bars(record):
    made = [
        record(name, seconds, count=1, device_source="estimated", kernels=2)
        for name, seconds in (("jaxpool", 1e-3), ("lax", 3e-3), (COPY, 1e-3))
    ]
    text = page("Estimates", environment(device="NVIDIA H100"), made)
    said = shown(text)
    assert "NVIDIA H100, estimated by its compiler" in said
    assert "never ranked with measured times" in said
    assert "95% intervals of both medians" not in said
    (points,) = points_of(text).values()
    assert [(p["ratio"], p["low"], p["high"]) for p in points] == [(3.0, 3.0, 3.0)]


def test_the_index_gets_one_sentence_per_mode(records):
    assert means(records)[0] == (
        "Forward, time over jaxpool's: PyTorch 1.15x, lowest 0.67x (wide); lax 4.00x, lowest 4.00x "
        "(narrow); Flax 4.00x, lowest 4.00x (narrow)."
    )


def test_the_interval_of_a_ratio_contains_the_ratio(records):
    for entry in entries(records):
        low, high = entry.ratio_interval("torch")
        assert low < entry.ratio("torch") < high
        assert entry.ratio_interval("equinox") is None


def test_in_a_browser_the_dots_are_drawn(lines, tmp_path, browser):
    file = tmp_path / "report.html"
    file.write_text(page(HOSTILE, environment(), lines), encoding="utf-8")
    found = browser.visit(
        file,
        """
        const count = (selector) => document.querySelectorAll(selector).length;
        const points = () => count('[aria-roledescription="point"]');
        const answer = { points: points(), rows: count("#ratios tbody tr") };
        document.querySelector('.variants input[value="torch"]').click(); await settled();
        answer.without = points();
        document.querySelector(".chart").focus();
        await press("ArrowDown");
        answer.said = document.querySelector("output").textContent.split("; ").slice(0, 3);
        answer.wide = document.documentElement.scrollWidth - innerWidth;
        answer.hacked = window.hacked ?? "no";
        return answer;
        """,
        width=400,
    )
    assert found.complaints == []
    assert found.answer == {
        "points": 6,
        "rows": 4,
        "without": 4,
        "said": ["case: narrow", "computes: max 2x16x16x4 k3 s1 SAME", "against: lax"],
        "wide": 0,
        "hacked": "no",
    }

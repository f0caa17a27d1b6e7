from collections import Counter
from pathlib import PurePath

import jax
import pytest

# For tests of sharding; before any device is used.
jax.config.update("jax_num_cpu_devices", 8)


@pytest.fixture(scope="module")
def compile_quickly():
    """For tests that compile much and run little: XLA does not optimise."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def pytest_terminal_summary(terminalreporter):
    """How many cases of each conformance suite passed: of a test, one or as many as it recorded."""
    counts = Counter()
    for report in terminalreporter.getreports("passed"):
        path = PurePath(report.nodeid.partition("::")[0])
        if report.when == "call" and path.parent.name == "conformance":
            suite = path.stem.removeprefix("test_")
            counts[suite] += dict(report.user_properties).get("cases", 1)
    if counts:
        terminalreporter.section("conformance")
        for suite, count in sorted(counts.items()):
            terminalreporter.write_line(f"{suite}: {count} cases passed")

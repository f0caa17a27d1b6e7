from collections import Counter
from pathlib import PurePath

import jax
import pytest

# For tests of sharding; before any device is used.
jax.config.update("jax_num_cpu_devices", 8)


# Files whose tests take five seconds or more in all: `make test-quick` leaves them out.
SLOW = {
    *("test_attention.py", "test_blur.py", "test_fractional.py", "test_general.py"),
    *("test_layout.py", "test_learned.py", "test_linear.py", "test_methods.py"),
    *("test_regions.py", "test_roi.py", "test_soft.py", "test_weighted.py"),
    *("test_argmax.py", "test_norm.py", "test_random.py", "test_winner.py"),
}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.name in SLOW:
            item.add_marker(pytest.mark.slow)


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

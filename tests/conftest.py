from collections import Counter
from pathlib import PurePath


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

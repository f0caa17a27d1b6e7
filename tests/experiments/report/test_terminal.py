import io

import pytest
from rich.console import Console

from experiments import report


def printed(rows, width, terminal=True):
    output = io.StringIO()
    report.show(rows, Console(file=output, width=width, force_terminal=terminal, color_system=None))
    return output.getvalue()


@pytest.mark.parametrize("width", [100, 120])
def test_the_terminal_table_fits_and_holds_all_numbers(folder, width):
    text = printed(report.summarise(folder), width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    for part in ("95.20 ± 0.20", "2.50k ±2%", "123k ±2%", "0.1 / 0.2", "1,234", "56.8k"):
        assert part in text
    flat = " ".join(text.split())
    assert "`max_pool` is more accurate than `none` by 2.00 points" in flat
    assert "`none` is the fastest at inference, 12.35 times `max_pool`" in flat


def test_a_narrow_terminal_gets_two_tables_and_loses_nothing(folder):
    text = printed(report.summarise(folder), 80)
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(map(len, lines)) <= 80
    assert sum(line.strip().startswith("max_pool") for line in lines) == 2
    for part in ("95.20 ± 0.20", "0.1 / 0.2", "1,234", "56.8k", "12.5"):
        assert part in text


def test_a_pipe_gets_one_whole_table(folder):
    text = printed(report.summarise(folder), 80, terminal=False)
    rows = [line for line in text.splitlines() if line.strip().startswith("max_pool")]
    assert len(rows) == 1
    assert "95.20 ± 0.20 *" in rows[0]
    assert "12.5" in rows[0]


def test_markup_in_a_device_is_shown_not_obeyed(make_study):
    device = "cpu: [red]not red[/red]"
    folder = make_study(
        "study", {"max_pool": [950, 951]}, measured={"max_pool": {"device": device}}
    )
    assert device in printed(report.summarise(folder), 120)

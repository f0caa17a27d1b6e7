from matplotlib import image

from experiments.bench import plot, summary, table
from experiments.bench.config import Bench
from experiments.bench.records import COPY
from experiments.bench.results import entries
from experiments.environment import capture


def rows(text, start):
    """The cells of the table row that starts with `start`."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_means_and_the_lowest_case(bench, records):
    by_median, by_minimum, *_ = summary.summary(bench, records)
    # PyTorch: 2 / 1 and 2 / 3, whose geometric mean is sqrt(4 / 3); lax: 4 / 1 and 12 / 3.
    cells = rows(by_median, "forward | float32")
    assert cells[2:] == [
        "2",
        "1.15x, lowest 0.67x (wide)",
        "4.00x, lowest 4.00x (narrow)",
        "4.00x, lowest 4.00x (narrow)",
    ]
    assert rows(by_minimum, "forward | float32")[3] == "1.15x, lowest 0.67x (wide)"


def test_shares_temporaries_and_compilation(bench, records):
    text = "\n".join(summary.summary(bench, records))
    # The copy takes 0.5 ms for the same bytes: shares of 1/2 and 1/6.
    assert "- forward + backward: share of copy 33% in the mean (29% geometric); " in text
    assert "temporaries at most 0.50 inputs (narrow float32); " in text
    assert "compiled in 0.30 s at most (narrow float32), 3.0x lax's time in the mean" in text


def test_a_contender_missing_somewhere_says_over_how_many_cases(bench, records):
    fewer = [r for r in records if not (r.contender == "torch" and r.case == "wide")]
    by_median, *_ = summary.summary(bench, fewer)
    assert rows(by_median, "forward | float32")[3] == "2.00x over 1, lowest 2.00x (narrow)"


def test_windows_are_compared_where_only_they_differ(bench, records):
    over = Bench.model_validate({**bench.model_dump(), "x_axis": "window"})
    text = summary.summary(over, records)[-1]
    assert "- forward, max, float32: window 9 against window 3: jaxpool 3.0x, PyTorch 1.0x" in text
    assert not any("window 9" in part for part in summary.summary(bench, records))
    elsewhere = [r.model_copy(update={"group": r.case}) for r in records]
    assert not any("window 9" in part for part in summary.summary(over, elsewhere))


def test_the_table_marks_wins_and_losses(bench, records):
    text = table.table(bench, capture(), records)
    section = text[text.index("### Forward\n") : text.index("### Forward + backward")]
    narrow, wide = rows(section, "narrow"), rows(section, "wide")
    assert narrow[2:7] == ["1 ms ±1%", "990 µs", "2%", "**2.00x**", "**4.00x**"]
    assert wide[5] == "0.67x ▼"
    assert narrow[-4:] == ["50%", "0.50", "0.30", "3.0x"]
    assert rows(text, "forward | narrow")[3] == "chosen"


def test_the_table_names_contenders_that_were_not_timed_and_why(bench, record, records):
    lost = [
        record("torch", outcome="left_out", reason="pads | alike", case="wide", mode="jvp"),
        record("lax", outcome="disagrees", reason="the value is off", case="wide", mode="jvp"),
        record("jaxpool", 0.001, case="wide", mode="jvp"),
        record(COPY, 0.001, case="wide", mode="jvp"),
    ]
    text = table.table(bench, capture(), [*records, *lost])
    absent = text[text.index("### Not timed") :]
    assert absent.index("**lax disagrees**: the value is off") < absent.index("torch left out")
    assert r"pads \| alike (wide float32 jvp)" in absent
    assert "disagrees" in rows(text[text.index("### Forward-mode") :], "wide")


def test_the_table_names_the_allocator_and_the_load_of_other_processes(bench, records):
    kept = [r.model_copy(update={"allocator": "keep", "busy_cores": 0.4}) for r in records]
    text = table.table(bench, capture(), [*records, *kept])
    assert text.index("## Memory allocator: default") < text.index("## Memory allocator: keep")
    assert "`MALLOC_ARENA_MAX=1`" in text
    assert "other processes kept at most 0.4 cores busy" in text


def test_progress_is_one_line_per_mode(records):
    lines = summary.progress(entries(r for r in records if r.case == "narrow"))
    assert lines == [
        "    forward: 1 ms, 2.00x PyTorch, 4.00x lax, 4.00x Flax",
        "    forward + backward: 1 ms, 2.00x PyTorch, 4.00x lax, 4.00x Flax",
    ]


def test_plots_are_pictures(bench, records, tmp_path):
    for axis in ("time", "window"):
        drawn = Bench.model_validate({**bench.model_dump(), "x_axis": axis})
        file = tmp_path / f"{axis}.png"
        file.write_bytes(plot.draw(drawn, capture(), records))
        height, width, _ = image.imread(file).shape
        assert height > 200
        assert width > 600


def test_networks_are_drawn_without_copies(bench, record, tmp_path):
    training = [
        record(name, seconds, mode="train_step", traffic_bytes=0)
        for name, seconds in (("jaxpool", 0.02), ("torch", 0.03))
    ]
    file = tmp_path / "plot.png"
    file.write_bytes(plot.draw(bench, capture(), training))
    assert image.imread(file).size > 0
    text = table.table(bench, capture(), training)
    assert "share of copy |" not in text

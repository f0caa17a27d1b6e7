import csv
import re

import pytest

from experiments import records, report
from experiments.report.rows import SummaryRow
from experiments.report.summary_csv import read_csv, to_csv

DESIGN_COLUMNS = re.split(
    ", ",
    "variant, device, device_source, seeds, test_accuracy_mean, test_accuracy_std, "
    "test_accuracy_ci95_low, test_accuracy_ci95_high, train_examples_per_s, infer_examples_per_s, "
    "latency_ms_p50, latency_ms_p95, latency_ms_p99, parameters, flops_per_example, "
    "peak_memory_mb, compile_s",
)


@pytest.fixture
def folder(make_study):
    return make_study("quickstart", {"max_pool": [900, 920, 940], "avg_pool": [900, 900, 900]})


def test_summary_csv_has_the_promised_columns_and_numbers(folder):
    report.summarise(folder)
    with (folder / "summary.csv").open(newline="") as file:
        head, *body = list(csv.reader(file))
    assert head[: len(DESIGN_COLUMNS)] == DESIGN_COLUMNS
    first = dict(zip(head, body[0], strict=True))
    assert first["variant"] == "max_pool"
    assert first["device"] == "cpu: Test Processor, 2 cores"
    assert first["device_source"] == "measured"
    assert first["seeds"] == "3"
    assert float(first["test_accuracy_mean"]) == 0.92
    assert float(first["test_accuracy_std"]) == 0.02
    assert float(first["test_accuracy_ci95_low"]) == pytest.approx(0.870317, abs=1e-6)
    assert float(first["test_accuracy_ci95_high"]) == pytest.approx(0.969683, abs=1e-6)
    assert float(first["train_examples_per_s"]) == 2500
    assert float(first["infer_examples_per_s"]) == 10_000
    assert [float(first[f"latency_ms_p{p}"]) for p in (50, 95, 99)] == [0.1, 0.2, 0.4]
    assert (first["parameters"], first["flops_per_example"]) == ("1234", "56789")
    assert (first["peak_memory_mb"], first["compile_s"]) == ("12.5", "1.25")
    assert first["test_correct_by_seed"] == "0:900 1:920 2:940"


def test_missing_values_are_blank_not_zero(folder, make_study):
    report.summarise(folder)
    equal = read_csv(folder / "summary.csv")[1]
    assert (equal.test_accuracy_std, equal.test_accuracy_ci95_low) == (0, None)
    one = make_study("one", {"max_pool": [900]})
    report.summarise(one)
    (row,) = read_csv(one / "summary.csv")
    assert (row.seeds, row.test_accuracy_std, row.test_accuracy_ci95_high) == (1, None, None)


def test_rows_survive_a_csv_round_trip(folder):
    rows = report.summarise(folder)
    back = read_csv(folder / "summary.csv")
    assert [row.accuracies for row in back] == [row.accuracies for row in rows]
    assert to_csv(back) == to_csv(rows)
    for row, again in zip(rows, back, strict=True):
        for field in SummaryRow.model_fields:
            value = getattr(row, field)
            expected = pytest.approx(value, rel=1e-5) if isinstance(value, float) else value
            assert getattr(again, field) == expected


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (",3,0.92,", ",4,0.92,", "line 2: Value error, 4 seeds, but 3 results"),
        (",3,0.92,", ",3,0.95,", "line 2: .*is not the mean of test_correct_by_seed"),
        ("0:900 1:920", "0:900 1:9200", "line 2: .*more correct answers than the 1000"),
        ("0:900 1:920", "0:900 1-920", "line 2: "),
        (",measured,", ",guessed,", "line 2: device_source: .*'measured' or 'estimated'"),
        ("max_pool,", "../max_pool,", "line 2: variant: .*pattern"),
        ("variant,", "name,", "line 2: variant: Field required"),
        (",10000,", ",fast,", "line 2: infer_examples_per_s: .*'fast'"),
        (",10000,", ",nan,", "line 2: infer_examples_per_s: .*finite"),
    ],
)
def test_an_edited_summary_is_refused_with_line_and_column(folder, old, new, complaint):
    report.summarise(folder)
    path = folder / "summary.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(records.RecordError, match=complaint) as caught:
        read_csv(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"variant\n", b"\xff\xfe\x00"])
def test_a_file_that_is_no_summary_is_refused(tmp_path, content):
    path = tmp_path / "summary.csv"
    path.write_bytes(content)
    with pytest.raises(records.RecordError, match=r"summary\.csv: (has no rows|cannot be read)"):
        read_csv(path)

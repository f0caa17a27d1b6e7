import csv
import re

import pytest

from experiments import records, report
from experiments.folder import StudyFolder
from experiments.report.rows import SummaryRow, read_csv, to_csv

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


def test_rows_follow_the_config_and_leave_other_runs_out(folder):
    study = StudyFolder(folder)
    text = study.config.read_text()
    study.config.write_text(text.replace("2,\n", "").replace("[variants.max_pool]", "[ignored]"))
    (row,) = report.summarise(folder)
    assert (row.variant, list(row.accuracies)) == ("avg_pool", [0, 1])


def test_an_unfinished_seed_is_named(folder):
    StudyFolder(folder).record("avg_pool", 1).unlink()
    with pytest.raises(records.RecordError, match="avg_pool has no finished run for seed 1 yet"):
        report.summarise(folder)


def test_an_unmeasured_variant_is_named(folder):
    StudyFolder(folder).measurement("avg_pool").unlink()
    with pytest.raises(records.RecordError, match="variant avg_pool has no measurement yet; fin"):
        report.summarise(folder)
    assert not (folder / "summary.csv").exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [({"fingerprint": "cd" * 32}, "fingerprint"), ({"test_size": 2000}, "test_size")],
)
def test_runs_of_different_configs_are_not_averaged(folder, change, field):
    path = StudyFolder(folder).record("max_pool", 2)
    record = records.read(path, records.RunRecord).model_copy(update=change)
    accuracy = record.test_correct / record.test_size
    records.write(path, record.model_copy(update={"test_accuracy": accuracy}))
    with pytest.raises(records.RecordError, match=f"max_pool: seeds 0 and 2 differ in {field}"):
        report.summarise(folder)


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


@pytest.mark.parametrize(
    "content",
    [
        "",
        "name = ",
        '[dataset]\nname = "digits"\n',
        'variants = 3\n[dataset]\nname = "digits"\n[training]\nseeds = [0]\n',
        '[dataset]\nname = "digits"\n[training]\nseeds = "all"\n[variants.max_pool]\n',
    ],
)
def test_a_file_that_is_not_a_config_is_refused(folder, content):
    (folder / "config.toml").write_text(content)
    with pytest.raises(records.RecordError, match=r"config\.toml: not a study's config"):
        report.summarise(folder)

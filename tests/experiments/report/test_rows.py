import pytest

from experiments import records, report
from experiments.folder import StudyFolder


@pytest.fixture
def folder(make_study):
    return make_study("quickstart", {"max_pool": [900, 920, 940], "avg_pool": [900, 900, 900]})


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

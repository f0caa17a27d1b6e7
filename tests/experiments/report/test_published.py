"""Published figures beside those of a study: in the config, the files and the terminal."""

import csv

import pytest
from rich.console import Console

from experiments import report
from experiments.config import ConfigError, dump, load
from experiments.folder import StudyFolder
from experiments.report.summary_csv import read_csv
from tests.experiments.tiny import tiny_study, write_tiny

ACCURACY = "published={source='Someone 2020', accuracy={max=97.5}}"


def test_published_figures_change_no_fingerprint(tmp_path):
    plain, with_figures = tiny_study(tmp_path), tiny_study(tmp_path, ACCURACY)
    assert with_figures.published.accuracy == {"": {"max": 97.5}}
    for variant in plain.variants:
        assert plain.fingerprint(variant) == with_figures.fingerprint(variant)
        assert plain.cost_fingerprint(variant) == with_figures.cost_fingerprint(variant)


def test_the_resolved_config_reads_back_the_same(tmp_path):
    sweep = 'sweep={"dataset.train_limit"=[50, 60]}'
    accuracy = "published={source='S', accuracy={'dataset.train_limit=50'={max=1}}}"
    for changes in ([ACCURACY], [sweep, accuracy]):
        study = tiny_study(tmp_path, *changes)
        path = tmp_path / "again.toml"
        path.write_text(dump(study))
        assert load(path) == study


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (["published={source='S', accuracy={maxx=1}}"], "'maxx' is no variant; did you mean 'max'"),
        (["published={source='S', accuracy={max=101}}"], "less than or equal to 100"),
        (["published={accuracy={max=1}}"], "published.source: missing"),
        (["published={source='S', accuracy={cell={max=1}}}"], "'cell' is no cell"),
        ([ACCURACY, 'sweep={"dataset.train_limit"=[50]}'], "one table per cell of the sweep"),
    ],
)
def test_figures_that_belong_to_nothing_are_refused(tmp_path, changes, complaint):
    with pytest.raises(ConfigError) as caught:
        load(write_tiny(tmp_path), changes)
    assert complaint in str(caught.value)


def test_tables_have_a_column_and_name_the_source(make_study, capsys):
    folder = StudyFolder(make_study("study", {"max": [900, 910], "strided": [800, 810]}))
    folder.config.write_text(
        folder.config.read_text()
        + '[published]\nsource = "Someone 2020"\n[published.accuracy.""]\nmax = 97.5\n'
    )
    rows = report.summarise(folder.path)
    assert [row.published_accuracy for row in rows] == [0.975, None]
    page = folder.summary_md.read_text().splitlines()
    rows_shown = [line.split("|")[3].strip() for line in page if line.startswith("| `")]
    assert rows_shown == ["97.5", ""]
    assert "- Published: Someone 2020." in page
    report.show(rows, Console(width=160), source="Someone 2020")
    shown = capsys.readouterr().out
    assert "97.5" in shown
    assert "Published: Someone 2020." in shown
    assert [row.published_accuracy for row in read_csv(folder.summary_csv)] == [0.975, None]


def test_without_published_figures_there_is_no_column(make_study):
    folder = StudyFolder(make_study("study", {"max": [900, 910]}))
    report.summarise(folder.path)
    assert "ublished" not in folder.summary_md.read_text()
    with folder.summary_csv.open() as file:
        assert "published_accuracy" not in next(csv.reader(file))

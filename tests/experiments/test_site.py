"""The static site of a folder of results."""

import re
import shutil
from pathlib import Path

import pytest

from experiments import site
from experiments.folder import StudyFolder
from experiments.report.rows import gather
from experiments.report.summary_csv import to_csv
from tests.experiments.browser import Elements, shown
from tests.experiments.test_command_line import command

RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture
def results(tmp_path, make_study):
    """A finished study, an unfinished one, two published benchmarks and another folder."""
    study = make_study("study", {"max": [950, 953, 951], "none": [930, 932, 931]})
    config = StudyFolder(study).config
    config.write_text(f'question = "Does <b>pooling</b> pay?"\n{config.read_text()}')
    rows = gather(StudyFolder(study), ["max", "none"], [0, 1, 2])
    StudyFolder(study).summary_csv.write_text(to_csv(rows))
    make_study("unfinished", {"max": [950]})
    folder = tmp_path / "all"
    for path in (study, tmp_path / "unfinished"):
        shutil.move(path, folder / path.name)
    for name in ("bench-train_step", "bench-core-h100"):
        shutil.copytree(RESULTS / name, folder / name)
    (folder / "notes").mkdir()
    return folder


def test_a_site_has_a_page_per_result_and_shares_the_libraries(results, tmp_path):
    out = tmp_path / "site"
    answer = command("site", results, "--out", out)
    assert answer.exit_code == 0, answer.output
    assert answer.output == f"4 pages: {out / 'index.html'}\n"
    assert sorted(path.name for path in out.iterdir()) == [
        "assets",
        "bench-core-h100.html",
        "bench-train_step.html",
        "index.html",
        "study.html",
    ]
    for page in out.glob("*.html"):
        elements = Elements.of(page.read_text(encoding="utf-8"))
        links = [
            address
            for _, attributes in elements.all
            for name in ("src", "href")
            if (address := attributes.get(name)) and not address.startswith(("data:", "#"))
        ]
        assert len(links) >= 5
        for link in links:
            assert (out / link).is_file(), link
        assert page.stat().st_size < 200_000
    index = shown((out / "index.html").read_text(encoding="utf-8"))
    assert "max is more accurate than none by 2.03 points" in index
    assert (
        index.index("Studies") < index.index("Benchmarks") < index.index("estimated by compilers")
    )
    assert "cpu: Test Processor, 2 cores 0.10.2" in index
    assert "Does <b>pooling</b> pay?" in index
    assert "Does <b>pooling</b> pay?" in shown((out / "study.html").read_text(encoding="utf-8"))
    assert "unfinished" not in index


def test_measured_and_estimated_benchmarks_have_tables_of_their_own(results, tmp_path):
    index, *_ = site.build(results, tmp_path / "site")
    sections = re.split("<section>", index.read_text(encoding="utf-8"))
    assert [("bench-core-h100" in s, "bench-train_step" in s) for s in sections[2:]] == [
        (False, True),
        (True, False),
    ]


@pytest.mark.parametrize("damage", ["nowhere", "nothing", "csv", "records"])
def test_what_is_no_result_or_damaged_is_named_and_nothing_is_written(results, tmp_path, damage):
    out = tmp_path / "site"
    if damage == "nothing":
        shutil.rmtree(results)
        results.mkdir()
    elif damage == "csv":
        (results / "study" / "summary.csv").write_text("variant\nmax\n")
    elif damage == "records":
        (results / "bench-train_step" / "records.jsonl").write_text("{}\n")
    else:
        results = results / "nowhere"
    answer = command("site", results, "--out", out)
    assert answer.exit_code == 2
    place = {"csv": "study/summary.csv", "records": "bench-train_step/records.jsonl"}
    assert answer.stderr.startswith(f"error: {results / place.get(damage, '')}")
    assert answer.stderr.count("\n") == 1
    assert not out.exists()


def test_the_page_of_one_folder_is_made_anew(results):
    for name in ("study", "bench-train_step"):
        page = site.remake(results / name)
        assert page == results / name / "report.html"
        assert len(Elements.of(page.read_text(encoding="utf-8")).named("table")) >= 1


def test_in_a_browser_the_index_filters_and_fits_a_phone(results, tmp_path, browser):
    index, *_ = site.build(results, tmp_path / "site")
    found = browser.visit(
        index,
        """
        const names = () => [...document.querySelectorAll("td a")].map((a) => a.innerText);
        const before = names();
        const field = document.querySelector("#index-1_wrapper input[type=search]");
        field.value = "h100"; field.dispatchEvent(new Event("input")); await settled();
        const wide = document.documentElement.scrollWidth - innerWidth;
        return { before, after: names(), wide };
        """,
        width=400,
    )
    assert found.complaints == []
    assert found.answer == {
        "before": ["study", "bench-train_step", "bench-core-h100"],
        "after": ["study", "bench-core-h100"],
        "wide": 0,
    }
    own = (tmp_path / "site").as_uri()
    assert all(a.startswith((own, "blob:", "data:")) for a in found.fetched)

"""The page of a study: its contents, and that markup from a folder stays inert text."""

import json
import re
import shutil
from pathlib import Path

import pytest
import vl_convert

from experiments import report
from experiments.records import Baselines
from experiments.report.conclusion import conclude
from experiments.report.page import page
from experiments.report.page.charts import frontier
from experiments.report.page.looks import PATHS, looks
from experiments.report.page.table import of_rows
from experiments.report.plan import Plan, read_plan
from experiments.report.plots import MARKERS
from experiments.report.summary_csv import read_csv
from tests.experiments.browser import Elements, shown

HOSTILE = '<img src=x onerror="window.hacked=1"></script><script>window.hacked=1</script>\'&`'


def charts_of(text):
    return json.loads(Elements.of(text).by_id["charts"])


def headings(text):
    return re.findall(r"^<h2>(.*)</h2>$", text, re.MULTILINE)


def test_a_study_is_summarised_as_one_page(summarised):
    rows = read_csv(summarised.summary_csv)
    text = summarised.page.read_text(encoding="utf-8")
    assert len(text.encode()) < 6_000_000
    elements = Elements.of(text)
    addresses = [a[name] or "" for _, a in elements.all for name in ("src", "href") if name in a]
    assert len(addresses) > 5
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not elements.named("link")
    (policy,) = [a["content"] for a in elements.named("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    assert [a["data-variant"] for a in elements.named("tr") if "data-variant" in a] == [
        row.variant
        for source in ("measured", "estimated")
        for row in rows
        if row.device_source == source
    ]
    assert headings(text) == [
        "Results",
        "Accuracy against cost",
        "Accuracy along the sweep",
        "Learning curves",
        "Variants",
        "Method and environment",
    ]


def test_the_verdict_comes_first_and_the_numbers_are_those_of_the_rows(summarised):
    rows = read_csv(summarised.summary_csv)
    text = shown(summarised.page.read_text(encoding="utf-8"))
    verdict = conclude(rows).sentences[0].replace("`", "")
    places = [text.index(part) for part in ("Dataset digits, 3 seeds", verdict, "Results")]
    assert places == sorted(places)
    for expected in (
        "90.50 ± 1.24",
        "Published: Someone 2020.",
        "91.5",
        "90.00, 91.00, 90.50 % (seed 0, 1 and 2)",
        "p50, p95 and p99: the time",
        "Estimated by the compilers of devices that are not here",
        "cpu: Test Processor, 2 cores",
    ):
        assert expected in text, expected


def test_measured_and_estimated_rows_share_no_table_and_no_chart(summarised):
    rows = read_csv(summarised.summary_csv)
    found = charts_of(summarised.page.read_text(encoding="utf-8"))
    assert [name for name in found if name.startswith("frontier")] == ["frontier-0", "frontier-1"]
    for name, source in (("frontier-0", "measured"), ("frontier-1", "estimated")):
        own = [row for row in rows if row.device_source == source]
        for option in found[name]:
            assert len(option["spec"]["data"]["values"]) == len(own)
        costs = [point["cost"] for point in found[name][0]["spec"]["data"]["values"]]
        assert costs == [row.infer_examples_per_s for row in own]


def test_learning_curves_leave_out_what_is_not_finite(summarised):
    options = charts_of(summarised.page.read_text(encoding="utf-8"))["learning"]
    assert [option["label"] for option in options] == [
        f"training loss, at dataset.train_limit = {size}" for size in (100, 1000)
    ]
    points = [p for p in options[0]["spec"]["data"]["values"] if p["variant"] == "max"]
    assert [(p["place"], p["low"], p["mean"], p["high"]) for p in points] == [
        (1, 2.0, 3.0, 4.0),
        (2, 1.0, 1.0, 1.0),
        (3, 0.5, 0.5, 0.5),
    ]


def test_report_regenerates_all_but_the_run_tables_of_a_published_folder(swept):
    rows = read_csv(swept.summary_csv)
    shutil.rmtree(swept.path / "runs")
    kept = {file: file.read_bytes() for file in swept.path.iterdir() if file != swept.page}
    for file in (swept.page, swept.summary_md, swept.pareto_of(), swept.sweep):
        file.unlink()
    assert [row.key for row in report.summarise(swept.path)] == [row.key for row in rows]
    text = swept.page.read_text(encoding="utf-8")
    assert "Learning curves" not in headings(text)
    changed = {file.name for file in kept if file.read_bytes() != kept[file]}
    assert {Path(name).suffix for name in changed} <= {".png"}  # summary.csv has six digits
    assert swept.sweep.read_bytes().startswith(b"\x89PNG")
    swept.environment.unlink()
    report.summarise(swept.path)
    assert "Environment" not in shown(swept.page.read_text(encoding="utf-8"))


def test_a_study_without_a_sweep_has_a_front_and_no_sweep(make_study):
    folder = make_study(
        "plain", {"a": [900, 901], "b": [950, 951], "c": [800, 801]}, speeds={"a": 3e4, "b": 1e4}
    )
    report.summarise(folder)
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "Accuracy along the sweep" not in headings(text)
    points = charts_of(text)["frontier-0"][0]["spec"]["data"]["values"]
    assert {point["variant"]: point["front"] for point in points} == {
        "a": True,
        "b": True,
        "c": False,
    }


def hostile(study):
    """The study with markup in every text that comes from its folder."""
    rows = [
        row.model_copy(
            update={"variant": HOSTILE if row.variant == "max" else row.variant, "device": HOSTILE}
        )
        for row in read_csv(study.summary_csv)
    ]
    plan = read_plan(study)
    plan = Plan(
        name=HOSTILE,
        dataset=HOSTILE,
        definitions={HOSTILE: {"pool": HOSTILE, HOSTILE: HOSTILE}, "average": [HOSTILE]},
        seeds=plan.seeds,
        settings={HOSTILE: HOSTILE},
        sweep=plan.sweep,
        targets=(HOSTILE,),
        source=HOSTILE,
    )
    untrained = Baselines(cells={"": {HOSTILE: {HOSTILE: 0.5}}})
    return rows, page(study, plan, rows, untrained)


def test_markup_in_names_stays_text(swept):
    where = swept.environment
    where.write_text(where.read_text().replace('"Linux"', json.dumps(HOSTILE)))
    tame = Elements.of(page(swept, read_plan(swept), read_csv(swept.summary_csv)))
    _, text = hostile(swept)
    elements = Elements.of(text)
    assert len(elements.named("script")) == len(tame.named("script"))
    assert not [a for a in elements.named("img") if not (a["src"] or "").startswith("data:image/")]
    assert not [a for _, a in elements.all if any(name.startswith("on") for name in a)]
    assert shown(text).count("window.hacked=1") > 20
    assert (
        json.loads(elements.by_id["charts"])["frontier-0"][0]["spec"]["data"]["values"][0][
            "variant"
        ]
        == HOSTILE
    )


@pytest.mark.thorough  # the charts of the browser test, without a browser
def test_every_drawing_is_valid_vega_lite(summarised):
    rows = read_csv(summarised.summary_csv)
    found = charts_of(summarised.page.read_text(encoding="utf-8"))
    measured = [row for row in rows if row.device_source == "measured"]
    for options in found.values():
        for option in options:
            drawn = vl_convert.vegalite_to_svg(json.dumps(option["spec"]))
            points = drawn.count('aria-roledescription="point"')
            assert points == len(option["spec"]["data"]["values"]), option["label"]
    chart = frontier("f", measured, looks(["max", "average", "strided"]))
    assert len(chart.options) == 5


def test_every_marker_of_the_plots_has_a_path():
    assert set(PATHS) == set(MARKERS)


def test_rows_are_sorted_by_numbers_not_by_what_is_shown(make_rows):
    rows = make_rows({"a": [900], "b": [901]}, speeds={"a": 2e6, "b": 9e3})
    table = of_rows("t", "", rows, conclude(rows))
    column = [head.title for head in table.heads].index("inference")
    cells = [row.cells[column] for row in table.rows]
    assert [(cell.text, cell.order) for cell in cells] == [("2.00M ±2%", 2e6), ("9.00k ±2%", 9e3)]

from experiments import report
from experiments.report import summary


def test_summary_md_shows_sentence_table_and_notes(folder):
    report.summarise(folder)
    page = (folder / "summary.md").read_text().splitlines()
    assert page[0] == "# quickstart: digits, 5 seeds, cpu: Test Processor, 2 cores"
    assert page[2].startswith("`max_pool` is more accurate than `none` by 2.00 points (95% CI")
    table = [line for line in page if line.startswith("|")]
    assert table[0].startswith(
        "| variant | test accuracy (%, 95% CI) | test loss | train (examples/s) |"
    )
    assert table[2] == (
        "| `max_pool` | **95.20 ± 0.20** | 0.5 | 2.50k ±2% | 10.0k ±2% | 0.1 / 0.2 / - "
        "| 1,234 | 56.8k | 12.5 | 1.2 |"
    )
    assert "| **123k ±2%** |" in table[3]
    assert len({line.count("|") for line in table}) == 1
    assert any(line.startswith("- Intervals are over training seeds") for line in page)
    assert any("throughput in batches of 64" in line for line in page)


def test_hostile_text_is_escaped_in_markdown(make_study):
    device = "cpu: <script>alert(1)</script> | [link](x)\n# heading"
    folder = make_study(
        "study", {"max_pool": [950, 951]}, measured={"max_pool": {"device": device}}
    )
    report.summarise(folder)
    page = (folder / "summary.md").read_text()
    assert "<script>" not in page.replace("\\<", "")
    assert "\n# heading" not in page
    assert "](x)" not in page.replace("\\]", "")


def test_summarising_again_changes_nothing(folder):
    report.summarise(folder)
    names = ("summary.csv", "summary.md", "pareto.png")
    before = {name: (folder / name).read_bytes() for name in names}
    report.summarise(folder)
    assert {name: (folder / name).read_bytes() for name in names} == before


def test_the_brief_table_has_the_conclusion_five_columns_and_the_device(folder):
    said, table, under = summary.brief(report.summarise(folder)).split("\n\n")
    assert said.startswith("`max_pool` is more accurate than `none`")
    assert [line.count("|") for line in table.splitlines()] == [6] * 4
    assert (
        table.splitlines()[2] == "| `max_pool` | **95.20 ± 0.20** | 2.50k ±2% | 10.0k ±2% | 0.1 |"
    )
    assert "Test Processor, 2 cores; throughput in batches of 64." in under


def test_the_question_stands_under_the_title(folder):
    config = folder / "config.toml"
    config.write_text(f'question = "Does *it* pay?"\n{config.read_text()}')
    report.summarise(folder)
    assert (folder / "summary.md").read_text().splitlines()[2] == "*Does \\*it\\* pay?*"

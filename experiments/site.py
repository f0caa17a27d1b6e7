"""A static site of a folder of results: one page per study or benchmark, and an index page.

The site needs no server of its own: its links are relative, and its pages share the libraries'
files in `assets/`.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments import report
from experiments.bench import page as bench_page
from experiments.bench import records as bench_records
from experiments.bench.folder import Folder
from experiments.folder import StudyFolder
from experiments.records import Environment, RecordError, read, write_atomically
from experiments.report import page as study_page
from experiments.report.conclusion import conclude
from experiments.report.page import libraries
from experiments.report.page.render import render
from experiments.report.page.table import Cell, Heading, Table, TableRow
from experiments.report.plan import read_plan
from experiments.report.summary_csv import read_csv

ASSETS = "assets"
INDEX = "index.html"
_HEADS = (
    Heading("name"),
    Heading("question", look="text"),
    Heading("found", look="text"),
    Heading("device", look="left"),
    Heading("jax"),
    Heading("jaxpool"),
    Heading("date"),
)
_MOST_SENTENCES = 2


@dataclass(frozen=True)
class IndexLine:
    """One line of the index, with the page that it links to.

    Attributes:
        name: Name of the results folder.
        title: Title of the study or benchmark.
        question: The question that the study is to answer; empty for a benchmark.
        kind: Title of the index table that lists the line.
        found: One or two sentences that summarize the results.
        environment: Environment of the runs; None if the folder does not record one.
        page: The page, as HTML.
    """

    name: str
    title: str
    question: str
    kind: str
    found: str
    environment: Environment | None
    page: str


def build(results: Path, out: Path) -> list[Path]:
    """Writes the site.

    Args:
        results: A folder of results folders, such as `results`. Folders without a summary.csv or a
            records.jsonl, such as unfinished studies, are left out.
        out: The site's folder; pages of an earlier site are replaced.

    Returns:
        The pages, the index first.

    Raises:
        RecordError: There are no results, or a folder's files are damaged; nothing is written.
    """
    if not results.is_dir():
        raise RecordError(f"{results}: is not a folder")
    entries = [found for path in sorted(results.iterdir()) if (found := _entry(path)) is not None]
    if not entries:
        raise RecordError(
            f"{results}: holds no results: no folder in it has a summary.csv or a records.jsonl"
        )
    pages = {out / INDEX: _index(entries)}
    pages |= {out / f"{entry.name}.html": entry.page for entry in entries}
    for name, text in libraries.files().items():
        write_atomically(out / ASSETS / name, text)
    for path, text in pages.items():
        write_atomically(path, text)
    return list(pages)


def remake(folder: Path) -> Path:
    """Writes report.html of one results folder (of a study or of a benchmark) again.

    Args:
        folder: The results folder.

    Returns:
        The page.

    Raises:
        RecordError: The folder holds neither a study nor a benchmark, or a file is damaged.
    """
    files = Folder(folder)
    if files.records.is_file():
        title, environment, records = _benchmark(files)
        write_atomically(files.page, bench_page.page(title, environment, records))
        return files.page
    report.summarise(folder)
    return StudyFolder(folder).page


def _entry(path: Path) -> IndexLine | None:
    study, files = StudyFolder(path), Folder(path)
    if study.summary_csv.is_file() and study.config.is_file():
        return _study(study)
    if files.records.is_file():
        title, environment, records = _benchmark(files)
        page = bench_page.page(title, environment, records, INDEX, ASSETS)
        found = " ".join(bench_page.means(records))
        estimated = records[0].device_source == "estimated"
        kind = "Benchmarks, estimated by compilers" if estimated else "Benchmarks"
        return IndexLine(path.name, title, "", kind, found, environment, page)
    return None


def _study(study: StudyFolder) -> IndexLine:
    plan, rows = read_plan(study), read_csv(study.summary_csv)
    where = study.environment
    environment = read(where, Environment) if where.is_file() else None
    untrained = report.baselines(study.path)
    page = study_page.page(study, plan, rows, untrained, INDEX, ASSETS)
    sentences = conclude(rows).sentences
    found = " ".join(sentences[:_MOST_SENTENCES])
    if len(sentences) > _MOST_SENTENCES:
        found += f" (and {len(sentences) - _MOST_SENTENCES} more)"
    title = plan.name if plan.name == plan.dataset else f"{plan.name}: {plan.dataset}"
    return IndexLine(study.path.name, title, plan.question, "Studies", found, environment, page)


def _benchmark(
    files: Folder,
) -> tuple[str, Environment, list[bench_records.BenchRecord]]:
    records = bench_records.read(files.records)
    if not records:
        raise RecordError(f"{files.records}: has no records")
    try:
        config = tomllib.loads(files.config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecordError(f"{files.config}: not a benchmark's config: {error}") from error
    title = str(config.get("title", files.path.name))
    return title, read(files.environment, Environment), records


def _index(entries: Sequence[IndexLine]) -> str:
    kinds = dict.fromkeys(sorted(entry.kind for entry in entries))
    ordered = sorted(kinds, key=lambda kind: kind != "Studies")
    tables = [
        Table(f"index-{i}", kind, _HEADS, [_row(one) for one in entries if one.kind == kind])
        for i, kind in enumerate(ordered)
    ]
    values = {
        "title": "Results",
        "about": f"{len(entries)} results folders",
        "tables": tables,
    }
    return render("site.html.j2", values, [], assets=ASSETS)


def _row(entry: IndexLine) -> TableRow:
    where = entry.environment
    versions = {} if where is None else where.versions
    cells = [
        Cell(entry.name, link=f"{entry.name}.html", note=entry.title),
        Cell(entry.question),
        Cell(entry.found),
        Cell("" if where is None else where.device),
        Cell(versions.get("jax", "")),
        Cell(versions.get("jaxpool", "")),
        Cell("" if where is None else where.started[:10]),
    ]
    return TableRow("", cells)

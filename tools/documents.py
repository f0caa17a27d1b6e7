"""Includes records and generated text in README.md and docs/, so that nobody types a number.

The text between these two comments is replaced by the contents of the named file:

    <!-- include results/quickstart/summary.md -->
    ...
    <!-- end include -->

The text between `<!-- generate NAME -->` and `<!-- end generate -->` is replaced by the result of
`GENERATORS[NAME]()`. `make documents` updates all documents, and a test checks that they are up to
date. `tools.gallery` generates the whole of docs/operators.md.
"""

import re
from collections.abc import Callable
from pathlib import Path

from experiments import faults
from experiments.bench import devices
from experiments.config import reference
from experiments.records import RecordError, write_atomically
from experiments.report import summary
from experiments.report.summary_csv import read_csv
from tools import operators, scale

ROOT = Path(__file__).parents[1]

_INCLUDE = re.compile(
    r"(<!-- include (?P<path>[^\s]+) -->\n).*?(<!-- end include -->)", flags=re.DOTALL
)
_GENERATE = re.compile(
    r"(<!-- generate (?P<name>[^\s]+) -->\n).*?(<!-- end generate -->)", flags=re.DOTALL
)
GENERATORS: dict[str, Callable[[], str]] = {
    "api": operators.api,
    "api-modules": operators.api_modules,
    "config-keys": reference.reference,
    "devices": devices.table,
    "exit-statuses": faults.statuses,
    "faults": faults.table,
    "modes": operators.modes,
    "modules": operators.modules,
    "quickstart": lambda: summary.brief(read_csv(ROOT / "results/quickstart/summary.csv")),
    "scale": scale.example,
}
"""The functions that generate parts of documents, by the name of the part."""
_HEADING = re.compile(r"^#+ .*\n+")


def refresh(root: Path) -> list[Path]:
    """Rewrites every document whose included or generated text has changed.

    Args:
        root: The repository.

    Returns:
        The documents that were out of date.

    Raises:
        RecordError: A document includes a file that does not exist, or an unknown generated part.
    """
    changed = []
    for document in documents(root):
        before = document.read_text(encoding="utf-8")
        after = included(before, root, document)
        if after != before:
            write_atomically(document, after)
            changed.append(document)
    return changed


def documents(root: Path) -> list[Path]:
    """README.md and the pages of docs/."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def included(text: str, root: Path, document: Path) -> str:
    """Returns `text` with current included and generated parts; headings of files are dropped."""

    def replace(match: re.Match[str]) -> str:
        path = root / match["path"]
        if not path.is_file():
            raise RecordError(f"{document.name} includes {match['path']}, which is not there")
        body = _HEADING.sub("", path.read_text(encoding="utf-8")).strip()
        return f"{match[1]}\n{body}\n\n{match[3]}"

    def generate(match: re.Match[str]) -> str:
        if match["name"] not in GENERATORS:
            raise RecordError(f"{document.name} names {match['name']}, which nothing generates")
        return f"{match[1]}\n{GENERATORS[match['name']]()}\n\n{match[3]}"

    return _GENERATE.sub(generate, _INCLUDE.sub(replace, text))

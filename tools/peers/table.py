"""Markdown from the records of the peers: the table, the page of all differences, the summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments import markdown, records
from experiments.records import RecordError
from tools.peers.cases import MASKS, ROWS
from tools.peers.records import Disagreement, PeerRecord, RowRecord

COLUMNS = {
    "PyTorch": ("torch", "torchvision"),
    "TensorFlow": ("tensorflow",),
    "Keras": ("keras",),
    "Flax": ("flax",),
    "Equinox": ("equinox",),
}
"""The columns of the table, and the packages that each column covers."""

PEERS = tuple(peer for peers in COLUMNS.values() for peer in peers)
COMMAND = "python -m tools.peers"

Column = Sequence[PeerRecord]


def write(folder: Path) -> None:
    """Writes `table.md`, `details.md` and `headline.md` from the records in a folder.

    Raises:
        RecordError: A record cannot be read, or has rows that the table lacks.
    """
    columns = read_columns(folder)
    records.write_atomically(folder / "table.md", render_table(columns))
    records.write_atomically(folder / "details.md", render_details(columns))
    records.write_atomically(folder / "headline.md", render_headline(columns))


def read_columns(folder: Path) -> dict[str, list[PeerRecord]]:
    """The columns for which the folder has records."""
    columns = {
        label: [read(folder, peer) for peer in peers if (folder / f"{peer}.json").is_file()]
        for label, peers in COLUMNS.items()
    }
    return {label: column for label, column in columns.items() if column}


def read(folder: Path, peer: str) -> PeerRecord:
    """The record of a peer, whose rows must be rows of the table."""
    record = records.read(folder / f"{peer}.json", PeerRecord)
    unknown = {row.operator for row in record.rows} - set(ROWS)
    if unknown:
        raise RecordError(
            f"{peer}.json has rows that the table lacks: {', '.join(sorted(unknown))}; "
            f"run `{COMMAND} {peer}`"
        )
    return record


def render_table(columns: Mapping[str, Column]) -> str:
    """One line per operator, one column per library."""
    rows = []
    for name in ROWS:
        label = "`where=`, a mask" if name == MASKS else f"`{name}`"
        if any(_row(column, name).cases for column in columns.values()):  # has a section below
            label = f"[{label}](#{name})"
        rows.append([label, *(_cell(_row(column, name)) for column in columns.values())])
    lines = [
        "# Beside other libraries",
        "",
        markdown.table(["", *columns], rows, left=range(len(columns) + 1)),
        "",
        "✓: the library has the operator, and its result equals jaxpool's in every case that it "
        "accepts; it refuses the cases named after “no”. ≠: its result differs in the cases named. "
        "—: it lacks the operator.",
        "",
        *(f"- {label}: {_imprint(column)}." for label, column in columns.items()),
    ]
    return "\n".join(lines) + "\n"


def render_headline(columns: Mapping[str, Column]) -> str:
    """Counts per library: rows in which its results equal jaxpool's, differ, or are missing."""
    verdicts = ("has", "differs", "lacks")
    heads = [
        f"of {len(ROWS)}: {len(ROWS) - 1} operators, and masks",
        *("same results, where accepted", "other results in some case", "lacks"),
    ]
    lines = []
    for label, column in columns.items():
        rows = [_row(column, name) for name in ROWS]
        # A refused case does not count as another result.
        counts = dict.fromkeys(verdicts, 0)
        for row in rows:
            agrees = not any(d.kind == "differs" for d in row.differences)
            counts["lacks" if not row.cases else "has" if agrees else "differs"] += 1
        lines.append([label, *(str(counts[verdict]) for verdict in verdicts)])
    return f"# In short\n\n{markdown.table(heads, lines)}\n"


def render_details(columns: Mapping[str, Column]) -> str:
    """Every difference with its case, and the names that were searched."""
    lines = ["# Case by case"]
    for name in ROWS:
        rows = {label: _row(column, name) for label, column in columns.items()}
        if any(row.cases for row in rows.values()):
            lines += ["", f"## {name}", ""]
            lines += [line for label, row in rows.items() for line in _detail(label, row)]
    absent = [n for n in ROWS if not any(_row(column, n).cases for column in columns.values())]
    lines += ["", "## In no other library", "", ", ".join(f"`{name}`" for name in absent) + "."]
    lines += ["", "## What was searched"]
    for column in columns.values():
        lines += [line for record in column for line in _searched(record)]
    return "\n".join(lines) + "\n"


def topics(differences: Sequence[Disagreement]) -> list[str]:
    """The topics of some differences, each once; "wide padding" is left out beside "padding"."""
    names = list(dict.fromkeys(difference.topic for difference in differences))
    return [n for n in names if not any(n.endswith(f" {other}") for other in names)]


def _row(column: Column, name: str) -> RowRecord:
    """The record of an operator, from the first of a library's packages that has it."""
    rows = (row for record in column for row in record.rows if row.operator == name)
    return next((row for row in rows if row.cases), RowRecord(operator=name))


def _cell(row: RowRecord) -> str:
    if row.verdict == "lacks":
        return "—"
    if row.verdict == "has":
        return "✓"
    answers = topics([d for d in row.differences if d.kind == "differs"])
    refused = [d for d in row.differences if d.kind == "refuses" and d.topic not in answers]
    no = f"no {', '.join(topics(refused))}"
    if not answers:
        return f"✓, {no}"
    return f"≠ {', '.join(answers)}" + (f"; {no}" if refused else "")


def _imprint(column: Column) -> str:
    """Versions, date, and the library's poolings that jaxpool lacks."""
    versions = ", ".join(f"{r.peer} {r.versions[r.peer].partition('+')[0]}" for r in column)
    dates = " and ".join(sorted({record.date for record in column}))
    extras = "; ".join(what for record in column for what in record.extras)
    lacks = f"; jaxpool lacks: {extras}" if extras else ""
    return f"{versions}, checked {dates}{lacks}"


def _detail(label: str, row: RowRecord) -> list[str]:
    if not row.cases:
        return [f"- **{label}** lacks it."]
    calls = ", ".join(_code(call) for call in row.calls)
    agreed = row.cases - len(row.differences)
    verdict = {"has": "has it", "differs": "differs", "lacks": "lacks it"}[row.verdict]
    head = f"- **{label}** {verdict}: {agreed} of {row.cases} cases agree. {calls}"
    return [head, *(_difference(difference) for difference in row.differences)]


def _difference(difference: Disagreement) -> str:
    words = _code(difference.words) if difference.kind == "refuses" else difference.words
    verb = "refused" if difference.kind == "refuses" else "differs"
    return f"  - {difference.topic}: {_code(difference.call)} {verb}: {words}"


def _searched(record: PeerRecord) -> list[str]:
    found = sum(len(names) for kind in (record.claimed, record.extras) for names in kind.values())
    lines = [
        "",
        f"**{record.peer}** {record.versions[record.peer]}: the names in "
        f"{', '.join(_code(module) for module in record.modules)} that match "
        f"{', '.join(_code(pattern) for pattern in record.patterns)}; "
        f"{found} of these names are poolings.",
        "",
    ]
    lines += [f"- jaxpool lacks: {what}: {_names(names)}" for what, names in record.extras.items()]
    lines += [
        f"- not counted as a pooling, {why}: {_names(names)}" for why, names in record.aside.items()
    ]
    return lines


def _names(names: Sequence[str]) -> str:
    return ", ".join(_code(name) for name in names)


def _code(text: str) -> str:
    """Code in Markdown; text with backticks gets double ones."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"

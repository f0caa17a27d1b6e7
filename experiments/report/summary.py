"""The results as Markdown: summary.md, and a short table for the README."""

from collections.abc import Sequence

from experiments import markdown
from experiments.records import Baselines
from experiments.report import notes, words
from experiments.report.columns import BRIEF, Column, columns, estimate_columns, estimated, measured
from experiments.report.conclusion import Conclusion, conclude
from experiments.report.rows import SummaryRow


def to_markdown(
    title: str,
    rows: Sequence[SummaryRow],
    conclusion: Conclusion,
    untrained: Baselines | None = None,
    source: str = "",
    chose: Sequence[str] = (),
    question: str = "",
) -> str:
    """The page summary.md.

    Args:
        title: The title of the study.
        rows: The rows of the variants.
        conclusion: The conclusion.
        untrained: The metrics of methods without training, or None.
        source: The source of the accuracies in the column "published".
        chose: Sentences on the choices before the final runs.
        question: The question that the study is to answer, or an empty string.

    Returns:
        Markdown; all text is escaped.
    """
    said = [markdown.escape(sentence) for sentence in conclusion.sentences]
    lines = [
        f"# {markdown.escape(title)}",
        "",
        *([f"*{markdown.escape(question)}*", ""] if question else []),
        *(["\n".join(f"- {one}" for one in said)] if rows[0].swept else [" ".join(said)]),
        *(["", " ".join(markdown.escape(sentence) for sentence in chose)] if chose else []),
        "",
        _table(measured(rows), columns(rows), conclusion),
        "",
        markdown.escape(notes.LEGEND.format(Mark="Bold")),
        "",
    ]
    if estimates := estimated(rows):
        lines += [_table(estimates, estimate_columns(rows)), "", markdown.escape(notes.ESTIMATES)]
        lines += [""]
    under = notes.notes(rows, conclusion, untrained, source)
    lines += [f"- {markdown.escape(note)}" for note in under]
    return "\n".join(lines) + "\n"


def brief(rows: Sequence[SummaryRow]) -> str:
    """The conclusions, and a table that is as wide as a page of text."""
    conclusion = conclude(rows)
    said = " ".join(markdown.escape(sentence) for sentence in conclusion.sentences)
    under = " ".join(markdown.escape(note) for note in notes.where_and_how(rows))
    bold = "Bold: the best, and all that the data cannot tell apart from it."
    return f"{said}\n\n{_table(measured(rows), BRIEF, conclusion)}\n\n{bold} {under}"


def _table(
    rows: Sequence[SummaryRow], shown: Sequence[Column], conclusion: Conclusion | None = None
) -> str:
    """A Markdown table of the rows; highlighted cells are bold."""

    def cell(column: Column, row: SummaryRow) -> str:
        text = markdown.escape(column.cell(row))
        return f"**{text}**" if conclusion and row.key in column.best(conclusion) else text

    heads = ["variant", *(markdown.escape(column.title) for column in shown)]
    body = [[words.name(row.variant), *(cell(column, row) for column in shown)] for row in rows]
    return markdown.table(heads, body)

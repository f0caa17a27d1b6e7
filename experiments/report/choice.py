"""Text and table of a choice inside a budget."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.choose import Appraisal, Choice, Finding
from experiments.report import verdict, words
from experiments.report.terminal import widen

_STATES = {"inside": "inside", "outside": "outside", "undecided": "cannot be answered"}


def show(choice: Choice, console: Console) -> None:
    """Prints the choice.

    Args:
        choice: The choice.
        console: The console.
    """
    widen(console)
    findings = choice.candidates[0].findings
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="")
    table.add_column("variant", overflow="fold")
    table.add_column("budget", no_wrap=True)
    table.add_column(Text("test accuracy\n%, 95% CI"), justify="right", no_wrap=True)
    for finding in findings:
        if finding.quantity.heading != "accuracy":
            table.add_column(Text(f"{finding.quantity.heading}\n{_limit(finding)}"))
    for candidate in choice.candidates:
        row = candidate.entry.row
        interval = row.test_accuracy_ci95_low, row.test_accuracy_ci95_high
        cells = [
            _value(finding)
            for finding in candidate.findings
            if finding.quantity.heading != "accuracy"
        ]
        table.add_row(
            Text(candidate.label),
            _STATES[candidate.state],
            words.accuracy(row.test_accuracy_mean, *interval, row.seeds),
            *cells,
        )
    console.print(table)
    for sentence in sentences(choice):
        console.print(Text(sentence, style="bold"))
    legend = [verdict.LEGEND] if choice.beaten else []
    for note in (f"Costs {choice.device}.", *legend, *choice.notes):
        console.print(Text(note, style="dim"))


def sentences(choice: Choice) -> list[str]:
    """The answer: the best variant, its ties, the undecided variants, and the nearest outside."""
    findings = choice.candidates[0].findings
    budget = words.listed([f"{f.quantity.heading} {_limit(f)}" for f in findings])
    said = [_best(choice, budget)]
    said += _undecided(choice)
    if choice.nearest is not None:
        missed = [_missed(f) for f in choice.nearest.findings if f.state == "outside"]
        said.append(f"Nearest outside: {words.name(choice.nearest.label)} {words.listed(missed)}.")
    return said


def _best(choice: Choice, budget: str) -> str:
    if choice.best is None:
        return f"No variant is shown to be inside the budget ({budget})."
    inside = sum(candidate.state == "inside" for candidate in choice.candidates)
    row = choice.best.entry.row
    name = words.name(choice.best.label)
    if inside == 1:
        return (
            f"{name} is the only variant inside the budget ({budget}), with a test accuracy of "
            f"{words.percent(row.test_accuracy_mean)} %."
        )
    said = (
        f"{name} is the most accurate of {inside} variants inside the budget ({budget}), with "
        f"{words.percent(row.test_accuracy_mean)} %."
    )
    if choice.beaten:
        said += f" {verdict.more_accurate(choice.beaten)}."
    if choice.tied:
        tied = words.listed([words.name(candidate.label) for candidate in choice.tied])
        said += f" Nothing shows it to be more accurate than {tied} with {_seeds(row.seeds)}."
    return said


def _undecided(choice: Choice) -> list[str]:
    """Why some variants are undecided: one sentence per reason."""
    names: dict[str, list[str]] = {}
    for candidate in choice.candidates:
        if candidate.state != "undecided":
            continue
        for finding in candidate.findings:
            if finding.state == "undecided":
                names.setdefault(_reason(finding), []).append(_name_of(candidate, choice))
    return [f"{words.listed(of)}: {reason}." for reason, of in names.items()]


def _reason(finding: Finding) -> str:
    why = finding.lacking or "the limit lies inside the 95% interval"
    return (
        f"{finding.quantity.heading} {_limit(finding)} cannot be answered with {finding.sample} "
        f"({why})"
    )


def _name_of(candidate: Appraisal, choice: Choice) -> str:
    mean = candidate.entry.row.test_accuracy_mean
    ahead = choice.best is not None and mean > choice.best.entry.row.test_accuracy_mean
    return f"{words.name(candidate.label)}{' (of higher mean accuracy)' if ahead else ''}"


def _missed(finding: Finding) -> str:
    off = abs(finding.value - finding.limit)
    share = f"{100 * finding.excess:.2g}" if finding.excess < 1 else f"{100 * finding.excess:.0f}"
    return (
        f"misses {finding.quantity.heading} {_limit(finding)} by "
        f"{_number(finding, off)}{_unit(finding)}, {share} % (it has {_value(finding)})"
    )


def _limit(finding: Finding) -> str:
    bound = "≥" if finding.quantity.at_least else "≤"
    return f"{bound} {_number(finding, finding.limit)}{_unit(finding)}"


def _value(finding: Finding) -> str:
    shown = f"{_number(finding, finding.value)}{_unit(finding)}"
    if finding.interval is None or finding.interval[0] == finding.interval[1]:
        return shown
    low, high = (_number(finding, end) for end in finding.interval)
    return f"{shown} (95% CI {low} to {high})"


def _number(finding: Finding, value: float) -> str:
    if finding.quantity.heading == "accuracy":
        return words.percent(value)
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _unit(finding: Finding) -> str:
    unit = "%" if finding.quantity.heading == "accuracy" else finding.quantity.unit
    return f" {unit}" if unit else ""


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"

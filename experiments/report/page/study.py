"""The page of one study, from the files in its folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.folder import StudyFolder
from experiments.records import Baselines, Environment, read
from experiments.report import chosen, notes, words
from experiments.report.conclusion import conclude
from experiments.report.page import charts, learning, table
from experiments.report.page.cards import cards
from experiments.report.page.looks import looks
from experiments.report.page.render import render
from experiments.report.page.vega import Chart
from experiments.report.plan import Plan
from experiments.report.rows import SummaryRow

_CREDIT = "Photograph in the pictures: danielbuechele, CC BY 2.0, from scikit-learn."
_METHOD = (
    "Accuracy: the share of correct answers on the test set, scored once after training. "
    "Its interval is the 95% t-interval of the mean over seeds.",
    "Differences are paired by seed; p-values have Holm's correction for several comparisons.",
    "Throughput: the median of interleaved samples, with the median's 95% interval. All variants "
    "run in one process, in random order.",
    "Latency of one: the time of one inference of one example. p50, p95 and p99: the time that "
    "50%, 95% and 99% of the inferences do not exceed.",
    "Memory: arguments, results and temporaries of the compiled training step. "
    "FLOPs: floating-point operations of the forward pass, as the compiler counts them.",
)


@dataclass(frozen=True)
class ChartGroup:
    """A section of charts."""

    id: str
    title: str
    charts: Sequence[Chart]


def page(
    study: StudyFolder,
    plan: Plan,
    rows: Sequence[SummaryRow],
    untrained: Baselines | None = None,
    index: str = "",
    assets: str = "",
) -> str:
    """The page of a study.

    Args:
        study: The study's folder; learning curves are read from its runs, if it contains runs.
        plan: The study's plan.
        rows: The study's rows.
        untrained: The metrics of methods without training, or None.
        index: The page to link back to; empty for none.
        assets: The folder of the libraries' files, relative to the page; if empty, the page
            contains them.

    Returns:
        HTML.

    Raises:
        RecordError: A file of the folder is damaged.
    """
    devices: dict[tuple[str, str], list[SummaryRow]] = {}
    for row in sorted(rows, key=lambda row: row.device_source == "estimated"):
        devices.setdefault((row.device_source, row.device), []).append(row)
    conclusion = conclude(rows)
    found = looks(list(dict.fromkeys(row.variant for row in rows)))
    first = next(iter(devices.values()))
    groups = [
        ChartGroup(
            "frontier",
            "Accuracy against cost",
            [charts.frontier(f"frontier-{i}", of, found) for i, of in enumerate(devices.values())],
        )
    ]
    if plan.sweep:
        groups.append(ChartGroup("sweep", "Accuracy along the sweep", charts.sweep(first, found)))
    if curves := learning.chart(study, plan, found):
        groups.append(ChartGroup("learning", curves.title, [curves]))
    described = cards(plan, first)
    where = study.environment
    environment = read(where, Environment) if where.is_file() else None
    values = {
        "title": plan.name,
        "question": plan.question,
        "about": _about(plan, rows, environment),
        "verdict": [*conclusion.sentences, *chosen.sentences(study, plan, rows)],
        "sentences_apart": bool(plan.sweep),
        "notes": [
            *conclusion.notes,
            *notes.baseline_lines(untrained),
            *notes.published_lines(plan.source),
        ],
        "looks": found,
        "tables": [
            table.of_rows(
                f"rows-{i}",
                f"{source.capitalize()} on {device}" if len(devices) > 1 else "",
                of,
                conclusion,
            )
            for i, ((source, device), of) in enumerate(devices.items())
        ],
        "groups": groups,
        "cards": described,
        "credit": _CREDIT if any(card.pictures for card in described) else "",
        "method": [*notes.where_and_how(rows), *_METHOD],
        "settings": _settings(plan),
        "environment": None if environment is None else machine(environment),
    }
    drawn = [chart for group in groups for chart in group.charts]
    return render("study.html.j2", values, drawn, index, assets)


def machine(environment: Environment) -> dict[str, str]:
    """Versions, device and settings, by name, without empty values."""
    commit = environment.git_commit or ""
    facts: Mapping[str, Any] = {
        "started": environment.started,
        "device": environment.device,
        "devices": environment.devices,
        "processor": f"{environment.cpu_model}, {environment.cores} cores",
        "platform": environment.platform,
        **environment.versions,
        "XLA_FLAGS": environment.xla_flags,
        "memory allocator": ", ".join(f"{k} = {v}" for k, v in environment.allocator.items()),
        "commit": commit + (", with changes" if commit and environment.git_dirty else ""),
        "plug-ins": ", ".join(f"{k} (SHA-256 {v})" for k, v in environment.plugins.items()),
    }
    return {name: str(value) for name, value in facts.items() if value not in ("", None)}


def _about(plan: Plan, rows: Sequence[SummaryRow], environment: Environment | None) -> str:
    devices = [row.device for row in rows if row.device_source == "measured"]
    seeds = f"{len(plan.seeds)} {'seed' if len(plan.seeds) == 1 else 'seeds'}"
    parts = [f"Dataset {plan.dataset}", seeds, *dict.fromkeys(devices)]
    if environment is not None:
        parts.append(environment.started[:10])
    return ", ".join(parts)


def _settings(plan: Plan) -> dict[str, str]:
    swept = {f"sweep of {key}": ", ".join(map(words.plain, v)) for key, v in plan.sweep.items()}
    seeds = {"training.seeds": ", ".join(map(str, plan.seeds))}
    settings = {k: words.plain(v) for k, v in plan.settings.items() if k not in plan.sweep}
    return {"dataset.name": plan.dataset} | swept | settings | seeds

"""Renders docs/operators.md: definition, picture, cost, purpose and source of every operator."""

import textwrap
from collections.abc import Sequence

from catalogue import CATALOGUE, FAMILIES, Entry
from experiments import markdown
from experiments.bench.calls import Call
from tools.gallery.costs import MODES, Costs
from tools.gallery.docstring import Docstring
from tools.gallery.guide import GUIDE
from tools.gallery.pictures.photo import CREDIT

_HEAD = """\
# The operators

<!-- `make documents` generates this page from the docstrings, the code of the pictures and the
records in results/bench-operators. Change those, not this page. -->

For every operator, this page has its definition, its effect on a photograph, its cost, its purpose
and its source. The docstrings have the arguments and examples: `help(jaxpool.max_pool)`.
`jaxpool.nn` has the Flax modules."""

_GUIDE = """\
## Which one do I want?

If no line below fits, use `max_pool`. The number in parentheses is the measured cost of the
operator: the time of its forward and backward pass, divided by that of `max_pool`. Which pooling
makes a network more accurate depends on the data; [findings](findings.md) has the results of this
project's studies. Claims of papers are marked with their authors."""

_COSTS = """\
## What they cost

Each figure is the operator's time divided by that of `max_pool` with the same window on the same
map (k2: window 2, stride 2; k3: window 3, stride 2). 2.00 means twice as long. ≈ means that the two
cannot be told apart. Both are timed alternately in one process. Operators without a window are
compared with k2. *inference* is the same operator in inference mode."""


def page(costs: Costs) -> str:
    """Renders the page.

    Args:
        costs: The costs of the operators.

    Returns:
        Markdown.
    """
    parts = [_HEAD, _contents(), _GUIDE, _guide(costs), _COSTS, _where(costs), _table(costs)]
    for family, entries in FAMILIES.items():
        parts.append(f"## {family}")
        for entry in entries:
            parts += _section(entry, costs)
    return "\n\n".join([*parts, CREDIT]) + "\n"


def _contents() -> str:
    return "\n".join(
        f"- [{family}](#{_anchor(family)}): {_links([entry.name for entry in entries])}"
        for family, entries in FAMILIES.items()
    )


def _links(operators: Sequence[str]) -> str:
    return ", ".join(f"[`{operator}`](#{operator})" for operator in operators)


def _anchor(heading: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return heading.lower().replace(",", "").replace(" ", "-")


def _guide(costs: Costs) -> str:
    lines = []
    for advice in GUIDE:
        take = ", ".join(
            f"{_links([operator])} ({costs.text(costs.of(operator)[0], 'gradient')})"
            for operator in advice.take
        )
        claim = f" {advice.claim}" if advice.claim else ""
        lines.append(f"- {advice.wish}: {take}.{claim}")
    return "\n".join(lines)


def _where(costs: Costs) -> str:
    if costs.environment is None:
        return "Not measured yet."
    where = costs.environment
    shapes = " and ".join(dict.fromkeys("x".join(map(str, c.shape)) for c in costs.calls))
    return (
        f"Maps of {shapes}, float32, on {where.device}; jax {where.versions['jax']}, "
        f"{where.started[:10]}. [All figures](../results/bench-operators/table.md), with intervals "
        "and memory, and [a plot](../results/bench-operators/plot.png)."
    )


def _table(costs: Costs) -> str:
    groups = list(dict.fromkeys(_group(call) for call in costs.calls))
    rows = []
    for operator in CATALOGUE:
        calls = costs.of(operator)
        for name in dict.fromkeys(call.operator for call in calls):
            here = {_group(call): call for call in calls if call.operator == name}
            cells = [
                costs.text(here[group], mode) if group in here else ""
                for group in groups
                for mode in MODES
            ]
            rows.append([f"{_links([operator])}{_variant(name)}", *cells])
    heads = [f"{group} {mode}" for group in groups for mode in MODES.values()]
    return markdown.table(["operator", *heads], rows)


def _group(call: Call) -> str:
    return call.name.removeprefix(f"{call.operator}-")


def _variant(name: str) -> str:
    _, _, variant = name.partition(".")
    return f", {variant}" if variant else ""


def _section(entry: Entry, costs: Costs) -> list[str]:
    said, operator = Docstring.of(entry.operator), entry.name
    return [
        f"### {operator}",
        said.summary,
        said.definition,
        f"![What {operator} does to a photograph](operators/{operator}.png)",
        textwrap.fill(f"**When to use it.** {said.when}", 100),
        _cost(operator, costs),
        textwrap.fill(f"**Source.** {said.source}", 100),
    ]


def _cost(operator: str, costs: Costs) -> str:
    lines = [
        f"- `{call.describe()}`: forward {costs.text(call, 'forward')}, "
        f"with the backward pass {costs.text(call, 'gradient')}"
        for call in costs.of(operator)
    ]
    return "\n".join(["**Cost** relative to `max_pool`:", "", *lines])

"""docs/operators.md: every operator's definition, picture, cost, purpose and source."""

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

<!-- Made by `make documents` from the docstrings, the pictures' code and the
records in results/bench-operators. Change those. -->

Each with its definition, what it does to one photograph, what it costs, what it is for and where it
comes from. Arguments and examples are in the docstrings: `help(jaxpool.max_pool)`. Flax modules are
in `jaxpool.nn`."""

_GUIDE = """\
## Which one do I want?

If nothing below calls for another: `max_pool`. In brackets, what was measured here: the time of
training through the operator, forward and backward, in times of `max_pool`. Which pooling makes a
network more accurate was not: that depends on the data, and the studies in `results/` measure it
for theirs (see the [README](../README.md)). What papers claim of it is marked as theirs."""

_COSTS = """\
## What they cost

Times over those of `max_pool` with the same window (k2: window 2, stride 2; k3: window 3, stride 2)
on the same map, timed alternately in one process: 2.00 takes twice as long. ≈: cannot be told
apart from `max_pool`. Operators without a window are compared with k2. *inference* is a further
call of the same operator."""


def page(costs: Costs) -> str:
    """The whole page.

    Args:
        costs: What the operators cost.

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
    """What GitHub makes of a heading."""
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
    return "\n".join(["**Cost**, in times of `max_pool`:", "", *lines])

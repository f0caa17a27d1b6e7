"""Templates to HTML; every text is escaped."""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup, escape

from experiments.report.page import libraries
from experiments.report.page.vega import Chart

_NAME = re.compile(r"`([^`]+)`")


def render(
    template: str,
    values: Mapping[str, Any],
    charts: Sequence[Chart],
    index: str = "",
    assets: str = "",
) -> str:
    """Fills in a template.

    Args:
        template: Its name in this folder.
        values: What it shows.
        charts: The charts that it draws.
        index: The page to link back to, if there is one.
        assets: The folder of the libraries' files, relative to the page; empty puts them inside.

    Returns:
        The page.
    """
    specs = {
        chart.id: [
            {"label": o.label, "spec": o.spec, "axis": o.axis, "scale": o.scale}
            for o in chart.options
        ]
        for chart in charts
    }
    found = libraries.linked(assets) if assets else libraries.inline()
    page = _environment().get_template(template)
    return page.render(**values, specs=specs, index=index, libraries=found)


@functools.cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("experiments.report.page", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["code"] = _code
    return made


def _code(text: str) -> Markup:
    """Escaped text, with what stands in backticks as code."""
    parts = _NAME.split(text)
    names = (Markup("<code>{}</code>").format(part) for part in parts[1::2])
    prose = map(escape, parts[::2])
    return Markup("").join(
        piece for pair in zip(prose, [*names, Markup("")], strict=True) for piece in pair
    )

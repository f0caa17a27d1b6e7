"""Rendering of templates to HTML, with all text escaped."""

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
    """Renders a template.

    Args:
        template: The template's file name in this folder.
        values: The values of the template's variables.
        charts: The charts of the page.
        index: The page to link back to; empty for none.
        assets: The folder of the libraries' files, relative to the page; if empty, the page
            contains them.

    Returns:
        The page, as HTML.
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
    """Escaped text, with parts in backticks as `<code>`."""
    parts = _NAME.split(text)
    names = (Markup("<code>{}</code>").format(part) for part in parts[1::2])
    prose = map(escape, parts[::2])
    return Markup("").join(
        piece for pair in zip(prose, [*names, Markup("")], strict=True) for piece in pair
    )

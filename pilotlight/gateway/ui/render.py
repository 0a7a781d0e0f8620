"""The templates of the page. Jinja2 is imported when the first page is asked for."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotlight.gateway.scheduler.status import LEAST_FOR_P95
from pilotlight.gateway.ui import format as formats

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render(template: str, **values: Any) -> str:
    """Return the HTML of a template; every value in it is escaped."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals |= {"none_text": formats.NONE, "least_for_p95": LEAST_FOR_P95}
    filters = (
        formats.seconds,
        formats.percent,
        formats.utc,
        formats.workers,
        formats.running,
        formats.ended,
        _code_spans,
    )
    made.filters |= {one.__name__.lstrip("_"): one for one in filters}
    return made


def _code_spans(text: str) -> Markup:
    """Return a text whose parts in backticks are code."""
    from markupsafe import Markup, escape

    parts = [escape(part) for part in re.split("`([^`]*)`", text)]
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))

"""The report as one self-contained HTML page: no script, no request, all styles and pictures inline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pilotlight.bench.cold.summary import warnings as cold_warnings
from pilotlight.bench.load.render import warnings as load_warnings
from pilotlight.bench.report.charts.chart import Chart
from pilotlight.bench.report.charts.theme import styles
from pilotlight.bench.report.markup import Html, tag
from pilotlight.bench.report.pages.cold import cold_section
from pilotlight.bench.report.pages.facts import calibration_section, facts_section
from pilotlight.bench.report.pages.load import load_section
from pilotlight.bench.report.pages.parts import bullets
from pilotlight.bench.report.pages.warm import warm_section
from pilotlight.bench.report.sources import ReportSources
from pilotlight.bench.report.verdicts import Said, cold_verdicts, load_verdicts, warm_verdicts
from pilotlight.bench.warm.summary import warnings as warm_warnings

__all__ = ["default_title", "page"]

# The browser enforces this even if something in the data escapes its quotes.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_SCHEMES = (("auto", "Auto"), ("light", "Light"), ("dark", "Dark"))
_KINDS = (("cold", "cold start"), ("warm", "warm-up"), ("load", "load"))


def page(sources: ReportSources, charts: Mapping[str, Sequence[Chart]], title: str) -> str:
    """Return the whole page; ``charts`` by the kind of result, as in ``_KINDS``."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", _stylesheet()),
    )
    body = tag(
        "body", tag("a", "Skip to the results", href="#main", class_="skip"), _top(), _main(sources, charts, title)
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def default_title(sources: ReportSources) -> str:
    """Return the title: the kinds of results and the projects."""
    kinds = [text for name, text in _KINDS if getattr(sources, "loads" if name == "load" else name)]
    return f"{_listed(kinds).capitalize()} of {_listed(sources.projects) or 'nothing'}"


def _stylesheet() -> Html:
    text = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return Html(f":root {{\n{styles()}\n}}\n{text}")


def _top() -> Html:
    choices = (
        tag(
            "label",
            tag("input", type="radio", name="scheme", id=f"scheme-{name}", checked=name == "auto"),
            tag("span", text),
        )
        for name, text in _SCHEMES
    )
    chooser = tag("fieldset", tag("legend", "Colors"), *choices, class_="schemes")
    return tag("header", tag("p", "pilotlight bench", class_="brand"), chooser)


def _main(sources: ReportSources, charts: Mapping[str, Sequence[Chart]], title: str) -> Html:
    said: list[Said] = []
    sections = []
    if sources.cold:
        said += cold_verdicts(sources.cold)
        sections.append(("cold", "Cold start", cold_section(sources.cold, charts["cold"])))
    if sources.warm:
        said += warm_verdicts(sources.warm)
        sections.append(("warm", "Warm-up", warm_section(sources.warm, charts["warm"])))
    if sources.loads:
        said += [load_verdicts(name, load) for name, load in sources.loads.items()]
        sections.append(("load", "Load", load_section(sources.loads, charts["load"])))
    sections.append(("facts", "Measured on", facts_section(sources.documents)))
    sections.append(("calibration", "Calibration", calibration_section(sources.calibration)))
    links = (tag("a", text, href=f"#{anchor}") for anchor, text, _ in sections)
    first, *others = said or [Said("Nothing was measured")]
    return tag(
        "main",
        tag("h1", title),
        tag("p", f"{first.text}.", tag("span", first.grounds) if first.grounds else None, class_="lead"),
        *(tag("p", f"{one.text} ({one.grounds})." if one.grounds else f"{one.text}.", class_="also") for one in others),
        _warnings(sources),
        tag("nav", *links, aria_label="Parts of this page"),
        *(part for _, _, part in sections),
        id="main",
    )


def _warnings(sources: ReportSources) -> Html | None:
    found = [*cold_warnings(sources.cold)] if sources.cold else []
    found += warm_warnings(sources.warm) if sources.warm else []
    found += [one for load in sources.loads.values() for one in load_warnings(load)]
    listed = bullets(dict.fromkeys(found))
    return tag("aside", tag("h2", "Warnings"), listed, class_="warnings") if listed else None


def _listed(names: Sequence[str]) -> str:
    *most, last = names or [""]
    return f"{', '.join(most)} and {last}" if most else last

"""Building blocks of the page: tables, charts, cards and foldable sections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pilotlight.bench.report.charts.chart import Chart, as_svg
from pilotlight.bench.report.markup import Html, join, tag

__all__ = ["NOTHING", "bullets", "card", "cards", "facts", "failures", "folded", "picture", "section", "table"]

NOTHING = "–"  # noqa: RUF001 - the cell of a table without a value


def section(anchor: str, title: str, *content: Html | None) -> Html:
    """Return a section of the page with a heading to link to."""
    heading = tag("h2", title, id=f"{anchor}-heading")
    return tag("section", heading, *content, id=anchor, aria_labelledby=f"{anchor}-heading")


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str | Html]], *, words: int = 1) -> Html:
    """Return rows with a heading each; all columns except the first ``words`` hold numbers, aligned right.

    A table that is wider than the page scrolls in its own region, also with the keyboard.
    """
    kinds = ["word" if index < words else "number" for index in range(len(heads))]
    head = tag("tr", *(tag("th", text, scope="col", class_=kind) for text, kind in zip(heads, kinds, strict=True)))
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row", class_="word"),
            *(tag("td", cell, class_=kind) for cell, kind in zip(row[1:], kinds[1:], strict=True)),
        )
        for row in rows
    ]
    whole = tag("table", tag("caption", title), tag("thead", head), tag("tbody", *body))
    return tag("div", whole, class_="scroll", tabindex="0", role="region", aria_label=title)


def facts(pairs: Iterable[tuple[str, str | Html]]) -> Html:
    """Return names with their values."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs), class_="facts")


def folded(title: str, *content: Html | None) -> Html:
    """Return content that is shown on demand."""
    return tag("details", tag("summary", title), *content)


def card(name: str, figure: str, *lines: str) -> Html:
    """Return one large figure with its name and explanation."""
    below = (tag("p", line) for line in lines)
    return tag("div", tag("h3", name), tag("p", figure, class_="figure"), *below, class_="card")


def cards(found: Iterable[Html]) -> Html | None:
    """Return the cards side by side, as far as they fit."""
    content = join(*found)
    return tag("div", content, class_="cards") if content else None


def bullets(lines: Iterable[str], class_: str | None = None) -> Html | None:
    """Return a list, or ``None`` if it is empty."""
    items = [tag("li", line) for line in lines]
    return tag("ul", *items, class_=class_) if items else None


def failures(name: str, messages: Mapping[str, int]) -> Html | None:
    """Return a project's failures, each message once with its number of occurrences."""
    if not messages:
        return None
    said = (
        tag("pre", f"{message}\n(the same {times} times)" if times > 1 else message)
        for message, times in messages.items()
    )
    return tag("div", tag("h3", f"{name} failed"), *said, class_="failed")


def picture(chart: Chart, note: str) -> Html:
    """Return a chart with its caption: one drawing for wide screens and one for phones."""
    caption = tag("figcaption", tag("strong", f"{chart.title}."), " ", note)
    return tag("figure", caption, as_svg(chart, narrow=False), as_svg(chart, narrow=True))

"""Prepare matplotlib's SVG for a page: unique ids, CSS variables for colors, text alternatives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from pilotlight.bench.report.charts.theme import unmark
from pilotlight.bench.report.markup import Html, printable

__all__ = ["Drawing", "inline"]

_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_LONG = re.compile(r"-?\d+\.\d{3,}")
_URL = re.compile(r"url\(#([^)]+)\)")


@dataclass(frozen=True, slots=True)
class Drawing:
    """The SVG that matplotlib wrote, and how to embed it.

    Attributes:
        source: the content of the SVG file.
        name: the prefix of every id, so that several drawings fit on one page.
        title: the title.
        description: a description for users who cannot see the drawing.
        tips: the tooltips by the id of an element.
    """

    source: str
    name: str
    title: str
    description: str
    tips: Mapping[str, str]


def inline(drawing: Drawing) -> Html:
    """Return the element ``svg``, as wide as its place on the page."""
    root = fromstring(drawing.source)  # noqa: S314 - written by matplotlib just before
    _drop_strangers(root)
    # HTML uses these names without their namespaces.
    for one in root.iter():
        one.tag = one.tag.removeprefix(_SVG)
    used = set(_references(root))
    for one in root.iter():
        _describe(one, drawing.tips)
        _rename(one, drawing.name, used)
        _round(one)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    labels = [f"{drawing.name}-title", f"{drawing.name}-description"]
    root.attrib |= {"role": "img", "aria-labelledby": " ".join(labels), "class": drawing.name.rpartition("-")[2]}
    for index, (kind, text) in enumerate((("title", drawing.title), ("desc", drawing.description))):
        element = Element(kind, {"id": labels[index]})
        element.text = printable(text)
        root.insert(index, element)
    return Html(unmark(tostring(root, encoding="unicode")))


def _drop_strangers(root: Element) -> None:
    """Remove metadata, and a style sheet that would apply to the whole page; the page's own contains its rules."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)


def _references(root: Element) -> Iterator[str]:
    for one in root.iter():
        for key, value in one.attrib.items():
            if key == _HREF:
                yield value.removeprefix("#")
            yield from _URL.findall(value)


def _describe(one: Element, tips: Mapping[str, str]) -> None:
    tip = tips.get(one.get("id", ""))
    if tip is not None:
        title = SubElement(one, "title")
        title.text = printable(tip)


def _rename(one: Element, name: str, used: set[str]) -> None:
    """Remove unreferenced ids; prefix the other ids and their references with the drawing's name."""
    own = one.attrib.pop("id", None)
    if own in used:
        one.set("id", f"{name}-{own}")
    for key, value in list(one.attrib.items()):
        if key == _HREF:
            del one.attrib[key]
            one.set("href", f"#{name}-{value.removeprefix('#')}")
        else:
            one.set(key, _URL.sub(lambda found: f"url(#{name}-{found[1]})", value))


def _round(one: Element) -> None:
    """Round to a hundredth of a point, which is finer than any screen."""
    for key in ("d", "x", "y"):
        if key in one.attrib:
            one.set(key, _LONG.sub(lambda found: f"{float(found[0]):.2f}", one.attrib[key]))

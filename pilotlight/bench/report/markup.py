"""Builds HTML; text is escaped when it becomes part of an element."""

from __future__ import annotations

import html
import re

__all__ = ["Html", "join", "printable", "tag"]

_VOID = frozenset({"br", "hr", "input", "meta"})
# What XML 1.0 has no way to write, and no terminal should be sent: control characters, halves of characters.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def printable(text: str) -> str:
    """With a replacement character for each one that neither HTML nor XML can hold."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def join(*parts: str | Html | None) -> Html:
    """The parts one after the other; what is no ``Html`` is escaped, ``None`` is nothing."""
    return Html(
        "".join(
            part if isinstance(part, Html) else html.escape(printable(part), quote=True)
            for part in parts
            if part is not None
        )
    )


def tag(name: str, /, *content: str | Html | None, **attributes: str | bool | None) -> Html:
    """An element. ``class_`` is ``class``, ``aria_label`` is ``aria-label``; ``None`` and ``False`` leave one out."""
    written = "".join(_attribute(key, value) for key, value in attributes.items() if value not in (None, False))
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*content)}</{name}>")


def _attribute(key: str, value: str | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(printable(str(value)), quote=True)}"'

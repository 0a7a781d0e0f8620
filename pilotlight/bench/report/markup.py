"""Build HTML; text is escaped when it becomes part of an element."""

from __future__ import annotations

import html
import re

__all__ = ["Html", "join", "printable", "tag"]

_VOID = frozenset({"br", "hr", "input", "meta"})
# Characters that XML 1.0 cannot represent and terminals should not receive: control characters, lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Html(str):
    """Text that is already markup."""

    __slots__ = ()


def printable(text: str) -> str:
    """Replace each character that neither HTML nor XML can contain by a replacement character."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def join(*parts: str | Html | None) -> Html:
    """Join the parts; a part that is not ``Html`` is escaped, ``None`` is left out."""
    return Html(
        "".join(
            part if isinstance(part, Html) else html.escape(printable(part), quote=True)
            for part in parts
            if part is not None
        )
    )


def tag(name: str, /, *content: str | Html | None, **attributes: str | bool | None) -> Html:
    """Return an element. ``class_`` is ``class``, ``aria_label`` ``aria-label``; ``None`` and ``False`` are omitted."""
    written = "".join(_attribute(key, value) for key, value in attributes.items() if value not in (None, False))
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*content)}</{name}>")


def _attribute(key: str, value: str | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(printable(str(value)), quote=True)}"'

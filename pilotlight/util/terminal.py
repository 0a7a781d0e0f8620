"""Texts of others on a terminal: what would steer the terminal or mislead its reader is shown as an escape instead.

A log line, an output or a name may hold sequences that set the clipboard or the title (OSC), move the cursor over what
was printed before, or turn the direction of a line. Each character is judged by itself, so that a stream of chunks
needs no memory and a sequence that is split over two chunks is found. Pure.
"""

from __future__ import annotations

import re

__all__ = ["escaped"]

# C0 but for tab and line feed, DEL, C1, what orders text of two directions, invisible marks, separators of lines, and
# halves of characters.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)


def escaped(text: str, *, one_line: bool = False) -> str:
    r"""Return a text in which unsafe characters are written as in ``\x1b`` and ``\u202e``.

    Args:
        text: tabs and line feeds stay, and a carriage return before a line feed is left out.
        one_line: whether line feeds are escaped, too: for names.
    """
    safe = _UNSAFE.sub(_escape, text.replace("\r\n", "\n"))
    return safe.replace("\n", "\\n").replace("\t", "\\t") if one_line else safe


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

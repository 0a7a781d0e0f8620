"""What keeps requests on one version: a header, an input, or a key that the request gives itself. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pilotlight.errors import ConfigError

STICKY_PATTERN = r"^(header|input):[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$"


@dataclass(frozen=True, slots=True)
class StickyBy:
    """A header or an input whose value is the key of a request.

    Attributes:
        source: where the value is.
        name: of the header, in any case, or of the input.
    """

    source: Literal["header", "input"]
    name: str


@dataclass(frozen=True, slots=True)
class RequestKeys:
    """What a request has that it can be kept on one version by.

    Attributes:
        key: the key that the request gives itself; it counts for every deployment.
        headers: its headers; names in lower case.
        inputs: its inputs by name.
    """

    key: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def by(self, sticky: StickyBy | None) -> str | None:
        """Return the key of the request; ``None`` where it has none, and may go anywhere."""
        if self.key:
            return self.key
        if sticky is None:
            return None
        if sticky.source == "header":
            return self.headers.get(sticky.name.lower()) or None
        value = self.inputs.get(sticky.name)
        if value is None or value == "":
            return None
        return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def parse_sticky(text: str | None) -> StickyBy | None:
    """Return what ``header:NAME`` or ``input:NAME`` says; ``None`` for ``None``.

    Raises:
        ConfigError: the text is neither.
    """
    if text is None:
        return None
    if not re.fullmatch(STICKY_PATTERN.rstrip("$"), text):
        raise ConfigError(f"sticky is {text[:80]!r}; give header:NAME, such as header:X-User-Id, or input:NAME")
    source, _, name = text.partition(":")
    return StickyBy("header" if source == "header" else "input", name)

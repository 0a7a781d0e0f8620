"""``org/name[@revision]``: how a model on the Hub is named. A cold start reads it: standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PATTERN = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./+-]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class HubId:
    """A repository; ``revision`` is a branch, a tag or a commit, ``None`` for the default branch."""

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.repo + (f"@{self.revision}" if self.revision else "")


def parse_hub_id(text: str) -> HubId | None:
    """``org/name[@revision]``, with or without ``hf://`` before it; ``None`` where ``text`` is not one."""
    match = _PATTERN.fullmatch(text.removeprefix("hf://"))
    if match is None or ".." in text or "/." in text or text.startswith("."):
        return None
    return HubId(match["repo"], match["revision"])

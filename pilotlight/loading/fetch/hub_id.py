"""``org/name[@revision][#file.gguf]``: how a model on the Hub is named. The standard library only, for cold starts."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PATTERN = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./+-]+))?(?:#(?P<file>[\w.+-]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class HubId:
    """A repository, or one GGUF file of it.

    Attributes:
        revision: a branch, a tag or a commit, ``None`` for the default branch.
        file: the one file of it that is meant, such as ``model.Q4_K_M.gguf``.
    """

    repo: str
    revision: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        return self.repo + (f"@{self.revision}" if self.revision else "") + (f"#{self.file}" if self.file else "")


def parse_hub_id(text: str) -> HubId | None:
    """``org/name[@revision][#file]``, with or without ``hf://`` before it; ``None`` where ``text`` is not one."""
    match = _PATTERN.fullmatch(text.removeprefix("hf://"))
    if match is None or ".." in text or "/." in text or text.startswith("."):
        return None
    return HubId(match["repo"], match["revision"], match["file"])

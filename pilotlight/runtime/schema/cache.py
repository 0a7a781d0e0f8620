"""Files in a project's ``.cog`` folder, and what was learned from sources that have not changed since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pilotlight.errors import ConfigError
from pilotlight.util.files import write_atomically

# Weights that are read at import say nothing about the signature, and hashing them on every start costs seconds.
_LARGEST_TRACKED_BYTES = 4 * 2**20


def recall(cache: Path, key: str) -> dict[str, Any] | None:
    """Return what ``remembered`` made, where its key and the files that it depends on are as they were then."""
    try:
        found: dict[str, Any] = json.loads(cache.read_text(encoding="utf-8"))
        if found["key"] != key:
            return None
        unchanged = all(digest(Path(path)) == was for path, was in found["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # not there, or not as we write it
        return None
    return found if unchanged else None


def remembered(key: str, files: Iterable[str], learned: Mapping[str, Any]) -> str:
    """Return what to write for ``recall``: what was learned, and from which files, missing ones included."""
    return json.dumps({"key": key, "files": {path: digest(Path(path)) for path in files}, **learned})


def digest(path: Path) -> str | None:
    """Return the digest of a file's content; ``None`` where it cannot be read."""
    try:
        if path.stat().st_size > _LARGEST_TRACKED_BYTES:
            return "large"
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def save_for_server(path: Path, text: str) -> None:
    """Replace a file in the project's ``.cog`` folder, which is made where it is missing.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; the Cog server needs it there") from error

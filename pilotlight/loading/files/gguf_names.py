"""Which GGUF file of a folder or of a list of names is meant. Runs at cold starts: the standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pilotlight.errors import ConfigError

__all__ = ["SUFFIX", "find_gguf", "gguf_models", "holds_gguf", "is_gguf", "parts_of"]

SUFFIX = ".gguf"
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_PROJECTOR = re.compile(r"(^|[-_.])mmproj[-_.]", re.IGNORECASE)  # the vision half of a model, never a model


def is_gguf(name: str) -> bool:
    """Return whether ``name`` is that of a GGUF file."""
    return name.lower().endswith(SUFFIX)


def parts_of(name: str) -> tuple[str, ...]:
    """Return the files that a model is split into, of which ``name`` is one; only ``name`` where it is not split."""
    part = _PART.fullmatch(name)
    if part is None:
        return (name,)
    count = int(part["count"])
    return tuple(f"{part['stem']}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1))


def gguf_models(names: Iterable[str]) -> list[str]:
    """Return the models among ``names``, sorted: a split one by its first file."""
    found = {parts_of(name)[0] for name in names if is_gguf(name) and not _PROJECTOR.search(name)}
    return sorted(found)


def find_gguf(folder: Path) -> Path | None:
    """Return the one GGUF model in ``folder``; ``None`` where there is none.

    Raises:
        ConfigError: there are several.
    """
    names = gguf_models(path.name for path in folder.iterdir() if path.is_file())
    if len(names) > 1:
        raise ConfigError(
            f"{folder} has {len(names)} GGUF files ({', '.join(names)}): name one of them, such as {folder / names[0]}"
        )
    return folder / names[0] if names else None


def holds_gguf(folder: Path) -> bool:
    """Return whether the weights in ``folder`` are GGUF files only."""
    names = [path.name for path in folder.iterdir()]
    return not any(name.endswith(".safetensors") for name in names) and bool(gguf_models(names))

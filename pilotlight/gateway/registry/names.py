"""Names of models and deployments, and ids of versions as they are abbreviated. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pilotlight.errors import UsageError

# Of an owner, a model or a deployment.
NAME_PATTERN = "^[a-z0-9][a-z0-9._-]{0,99}$"


class MissingError(UsageError):
    """No model, version or deployment has that name."""


class ConflictError(UsageError):
    """Something of that name exists already, or something else needs it."""


def check_name(name: str) -> str:
    """Return ``name``, checked to be an ``owner/name``.

    Raises:
        UsageError: it is none.
    """
    parts = name.split("/")
    if len(parts) != 2 or not all(re.fullmatch(NAME_PATTERN, part) for part in parts):
        raise UsageError(
            f"{name[:200]!r} is no name of a model or a deployment: give owner/name, both of lowercase letters, "
            'digits, "-", "_" and "." and beginning with a letter or a digit'
        )
    return name


def previous(history: Sequence[str], current: str, there: Sequence[str]) -> str | None:
    """Return the version that was current before ``current``, of those that still exist. Pure."""
    return next((version for version in reversed(history) if version != current and version in there), None)


def matching(ids: Sequence[str], wanted: str, model: str) -> str:
    """Return the one id that ``wanted`` is or begins. Pure.

    Raises:
        MissingError: none does.
        UsageError: several do.
    """
    found = [one for one in ids if one.startswith(wanted)]
    if not found or not wanted:
        raise MissingError(f"{model} has no version {wanted!r}; see `pilotlight versions {model}`")
    if len(found) > 1:
        raise UsageError(f"{wanted!r} begins {len(found)} versions of {model}; give more of it")
    return found[0]

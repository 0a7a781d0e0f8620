"""Latency objectives, parsed from the command line. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pilotlight.errors import UsageError

__all__ = ["Objective", "parse_objective"]

_FORM = re.compile(r"(?:(ttft):)?([0-9]*\.?[0-9]+)(ms|s)")


@dataclass(frozen=True, slots=True)
class Objective:
    """A limit on the response time, or on the time to the first output.

    Attributes:
        name: the text given by the user.
        limit_s: the longest time that meets it, in seconds from the intended start.
        first_output: whether it limits the time to the first output.
    """

    name: str
    limit_s: float
    first_output: bool = False


def parse_objective(text: str) -> Objective:
    """Parse ``500ms`` or ``2s`` of response time, or ``ttft:200ms`` to the first output.

    Raises:
        UsageError: the text is neither.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None or float(found[2]) <= 0:
        raise UsageError(f"--objective {text!r}: give a time with its unit such as 500ms or 2s, or ttft:200ms")
    return Objective(text.strip(), float(found[2]) * (0.001 if found[3] == "ms" else 1.0), found[1] is not None)

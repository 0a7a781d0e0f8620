"""Parse ``--fail-if``: the outcomes of a comparison that count as failures. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pilotlight.bench.stats.intervals import Comparison, Verdict
from pilotlight.errors import UsageError

__all__ = ["Condition", "parse_condition"]

_FORM = re.compile(r"(slower|faster|unknown|cannot-tell)(?::(\d+(?:\.\d+)?)%)?")
_UNKNOWN = ("unknown", "cannot-tell")


@dataclass(frozen=True, slots=True)
class Condition:
    """An outcome to fail on.

    Attributes:
        text: the text given by the user.
        verdict: the verdict to fail on.
        fraction: the least difference, 0.05 for 5 %.
    """

    text: str
    verdict: Verdict
    fraction: float = 0.0

    def holds(self, comparison: Comparison) -> bool:
        """Return whether the data show the outcome: the whole interval must lie beyond the limit."""
        match self.verdict:
            case Verdict.SLOWER:
                return comparison.slower_by(self.fraction)
            case Verdict.FASTER:
                return comparison.faster_by(self.fraction)
            case Verdict.CANNOT_TELL:
                return comparison.verdict is Verdict.CANNOT_TELL


def parse_condition(text: str) -> Condition:
    """Parse ``slower``, ``slower:5%``, ``faster``, ``faster:5%``, ``cannot-tell`` or its synonym ``unknown``.

    Raises:
        UsageError: the text is none of these.
    """
    found = _FORM.fullmatch(text)
    fraction = float(found[2] or 0) / 100 if found else 0.0
    if not found or (found[2] and found[1] in _UNKNOWN) or (found[1] == "faster" and fraction >= 1):
        raise UsageError(f"--fail-if {text!r}: give slower, slower:5%, faster, faster:5% or cannot-tell")
    return Condition(text, Verdict.CANNOT_TELL if found[1] in _UNKNOWN else Verdict(found[1]), fraction)

"""``--fail-if``: which outcomes of a comparison are failures. Pure."""

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
    """An outcome.

    Attributes:
        text: as it was given.
        verdict: which one.
        fraction: by more than how much, 0.05 for 5 %.
    """

    text: str
    verdict: Verdict
    fraction: float = 0.0

    def holds(self, comparison: Comparison) -> bool:
        """Whether the data show it: an interval that reaches beyond the limit on either side shows nothing."""
        match self.verdict:
            case Verdict.SLOWER:
                return comparison.slower_by(self.fraction)
            case Verdict.FASTER:
                return comparison.faster_by(self.fraction)
            case Verdict.CANNOT_TELL:
                return comparison.verdict is Verdict.CANNOT_TELL


def parse_condition(text: str) -> Condition:
    """``slower``, ``slower:5%``, ``faster``, ``faster:5%``, ``cannot-tell`` or ``unknown``, which is the same.

    Raises:
        UsageError: it is none of these.
    """
    found = _FORM.fullmatch(text)
    fraction = float(found[2] or 0) / 100 if found else 0.0
    if not found or (found[2] and found[1] in _UNKNOWN) or (found[1] == "faster" and fraction >= 1):
        raise UsageError(f"--fail-if {text!r}: give slower, slower:5%, faster, faster:5% or cannot-tell")
    return Condition(text, Verdict.CANNOT_TELL if found[1] in _UNKNOWN else Verdict(found[1]), fraction)

"""The findings of rules about a project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pilotlight.doctor.facts import Facts

__all__ = ["Diagnosis", "Fault", "Finding", "Fine", "How", "Outcome", "Rule", "Severity", "Unclear"]

How = Literal["read", "ran"]


class Severity(StrEnum):
    """The severity: high if callers notice it, medium under load or as cost, low if it concerns upkeep."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Fault:
    """The outcome of a broken rule.

    Attributes:
        evidence: measurements, or ``file:line`` with what is there.
        change: what to do, in one sentence.
        code: the line or lines to write.
        severity: the severity of the finding.
        how: whether it was found by running the project or only by reading it.
    """

    evidence: tuple[str, ...]
    change: str
    code: str
    severity: Severity
    how: How


@dataclass(frozen=True, slots=True)
class Fine:
    """The outcome of a rule that is kept, with a short explanation."""

    words: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """The outcome of a rule that could not be checked, with the reason."""

    why: str


Outcome = Fault | Fine | Unclear


@dataclass(frozen=True, slots=True)
class Rule:
    """One check.

    Attributes:
        id: the name that ``--ignore`` takes.
        mistake: the number among the ten common mistakes; ``None`` for any other rule.
        title: the mistake in a few words.
        why: the consequence for the callers or the payer, in one sentence.
        check: the pure function that judges the facts.
    """

    id: str
    mistake: int | None
    title: str
    why: str
    check: Callable[[Facts], Outcome]


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule together with its fault."""

    id: str
    mistake: int | None
    title: str
    evidence: tuple[str, ...]
    why: str
    change: str
    code: str
    how: How
    severity: Severity


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The outcomes of all rules that were not ignored, in the order of the rules; findings the most severe first."""

    findings: tuple[Finding, ...]
    passed: tuple[tuple[Rule, Fine], ...]
    unclear: tuple[tuple[Rule, Unclear], ...]

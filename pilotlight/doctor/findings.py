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
    """How bad it is: users see it; they see it under load, or it costs; it is a matter of upkeep."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule is broken.

    Attributes:
        evidence: each a measurement, or ``file:line`` and what is there.
        change: what to do, in a sentence.
        code: the line to write, or several.
        severity: how bad it is.
        how: it was found by running the project, or only by reading it.
    """

    evidence: tuple[str, ...]
    change: str
    code: str
    severity: Severity
    how: How


@dataclass(frozen=True, slots=True)
class Fine:
    """A rule is kept, as the words say in short."""

    words: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """It cannot be told, and why."""

    why: str


Outcome = Fault | Fine | Unclear


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to check.

    Attributes:
        id: what ``--ignore`` takes.
        mistake: its number among the ten common ones; ``None`` for one beyond them.
        title: the mistake in a few words.
        why: what it does to those who use or pay for the model, in a sentence.
        check: pure.
    """

    id: str
    mistake: int | None
    title: str
    why: str
    check: Callable[[Facts], Outcome]


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that is broken, complete."""

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
    """The outcome of every rule that was not ignored, in the order of the rules; findings the worst first."""

    findings: tuple[Finding, ...]
    passed: tuple[tuple[Rule, Fine], ...]
    unclear: tuple[tuple[Rule, Unclear], ...]

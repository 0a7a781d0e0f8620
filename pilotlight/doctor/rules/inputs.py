"""Rules about inputs: whether wrong ones are refused with a helpful message, and whether all are described."""

from __future__ import annotations

import re

from pilotlight.doctor.facts import Facts
from pilotlight.doctor.findings import Fault, Fine, Outcome, Rule, Severity, Unclear
from pilotlight.doctor.observed import Attempt, Observation
from pilotlight.doctor.rules.evidence import no_predictions, plain_error, shown_s

__all__ = ["INPUT_RULES", "is_clear"]

# Errors that Python raises by itself in unprepared code. A ValueError, or an error that a project or a library defines,
# counts as a deliberate refusal.
_ACCIDENTS = frozenset(
    [
        *("ArithmeticError", "AssertionError", "AttributeError", "EOFError", "FileNotFoundError", "FloatingPointError"),
        *("IndexError", "KeyError", "MemoryError", "NameError", "NotImplementedError", "OSError", "OverflowError"),
        *("RecursionError", "RuntimeError", "StopIteration", "TypeError", "UnboundLocalError", "UnicodeDecodeError"),
        *("UnicodeEncodeError", "ZeroDivisionError", "OutOfMemoryError", "UnidentifiedImageError"),
    ]
)
_SEEDS = re.compile(r"seed", re.IGNORECASE)


def unvalidated_inputs(facts: Facts) -> Outcome:
    """Judge the outcomes of invalid and extreme inputs or, if the project was only read, numbers without limits."""
    inputs = facts.read.code.inputs if facts.read.code else ()
    open_numbers = [one for one in inputs if one.number and not one.bounded and not _SEEDS.search(one.name)]
    places = tuple(f"{one.where}: {one.name} has no limits" for one in open_numbers)
    if not isinstance(facts.ran, Observation):
        return _unvalidated(places, Severity.LOW, ran=False) if places else Fine("every number has limits")
    if not facts.ran.attempts:
        return Unclear(facts.ran.unobserved.get("inputs", no_predictions(facts).why))
    bad = [one for one in facts.ran.attempts if not is_clear(one)]
    if not bad:
        return Fine(f"{len(facts.ran.attempts)} invalid or extreme inputs were refused or served")
    names = {one.name for one in bad}
    worst = any(one.outcome in ("crashed", "stuck") for one in bad)
    shown = tuple(f"{one.name}={one.shown}: {_ending(one)}" for one in bad)
    limits = tuple(f"{one.where}: {one.name} has no limits" for one in open_numbers if one.name in names)
    return _unvalidated((*shown, *limits), Severity.HIGH if worst else Severity.MEDIUM, ran=True)


def is_clear(attempt: Attempt) -> bool:
    """Return whether the input was served, refused by Cog, or refused with a message that helps the caller."""
    if attempt.outcome in ("refused", "succeeded"):
        return True
    if attempt.outcome != "failed":
        return False
    kind, _, words = plain_error(attempt.message).partition(":")
    if re.search(rf"\b{re.escape(attempt.name)}\b", words):
        return True
    return kind.rpartition(".")[2] not in _ACCIDENTS


def _ending(attempt: Attempt) -> str:
    match attempt.outcome:
        case "timed_out":
            return f"accepted, and not finished after {shown_s(attempt.took_s)}"
        case "stuck":
            return f"accepted, and the worker no longer answers after {shown_s(attempt.took_s)}"
        case "crashed":
            return f"the worker died: {attempt.message}"
        case _:
            return f"fails with {plain_error(attempt.message)}, which does not help the caller"


def _unvalidated(evidence: tuple[str, ...], severity: Severity, *, ran: bool) -> Fault:
    return Fault(
        evidence=evidence,
        change="Declare limits, which Cog checks before a prediction begins; refuse other values with a clear error.",
        code='steps: int = Input(description="...", ge=1, le=100)',
        severity=severity,
        how="ran" if ran else "read",
    )


def undescribed_inputs(facts: Facts) -> Outcome:
    """Find inputs without a description."""
    code = facts.read.code
    if code is None:
        return Unclear("the source cannot be read")
    bare = [one for one in code.inputs if not one.described]
    if not bare:
        return Fine("every input is described")
    return Fault(
        evidence=tuple(f"{one.where}: {one.name}" for one in bare),
        change="Describe each input and its unit: callers see nothing else.",
        code=f'{bare[0].name}: ... = Input(description="...")',
        severity=Severity.LOW,
        how="read",
    )


INPUT_RULES = (
    Rule(
        "unvalidated-inputs",
        6,
        "Inputs are not validated",
        "One bad request fails with an unhelpful message, holds a slot for minutes, or ends the worker.",
        unvalidated_inputs,
    ),
    Rule(
        "undescribed-inputs",
        6,
        "Inputs are not described",
        "Callers have to guess what to send.",
        undescribed_inputs,
    ),
)
